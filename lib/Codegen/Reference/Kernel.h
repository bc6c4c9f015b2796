//===- Kernel.h - One operation as scalar loops -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Operations that are the same but for their operands share one function:
//
//   i1 kernel(ptr step, i32 thread, i32 threads, i64 rows, ptr operands...,
//             ptr result)
//
// with the number of rows of the result. A tensor is a pointer to its rows, a
// state one to its pages; a batch is read from the step. Every thread calls a
// kernel; it returns after all have done their share, false when the step was
// cancelled.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_REFERENCE_KERNEL_H
#define QCC_LIB_CODEGEN_REFERENCE_KERNEL_H

#include "Emitter.h"

#include "dialects/LLM/LLMDialect.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace qcc {

/// The kernels of a module, made on demand.
class KernelSet {
public:
  /// `threadBytes` is the size of each thread's own memory; those of all
  /// threads are the beginning of the arena. With `quantizesState`, keys and
  /// values keep what `--kv=q8` does, as f32.
  KernelSet(mlir::ModuleOp module, uint64_t threadBytes, bool quantizesState)
      : module(module), threadBytes(threadBytes),
        quantizesState(quantizesState) {}

  /// The kernel of `op`, or null when there is no lowering of its kind.
  mlir::LLVM::LLVMFuncOp get(mlir::Operation *op);
  /// The kernel that copies its one operand, rows of `width` elements.
  mlir::LLVM::LLVMFuncOp getCopy(mlir::Location loc, int64_t width);

  /// A constant array.
  mlir::LLVM::GlobalOp constant(mlir::DenseF32ArrayAttr values);

  mlir::ModuleOp module;
  const uint64_t threadBytes;
  const bool quantizesState;

private:
  mlir::LLVM::LLVMFuncOp create(mlir::Location loc, mlir::StringRef name,
                                unsigned pointers);

  llvm::StringMap<mlir::LLVM::LLVMFuncOp> kernels;
  llvm::DenseMap<mlir::Attribute, mlir::LLVM::GlobalOp> constants;
};

/// Whether a kernel has an operand for `value`.
bool isKernelOperand(mlir::Value value);

/// Writes the body of a kernel.
class Kernel {
public:
  using Value = mlir::Value;

  Kernel(KernelSet &set, mlir::LLVM::LLVMFuncOp function, mlir::Location loc);

  /// The loops of `op`; false when there are none.
  bool emit(mlir::Operation *op);
  void emitCopy(int64_t width);

private:
  void emitEmbedding(llm::EmbeddingOp op);
  void emitRMSNorm(llm::RMSNormOp op);
  void emitLayerNorm(llm::LayerNormOp op);
  void emitLinear(llm::LinearOp op);
  void emitAdd(llm::AddOp op);
  void emitPermute(qz::PermuteOp op);
  void emitActivate(llm::ActivateOp op);
  void emitGlu(llm::GluOp op);
  void emitRope(llm::RopeOp op);
  void emitConcatHeads(llm::ConcatHeadsOp op);
  void emitAttention(llm::AttentionOp op);
  void emitScaleLogits(llm::ScaleLogitsOp op);
  void emitSelectOutputs(llm::SelectOutputsOp op);
  void emitRoute(llm::RouteOp op);
  void emitRouteAll(llm::RouteAllOp op);
  void emitExpertLinear(llm::ExpertLinearOp op);
  void emitCombine(llm::CombineOp op);

  /// Stores what a state keeps of a key or a value, the `size` elements of
  /// `rows` from element `from` on, from element `to` on.
  void storeInState(Value rows, Value from, int64_t size, Value state, Value to,
                    bool isKey);
  /// Waits for all threads; returns false when the step was cancelled.
  void barrier();
  void finish();
  /// Of the `count` numbers that `at` gives, calls `use` with the place and the
  /// index of each of the `most` largest, largest first; of equal ones the one
  /// with the lower index.
  void forLargest(int64_t count, int64_t most,
                  llvm::function_ref<Value(Value)> at,
                  llvm::function_ref<void(Value, Value)> use);
  /// Calls `body` with this thread's share of the rows.
  void forRows(llvm::function_ref<void(Value)> body);

  Value pointerOf(Value value) const { return pointers.lookup(value); }
  static int64_t widthOf(Value value) {
    return llvm::cast<mlir::RankedTensorType>(value.getType())
        .getShape()
        .back();
  }

  KernelSet &set;
  mlir::LLVM::LLVMFuncOp function;
  mlir::OpBuilder builder;
  Emitter e;
  llvm::DenseMap<Value, Value> pointers;

  Value step, threadI32, thread, threads, rows;
  Value token, position, sequence, output, pageTable, pagesPerSequence,
      pageFloats, ///< From a page of a state to its next.
      ownMemory;
};

} // namespace qcc

#endif // QCC_LIB_CODEGEN_REFERENCE_KERNEL_H
