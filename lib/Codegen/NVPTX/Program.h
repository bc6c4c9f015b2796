//===- Program.h - Stages as launches of kernels ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_PROGRAM_H
#define QCC_LIB_CODEGEN_NVPTX_PROGRAM_H

#include "AttentionStages.h"
#include "MatmulPlan.h"
#include "StageKernel.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include "llvm/ADT/StringMap.h"

namespace qcc::nvptx {

/// Walks @step and the bodies it calls in the order in which they run. Each
/// stage becomes a launch; its kernel is made when the first of its kind is
/// met. Prompt steps, and generating steps of several rows, have a program of
/// their own if a stage has another kernel there.
class Program {
public:
  Program(mlir::ModuleOp source, mlir::gpu::GPUModuleOp module,
          const TargetSpec &target, Type kvElement)
      : source(source), module(module), target(target), kvElement(kvElement),
        builder(module.getContext()) {}

  mlir::LogicalResult build();

  std::vector<GpuKernel> kernels;
  LaunchProgram launches;
  uint64_t arenaBytes =
      0; ///< The memory plan's, and what kernels need besides.

private:
  /// What operands of the schedule are in this call.
  using Places = llvm::DenseMap<Value, qcc_gpu_operand_v1>;

  enum class Kind { Generate, Prompt, Several };

  /// Makes the launches of one kind of steps.
  mlir::LogicalResult walk(mlir::func::FuncOp step, Kind kind);
  mlir::LogicalResult lowerBlock(mlir::Block &block, Places &places);
  mlir::LogicalResult lowerCall(mlir::func::CallOp call, Places &places);
  mlir::LogicalResult lowerStage(llvm::ArrayRef<mlir::Operation *> stage,
                                 const Places &places);
  /// Adds a launch of kernel `number` for the stage.
  mlir::LogicalResult addLaunch(llvm::ArrayRef<mlir::Operation *> stage,
                                unsigned number, const Places &places);
  /// The number of the stage's kernel, which is made if there is none.
  mlir::FailureOr<unsigned> kernelFor(llvm::ArrayRef<mlir::Operation *> stage);
  /// The same of another one, which `key` stands for and `emit` makes.
  mlir::FailureOr<unsigned>
  kernelFor(llvm::ArrayRef<mlir::Operation *> stage, llvm::StringRef key,
            llvm::function_ref<mlir::LogicalResult(GpuKernel &)> emit);
  mlir::LogicalResult emitKernel(llvm::ArrayRef<mlir::Operation *> stage,
                                 GpuKernel &kernel);
  /// Emits a kernel of `threads` threads whose body is `body`, which waits for
  /// the stages before.
  mlir::LogicalResult emitBody(llvm::ArrayRef<mlir::Operation *> stage,
                               GpuKernel &kernel, llvm::StringRef name,
                               int64_t threads,
                               llvm::function_ref<void(StageKernel &)> body);
  /// How steps of several rows multiply in `stage`, if not as others.
  std::optional<MatmulPlan>
  severalPlan(llvm::ArrayRef<mlir::Operation *> stage) const;
  mlir::LogicalResult lowerSeveral(llvm::ArrayRef<mlir::Operation *> stage,
                                   const MatmulPlan &plan,
                                   const Places &places);
  bool isLeftToAttend(llm::RopeAppendOp op) const;
  AttendPlan attendPlan(mlir::Operation *stage, bool isPrompt) const;
  int64_t countedUnits() const;
  bool hasPromptKernel(llvm::ArrayRef<mlir::Operation *> stage) const;
  std::string kernelKey(llvm::ArrayRef<mlir::Operation *> stage,
                        bool isLogits) const;
  mlir::LogicalResult checkRowsAreKept(llvm::ArrayRef<mlir::Operation *> stage);
  qcc_gpu_operand_v1 weightPlace(qz::UseOp use);
  qcc_gpu_operand_v1 statePlace(llm::StateOp state);

  mutable mlir::ModuleOp source; // Walking is not const.
  mlir::gpu::GPUModuleOp module;
  const TargetSpec &target;
  Type kvElement;
  mlir::OpBuilder builder;
  llvm::StringMap<unsigned> kernelOf;
  llvm::StringMap<unsigned> countOf; ///< Kernels, by the start of their name.
  llvm::DenseSet<Value> outputs;     ///< Rows that want logits.
  uint32_t layer = 0, lastLayer = 0;
  bool isPrompt = false;        ///< What is walked for.
  bool isSeveral = false;       ///< The same.
  bool dependsOnPrompt = false; ///< Whether a stage has two kernels.
  bool dependsOnCount = false;  ///< Whether one has another for several rows.
  uint64_t scratchOffset = 0;   ///< Of the arena behind the memory plan.
  uint64_t halvesOffset = 0;    ///< Of stored rows, behind that.
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_PROGRAM_H
