//===- Function.h - One function as scalar loops ----------------*- C++ -*-===//
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

#include "Arena.h"
#include "Emitter.h"

#include "dialects/LLM/LLMDialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/SymbolTable.h"

namespace qcc {

/// What the functions of a module share.
struct ReferenceModule {
  mlir::ModuleOp source;
  mlir::SymbolTable sourceSymbols;
  mlir::ModuleOp result;
  /// Lowered functions by source name.
  llvm::StringMap<mlir::LLVM::LLVMFuncOp> functions;
  llvm::DenseMap<mlir::Attribute, mlir::LLVM::GlobalOp> constants;
  /// Order of declaration, as in qcc_step_v1.state.
  llvm::StringMap<unsigned> stateIndex;
  uint64_t rowCapacity = 0;
  /// Bytes of each thread's own memory; those of all threads come first in the
  /// arena.
  uint64_t threadBytes = 0;

  ReferenceModule(mlir::ModuleOp source, mlir::ModuleOp result)
      : source(source), sourceSymbols(source), result(result) {}

  /// Declares the lowered form of `function`.
  mlir::LLVM::LLVMFuncOp declare(mlir::func::FuncOp function);
  /// A constant array in the result.
  mlir::LLVM::GlobalOp constant(mlir::DenseF32ArrayAttr values);
};

class FunctionLowering {
public:
  using Value = mlir::Value;

  /// `base` is the first free byte of the arena. With `trace`, the operands
  /// and results of calls are written to qcc_step_v1.trace.
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
  void lowerEmbedding(llm::EmbeddingOp op);
  void lowerRMSNorm(llm::RMSNormOp op);
  void lowerLinear(llm::LinearOp op);
  void lowerAdd(llm::AddOp op);
  void lowerGlu(llm::GluOp op);
  void lowerRope(llm::RopeOp op);
  void lowerAttention(llm::AttentionOp op);
  void lowerSelectOutputs(llm::SelectOutputsOp op);

  /// Result buffer of a tensor that `op` makes.
  void allocateResult(mlir::Operation *op);
  void releaseDead(mlir::Operation *op);
  /// Waits for all threads; returns false when the step was cancelled.
  void barrier();
  /// Copies the rows of `value` to slot `index` of the trace, if one is wanted.
  void writeTrace(Value value, unsigned index);
  void copyRows(Value from, Value to, Value rows, int64_t width);
  /// Calls `body` with this thread's share of `rows` rows.
  void forRows(Value rows, llvm::function_ref<void(Value)> body);

  Value pointerOf(Value value) const { return pointers.lookup(value); }
  Value rowsOf(Value value) const {
    return ofOutputs.contains(value) ? outputs : rows;
  }
  static int64_t widthOf(Value value) {
    return llvm::cast<mlir::RankedTensorType>(value.getType())
        .getShape()
        .back();
  }
  bool hasBuffer(Value value) const;

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
  Value step, threadI32, thread, threads, result;
  Value rows, outputs, token, position, sequence, output, pageTable,
      pagesPerSequence, weights, states, ownMemory, sharedMemory;
  mlir::Block *exit = nullptr; ///< Returns false.

  llvm::DenseMap<Value, Value> pointers;
  llvm::DenseMap<Value, uint64_t> places; ///< In the arena.
  llvm::DenseSet<Value> ofOutputs; ///< Tensors with a row for each output.
};

} // namespace qcc

#endif // QCC_LIB_CODEGEN_REFERENCE_FUNCTION_H
