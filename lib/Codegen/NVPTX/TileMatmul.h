//===- TileMatmul.h - Products of prompts with quantized weights -*- C++ -*-==//
// SPDX-License-Identifier: Apache-2.0
//
// The kernel of matmul stages whose rows are stored as tiles of f16. A block
// makes 16 panels (256 columns, or 128 of gate and of up) of a tile of 64 rows
// on tensor cores. Weights are the A operand, as in the kernel for few rows
// (PanelCodes.h): a warp has two panels, of which it decodes each code once for
// all rows. Steps of k of the tile and of the panels go through a ring of
// asynchronous copies. Codes are exact; scales and minima meet f32 sums.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_TILEMATMUL_H
#define QCC_LIB_CODEGEN_NVPTX_TILEMATMUL_H

#include "MatmulPlan.h"
#include "StageKernel.h"

namespace qcc::nvptx {

/// Sets how `kernel` is launched.
void describeTileMatmul(const MatmulPlan &plan, GpuKernel &kernel);
/// Emits its body, for kTileThreads threads.
void emitTileMatmul(StageKernel &stage, const MatmulPlan &plan);

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_TILEMATMUL_H
