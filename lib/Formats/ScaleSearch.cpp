//===- ScaleSearch.cpp - Scales of groups with a small error --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "ScaleSearch.h"
#include <bit>
#include <cmath>

using namespace qcc;

//===----------------------------------------------------------------------===//
// Lanes
//===----------------------------------------------------------------------===//

// 16 bytes are in every x86-64 and AArch64.
using Floats = float __attribute__((vector_size(4 * kSearchGroups)));
using Integers = int32_t __attribute__((vector_size(4 * kSearchGroups)));

static Floats nearest(Floats value) {
  Integers bits = std::bit_cast<Integers>(value + 0x1.8p23f);
  return __builtin_convertvector((bits & 0x7fffff) - 0x400000, Floats);
}

static Floats clamp(Floats value, float low, float high) {
  value = value > low ? value : Floats{} + low;
  return value < high ? value : Floats{} + high;
}

static Floats magnitude(Floats value) {
  return std::bit_cast<Floats>(std::bit_cast<Integers>(value) & 0x7fffffff);
}

static bool any(Integers mask) {
  int32_t result = 0;
  for (unsigned lane = 0; lane < kSearchGroups; ++lane)
    result |= mask[lane];
  return result != 0;
}

/// Element i of each group to out[i].
static void load(const float *x, unsigned elements, Floats *out) {
  for (unsigned i = 0; i < elements; ++i)
    for (unsigned lane = 0; lane < kSearchGroups; ++lane)
      out[i][lane] = x[lane * elements + i];
}

static void store(Floats value, float out[kSearchGroups]) {
  for (unsigned lane = 0; lane < kSearchGroups; ++lane)
    out[lane] = value[lane];
}

/// The code of element i of each group, where that is not `isZero`; else 0.
static void storeCodes(Floats value, Integers isZero, unsigned elements,
                       unsigned i, uint8_t *codes) {
  value = isZero ? Floats{} : value;
  for (unsigned lane = 0; lane < kSearchGroups; ++lane)
    codes[lane * elements + i] = uint8_t(value[lane]);
}

//===----------------------------------------------------------------------===//
// Scale and min
//===----------------------------------------------------------------------===//

/// What each element's error counts.
static void weigh(const AffineSearch &search, const Floats *x, Floats *out) {
  Floats base = {};
  if (!search.isAbsolute) {
    for (unsigned i = 0; i < search.elements; ++i)
      base += x[i] * x[i];
    base /= float(search.elements);
    for (unsigned lane = 0; lane < kSearchGroups; ++lane)
      base[lane] = std::sqrt(base[lane]);
  }
  for (unsigned i = 0; i < search.elements; ++i)
    out[i] = search.isAbsolute ? magnitude(x[i]) : base + magnitude(x[i]);
}

void qcc::searchScaleAndMin(const AffineSearch &search, const float *from,
                            float outScale[kSearchGroups],
                            float outMin[kSearchGroups], uint8_t *outCodes) {
  const unsigned count = search.elements;
  Floats x[kSearchElements], weight[kSearchElements], codes[kSearchElements];
  load(from, count, x);
  weigh(search, x, weight);

  Floats least = x[0], most = x[0];
  Floats sumW = weight[0], sumX = weight[0] * x[0];
  for (unsigned i = 1; i < count; ++i) {
    least = x[i] < least ? x[i] : least;
    most = x[i] > most ? x[i] : most;
    sumW += weight[i];
    sumX += weight[i] * x[i];
  }
  least = least > 0.0f ? Floats{} : least;
  const Integers isFlat = most == least;
  const Floats flatLeast = least;

  auto codeOf = [&](Floats value, Floats factor, Floats zero) {
    return clamp(nearest(factor * (value - zero)), 0.0f, search.highest);
  };
  auto errorOf = [&](Floats scale, Floats min) {
    Floats error = {};
    for (unsigned i = 0; i < count; ++i) {
      Floats difference = scale * codes[i] + min - x[i];
      error += weight[i] * (search.isAbsolute ? magnitude(difference)
                                              : difference * difference);
    }
    return error;
  };

  Floats factor = search.highest / (most - least), scale = 1.0f / factor;
  for (unsigned i = 0; i < count; ++i)
    codes[i] = codeOf(x[i], factor, least);
  Floats error = errorOf(scale, least);
  // What the codes of the best candidate so far were made with.
  Floats codeFactor = factor, codeLeast = least;

  for (unsigned step = 0; step < search.candidates; ++step) {
    factor =
        (search.first + 0.1f * float(step) + search.highest) / (most - least);
    Floats sumL = {}, sumLL = {}, sumXL = {};
    for (unsigned i = 0; i < count; ++i) {
      Floats code = codes[i] = codeOf(x[i], factor, least);
      Floats weighted = weight[i] * code;
      sumL += weighted;
      sumLL += weighted * code;
      sumXL += weighted * x[i];
    }
    // Least squares for these codes, with a min that is not above 0.
    const Floats determinant = sumW * sumLL - sumL * sumL;
    Floats newScale = (sumW * sumXL - sumX * sumL) / determinant;
    Floats newLeast = (sumLL * sumX - sumL * sumXL) / determinant;
    const Integers isAbove = newLeast > 0.0f;
    newScale = isAbove ? sumXL / sumLL : newScale;
    newLeast = isAbove ? Floats{} : newLeast;
    const Floats newError = errorOf(newScale, newLeast);
    const Integers isBetter = (determinant > 0.0f) & (newError < error);
    codeFactor = isBetter ? factor : codeFactor;
    codeLeast = isBetter ? least : codeLeast;
    error = isBetter ? newError : error;
    scale = isBetter ? newScale : scale;
    least = isBetter ? newLeast : least;
  }
  for (unsigned i = 0; i < count; ++i)
    storeCodes(codeOf(x[i], codeFactor, codeLeast), isFlat, count, i, outCodes);
  store(isFlat ? Floats{} : scale, outScale);
  store(-(isFlat ? flatLeast : least), outMin);
}

//===----------------------------------------------------------------------===//
// Scale only
//===----------------------------------------------------------------------===//

/// The element of each group that is furthest from 0, the first of several.
static Floats extremeOf(const Floats *x, unsigned count) {
  Floats largest = {}, extreme = {};
  for (unsigned i = 0; i < count; ++i) {
    const Integers isLarger = magnitude(x[i]) > largest;
    largest = isLarger ? magnitude(x[i]) : largest;
    extreme = isLarger ? x[i] : extreme;
  }
  return extreme;
}

namespace {
/// Sums over a group with weights of x * x.
struct Moments {
  Floats xl = {}, ll = {}; ///< Of x * code and of code * code.
};
} // namespace

void qcc::searchScale(unsigned count, int zero, const float *from,
                      float outScale[kSearchGroups], uint8_t *outCodes) {
  Floats x[kSearchElements];
  load(from, count, x);
  const float half = float(zero);
  const Floats extreme = extremeOf(x, count);
  const Integers isZero = magnitude(extreme) < kLeastMagnitude;

  auto codeOf = [&](Floats value, Floats factor) {
    return clamp(nearest(factor * value), -half, half - 1);
  };
  auto momentsOf = [&](Floats factor) {
    Moments sums;
    for (unsigned i = 0; i < count; ++i) {
      const Floats code = codeOf(x[i], factor), weight = x[i] * x[i];
      sums.xl += weight * x[i] * code;
      sums.ll += weight * code * code;
    }
    return sums;
  };

  Floats codeFactor = -half / extreme;
  Moments sums = momentsOf(codeFactor);
  Floats scale = sums.ll != 0.0f ? sums.xl / sums.ll : Floats{};
  Floats best = scale * sums.xl;
  for (int step = -9; step <= 9; ++step) {
    if (step == 0)
      continue;
    const Floats factor = -(half + 0.1f * float(step)) / extreme;
    sums = momentsOf(factor);
    const Integers isBetter =
        (sums.ll > 0.0f) & (sums.xl * sums.xl > best * sums.ll);
    codeFactor = isBetter ? factor : codeFactor;
    scale = isBetter ? sums.xl / sums.ll : scale;
    best = isBetter ? scale * sums.xl : best;
  }
  for (unsigned i = 0; i < count; ++i)
    storeCodes(codeOf(x[i], codeFactor) + half, isZero, count, i, outCodes);
  store(isZero ? Floats{} : scale, outScale);
}

void qcc::searchCodes(unsigned count, int zero, const float *from,
                      float outScale[kSearchGroups], uint8_t *outCodes) {
  constexpr unsigned kRounds = 5;
  Floats x[kSearchElements], codes[kSearchElements];
  load(from, count, x);
  const float half = float(zero);
  const Floats extreme = extremeOf(x, count);
  const Integers isZero = magnitude(extreme) < kLeastMagnitude;
  const Floats factor = -half / extreme;

  Moments sums;
  for (unsigned i = 0; i < count; ++i) {
    const Floats weight = x[i] * x[i];
    codes[i] = clamp(nearest(factor * x[i]), -half, half - 1);
    sums.xl += weight * x[i] * codes[i];
    sums.ll += weight * codes[i] * codes[i];
  }
  // A round that changes nothing in a group leaves it as it is for good, so
  // that groups which are done may wait for others.
  Integers isChanged = ~Integers{};
  for (unsigned round = 0; round < kRounds && any(isChanged); ++round) {
    isChanged = Integers{};
    for (unsigned i = 0; i < count; ++i) {
      const Floats weight = x[i] * x[i];
      // Without this element; then with the code that would be best for it.
      Floats xl = sums.xl - weight * x[i] * codes[i];
      Floats ll = sums.ll - weight * codes[i] * codes[i];
      const Integers isUsable = xl > 0.0f;
      const Floats code = clamp(nearest(x[i] * ll / xl), -half, half - 1);
      xl += weight * x[i] * code;
      ll += weight * code * code;
      const Integers isBetter = isUsable & (code != codes[i]) & (ll > 0.0f) &
                                (xl * xl * sums.ll > sums.xl * sums.xl * ll);
      codes[i] = isBetter ? code : codes[i];
      sums.xl = isBetter ? xl : sums.xl;
      sums.ll = isBetter ? ll : sums.ll;
      isChanged |= isBetter;
    }
  }
  for (unsigned i = 0; i < count; ++i)
    storeCodes(codes[i] + half, isZero, count, i, outCodes);
  const Integers isUsable = ~isZero & (sums.ll > 0.0f);
  store(isUsable ? sums.xl / sums.ll : Floats{}, outScale);
}
