//===- Function.h - One function as calls of kernels ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A function of the imported module becomes
//
//   i1 f(ptr step, i32 thread, i32 threads, ptr args..., ptr result)
//
// with a pointer for each tensor, whose result is false when the step was
// cancelled. Tensors have a static place in the arena; an operation's result
// never overlaps its operands.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_REFERENCE_FUNCTION_H
#define QCC_LIB_CODEGEN_REFERENCE_FUNCTION_H

#include "qcc/Codegen/Common/ModelCode.h"
#include "qcc/Codegen/Common/StepABI.h"
#include "Arena.h"
#include "Kernel.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/SymbolTable.h"

namespace qcc {

/// What the functions of a module share.
struct ReferenceModule {
  mlir::SymbolTable sourceSymbols;
  KernelSet kernels;
  /// Lowered functions by source name.
  llvm::StringMap<mlir::LLVM::LLVMFuncOp> functions;
  /// Order of declaration, as in qcc_step_v1.state.
  llvm::StringMap<unsigned> stateIndex;
  uint64_t rowCapacity;
  /// Where the step writes what enters each matmul, and the columns of all.
  std::vector<MatmulInput> matmuls;
  uint64_t matmulColumns = 0;

  ReferenceModule(mlir::ModuleOp source, mlir::ModuleOp result,
                  uint64_t threadBytes, uint64_t rowCapacity,
                  bool quantizesState)
      : sourceSymbols(source), kernels(result, threadBytes, quantizesState),
        rowCapacity(rowCapacity) {}

  /// Declares the lowered form of `function`.
  mlir::LLVM::LLVMFuncOp declare(mlir::func::FuncOp function);
};

class FunctionLowering {
public:
  using Value = mlir::Value;

  /// `base` is the first free byte of the arena after the threads' own memory.
  /// With `trace`, the operands and results of calls are written to
  /// qcc_step_v1.trace.
  FunctionLowering(ReferenceModule &module, mlir::func::FuncOp source,
                   uint64_t base, bool trace);

  llvm::LogicalResult run();
  /// End of the memory that the function itself uses.
  uint64_t arenaEnd() const { return base + arena.size(); }

private:
  llvm::LogicalResult lower(mlir::Operation *op);
  llvm::LogicalResult lowerReturn(mlir::func::ReturnOp op);
  llvm::LogicalResult lowerCall(mlir::func::CallOp op);
  llvm::LogicalResult lowerUse(qz::UseOp op);
  llvm::LogicalResult lowerState(llm::StateOp op);
  llvm::LogicalResult lowerKernel(mlir::Operation *op);

  /// Result buffer of a tensor that `op` makes.
  void allocateResult(mlir::Operation *op);
  void releaseDead(mlir::Operation *op);
  /// Calls a function that returns false when the step was cancelled, and then
  /// returns false.
  void call(mlir::LLVM::LLVMFuncOp callee, mlir::ValueRange operands);
  void copyRows(Value from, Value to, Value rows, int64_t width);
  /// Copies the rows of `value` to element `at` of the array that `field`
  /// points to, if there is one.
  void copyIfWanted(StepField field, Value value, Value at);
  /// Gives each value that enters a matmul a place among the inputs.
  llvm::LogicalResult placeInputs();
  /// Writes `value` there, if it has one.
  void writeInput(Value value);
  /// Copies the rows of `value` to slot `index` of the trace, if one is wanted.
  void writeTrace(Value value, unsigned index);

  Value pointerOf(Value value) const { return pointers.lookup(value); }
  Value rowsOf(Value value) const {
    return ofOutputs.contains(value) ? outputs : rows;
  }

  ReferenceModule &module;
  mlir::func::FuncOp source;
  mlir::LLVM::LLVMFuncOp target;
  mlir::OpBuilder builder;
  Emitter e;
  uint64_t base;
  bool trace;
  unsigned calls = 0;
  Arena arena;

  // Of the lowered function.
  Value step, thread, threads, result;
  Value rows, outputs, weights, states, sharedMemory;
  mlir::Block *exit = nullptr; ///< Returns false.

  llvm::DenseMap<Value, Value> pointers;
  llvm::DenseMap<Value, uint64_t> places; ///< In the arena.
  /// Columns of inputs before those of a value that enters matmuls.
  llvm::DenseMap<Value, uint64_t> inputs;
  llvm::DenseSet<Value> ofOutputs; ///< Tensors with a row for each output.
};

} // namespace qcc

#endif // QCC_LIB_CODEGEN_REFERENCE_FUNCTION_H
