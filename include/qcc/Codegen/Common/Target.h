//===- Target.h - Descriptions of what code is made for ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A target is a row of data: what LLVM may use, what the runtime must find at
// start (cpu_features of qcc_abi.h covers every feature that LLVM is given),
// and the few facts that kernels are shaped by. Kernels ask for facts, never
// for names, so that a new CPU is a new row.
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_COMMON_TARGET_H
#define QCC_CODEGEN_COMMON_TARGET_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <string>
#include <vector>

namespace qcc {

/// How four products of bytes are added to a 32-bit lane.
enum class DotKind {
  Scalar,  ///< Not at all (reference).
  Maddubs, ///< vpmaddubsw + vpmaddwd, 256 bits.
  Vnni,    ///< vpdpbusd, 512 bits.
};

struct TargetSpec {
  const char *name;     ///< "x86-64-v4".
  const char *summary;  ///< One line for --list-targets.
  const char *cpu;      ///< LLVM's baseline.
  const char *features; ///< Added to it: "+avx512vnni".
  const char *tune;     ///< LLVM's scheduling model.
  uint64_t cpuFeatures; ///< QCC_CPU_* that the machine must have.
  unsigned vectorBits;  ///< Width of the vectors that kernels use; 0: scalar.
  unsigned registers;   ///< Vector registers of that width.
  DotKind dot;

  bool isReference() const { return vectorBits == 0; }
};

/// Every target, in ascending order of preference, the reference first.
llvm::ArrayRef<TargetSpec> targetTable();

/// Null when there is none of that name.
const TargetSpec *findTarget(llvm::StringRef name);

/// The best target that this machine runs; an error when it lacks the baseline.
llvm::Expected<const TargetSpec *> detectNativeTarget();

/// Reads "x86-64-v3,x86-64-v4"; "native" is the machine's own. The result is in
/// ascending order of preference, as a bundle wants it. Errors name the closest
/// target and all of them.
llvm::Expected<std::vector<const TargetSpec *>>
parseTargets(llvm::StringRef list);

/// The word of `words` that `text` is a likely misspelling of; empty for none.
std::string closestWord(llvm::StringRef text,
                        llvm::ArrayRef<llvm::StringRef> words);

} // namespace qcc

#endif // QCC_CODEGEN_COMMON_TARGET_H
