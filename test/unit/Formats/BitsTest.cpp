//===- BitsTest.cpp - Tests of small float formats ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace qcc;

namespace {

// All halves, against the compiler's own type.
TEST(Bits, HalfIsExact) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    float want = float(std::bit_cast<_Float16>(uint16_t(bits)));
    float got = floatFromHalf(uint16_t(bits));
    if (std::isnan(want))
      ASSERT_TRUE(std::isnan(got)) << bits;
    else
      ASSERT_EQ(bitsFromFloat(got), bitsFromFloat(want)) << bits;
  }
}

TEST(Bits, HalfFromFloatRoundsToNearest) {
  auto expect = [](float value) {
    uint16_t got = halfFromFloat(value), want;
    _Float16 half = _Float16(value);
    std::memcpy(&want, &half, 2);
    ASSERT_EQ(got, want) << value;
  };
  for (uint32_t half = 0; half < 0x7c00; ++half) {
    float value = floatFromHalf(uint16_t(half));
    ASSERT_EQ(halfFromFloat(value), half);
    ASSERT_EQ(halfFromFloat(-value), half | 0x8000);
    // The middle to the next one, and both its neighbours.
    float next = half == 0x7bff ? 65536.0f : floatFromHalf(uint16_t(half + 1));
    float middle = (value + next) / 2;
    for (float x :
         {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e6f)})
      expect(x);
  }
  for (float x : {1e5f, 3e38f, 1e-45f, INFINITY, -INFINITY})
    expect(x);
  EXPECT_TRUE(std::isnan(floatFromHalf(halfFromFloat(NAN))));
}

TEST(Bits, E8M0IsPowerOfTwo) {
  for (int bits = 0; bits < 255; ++bits)
    EXPECT_EQ(floatFromE8M0(uint8_t(bits)), std::ldexp(1.0f, bits - 127));
  EXPECT_TRUE(std::isinf(floatFromE8M0(255)));
}

TEST(Bits, UE4M3) {
  for (int bits = 0; bits < 0x7f; ++bits) {
    int exponent = bits >> 3, mantissa = bits & 7;
    float want = exponent ? std::ldexp(1.0f + float(mantissa) / 8, exponent - 7)
                          : std::ldexp(float(mantissa), -9);
    EXPECT_EQ(floatFromUE4M3(uint8_t(bits)), want) << bits;
  }
  EXPECT_EQ(floatFromUE4M3(0x7f), 0.0f);
}

TEST(Bits, LoadsAreUnaligned) {
  const uint8_t bytes[] = {0xff, 0x78, 0x56, 0x34, 0x12};
  EXPECT_EQ(loadLE<uint32_t>(bytes + 1), 0x12345678u);
  EXPECT_EQ(loadLE<uint16_t>(bytes + 1), 0x5678u);
}

} // namespace
