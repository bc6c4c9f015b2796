//===- MatmulKernel.h - Products by tensor cores ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_MATMULKERNEL_H
#define QCC_LIB_CODEGEN_NVPTX_MATMULKERNEL_H

#include "MatmulPlan.h"

namespace qcc::nvptx {

/// Sets how `kernel` is launched.
void describeMatmul(const MatmulPlan &plan, GpuKernel &kernel);
/// Emits its body.
void emitMatmul(StageKernel &stage, const MatmulPlan &plan);

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_MATMULKERNEL_H
