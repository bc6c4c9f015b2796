//===- LowerToNVPTX.h - From the schedule to GPU kernels --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The stages that x86 puts between barriers become launches: a stage's units of
// work are the blocks of a grid, and what a stage needs of the ones before it
// is the order of launches. Packed weights (R16K4), buffers and units are those
// of the schedule; nothing here asks where they came from.
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_NVPTX_LOWERTONVPTX_H
#define QCC_CODEGEN_NVPTX_LOWERTONVPTX_H

#include "qcc/Codegen/Common/ModelCode.h"
#include "qcc/Codegen/Common/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace mlir {
class OpPassManager;
}

namespace qcc {

struct NVPTXOptions {
  std::string kv = "f16"; ///< Storage of keys and values: f16, bf16 or f32.
};

/// One parameter of a kernel, in the order of cuLaunchKernel's.
struct KernelParameter {
  enum Kind {
    Operand, ///< Address of operand `index` of the stage: of the qz.quantize
             ///< before a matmul, then of the operation itself.
    Result,  ///< Address of the stage's result.
    Field,   ///< A field of the step: QCC_GPU_* number `index`.
    Scratch, ///< Address of part `index` of the arena behind the memory plan.
  };
  /// Parts: what blocks of attention share, and rows that several blocks read.
  static constexpr unsigned attention = 0, storedRows = 1;
  Kind kind;
  unsigned index = 0;
  bool operator==(const KernelParameter &) const = default;
};

/// A kernel and how it is launched, as qcc_gpu.h says. Addresses of operands
/// and results are 16-aligned.
struct GpuKernel {
  std::string name;
  /// The stages that are this kernel: "@body.0: qz.matmul 576 -> 576".
  std::vector<std::string> stages;
  std::vector<KernelParameter> parameters;
  unsigned units = 1, threads = 0, rowsPerBlock = 1;
  unsigned sharedBytes = 0, sharedBytesPerRow = 0;
  /// Of matmuls: bytes between rows of the input, and of the result and the
  /// residual.
  int64_t inputStride = 0, outputStride = 0;
};

/// Makes kernels of the stages of a module that has gone through the schedule
/// (which is left as it is), and the program that launches them. What has no
/// kernel is a diagnostic of its operation. `kernels` describes those of
/// `code.module`, which holds one gpu.module.
mlir::LogicalResult lowerToNVPTX(mlir::ModuleOp module,
                                 const TargetSpec &target,
                                 const NVPTXOptions &options, ModelCode &code,
                                 std::vector<GpuKernel> &kernels);

/// PTX of the kernels as an image of a program.
GpuImage ptxImage(const TargetSpec &target, llvm::StringRef ptx);

/// Adds the passes that turn the kernels into the LLVM dialect with NVVM's
/// intrinsics.
void buildNVVMPipeline(mlir::OpPassManager &passes);

/// Registers these passes for printing by name.
void registerNVVMPasses();

/// What the head of a PTX file says of its kernels and of their launches, as
/// comment lines.
std::string describeKernels(const std::vector<GpuKernel> &kernels,
                            const LaunchProgram &program);

} // namespace qcc

#endif // QCC_CODEGEN_NVPTX_LOWERTONVPTX_H
