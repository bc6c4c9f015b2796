//===- GGMLFamilies.h - The families of ggml types --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Each file GGML*.cpp holds one family of block formats and appends its rows to
// the table in GGML.cpp. A format is given twice, on purpose by different
// routes: `decode` element by element, as the format is defined, and `unpack`
// field by field, as the compiler reads it. Tests hold the two together.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_FORMATS_GGMLFAMILIES_H
#define QCC_LIB_FORMATS_GGMLFAMILIES_H

#include "qcc/Formats/Bits.h"
#include "qcc/Formats/GGML.h"

namespace qcc::ggml {

void appendPlainTypes(std::vector<GGMLType> &types);
void appendBlock32Types(std::vector<GGMLType> &types);
void appendKQuantTypes(std::vector<GGMLType> &types);
void appendIQuantTypes(std::vector<GGMLType> &types);
void appendTernaryTypes(std::vector<GGMLType> &types);

/// A DecodeFn from a function that gives element i of a block.
template <float (*element)(const uint8_t *block, unsigned i), unsigned count>
void decodeBlock(const uint8_t *block, float *out) {
  for (unsigned i = 0; i < count; ++i)
    out[i] = element(block, i);
}

inline float halfAt(const uint8_t *block, unsigned offset) {
  return floatFromHalf(loadLE<uint16_t>(block + offset));
}

/// Code i of 32 four-bit codes in 16 bytes: low nibbles first, then high ones.
inline unsigned nibble32(const uint8_t *bytes, unsigned i) {
  return i < 16 ? bytes[i] & 15 : bytes[i - 16] >> 4;
}

/// The non-linear code book of IQ4_NL and IQ4_XS.
inline constexpr int8_t kIQ4Values[16] = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

} // namespace qcc::ggml

#endif // QCC_LIB_FORMATS_GGMLFAMILIES_H
