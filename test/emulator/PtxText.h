//===- PtxText.h - The statements of a PTX file -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_PTXTEXT_H
#define QCC_TEST_EMULATOR_PTXTEXT_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace qcc::emulator {

/// What a type's suffix says: ".f16x2" is two floats of 16 bits.
struct PtxType {
  enum Kind { Bits, Signed, Unsigned, Float, BFloat, Predicate };
  Kind kind = Bits;
  unsigned bits = 32; ///< Of an element.
  unsigned count = 1;

  bool isFloat() const { return kind == Float || kind == BFloat; }
  unsigned allBits() const { return bits * count; }
};

/// False if `suffix` ("f16x2") is no type.
bool parsePtxType(llvm::StringRef suffix, PtxType &type);

/// A label, or an instruction: "@!%p1 add.rn.f32 %r1, %r2, 0f3F800000".
struct PtxStatement {
  llvm::StringRef text;
  llvm::StringRef label; ///< If it is one, all else is empty.
  llvm::StringRef guard; ///< A predicate, or empty.
  bool negated = false;
  llvm::StringRef opcode; ///< "add"
  /// "rn", then the types.
  llvm::SmallVector<llvm::StringRef, 4> modifiers;
  llvm::SmallVector<PtxType, 2> types;
  llvm::SmallVector<llvm::StringRef, 4> operands;

  bool has(llvm::StringRef modifier) const;
};

struct PtxVariable {
  llvm::StringRef name;
  llvm::StringRef space; ///< "shared" or "global"
  bool isExternal = false;
  unsigned alignment = 1;
  unsigned elementBytes = 1;
  size_t count = 0;
  std::vector<uint64_t> values; ///< Of its elements, or none.
};

struct PtxEntry {
  llvm::StringRef name;
  struct Parameter {
    llvm::StringRef name;
    unsigned bits;
  };
  std::vector<Parameter> parameters;
  unsigned threads = 0;
  /// Registers by what their names begin with, "%rd", and their bits.
  std::vector<std::pair<llvm::StringRef, unsigned>> registers;
  std::vector<PtxStatement> statements;
};

/// A file in its parts, which refer to `text`.
struct PtxFile {
  std::string text; ///< Without comments.
  llvm::StringRef target;
  std::vector<PtxVariable> variables;
  std::vector<PtxEntry> entries;
};

/// Fills `file`, which stays where it is.
llvm::Error parsePtx(llvm::StringRef text, PtxFile &file);

/// "{a, b}" or "a, b" in its parts; commas inside of brackets do not part.
llvm::SmallVector<llvm::StringRef, 4> splitPtxOperands(llvm::StringRef list);

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_PTXTEXT_H
