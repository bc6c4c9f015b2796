//===- PlainMatmul.h - Products without tensor cores ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The kernel of every matmul stage that MatmulKernel does not take: weights of
// any encoding and any number of columns, rows in f32, normed and reordered as
// they are read. A block makes one unit of the stage for a few rows; a thread
// has one of the 16 columns of the unit and one of eight shares of k, whose
// sums are added in their order. So results have the same bits whatever the
// other rows of a step are.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_PLAINMATMUL_H
#define QCC_LIB_CODEGEN_NVPTX_PLAINMATMUL_H

#include "MatmulPlan.h"
#include "StageKernel.h"

namespace qcc::nvptx {

/// Sets how `kernel` is launched.
void describePlainMatmul(const MatmulPlan &plan, GpuKernel &kernel);
/// Emits its body.
void emitPlainMatmul(StageKernel &stage, const MatmulPlan &plan);

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_PLAINMATMUL_H
