//===- StateCodes.h - Keys and values in 8 bits -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// What qcc/Formats/QuantizedState.h defines, by warps, with the same bits. A
// code is kept as a byte, kStateBias more than it is, which becomes an f32
// without a conversion.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_STATECODES_H
#define QCC_LIB_CODEGEN_NVPTX_STATECODES_H

#include "StageKernel.h"

namespace qcc::nvptx {

constexpr int64_t kStateBias = 128;

/// Makes the `size` f32 at `row` what quantized keys are multiplied with, and
/// writes them to `out`. Here and below `row` is read by all lanes of the warp,
/// which have written it before.
void mixQuery(StageKernel &stage, Value row, int64_t size, Value out);

/// Stores the `size` f32 at `row`, a key (which is mixed before) or a value, as
/// bytes at `codes` and bf16 at `scales`.
void quantizeHead(StageKernel &stage, Value row, int64_t size, bool isKey,
                  Value codes, Value scales);

/// `count` codes at `pointer`, which is aligned to as many bytes (1, 2 or a
/// multiple of 4 up to 16), as i32 that have four of them, or fewer.
Values loadCodes(WarpEmitter &e, Value pointer, int64_t count);

/// The scale at `pointer`, as f32.
Value loadStateScale(WarpEmitter &e, Value pointer);

/// Codes [first, first + count) of `words`, each times `scale`, as f32: exact.
Values scaleCodes(WarpEmitter &e, ValueRange words, int64_t first,
                  int64_t count, Value scale);

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_STATECODES_H
