//===- Bits.h - Small float formats and unaligned loads ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Exact conversions to f32 of the small float formats that weights use, and
// little-endian loads from unaligned bytes.
//===----------------------------------------------------------------------===//

#ifndef QCC_FORMATS_BITS_H
#define QCC_FORMATS_BITS_H

#include <bit>
#include <cstdint>
#include <cstring>

namespace qcc {

static_assert(std::endian::native == std::endian::little,
              "files are little endian and are read in place");

/// A T at `data`, which need not be aligned.
template <typename T>
T loadLE(const uint8_t *data) {
  T value;
  std::memcpy(&value, data, sizeof(T));
  return value;
}

inline float floatFromBits(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t bitsFromFloat(float value) {
  return std::bit_cast<uint32_t>(value);
}

/// IEEE binary16. Exact; a NaN keeps its payload.
inline float floatFromHalf(uint16_t half) {
  uint32_t sign = uint32_t(half & 0x8000) << 16;
  uint32_t exponent = (half >> 10) & 31, mantissa = half & 0x3ff;
  if (exponent == 0) {
    // Subnormal: mantissa * 2^-24, exact in f32.
    float magnitude = float(mantissa) * 0x1p-24f;
    return floatFromBits(sign | bitsFromFloat(magnitude));
  }
  uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return floatFromBits(sign | wide << 23 | mantissa << 13);
}

/// The nearest binary16, of two equally near ones the even. Numbers of 65520
/// and more become infinite; a NaN loses its payload.
inline uint16_t halfFromFloat(float value) {
  const uint32_t bits = bitsFromFloat(value);
  const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000)
    return uint16_t(sign | 0x7e00);
  if (magnitude >= 0x477ff000)
    return uint16_t(sign | 0x7c00);
  // Subnormal: the sum has a last place of 2^-24, and rounds to it.
  if (magnitude < 0x38800000)
    return uint16_t(
        sign | (bitsFromFloat(floatFromBits(magnitude) + 0.5f) - 0x3f000000));
  const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return uint16_t(sign | (rounded - 0x38000000) >> 13);
}

/// 2^(bits - 127): 0 gives the subnormal 2^-127, 255 gives infinity.
inline float floatFromE8M0(uint8_t bits) {
  return floatFromBits(bits == 0 ? 0x00400000 : uint32_t(bits) << 23);
}

/// E4M3 with NaN and without infinities: a magnitude of 0x7f is NaN.
inline float floatFromE4M3FN(uint8_t bits) {
  uint32_t sign = uint32_t(bits & 0x80) << 24;
  uint32_t magnitude = bits & 0x7f;
  if (magnitude == 0x7f)
    return floatFromBits(sign | 0x7fc00000);
  if (magnitude < 8)
    return floatFromBits(sign | bitsFromFloat(float(magnitude) * 0x1p-9f));
  return floatFromBits(sign | ((magnitude << 20) + (120u << 23)));
}

/// Unsigned E4M3 as ggml's NVFP4 uses it: 0x7f is 0, and otherwise bit 7 is
/// ignored.
inline float floatFromUE4M3(uint8_t bits) {
  if (bits == 0x7f)
    return 0.0f;
  uint32_t exponent = (bits >> 3) & 15, mantissa = bits & 7;
  if (exponent == 0)
    return float(mantissa) * 0x1p-9f;
  return floatFromBits((exponent + 120) << 23 | mantissa << 20);
}

} // namespace qcc

#endif // QCC_FORMATS_BITS_H
