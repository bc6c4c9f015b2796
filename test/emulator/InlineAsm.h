//===- InlineAsm.h - The meaning of PTX inside a module --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_INLINEASM_H
#define QCC_TEST_EMULATOR_INLINEASM_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"

#include <optional>

namespace qcc::emulator {

/// Emits a call of an entry of Intrinsics.h.
using EmitEntry = llvm::function_ref<llvm::Value *(
    llvm::StringRef name, llvm::ArrayRef<llvm::Value *> operands,
    llvm::Type *result)>;

/// What a call of inline assembly computes, as IR before the call, null where
/// it has no result; nothing if the text is not one known instruction.
std::optional<llvm::Value *> expandInlineAsm(llvm::CallInst &call,
                                             EmitEntry emitEntry);

/// prmt.b32 in its default mode.
llvm::Value *buildPermute(llvm::IRBuilder<> &builder, llvm::Value *a,
                          llvm::Value *b, llvm::Value *selector);

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_INLINEASM_H
