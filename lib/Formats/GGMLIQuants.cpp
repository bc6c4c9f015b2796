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

// The compiler reads each value as a code of 3 or 4 bits: its place among the
// code book's values with the sign (IQ1: the shift) above it. All constants of
// the formulas are powers of two, so S * table[code] has the same bits:
//
//   IQ2_*    d (0.5 + s) / 4 = d (2 s + 1) * 2^-3
//   IQ3_XXS  d (0.5 + s) / 2 = d (2 s + 1) * 2^-2
//   IQ3_S    d (2 s + 1)
//   IQ1_*    d (2 s + 1) (v +- 1/8) = d (2 s + 1) * 2^-3 (8 v +- 1)

/// Which of the code book's values value j of entry `index` is.
template <unsigned width>
unsigned gridCode(const uint16_t *grid, unsigned index, unsigned j) {
  return grid[index] >> width * j & ((1 << width) - 1);
}

/// Fields of a super-block: `code(i)` and `scale(g)`, s of group g of `group`.
template <unsigned group, typename Code, typename Scale>
void unpackSuperBlock(uint16_t d, Code code, Scale scale, Fields &out,
                      size_t first) {
  out.scale[first / 256] = d;
  for (unsigned g = 0; g < 256 / group; ++g)
    out.sub[first / group + g] = uint8_t(2 * scale(g) + 1);
  for (unsigned i = 0; i < 256; ++i) {
    unsigned k = i / 32, l = i % 32 / 8, j = i % 8;
    out.codes[first + i] = uint8_t(code(k, l, j));
  }
}

void unpackIQ2_XXS(const uint8_t *b, Fields &out, size_t first) {
  auto word = [&](unsigned k) { return loadLE<uint32_t>(b + 6 + 8 * k); };
  unpackSuperBlock<32>(
      loadLE<uint16_t>(b),
      [&](unsigned k, unsigned l, unsigned j) {
        return gridCode<2>(kIQ2XXSGrid, b[2 + 8 * k + l], j) |
               (evenSigns(word(k) >> 7 * l) >> j & 1) << 2;
      },
      [&](unsigned g) { return word(g) >> 28; }, out, first);
}

void unpackIQ2_XS(const uint8_t *b, Fields &out, size_t first) {
  unpackSuperBlock<16>(
      loadLE<uint16_t>(b),
      [&](unsigned k, unsigned l, unsigned j) {
        unsigned entry = loadLE<uint16_t>(b + 2 + 2 * (4 * k + l));
        return gridCode<2>(kIQ2XSGrid, entry & 511, j) |
               (evenSigns(entry >> 9) >> j & 1) << 2;
      },
      [&](unsigned g) { return b[66 + g / 2] >> 4 * (g % 2) & 15; }, out,
      first);
}

void unpackIQ2_S(const uint8_t *b, Fields &out, size_t first) {
  unpackSuperBlock<16>(
      loadLE<uint16_t>(b),
      [&](unsigned k, unsigned l, unsigned j) {
        unsigned index = b[2 + 4 * k + l] | (b[66 + k] >> 2 * l & 3) << 8;
        return gridCode<2>(kIQ2SGrid, index, j) |
               unsigned(b[34 + 4 * k + l] >> j & 1) << 2;
      },
      [&](unsigned g) { return b[74 + g / 2] >> 4 * (g % 2) & 15; }, out,
      first);
}

void unpackIQ3_XXS(const uint8_t *b, Fields &out, size_t first) {
  auto word = [&](unsigned k) { return loadLE<uint32_t>(b + 66 + 4 * k); };
  unpackSuperBlock<32>(
      loadLE<uint16_t>(b),
      [&](unsigned k, unsigned l, unsigned j) {
        return gridCode<4>(kIQ3XXSGrid, b[2 + 8 * k + 2 * l + j / 4], j % 4) |
               (evenSigns(word(k) >> 7 * l) >> j & 1) << 3;
      },
      [&](unsigned g) { return word(g) >> 28; }, out, first);
}

void unpackIQ3_S(const uint8_t *b, Fields &out, size_t first) {
  unpackSuperBlock<32>(
      loadLE<uint16_t>(b),
      [&](unsigned k, unsigned l, unsigned j) {
        unsigned t = 2 * l + j / 4;
        unsigned index = b[2 + 8 * k + t] | (b[66 + k] >> t & 1) << 8;
        return gridCode<4>(kIQ3SGrid, index, j % 4) |
               unsigned(b[74 + 4 * k + l] >> j & 1) << 3;
      },
      [&](unsigned g) { return b[106 + g / 2] >> 4 * (g % 2) & 15; }, out,
      first);
}

void unpackIQ1_S(const uint8_t *b, Fields &out, size_t first) {
  auto high = [&](unsigned k) {
    return unsigned(loadLE<uint16_t>(b + 34 + 2 * k));
  };
  unpackSuperBlock<32>(
      loadLE<uint16_t>(b),
      [&](unsigned k, unsigned l, unsigned j) {
        unsigned index = b[2 + 4 * k + l] | (high(k) >> 3 * l & 7) << 8;
        return gridCode<2>(kIQ1SGrid, index, j) | (high(k) >> 15) << 2;
      },
      [&](unsigned g) { return high(g) >> 12 & 7; }, out, first);
}

void unpackIQ1_M(const uint8_t *b, Fields &out, size_t first) {
  auto word = [&](unsigned n) {
    return unsigned(loadLE<uint16_t>(b + 48 + 2 * n));
  };
  unsigned d = word(0) >> 12 | (word(1) >> 8 & 0xf0) | (word(2) >> 4 & 0xf00) |
               (word(3) & 0xf000);
  unpackSuperBlock<16>(
      uint16_t(d),
      [&](unsigned k, unsigned l, unsigned j) {
        unsigned high = b[32 + 2 * k + l / 2] >> 4 * (l % 2);
        unsigned index = b[4 * k + l] | (high & 7) << 8;
        return gridCode<2>(kIQ1SGrid, index, j) | (high >> 3 & 1) << 2;
      },
      [&](unsigned g) {
        unsigned k = g / 2;
        return word(k / 2) >> (6 * (k % 2) + 3 * (g % 2)) & 7;
      },
      out, first);
}

Encoding encoding(unsigned bits, unsigned group, unsigned subBits,
                  int exponent) {
  Encoding e;
  e.bits = bits;
  e.table.resize(size_t(1) << bits);
  e.group = group;
  e.scale = ScalarType::F16;
  e.scaleExponent = exponent;
  e.superBlock = 256;
  e.subBits = subBits;
  return e;
}

/// With the values of a code book, and above them the same with a minus.
template <size_t count>
Encoding signedEncoding(const int8_t (&values)[count], unsigned bits,
                        unsigned group, int exponent) {
  Encoding e = encoding(bits, group, 5, exponent);
  for (size_t i = 0; i < count; ++i) {
    e.table[i] = values[i];
    e.table[i + e.table.size() / 2] = int8_t(-values[i]);
  }
  return e;
}

/// Eight times the value, and one up or (above) down.
Encoding shiftedEncoding(unsigned group) {
  Encoding e = encoding(3, group, 4, -3);
  for (unsigned i = 0; i < 3; ++i) {
    e.table[i] = int8_t(8 * kIQ1SValues[i] + 1);
    e.table[i + 4] = int8_t(8 * kIQ1SValues[i] - 1);
  }
  return e;
}

} // namespace

void qcc::ggml::appendIQuantTypes(std::vector<GGMLType> &types) {
  static const Encoding iq2_xxsEncoding =
                            signedEncoding(kIQ2XXSValues, 3, 32, -3),
                        iq2_xsEncoding =
                            signedEncoding(kIQ2XSValues, 3, 16, -3),
                        iq2_sEncoding = signedEncoding(kIQ2SValues, 3, 16, -3),
                        iq3_xxsEncoding =
                            signedEncoding(kIQ3XXSValues, 4, 32, -2),
                        iq3_sEncoding = signedEncoding(kIQ3SValues, 4, 32, 0),
                        iq1_sEncoding = shiftedEncoding(32),
                        iq1_mEncoding = shiftedEncoding(16);
  types.insert(types.end(), {{16, "IQ2_XXS", 256, 66, decodeBlock<iq2_xxs, 256>,
                              unpackIQ2_XXS, &iq2_xxsEncoding},
                             {17, "IQ2_XS", 256, 74, decodeBlock<iq2_xs, 256>,
                              unpackIQ2_XS, &iq2_xsEncoding},
                             {18, "IQ3_XXS", 256, 98, decodeBlock<iq3_xxs, 256>,
                              unpackIQ3_XXS, &iq3_xxsEncoding},
                             {19, "IQ1_S", 256, 50, decodeBlock<iq1_s, 256>,
                              unpackIQ1_S, &iq1_sEncoding},
                             {21, "IQ3_S", 256, 110, decodeBlock<iq3_s, 256>,
                              unpackIQ3_S, &iq3_sEncoding},
                             {22, "IQ2_S", 256, 82, decodeBlock<iq2_s, 256>,
                              unpackIQ2_S, &iq2_sEncoding},
                             {29, "IQ1_M", 256, 56, decodeBlock<iq1_m, 256>,
                              unpackIQ1_M, &iq1_mEncoding}});
}
