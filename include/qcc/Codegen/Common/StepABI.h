//===- StepABI.h - Generated code's side of qcc_abi.h -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Builders for what a step function does with its arguments. Offsets come from
// offsetof on the header itself, so code and runtime cannot disagree.
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_COMMON_STEPABI_H
#define QCC_CODEGEN_COMMON_STEPABI_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

namespace qcc {

/// Fields of qcc_step_v1.
enum class StepField {
  Flags,
  Rows,
  Outputs,
  Token,
  Position,
  Sequence,
  Output,
  PageTable,
  PagesPerSequence,
  Weights,
  State,
  Arena,
  Logits,
  Trace,
  Barrier,
  BarrierContext,
  MatmulInputs,
  Profile,
  Layers,
  Residual,
  PageStride,
};

/// Loads a field: i32, i64 or ptr, as the header has it.
mlir::Value loadStepField(mlir::OpBuilder &builder, mlir::Location loc,
                          mlir::Value step, StepField field);

/// Calls the barrier. The result is an i1: true when the step goes on; else
/// the function must return at once.
mlir::Value callBarrier(mlir::OpBuilder &builder, mlir::Location loc,
                        mlir::Value step, mlir::Value thread);

/// Declares `name` as a qcc_step_fn with an empty body, hidden from other
/// modules of a process, at the end of `module`: (ptr step, i32 thread, i32
/// threads).
mlir::LLVM::LLVMFuncOp createStepFunction(mlir::OpBuilder &builder,
                                          mlir::Location loc,
                                          mlir::StringRef name);

} // namespace qcc

#endif // QCC_CODEGEN_COMMON_STEPABI_H
