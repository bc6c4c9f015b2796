//===- PtxFunction.h - A kernel of PTX, being made IR -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_PTXFUNCTION_H
#define QCC_TEST_EMULATOR_PTXFUNCTION_H

#include "PtxText.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/IR/IRBuilder.h"

namespace qcc::emulator {

/// Registers are variables of the function, which keep their bits; each
/// instruction gives them a type as it reads and writes them. After fail(),
/// what is made does not matter.
class PtxFunction {
public:
  PtxFunction(llvm::Module &module, const PtxEntry &entry);

  /// Makes the kernel.
  llvm::Error emit();

  //===--- For instructions ----------------------------------------------===//

  /// Says that the instruction is not known, or is wrong.
  void fail(const llvm::Twine &what);

  llvm::Type *type(const PtxType &of);
  /// The value of a register, number, name of a variable or special register.
  llvm::Value *read(llvm::StringRef operand, const PtxType &as);
  /// Registers may be wider than the type: a signed one then fills them with
  /// its sign.
  void write(llvm::StringRef operand, const PtxType &as, llvm::Value *value);
  /// The address "[%rd1+16]" in a space of PTX ("global").
  llvm::Value *address(llvm::StringRef operand, llvm::StringRef space);
  /// The parameter that "[name]" reads, or "[%rd1]" whose register was given
  /// the address of one. Such an address is a number that means nothing else.
  llvm::Value *parameter(llvm::StringRef operand, const PtxType &as);
  /// Calls an intrinsic of NVVM; operands take the types that it wants.
  /// `overloads` are the types that its name ends with.
  llvm::Value *call(llvm::StringRef intrinsic,
                    llvm::ArrayRef<llvm::Value *> operands,
                    llvm::ArrayRef<llvm::Type *> overloads = {});
  void branch(llvm::StringRef label);
  void leave();

  llvm::IRBuilder<> ir;

private:
  llvm::AllocaInst *slot(llvm::StringRef name);
  llvm::Value *symbol(llvm::StringRef name);
  llvm::Value *parameterAddress(unsigned index);
  llvm::Value *special(llvm::StringRef name);
  void emitStatement(const PtxStatement &statement);
  void continueAt(llvm::BasicBlock *block);

  llvm::Module &module;
  const PtxEntry &entry;
  llvm::Function *function = nullptr;
  llvm::StringMap<llvm::AllocaInst *> slots;
  llvm::StringMap<llvm::BasicBlock *> labels;
  llvm::StringRef current; ///< The statement, for messages.
  std::string problem;
};

/// Emits an instruction but for its guard.
void emitPtxInstruction(PtxFunction &function, const PtxStatement &statement);

// Of its rows, those that access memory.
void emitPtxLoad(PtxFunction &function, const PtxStatement &statement);
void emitPtxStore(PtxFunction &function, const PtxStatement &statement);
void emitPtxLoadMatrices(PtxFunction &function, const PtxStatement &statement);
void emitPtxCopy(PtxFunction &function, const PtxStatement &statement);
void emitPtxAtomic(PtxFunction &function, const PtxStatement &statement);
void emitPtxPrefetch(PtxFunction &function, const PtxStatement &statement);
void emitPtxFence(PtxFunction &function, const PtxStatement &statement);

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_PTXFUNCTION_H
