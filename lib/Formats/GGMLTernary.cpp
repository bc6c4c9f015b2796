//===- GGMLTernary.cpp - One to two bits with one scale: TQ, Q1_0, Q2_0 ---===//
// SPDX-License-Identifier: Apache-2.0
//
//   TQ1_0  qs[48] qh[4] d, 256 elements: five (qh: four) base-3 digits a byte
//   TQ2_0  qs[64] d, 256 elements: d * (q - 1)
//   Q1_0   d qs[16], 128 elements: bit set d, clear -d
//   Q2_0   d qs[16], 64 elements: d * (q - 1)
//===----------------------------------------------------------------------===//

#include "GGMLFamilies.h"

using namespace qcc;
using namespace qcc::ggml;

namespace {

/// Digit i of a block, 0 to 2.
unsigned tq1_0Digit(const uint8_t *b, unsigned i) {
  static constexpr unsigned kPowers[] = {1, 3, 9, 27, 81};
  unsigned byte, digit;
  if (i < 160) {
    byte = b[i % 32];
    digit = i / 32;
  } else if (i < 240) {
    byte = b[32 + i % 16];
    digit = (i - 160) / 16;
  } else {
    byte = b[48 + i % 4];
    digit = (i - 240) / 4;
  }
  // A byte is a fraction of 256 in base 3: multiplying by 3^n moves digit n in
  // front of the point.
  unsigned fraction = byte * kPowers[digit] & 255;
  return fraction * 3 >> 8;
}

float tq1_0(const uint8_t *b, unsigned i) {
  return halfAt(b, 52) * float(int(tq1_0Digit(b, i)) - 1);
}

float tq2_0(const uint8_t *b, unsigned i) {
  unsigned code = b[32 * (i / 128) + i % 32] >> 2 * (i % 128 / 32) & 3;
  return halfAt(b, 64) * float(int(code) - 1);
}

float q1_0(const uint8_t *b, unsigned i) {
  return halfAt(b, 0) * (b[2 + i / 8] >> i % 8 & 1 ? 1.0f : -1.0f);
}

float q2_0(const uint8_t *b, unsigned i) {
  return halfAt(b, 0) * float(int(b[2 + i / 4] >> 2 * (i % 4) & 3) - 1);
}

void unpackTQ1_0(const uint8_t *b, Fields &out, size_t first) {
  out.scale[first / 256] = loadLE<uint16_t>(b + 52);
  for (unsigned i = 0; i < 256; ++i)
    out.codes[first + i] = uint8_t(tq1_0Digit(b, i));
}

void unpackTQ2_0(const uint8_t *b, Fields &out, size_t first) {
  out.scale[first / 256] = loadLE<uint16_t>(b + 64);
  for (unsigned half = 0; half < 2; ++half)
    for (unsigned pair = 0; pair < 4; ++pair)
      for (unsigned lane = 0; lane < 32; ++lane)
        out.codes[first + 128 * half + 32 * pair + lane] =
            b[32 * half + lane] >> 2 * pair & 3;
}

void unpackQ1_0(const uint8_t *b, Fields &out, size_t first) {
  out.scale[first / 128] = loadLE<uint16_t>(b);
  for (unsigned i = 0; i < 128; ++i)
    out.codes[first + i] = b[2 + i / 8] >> i % 8 & 1;
}

void unpackQ2_0(const uint8_t *b, Fields &out, size_t first) {
  out.scale[first / 64] = loadLE<uint16_t>(b);
  for (unsigned i = 0; i < 64; ++i)
    out.codes[first + i] = b[2 + i / 4] >> 2 * (i % 4) & 3;
}

Encoding encoding(unsigned bits, int zero, unsigned group) {
  Encoding e;
  e.bits = bits;
  e.zero = zero;
  e.group = group;
  e.scale = ScalarType::F16;
  return e;
}

Encoding encodingQ1_0() {
  Encoding e = encoding(1, 0, 128);
  e.table = {-1, 1};
  return e;
}

} // namespace

void qcc::ggml::appendTernaryTypes(std::vector<GGMLType> &types) {
  static const Encoding tq2 = encoding(2, 1, 256);
  static const Encoding q1 = encodingQ1_0();
  static const Encoding q2 = encoding(2, 1, 64);
  types.insert(
      types.end(),
      {{34, "TQ1_0", 256, 54, decodeBlock<tq1_0, 256>, unpackTQ1_0, &tq2},
       {35, "TQ2_0", 256, 66, decodeBlock<tq2_0, 256>, unpackTQ2_0, &tq2},
       {41, "Q1_0", 128, 18, decodeBlock<q1_0, 128>, unpackQ1_0, &q1},
       {42, "Q2_0", 64, 18, decodeBlock<q2_0, 64>, unpackQ2_0, &q2}});
}
