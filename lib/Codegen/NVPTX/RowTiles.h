//===- RowTiles.h - Rows of prompts as stored tiles -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_ROWTILES_H
#define QCC_LIB_CODEGEN_NVPTX_ROWTILES_H

#include "dialects/QZ/QZDialect.h"
#include "StageKernel.h"

namespace qcc::nvptx {

/// Whether prompt steps store what `op` makes (qcc/Formats/HalfTiles.h), for
/// kernels that multiply many rows.
bool isStoredInTiles(qz::QuantizeOp op);

/// Threads of a block of the kernel that does it, which has one row.
constexpr int64_t kTileThreads = 256;
/// Emits its body and says how it is launched.
void emitRowTiles(StageKernel &stage, qz::QuantizeOp op);

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_ROWTILES_H
