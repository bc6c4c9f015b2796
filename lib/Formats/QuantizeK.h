//===- QuantizeK.h - Rounding to K-quants -----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_FORMATS_QUANTIZEK_H
#define QCC_LIB_FORMATS_QUANTIZEK_H

#include "qcc/Formats/Encoding.h"

namespace qcc {

/// Writes the fields of the super-block of values at `x`, number `block` of
/// its row, for the encoding of Q2_K, Q3_K, Q4_K, Q5_K or Q6_K.
void quantizeSuperBlock(const Encoding &encoding, const float *x, size_t block,
                        Fields &out);

} // namespace qcc

#endif // QCC_LIB_FORMATS_QUANTIZEK_H
