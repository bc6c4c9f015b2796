//===- IntegerValues.cpp - A table of floats as integers ------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "IntegerValues.h"

#include <algorithm>
#include <cmath>

using namespace qcc::x86;

/// The largest integer: one less in magnitude than the smallest.
static constexpr int64_t kPeak = 8191;

IntegerValues::IntegerValues(llvm::ArrayRef<float> values) {
  double peak = 0;
  for (float value : values)
    peak = std::max(peak, std::fabs(double(value)));
  if (peak == 0)
    peak = 1;
  auto errorOf = [&](double steps) {
    double largest = 0;
    for (float value : values) {
      double exact = value / peak * steps;
      largest = std::max(largest, std::fabs(exact - std::nearbyint(exact)));
    }
    return largest / steps;
  };
  // The f32 of a table are themselves rounded: what is below that is exact.
  constexpr double kExact = 1e-7;
  double best = errorOf(kPeak);
  int64_t steps = kPeak;
  for (int64_t other = kPeak - 1; other > kPeak / 2 && best > kExact; --other)
    if (double error = errorOf(double(other)); error < best) {
      best = error;
      steps = other;
    }
  scale = peak / double(steps);
  for (float value : values) {
    auto integer =
        int64_t(std::nearbyint(value / peak * double(steps))) + 128 * kZero;
    high.push_back(uint8_t(integer >> 7));
    low.push_back(uint8_t(integer & 127));
  }
}
