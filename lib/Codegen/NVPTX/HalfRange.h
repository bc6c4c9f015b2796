//===- HalfRange.h - Bringing rows into the range of f16 --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_HALFRANGE_H
#define QCC_LIB_CODEGEN_NVPTX_HALFRANGE_H

#include "WarpEmitter.h"

namespace qcc::nvptx {

/// Powers of two, f32: `scale` brings the largest magnitude of a row to [2^14,
/// 2^15), which f16 holds, and `factor` is its inverse.
struct HalfRange {
  Value scale, factor;
};

/// Of a row whose largest magnitude is `largest` (f32). Both powers are normal
/// numbers for every finite row; a row of zeros is one of exponent 15 here.
inline HalfRange halfRange(WarpEmitter &e, Value largest) {
  constexpr int64_t kPeakExponent = 127 + 14; // Biased.
  Value exponent = e.shift(e.bitcast(largest, e.i32()), -23);
  exponent = e.maxS(e.minU(exponent, e.c32(254)), e.c32(15));
  auto power = [&](Value biased) {
    return e.bitcast(e.shift(biased, 23), e.f32());
  };
  return {power(e.sub(e.c32(kPeakExponent + 127), exponent)),
          power(e.add(exponent, 127 - kPeakExponent))};
}

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_HALFRANGE_H
