//===- StageKernel.h - The kernel of one stage, being made ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A stage is one operation of the schedule, or a matmul with the qz.quantize
// that makes its rows. Its kernel asks for what it needs, a value of the stage
// or a field of the step, and each becomes a parameter when it is first asked
// for. So a kernel follows from the types and attributes of its stage alone,
// and stages that are alike share one.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_STAGEKERNEL_H
#define QCC_LIB_CODEGEN_NVPTX_STAGEKERNEL_H

#include "qcc/Codegen/NVPTX/LowerToNVPTX.h"
#include "WarpEmitter.h"

namespace qcc::nvptx {

/// Threads of a block.
constexpr int64_t kWarps = 4;
constexpr int64_t kThreads = kWarps * kWarpSize;

/// Bytes between rows of `columns` f32 in a buffer of the memory plan.
int64_t rowStride(int64_t columns);
/// The same for the rows of a value.
int64_t rowStride(Value rows);
int64_t columnsOf(Value rows);

/// The symbol of the block's shared memory, whose size a launch chooses.
inline constexpr llvm::StringLiteral kSharedSymbol = "qcc_shared";

/// The operands of a stage: those of its operations, one after the other.
llvm::SmallVector<Value> stageOperands(llvm::ArrayRef<mlir::Operation *> stage);

class StageKernel {
public:
  /// Begins a kernel in `module`, for the launches that `kernel` describes, of
  /// `threads` threads. `startsEarly`: see awaitStages().
  StageKernel(mlir::gpu::GPUModuleOp module, mlir::OpBuilder &builder,
              llvm::ArrayRef<mlir::Operation *> stage, GpuKernel &kernel,
              int64_t threads, bool startsEarly);
  /// Ends it.
  void finish();

  /// Where the kernel starts early, before the stages before it have ended:
  /// waits for them, unless it has. Each thread of each block comes here, also
  /// one without work, since who waits for this launch relies on its having
  /// waited. Before it nothing but numbers and weights may be read, and no
  /// memory but the block's own be written.
  void awaitStages();

  /// Lets the assembler use so many registers that `blocks` fit on a
  /// multiprocessor, and no more. By itself it may spill to have more blocks.
  void setBlocksPerMultiprocessor(int64_t blocks);

  /// The address of an operand of the stage, or of its result.
  Value address(Value operand);
  Value result();
  /// A field of the step: an address, or an i32 (QCC_GPU_* of qcc_gpu.h).
  Value field(uint32_t kind);
  /// Memory of the step that no stage of the schedule has: KernelParameter's.
  Value scratch(unsigned part = KernelParameter::attention);

  /// i1: whether this is lane 0 of its warp.
  Value isFirstLane() {
    return e.cmp(mlir::arith::CmpIPredicate::eq, lane, e.c32(0));
  }

  /// Row `row` (i32) of a value whose rows are those of the stage.
  Value rowOf(Value operand, Value row);
  Value resultRow(Value row);

  WarpEmitter e;
  GpuKernel &kernel;
  Value thread, warp, lane; ///< i32; lane within the warp.
  Value unit;               ///< i32: the block's place in x.
  Value shared;             ///< Start of the block's shared memory.

private:
  Value parameter(KernelParameter parameter, Type type, bool isReadOnly);

  llvm::SmallVector<mlir::Operation *> stage;
  mlir::gpu::GPUFuncOp function;
  bool startsEarly, hasWaited = false;
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_STAGEKERNEL_H
