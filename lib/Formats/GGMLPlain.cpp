//===- GGMLPlain.cpp - Plain numbers, MXFP4 and NVFP4 ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//
//   MXFP4  e qs[16], 32 elements: 2^(e - 127) * E2M1[q]
//   NVFP4  d[4] qs[32], 64 elements: ue4m3(d) * E2M1[q], groups of 16
//
// E2M1 is kept doubled, as integers, and the scale is halved: this is exact,
// and like in ggml the code 8 gives 0 and not -0.
//===----------------------------------------------------------------------===//

#include "GGMLFamilies.h"

using namespace qcc;
using namespace qcc::ggml;

namespace {

template <typename T>
float number(const uint8_t *b, unsigned) {
  return float(loadLE<T>(b));
}
float f16(const uint8_t *b, unsigned) { return halfAt(b, 0); }
float bf16(const uint8_t *b, unsigned) {
  return floatFromBits(uint32_t(loadLE<uint16_t>(b)) << 16);
}

template <typename T>
void unpackFloat(const uint8_t *b, Fields &out, size_t first) {
  out.floats[first] = loadLE<T>(b);
}

constexpr int8_t kDoubledE2M1[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                     0, -1, -2, -3, -4, -6, -8, -12};

float mxfp4(const uint8_t *b, unsigned i) {
  // 2^(e - 128): e - 1 as exponent, and below that a subnormal.
  float half = b[0] < 2 ? floatFromBits(0x00200000u << b[0])
                        : floatFromE8M0(uint8_t(b[0] - 1));
  return half * float(kDoubledE2M1[nibble32(b + 1, i)]);
}

float nvfp4(const uint8_t *b, unsigned i) {
  unsigned group = i / 16, j = i % 16;
  unsigned code = b[4 + 8 * group + j % 8] >> 4 * (j / 8) & 15;
  return floatFromUE4M3(b[group]) * 0.5f * float(kDoubledE2M1[code]);
}

void unpackMXFP4(const uint8_t *b, Fields &out, size_t first) {
  out.scale[first / 32] = b[0];
  for (unsigned i = 0; i < 32; ++i)
    out.codes[first + i] = uint8_t(nibble32(b + 1, i));
}

void unpackNVFP4(const uint8_t *b, Fields &out, size_t first) {
  for (unsigned group = 0; group < 4; ++group)
    out.scale[first / 16 + group] = b[group];
  for (unsigned i = 0; i < 64; ++i)
    out.codes[first + i] = b[4 + 8 * (i / 16) + i % 8] >> 4 * (i % 16 / 8) & 15;
}

Encoding fp4Encoding(unsigned group, ScalarType scale) {
  Encoding e;
  e.bits = 4;
  e.table.assign(kDoubledE2M1, kDoubledE2M1 + 16);
  e.group = group;
  e.scale = scale;
  e.scaleExponent = -1;
  return e;
}

Encoding encoding(ScalarType element) {
  Encoding e;
  e.element = element;
  return e;
}

} // namespace

void qcc::ggml::appendPlainTypes(std::vector<GGMLType> &types) {
  static const Encoding f32Encoding = encoding(ScalarType::F32);
  static const Encoding f16Encoding = encoding(ScalarType::F16);
  static const Encoding bf16Encoding = encoding(ScalarType::BF16);
  static const Encoding mx = fp4Encoding(32, ScalarType::E8M0);
  static const Encoding nv = fp4Encoding(16, ScalarType::UE4M3);
  types.insert(
      types.end(),
      {{0, "F32", 1, 4, decodeBlock<number<float>, 1>, unpackFloat<uint32_t>,
        &f32Encoding},
       {1, "F16", 1, 2, decodeBlock<f16, 1>, unpackFloat<uint16_t>,
        &f16Encoding},
       {24, "I8", 1, 1, decodeBlock<number<int8_t>, 1>, nullptr, nullptr},
       {25, "I16", 1, 2, decodeBlock<number<int16_t>, 1>, nullptr, nullptr},
       {26, "I32", 1, 4, decodeBlock<number<int32_t>, 1>, nullptr, nullptr},
       {27, "I64", 1, 8, decodeBlock<number<int64_t>, 1>, nullptr, nullptr},
       {28, "F64", 1, 8, decodeBlock<number<double>, 1>, nullptr, nullptr},
       {30, "BF16", 1, 2, decodeBlock<bf16, 1>, unpackFloat<uint16_t>,
        &bf16Encoding},
       {39, "MXFP4", 32, 17, decodeBlock<mxfp4, 32>, unpackMXFP4, &mx},
       {40, "NVFP4", 64, 36, decodeBlock<nvfp4, 64>, unpackNVFP4, &nv}});
}
