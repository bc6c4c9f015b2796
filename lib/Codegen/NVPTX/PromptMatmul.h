//===- PromptMatmul.h - Products of prompts with weights in bf16 -*- C++ -*-==//
// SPDX-License-Identifier: Apache-2.0
//
// The kernel of matmul stages whose weights are bf16 and whose rows may be
// rounded to bf16 in prompts. A block makes 64 columns of 64 rows on tensor
// cores: weights go through a ring in shared memory, panels as they lie in the
// file, and a warp reads its 16 rows itself, since no other warp needs them.
// The root of a norm meets the sums, so that rows are read once.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_PROMPTMATMUL_H
#define QCC_LIB_CODEGEN_NVPTX_PROMPTMATMUL_H

#include "MatmulPlan.h"
#include "StageKernel.h"

namespace qcc::nvptx {

/// Sets how `kernel` is launched.
void describePromptMatmul(const MatmulPlan &plan, GpuKernel &kernel);
/// Emits its body.
void emitPromptMatmul(StageKernel &stage, const MatmulPlan &plan);

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_PROMPTMATMUL_H
