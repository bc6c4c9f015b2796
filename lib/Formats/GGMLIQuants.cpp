//===- GGMLIQuants.cpp - Code books of 4 or 8 values: IQ1, IQ2, IQ3 -------===//
// SPDX-License-Identifier: Apache-2.0
//
// Super-blocks of 256. An index picks 8 (IQ3: 4) values from a code book at
// once; signs are stored apart, for the XXS and XS types 7 of every 8, the
// eighth making the number of minus signs even.
//
//   IQ2_XXS  d {u8 index[4], u32 signs and scale}[8]
//   IQ2_XS   d u16 {index, signs}[32] scales[8]
//   IQ2_S    d index[32] signs[32] qh[8] scales[8]
//   IQ3_XXS  d index[64] u32 {signs, scale}[8]
//   IQ3_S    d index[64] qh[8] signs[32] scales[4]
//   IQ1_S    d index[32] u16 {index high, scale, shift}[8]
//   IQ1_M    index[32] {index high, shift}[16] scales[8], d in their top bits
//===----------------------------------------------------------------------===//

#include "GGMLFamilies.h"

using namespace qcc;
using namespace qcc::ggml;

namespace {

#include "GGMLGrids.inc"

/// Value j of entry `index` of a code book with `width` bits per value.
template <unsigned width>
float gridValue(const uint16_t *grid, const int8_t *values, unsigned index,
                unsigned j) {
  return float(values[grid[index] >> width * j & ((1 << width) - 1)]);
}

float sign(unsigned mask, unsigned j) { return mask >> j & 1 ? -1.0f : 1.0f; }

/// Eight signs from seven: the eighth makes the number of set bits even.
unsigned evenSigns(unsigned seven) {
  seven &= 127;
  return seven | unsigned(std::popcount(seven) & 1) << 7;
}

// In what follows: k is the group of 32 elements, l the group of 8 in it, j the
// element in that.

float iq2_xxs(const uint8_t *b, unsigned i) {
  unsigned k = i / 32, l = i % 32 / 8, j = i % 8;
  uint32_t word = loadLE<uint32_t>(b + 6 + 8 * k);
  return halfAt(b, 0) * (0.5f + float(word >> 28)) * 0.25f *
         gridValue<2>(kIQ2XXSGrid, kIQ2XXSValues, b[2 + 8 * k + l], j) *
         sign(evenSigns(word >> 7 * l), j);
}

float iq2_xs(const uint8_t *b, unsigned i) {
  unsigned k = i / 32, l = i % 32 / 8, j = i % 8;
  unsigned entry = loadLE<uint16_t>(b + 2 + 2 * (4 * k + l));
  unsigned scale = b[66 + k] >> 4 * (l / 2) & 15;
  return halfAt(b, 0) * (0.5f + float(scale)) * 0.25f *
         gridValue<2>(kIQ2XSGrid, kIQ2XSValues, entry & 511, j) *
         sign(evenSigns(entry >> 9), j);
}

float iq2_s(const uint8_t *b, unsigned i) {
  unsigned k = i / 32, l = i % 32 / 8, j = i % 8;
  unsigned index = b[2 + 4 * k + l] | (b[66 + k] >> 2 * l & 3) << 8;
  unsigned scale = b[74 + k] >> 4 * (l / 2) & 15;
  return halfAt(b, 0) * (0.5f + float(scale)) * 0.25f *
         gridValue<2>(kIQ2SGrid, kIQ2SValues, index, j) *
         sign(b[34 + 4 * k + l], j);
}

float iq3_xxs(const uint8_t *b, unsigned i) {
  unsigned k = i / 32, l = i % 32 / 8, j = i % 8;
  uint32_t word = loadLE<uint32_t>(b + 66 + 4 * k);
  unsigned index = b[2 + 8 * k + 2 * l + j / 4];
  return halfAt(b, 0) * (0.5f + float(word >> 28)) * 0.5f *
         gridValue<4>(kIQ3XXSGrid, kIQ3XXSValues, index, j % 4) *
         sign(evenSigns(word >> 7 * l), j);
}

float iq3_s(const uint8_t *b, unsigned i) {
  unsigned k = i / 32, l = i % 32 / 8, j = i % 8, t = 2 * l + j / 4;
  unsigned index = b[2 + 8 * k + t] | (b[66 + k] >> t & 1) << 8;
  unsigned scale = b[106 + k / 2] >> 4 * (k % 2) & 15;
  return halfAt(b, 0) * float(1 + 2 * scale) *
         gridValue<4>(kIQ3SGrid, kIQ3SValues, index, j % 4) *
         sign(b[74 + 4 * k + l], j);
}

/// The IQ1 types shift every value of a group by an eighth, down or up.
float iq1Value(unsigned index, unsigned j, bool down) {
  return gridValue<2>(kIQ1SGrid, kIQ1SValues, index, j) +
         (down ? -0.125f : 0.125f);
}

float iq1_s(const uint8_t *b, unsigned i) {
  unsigned k = i / 32, l = i % 32 / 8, j = i % 8;
  unsigned high = loadLE<uint16_t>(b + 34 + 2 * k);
  unsigned index = b[2 + 4 * k + l] | (high >> 3 * l & 7) << 8;
  return halfAt(b, 0) * float(2 * (high >> 12 & 7) + 1) *
         iq1Value(index, j, high >> 15);
}

float iq1_m(const uint8_t *b, unsigned i) {
  unsigned k = i / 32, l = i % 32 / 8, j = i % 8;
  auto word = [&](unsigned n) {
    return unsigned(loadLE<uint16_t>(b + 48 + 2 * n));
  };
  unsigned d = word(0) >> 12 | (word(1) >> 8 & 0xf0) | (word(2) >> 4 & 0xf00) |
               (word(3) & 0xf000);
  unsigned scale = word(k / 2) >> (6 * (k % 2) + 3 * (l / 2)) & 7;
  unsigned high = b[32 + 2 * k + l / 2] >> 4 * (l % 2);
  unsigned index = b[4 * k + l] | (high & 7) << 8;
  return floatFromHalf(uint16_t(d)) * float(2 * scale + 1) *
         iq1Value(index, j, high & 8);
}

} // namespace

void qcc::ggml::appendIQuantTypes(std::vector<GGMLType> &types) {
  types.insert(
      types.end(),
      {{16, "IQ2_XXS", 256, 66, decodeBlock<iq2_xxs, 256>, nullptr, nullptr},
       {17, "IQ2_XS", 256, 74, decodeBlock<iq2_xs, 256>, nullptr, nullptr},
       {18, "IQ3_XXS", 256, 98, decodeBlock<iq3_xxs, 256>, nullptr, nullptr},
       {19, "IQ1_S", 256, 50, decodeBlock<iq1_s, 256>, nullptr, nullptr},
       {21, "IQ3_S", 256, 110, decodeBlock<iq3_s, 256>, nullptr, nullptr},
       {22, "IQ2_S", 256, 82, decodeBlock<iq2_s, 256>, nullptr, nullptr},
       {29, "IQ1_M", 256, 56, decodeBlock<iq1_m, 256>, nullptr, nullptr}});
}
