//===- MatmulKernel.h - One kernel of a matmul stage ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_MATMULKERNEL_H
#define QCC_LIB_CODEGEN_NVPTX_MATMULKERNEL_H

#include "qcc/Codegen/NVPTX/LowerToNVPTX.h"
#include "MatmulPlan.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace qcc::nvptx {

/// Bytes between rows of `columns` f32 in a buffer of the memory plan.
int64_t rowStride(int64_t columns);

/// The symbol of the block's shared memory, whose size a launch chooses.
inline constexpr llvm::StringLiteral kSharedSymbol = "qcc_shared";

/// Adds the kernel of `plan` to `module` and describes it; `kernel.name` and
/// the two strides are set.
void emitMatmulKernel(mlir::gpu::GPUModuleOp module, const MatmulPlan &plan,
                      GpuKernel &kernel);

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_MATMULKERNEL_H
