//===- Pipelines.h - The stages of each kind of target ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_DRIVER_PIPELINES_H
#define QCC_LIB_DRIVER_PIPELINES_H

#include "Stages.h"

#include "qcc/Codegen/Common/ModelCode.h"
#include "qcc/Codegen/NVPTX/LowerToNVPTX.h"

namespace qcc {

/// Called with the module after a stage ("fused", "layout", "schedule").
/// Returns false to end the pipeline there.
using StageHook = llvm::function_ref<llvm::Expected<bool>(llvm::StringRef stage,
                                                          mlir::ModuleOp)>;

/// Takes `module` (imported) through the stages of `target`, a CPU, to
/// functions of the LLVM dialect. Weights are laid out from byte `weightBase`
/// of the region on where the target does not share its layout with others.
/// `code.module` stays empty when `hook` ended the pipeline.
llvm::Error lowerForTarget(Stages &stages, mlir::ModuleOp module,
                           const TargetSpec &target, unsigned index,
                           uint64_t weightBase, StageHook hook,
                           ModelCode &code);

/// The same for a GPU, to kernels of the LLVM dialect, which `kernels`
/// describes.
llvm::Error lowerForGpu(Stages &stages, mlir::ModuleOp module,
                        const TargetSpec &target, StageHook hook,
                        ModelCode &code, std::vector<GpuKernel> &kernels);

} // namespace qcc

#endif // QCC_LIB_DRIVER_PIPELINES_H
