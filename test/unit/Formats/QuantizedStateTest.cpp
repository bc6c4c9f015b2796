//===- QuantizedStateTest.cpp - Keys and values in 8 bits -----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/QuantizedState.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <vector>

using namespace qcc;

TEST(QuantizedState, KnownCodes) {
  // 254 / 127 is a bf16.
  const float elements[] = {254, -254, 3, -3, 0, 1, 5, 100.9f};
  int8_t codes[8];
  EXPECT_EQ(quantizeState(elements, codes), 0x4000);
  EXPECT_EQ(stateScale(0x4000), 2.0f);
  const int8_t expected[] = {127, -127, 2, -2, 0, 0, 2, 50};
  EXPECT_TRUE(std::equal(codes, codes + 8, expected));
}

TEST(QuantizedState, ZerosAndExtremes) {
  for (float peak : {0.0f, 1e-40f, 1e-31f, 1e-20f, 1e30f, 3e38f}) {
    const float elements[] = {peak, -peak, 0};
    int8_t codes[3];
    float scale = stateScale(quantizeState(elements, codes));
    ASSERT_TRUE(std::isfinite(scale) && scale > 0) << peak;
    EXPECT_NEAR(float(codes[0]) * scale, peak, 0.504f * scale) << peak;
    EXPECT_EQ(codes[1], -codes[0]);
    EXPECT_EQ(codes[2], 0);
  }
}

/// The nearest code of the scale, which is the nearest bf16 to peak / 127.
TEST(QuantizedState, Nearest) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (int round = 0; round < 2000; ++round) {
    std::vector<float> elements(size_t(round % 32 + 1));
    for (float &x : elements)
      x = std::ldexp(normal(random), round % 40 - 20);
    std::vector<int8_t> codes(elements.size());
    float scale = stateScale(quantizeState(elements, codes.data()));
    float peak = 0;
    for (float x : elements)
      peak = std::max(peak, std::fabs(x));
    EXPECT_NEAR(scale, peak / 127, std::ldexp(peak / 127, -8));
    for (size_t i = 0; i < elements.size(); ++i)
      ASSERT_NEAR(float(codes[i]) * scale, elements[i], 0.5001f * scale);
  }
}

TEST(QuantizedState, MixingKeepsProducts) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::array<float, kStateGroup> a, b;
  for (size_t i = 0; i < kStateGroup; ++i) {
    a[i] = normal(random);
    b[i] = normal(random);
  }
  auto product = [](const auto &x, const auto &y) {
    double sum = 0;
    for (size_t i = 0; i < kStateGroup; ++i)
      sum += double(x[i]) * y[i];
    return sum;
  };
  double before = product(a, b);
  auto mixed = a;
  mixState(mixed);
  mixState(b);
  EXPECT_NEAR(product(mixed, b), before, 1e-5);
  mixState(mixed);
  for (size_t i = 0; i < kStateGroup; ++i)
    EXPECT_NEAR(mixed[i], a[i], 1e-6);
  // A large element alone is spread over all.
  std::array<float, kStateGroup> one{};
  one[5] = 1 / kStateMix;
  mixState(one);
  for (float x : one)
    EXPECT_FLOAT_EQ(std::fabs(x), 1.0f);
}
