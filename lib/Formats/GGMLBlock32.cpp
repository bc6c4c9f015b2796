//===- GGMLBlock32.cpp - Blocks of 32 with one scale: Q4_0 to IQ4_NL ------===//
// SPDX-License-Identifier: Apache-2.0
//
// d and m are f16, qh holds bit 4 of element i in its bit i:
//
//   Q4_0    d qs[16]         d * (q - 8)
//   Q4_1    d m qs[16]       d * q + m
//   Q5_0    d qh qs[16]      d * (q - 16)
//   Q5_1    d m qh qs[16]    d * q + m
//   Q8_0    d qs[32]         d * q, q signed
//   Q8_1    d s qs[32]       d * q, q signed; s = d * sum(q). Activations only
//   IQ4_NL  d qs[16]         d * table[q]
//===----------------------------------------------------------------------===//

#include <iterator>
#include "GGMLFamilies.h"

using namespace qcc;
using namespace qcc::ggml;

namespace {

//===----------------------------------------------------------------------===//
// Definitions
//===----------------------------------------------------------------------===//

/// Bit 4 of element i.
unsigned highBit(const uint8_t *qh, unsigned i) {
  return (loadLE<uint32_t>(qh) >> i & 1) << 4;
}

float q4_0(const uint8_t *b, unsigned i) {
  return halfAt(b, 0) * float(int(nibble32(b + 2, i)) - 8);
}
float q4_1(const uint8_t *b, unsigned i) {
  return halfAt(b, 0) * float(nibble32(b + 4, i)) + halfAt(b, 2);
}
float q5_0(const uint8_t *b, unsigned i) {
  return halfAt(b, 0) * float(int(nibble32(b + 6, i) | highBit(b + 2, i)) - 16);
}
float q5_1(const uint8_t *b, unsigned i) {
  return halfAt(b, 0) * float(nibble32(b + 8, i) | highBit(b + 4, i)) +
         halfAt(b, 2);
}
float q8_0(const uint8_t *b, unsigned i) {
  return halfAt(b, 0) * float(int8_t(b[2 + i]));
}
float q8_1(const uint8_t *b, unsigned i) {
  return halfAt(b, 0) * float(int8_t(b[4 + i]));
}
float iq4_nl(const uint8_t *b, unsigned i) {
  return halfAt(b, 0) * float(kIQ4Values[nibble32(b + 2, i)]);
}

//===----------------------------------------------------------------------===//
// Fields
//===----------------------------------------------------------------------===//

template <bool hasMin, bool hasHigh>
void unpackNibbles(const uint8_t *b, Fields &out, size_t first) {
  out.scale[first / 32] = loadLE<uint16_t>(b);
  if (hasMin)
    out.min[first / 32] = loadLE<uint16_t>(b + 2);
  const uint8_t *high = b + (hasMin ? 4 : 2), *low = high + (hasHigh ? 4 : 0);
  uint8_t *codes = &out.codes[first];
  for (unsigned i = 0; i < 16; ++i) {
    codes[i] = low[i] & 15;
    codes[i + 16] = low[i] >> 4;
  }
  if (!hasHigh)
    return;
  for (unsigned i = 0; i < 32; ++i)
    codes[i] |= uint8_t((high[i / 8] >> (i % 8) & 1) << 4);
}

void unpackQ8_0(const uint8_t *b, Fields &out, size_t first) {
  out.scale[first / 32] = loadLE<uint16_t>(b);
  // Signed bytes become codes with zero 128.
  for (unsigned i = 0; i < 32; ++i)
    out.codes[first + i] = b[2 + i] ^ 0x80;
}

Encoding encoding(unsigned bits, int zero, bool hasMin) {
  Encoding e;
  e.bits = bits;
  e.zero = zero;
  e.group = 32;
  e.scale = ScalarType::F16;
  e.min = hasMin ? ScalarType::F16 : ScalarType::None;
  return e;
}

Encoding tableEncoding() {
  Encoding e = encoding(4, 0, false);
  e.table.assign(std::begin(kIQ4Values), std::end(kIQ4Values));
  return e;
}

} // namespace

void qcc::ggml::appendBlock32Types(std::vector<GGMLType> &types) {
  static const Encoding q4_0Encoding = encoding(4, 8, false);
  static const Encoding q4_1Encoding = encoding(4, 0, true);
  static const Encoding q5_0Encoding = encoding(5, 16, false);
  static const Encoding q5_1Encoding = encoding(5, 0, true);
  static const Encoding q8_0Encoding = encoding(8, 128, false);
  static const Encoding iq4_nlEncoding = tableEncoding();
  types.insert(
      types.end(),
      {{2, "Q4_0", 32, 18, decodeBlock<q4_0, 32>, unpackNibbles<false, false>,
        &q4_0Encoding},
       {3, "Q4_1", 32, 20, decodeBlock<q4_1, 32>, unpackNibbles<true, false>,
        &q4_1Encoding},
       {6, "Q5_0", 32, 22, decodeBlock<q5_0, 32>, unpackNibbles<false, true>,
        &q5_0Encoding},
       {7, "Q5_1", 32, 24, decodeBlock<q5_1, 32>, unpackNibbles<true, true>,
        &q5_1Encoding},
       {8, "Q8_0", 32, 34, decodeBlock<q8_0, 32>, unpackQ8_0, &q8_0Encoding},
       {9, "Q8_1", 32, 36, decodeBlock<q8_1, 32>, nullptr, nullptr},
       {20, "IQ4_NL", 32, 18, decodeBlock<iq4_nl, 32>,
        unpackNibbles<false, false>, &iq4_nlEncoding}});
}
