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

#include "qcc/Codegen/Common/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include <string>
#include <vector>

namespace mlir {
class OpPassManager;
}

namespace qcc {

/// One parameter of a kernel, in the order of cuLaunchKernel's.
struct KernelParameter {
  enum Kind {
    Input,        ///< Address of the first row of f32 activations.
    Norm,         ///< Address of the norm's f32 weights.
    Weight,       ///< Address of packed weight `index` of the stage.
    Residual,     ///< Address of the rows to add; may be those of the output.
    Output,       ///< Address of the first row of f32 results.
    Rows,         ///< i32: rows of the step.
    RowsPerBlock, ///< i32: rows that a block makes, at most `rowsPerBlock`.
  };
  Kind kind;
  unsigned index = 0;
};

/// A kernel and how it is launched: blocks (units, ceil(rows / r), 1) of
/// `threads` threads with sharedBytes + r * sharedBytesPerRow bytes of dynamic
/// shared memory, for any r up to `rowsPerBlock`. Global addresses are
/// 16-aligned.
struct GpuKernel {
  std::string name;
  /// The stages that are this kernel: "@body.0: qz.matmul 576 -> 576".
  std::vector<std::string> stages;
  std::vector<KernelParameter> parameters;
  unsigned units = 0, threads = 0, rowsPerBlock = 0;
  unsigned sharedBytes = 0, sharedBytesPerRow = 0;
  /// Bytes between rows of the input, and of the output and the residual.
  int64_t inputStride = 0, outputStride = 0;
};

struct GpuCode {
  /// Holds one gpu.module.
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::vector<GpuKernel> kernels;
  /// Stages that have no kernel, as in GpuKernel::stages, and why where that
  /// follows from the weights.
  std::vector<std::string> missing;
};

/// Makes kernels of the matmul stages of a module that has gone through the
/// schedule stage (which is left as it is), each with the quantize stage before
/// it as its prologue.
void lowerToNVPTX(mlir::ModuleOp module, const TargetSpec &target,
                  GpuCode &code);

/// Adds the passes that turn the kernels into the LLVM dialect with NVVM's
/// intrinsics.
void buildNVVMPipeline(mlir::OpPassManager &passes);

/// Registers these passes for printing by name.
void registerNVVMPasses();

/// What the head of a PTX file says of its kernels, as comment lines.
std::string describeKernels(const GpuCode &code);

} // namespace qcc

#endif // QCC_CODEGEN_NVPTX_LOWERTONVPTX_H
