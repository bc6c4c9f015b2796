//===- RowNorm.h - The norm of a row, by one warp ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_ROWNORM_H
#define QCC_LIB_CODEGEN_NVPTX_ROWNORM_H

#include "StageKernel.h"

namespace qcc::nvptx {

/// The same in all lanes.
struct RowNorm {
  Value factor; ///< 1 / root of the mean square (about the mean) + eps.
  Value mean;   ///< Null unless the norm is about it.
};

/// Of `columns` f32 at `row`. Called by whole warps.
RowNorm emitRowNorm(StageKernel &stage, Value row, int64_t columns,
                    bool isCentered, float eps);

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_ROWNORM_H
