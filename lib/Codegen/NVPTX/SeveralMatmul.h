//===- SeveralMatmul.h - Products of several rows by tensor cores -*- C++ -*-=//
// SPDX-License-Identifier: Apache-2.0
//
// Generating steps of 2 to 16 rows. What limits them is not weights but rows,
// which each block reads: 32 bytes for an element of k, where a panel of 4 bits
// has 8. So a block has several panels, which share the operands that a warp
// has loaded, and takes them as another launch has stored them (RowHalves.h),
// with nothing of rows in shared memory. Steps, warps and the order of sums are
// those of MatmulKernel.h: a row has the bits that it has in a step of its own.
//
//   shared memory   [rings of the warps], and after them in the same place
//                   [partial sums: warp, stream, unit, tile, element, lane]
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_SEVERALMATMUL_H
#define QCC_LIB_CODEGEN_NVPTX_SEVERALMATMUL_H

#include "MatmulPlan.h"

namespace qcc::nvptx {

/// The plan of such steps for a stage that steps of one row do by `alone`;
/// nothing where they do it the same way.
std::optional<MatmulPlan> planSeveral(const MatmulPlan &alone,
                                      const TargetSpec &target);

/// Sets how `kernel` is launched.
void describeSeveralMatmul(const MatmulPlan &plan, GpuKernel &kernel);
/// Emits its body.
void emitSeveralMatmul(StageKernel &stage, const MatmulPlan &plan);

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_SEVERALMATMUL_H
