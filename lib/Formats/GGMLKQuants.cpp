//===- GGMLKQuants.cpp - Super-blocks of 256: Q2_K to Q8_K, IQ4_XS --------===//
// SPDX-License-Identifier: Apache-2.0
//
// Each group of a super-block has an integer scale (and min), which the f16 d
// (and dmin) of the super-block scales:
//
//   Q2_K    scales[16] qs[64] d dmin          d*sc*q - dmin*m, groups of 16
//   Q3_K    hmask[32] qs[64] scales[12] d     d*(sc-32)*(q-4), groups of 16
//   Q4_K    d dmin scales[12] qs[128]         d*sc*q - dmin*m, groups of 32
//   Q5_K    d dmin scales[12] qh[32] qs[128]  d*sc*q - dmin*m, groups of 32
//   Q6_K    ql[128] qh[64] scales[16] d       d*sc*(q-32), groups of 16
//   Q8_K    d(f32) qs[256] bsums[16]          d*q. Activations only
//   IQ4_XS  d scales_h scales_l[4] qs[128]    d*(sc-32)*table[q], groups of 32
//===----------------------------------------------------------------------===//

#include <iterator>
#include "GGMLFamilies.h"

using namespace qcc;
using namespace qcc::ggml;

namespace {

//===----------------------------------------------------------------------===//
// Bit positions
//===----------------------------------------------------------------------===//

/// Two bits of element i out of 64 bytes: halves of 128 elements in 32 bytes,
/// one pair of bits per 32 elements.
unsigned twoBits(const uint8_t *qs, unsigned i) {
  return qs[32 * (i / 128) + i % 32] >> 2 * (i % 128 / 32) & 3;
}
/// Four bits of element i out of 128 bytes: 64 elements in 32 bytes.
unsigned fourBits(const uint8_t *qs, unsigned i) {
  return qs[32 * (i / 64) + i % 32] >> 4 * (i / 32 % 2) & 15;
}
/// One bit of element i out of 32 bytes, one bit per 32 elements.
unsigned oneBit(const uint8_t *qh, unsigned i) {
  return qh[i % 32] >> i / 32 & 1;
}

/// Scale of group s (0..7) of Q4_K and Q5_K, 6 bits.
unsigned scaleK4(const uint8_t *scales, unsigned s) {
  return s < 4 ? scales[s] & 63
               : (scales[s + 4] & 15) | (scales[s - 4] >> 6) << 4;
}
/// Min of group s (0..7) of Q4_K and Q5_K, 6 bits.
unsigned minK4(const uint8_t *scales, unsigned s) {
  return s < 4 ? scales[s + 4] & 63
               : scales[s + 4] >> 4 | (scales[s] >> 6) << 4;
}
/// Scale of group s (0..15) of Q3_K, 6 bits.
unsigned scaleK3(const uint8_t *scales, unsigned s) {
  unsigned low = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4;
  return low | (scales[8 + s % 4] >> 2 * (s / 4) & 3) << 4;
}
/// Scale of group s (0..7) of IQ4_XS, 6 bits.
unsigned scaleIQ4(const uint8_t *b, unsigned s) {
  unsigned low = b[4 + s / 2] >> 4 * (s % 2) & 15;
  return low | (loadLE<uint16_t>(b + 2) >> 2 * s & 3) << 4;
}

unsigned codeQ3_K(const uint8_t *b, unsigned i) {
  return twoBits(b + 32, i) | oneBit(b, i) << 2;
}
unsigned codeQ5_K(const uint8_t *b, unsigned i) {
  return fourBits(b + 48, i) | oneBit(b + 16, i) << 4;
}
unsigned codeQ6_K(const uint8_t *b, unsigned i) {
  unsigned half = i / 128, group = i % 128 / 32, lane = i % 32;
  unsigned low =
      b[64 * half + lane + 32 * (group & 1)] >> 4 * (group >> 1) & 15;
  unsigned high = b[128 + 32 * half + lane] >> 2 * group & 3;
  return low | high << 4;
}

//===----------------------------------------------------------------------===//
// Definitions
//===----------------------------------------------------------------------===//

float q2_k(const uint8_t *b, unsigned i) {
  unsigned scale = b[i / 16];
  return halfAt(b, 80) * float(scale & 15) * float(twoBits(b + 16, i)) -
         halfAt(b, 82) * float(scale >> 4);
}
float q3_k(const uint8_t *b, unsigned i) {
  return halfAt(b, 108) * float(int(scaleK3(b + 96, i / 16)) - 32) *
         float(int(codeQ3_K(b, i)) - 4);
}
float q4_k(const uint8_t *b, unsigned i) {
  return halfAt(b, 0) * float(scaleK4(b + 4, i / 32)) *
             float(fourBits(b + 16, i)) -
         halfAt(b, 2) * float(minK4(b + 4, i / 32));
}
float q5_k(const uint8_t *b, unsigned i) {
  return halfAt(b, 0) * float(scaleK4(b + 4, i / 32)) * float(codeQ5_K(b, i)) -
         halfAt(b, 2) * float(minK4(b + 4, i / 32));
}
float q6_k(const uint8_t *b, unsigned i) {
  return halfAt(b, 208) * float(int8_t(b[192 + i / 16])) *
         float(int(codeQ6_K(b, i)) - 32);
}
float q8_k(const uint8_t *b, unsigned i) {
  return loadLE<float>(b) * float(int8_t(b[4 + i]));
}
float iq4_xs(const uint8_t *b, unsigned i) {
  unsigned code = b[8 + 16 * (i / 32) + i % 16] >> 4 * (i % 32 / 16) & 15;
  return halfAt(b, 0) * float(int(scaleIQ4(b, i / 32)) - 32) *
         float(kIQ4Values[code]);
}

//===----------------------------------------------------------------------===//
// Fields: byte-wise loops, which compilers vectorize
//===----------------------------------------------------------------------===//

void unpackTwoBits(const uint8_t *qs, uint8_t *codes) {
  for (unsigned half = 0; half < 2; ++half)
    for (unsigned pair = 0; pair < 4; ++pair)
      for (unsigned lane = 0; lane < 32; ++lane)
        codes[128 * half + 32 * pair + lane] =
            qs[32 * half + lane] >> 2 * pair & 3;
}

void unpackFourBits(const uint8_t *qs, uint8_t *codes) {
  for (unsigned quarter = 0; quarter < 4; ++quarter) {
    for (unsigned lane = 0; lane < 32; ++lane) {
      codes[64 * quarter + lane] = qs[32 * quarter + lane] & 15;
      codes[64 * quarter + 32 + lane] = qs[32 * quarter + lane] >> 4;
    }
  }
}

void orBits(const uint8_t *qh, unsigned shift, uint8_t *codes) {
  for (unsigned group = 0; group < 8; ++group)
    for (unsigned lane = 0; lane < 32; ++lane)
      codes[32 * group + lane] |= uint8_t((qh[lane] >> group & 1) << shift);
}

void unpackQ2_K(const uint8_t *b, Fields &out, size_t first) {
  out.scale[first / 256] = loadLE<uint16_t>(b + 80);
  out.min[first / 256] = loadLE<uint16_t>(b + 82);
  for (unsigned s = 0; s < 16; ++s) {
    out.sub[first / 16 + s] = b[s] & 15;
    out.subMin[first / 16 + s] = b[s] >> 4;
  }
  unpackTwoBits(b + 16, &out.codes[first]);
}

void unpackQ3_K(const uint8_t *b, Fields &out, size_t first) {
  out.scale[first / 256] = loadLE<uint16_t>(b + 108);
  for (unsigned s = 0; s < 16; ++s)
    out.sub[first / 16 + s] = uint8_t(scaleK3(b + 96, s));
  unpackTwoBits(b + 32, &out.codes[first]);
  orBits(b, 2, &out.codes[first]);
}

template <bool hasHigh>
void unpackQ4_K(const uint8_t *b, Fields &out, size_t first) {
  out.scale[first / 256] = loadLE<uint16_t>(b);
  out.min[first / 256] = loadLE<uint16_t>(b + 2);
  for (unsigned s = 0; s < 8; ++s) {
    out.sub[first / 32 + s] = uint8_t(scaleK4(b + 4, s));
    out.subMin[first / 32 + s] = uint8_t(minK4(b + 4, s));
  }
  unpackFourBits(b + (hasHigh ? 48 : 16), &out.codes[first]);
  if (hasHigh)
    orBits(b + 16, 4, &out.codes[first]);
}

void unpackQ6_K(const uint8_t *b, Fields &out, size_t first) {
  out.scale[first / 256] = loadLE<uint16_t>(b + 208);
  for (unsigned s = 0; s < 16; ++s)
    out.sub[first / 16 + s] = b[192 + s];
  for (unsigned half = 0; half < 2; ++half) {
    const uint8_t *low = b + 64 * half, *high = b + 128 + 32 * half;
    uint8_t *codes = &out.codes[first + 128 * half];
    for (unsigned l = 0; l < 32; ++l) {
      codes[l] = uint8_t((low[l] & 15) | (high[l] & 3) << 4);
      codes[32 + l] = uint8_t((low[32 + l] & 15) | (high[l] >> 2 & 3) << 4);
      codes[64 + l] = uint8_t(low[l] >> 4 | (high[l] >> 4 & 3) << 4);
      codes[96 + l] = uint8_t(low[32 + l] >> 4 | high[l] >> 6 << 4);
    }
  }
}

void unpackIQ4_XS(const uint8_t *b, Fields &out, size_t first) {
  out.scale[first / 256] = loadLE<uint16_t>(b);
  for (unsigned s = 0; s < 8; ++s) {
    out.sub[first / 32 + s] = uint8_t(scaleIQ4(b, s));
    const uint8_t *qs = b + 8 + 16 * s;
    uint8_t *codes = &out.codes[first + 32 * s];
    for (unsigned i = 0; i < 16; ++i) {
      codes[i] = qs[i] & 15;
      codes[i + 16] = qs[i] >> 4;
    }
  }
}

Encoding encoding(unsigned bits, int zero, unsigned group, unsigned subBits,
                  int subZero, unsigned subMinBits) {
  Encoding e;
  e.bits = bits;
  e.zero = zero;
  e.group = group;
  e.scale = ScalarType::F16;
  e.min = subMinBits ? ScalarType::F16 : ScalarType::None;
  e.superBlock = 256;
  e.subBits = subBits;
  e.subZero = subZero;
  e.subMinBits = subMinBits;
  return e;
}

Encoding encodingQ6_K() {
  Encoding e = encoding(6, 32, 16, 8, 0, 0);
  e.subSigned = true;
  return e;
}

Encoding encodingIQ4_XS() {
  Encoding e = encoding(4, 0, 32, 6, 32, 0);
  e.table.assign(std::begin(kIQ4Values), std::end(kIQ4Values));
  return e;
}

} // namespace

void qcc::ggml::appendKQuantTypes(std::vector<GGMLType> &types) {
  static const Encoding q2 = encoding(2, 0, 16, 4, 0, 4);
  static const Encoding q3 = encoding(3, 4, 16, 6, 32, 0);
  static const Encoding q4 = encoding(4, 0, 32, 6, 0, 6);
  static const Encoding q5 = encoding(5, 0, 32, 6, 0, 6);
  static const Encoding q6 = encodingQ6_K();
  static const Encoding iq4 = encodingIQ4_XS();
  types.insert(
      types.end(),
      {{10, "Q2_K", 256, 84, decodeBlock<q2_k, 256>, unpackQ2_K, &q2},
       {11, "Q3_K", 256, 110, decodeBlock<q3_k, 256>, unpackQ3_K, &q3},
       {12, "Q4_K", 256, 144, decodeBlock<q4_k, 256>, unpackQ4_K<false>, &q4},
       {13, "Q5_K", 256, 176, decodeBlock<q5_k, 256>, unpackQ4_K<true>, &q5},
       {14, "Q6_K", 256, 210, decodeBlock<q6_k, 256>, unpackQ6_K, &q6},
       {15, "Q8_K", 256, 292, decodeBlock<q8_k, 256>, nullptr, nullptr},
       {23, "IQ4_XS", 256, 136, decodeBlock<iq4_xs, 256>, unpackIQ4_XS, &iq4}});
}
