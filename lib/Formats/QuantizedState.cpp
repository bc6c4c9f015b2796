//===- QuantizedState.cpp - Keys and values in 8 bits ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/QuantizedState.h"

#include <algorithm>
#include <bit>
#include <cmath>

using namespace qcc;

float qcc::stateScale(uint16_t bits) {
  return std::bit_cast<float>(uint32_t(bits) << 16);
}

void qcc::mixState(std::span<float, kStateGroup> group) {
  for (size_t apart = 1; apart < kStateGroup; apart *= 2)
    for (size_t i = 0; i < kStateGroup; ++i)
      if (!(i & apart)) {
        float a = group[i], b = group[i + apart];
        group[i] = a + b;
        group[i + apart] = a - b;
      }
  for (float &x : group)
    x *= kStateMix;
}

uint16_t qcc::quantizeState(std::span<const float> elements, int8_t *codes) {
  float peak = kStatePeak;
  for (float x : elements)
    peak = std::max(peak, std::fabs(x));
  // To the nearest bf16, ties to even. It may be below peak / 127 by 2^-8 of
  // it: not so far that a code reaches 128.
  uint32_t exact = std::bit_cast<uint32_t>(peak * (1 / kStateCode));
  auto bits = uint16_t((exact + 0x7fff + (exact >> 16 & 1)) >> 16);
  float inverse = 1 / stateScale(bits);
  for (size_t i = 0; i < elements.size(); ++i)
    codes[i] = int8_t(std::nearbyint(elements[i] * inverse));
  return bits;
}
