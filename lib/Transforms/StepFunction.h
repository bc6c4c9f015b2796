//===- StepFunction.h - Walking @step and its bodies ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_TRANSFORMS_STEPFUNCTION_H
#define QCC_LIB_TRANSFORMS_STEPFUNCTION_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace qcc {

/// The function that runs one step.
inline constexpr const char *kStepName = "step";

/// `@step` of one block, or failure after an error on the module.
mlir::FailureOr<mlir::func::FuncOp> findStep(mlir::ModuleOp module);

/// The functions that `@step` calls, each once, in the order of first call.
/// Fails, after an error on the call, when one is missing, is only declared,
/// has several blocks, is `@step` itself or calls a function.
mlir::FailureOr<llvm::SmallVector<mlir::func::FuncOp>>
findBodies(mlir::func::FuncOp step);

/// The function that `call` calls. It must be one of findBodies().
mlir::func::FuncOp calledBody(mlir::func::CallOp call);

/// The function's entry block.
inline mlir::Block &entryBlock(mlir::func::FuncOp func) {
  return func.getBody().front();
}

} // namespace qcc

#endif // QCC_LIB_TRANSFORMS_STEPFUNCTION_H
