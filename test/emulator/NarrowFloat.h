//===- NarrowFloat.h - Half and bfloat as bits -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_NARROWFLOAT_H
#define QCC_TEST_EMULATOR_NARROWFLOAT_H

#include <bit>
#include <cmath>
#include <cstdint>

namespace qcc::emulator {

/// A 16-bit float with the given number of stored mantissa bits. Conversions
/// round to nearest, ties to even; subnormals are kept.
template <int kMantissa>
struct NarrowFloat {
  static constexpr int kExponent = 15 - kMantissa;
  static constexpr int kLeast = 2 - (1 << (kExponent - 1)); ///< Of normals.
  static constexpr uint16_t kInfinity = ((1 << kExponent) - 1) << kMantissa;

  uint16_t bits = 0;

  static NarrowFloat round(double value);
  /// Exact.
  float value() const;
};

using Half = NarrowFloat<10>;
using BFloat = NarrowFloat<7>;

template <int kMantissa>
NarrowFloat<kMantissa> NarrowFloat<kMantissa>::round(double value) {
  uint64_t wide = std::bit_cast<uint64_t>(value);
  uint16_t sign = uint16_t(wide >> 63) << 15;
  if (std::isnan(value))
    return {0x7fff};
  if (std::isinf(value))
    return {uint16_t(sign | kInfinity)};
  int exponent = int(wide >> 52 & 0x7ff) - 1023;
  // Far below half of the least subnormal number.
  if (exponent < kLeast - kMantissa - 2)
    return {sign};
  uint64_t mantissa = (wide & ((uint64_t(1) << 52) - 1)) | uint64_t(1) << 52;
  bool subnormal = exponent < kLeast;
  int shift = 52 - kMantissa + (subnormal ? kLeast - exponent : 0);
  uint64_t kept = mantissa >> shift;
  uint64_t rest = mantissa & ((uint64_t(1) << shift) - 1);
  uint64_t half = uint64_t(1) << (shift - 1);
  kept += rest > half || (rest == half && (kept & 1));
  // A carry out of the mantissa raises the exponent, as it should.
  uint64_t result =
      subnormal ? kept : (uint64_t(exponent - kLeast) << kMantissa) + kept;
  return {uint16_t(sign | (result < kInfinity ? result : kInfinity))};
}

template <int kMantissa>
float NarrowFloat<kMantissa>::value() const {
  uint32_t sign = uint32_t(bits & 0x8000) << 16;
  uint32_t mantissa = bits & ((1 << kMantissa) - 1);
  int exponent = bits >> kMantissa & ((1 << kExponent) - 1);
  if (exponent == (1 << kExponent) - 1)
    return std::bit_cast<float>(sign | 0x7f800000 |
                                mantissa << (23 - kMantissa));
  if (exponent == 0)
    return std::copysign(std::ldexp(float(mantissa), kLeast - kMantissa),
                         std::bit_cast<float>(sign));
  return std::bit_cast<float>(sign |
                              uint32_t(exponent + kLeast - 1 + 127) << 23 |
                              mantissa << (23 - kMantissa));
}

/// a * b + c, rounded once to the narrow type: the sum is first rounded to odd,
/// so that the second rounding sees on which side of a tie the exact sum lies.
template <typename T>
T fusedMultiplyAdd(T a, T b, T c) {
  double product = double(a.value()) * double(b.value());
  double addend = c.value();
  double sum = product + addend;
  if (!std::isfinite(sum))
    return T::round(sum);
  double part = sum - product;
  double error = (product - (sum - part)) + (addend - part);
  uint64_t bits = std::bit_cast<uint64_t>(sum);
  if (error != 0 && !(bits & 1))
    bits += (error > 0) == (sum > 0) ? 1 : -1;
  return T::round(std::bit_cast<double>(bits));
}

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_NARROWFLOAT_H
