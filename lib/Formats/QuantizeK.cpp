//===- QuantizeK.cpp - Rounding to K-quants -------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Three steps, as in ggml without an importance matrix: a search gives each
// group a scale (and min); these are rounded to multiples of the super-block's;
// codes are made again for what the rounded ones mean. Where that is 0, the
// codes of the search stay, though nothing depends on them.
//===----------------------------------------------------------------------===//

#include "QuantizeK.h"
#include <algorithm>
#include <cmath>
#include "ScaleSearch.h"

using namespace qcc;

/// Groups of a super-block, at most.
static constexpr unsigned kMostGroups = 16;

static AffineSearch affineSearch(const Encoding &encoding) {
  const float highest = float((1u << encoding.bits) - 1);
  switch (encoding.bits) {
  case 2:
    return {encoding.group, highest, -0.5f, 16, true};
  case 4:
    return {encoding.group, highest, -1.0f, 21, false};
  default:
    return {encoding.group, highest, -0.5f, 16, false};
  }
}

static void quantizeAffine(const Encoding &encoding, const float *x,
                           size_t block, Fields &out) {
  const unsigned group = encoding.group, groups = encoding.superBlock / group;
  const AffineSearch search = affineSearch(encoding);
  uint8_t *codes = &out.codes[block * encoding.superBlock];
  float scale[kMostGroups], min[kMostGroups];
  for (unsigned g = 0; g < groups; g += kSearchGroups)
    searchScaleAndMin(search, x + g * group, scale + g, min + g,
                      codes + g * group);

  float largestScale = 0, largestMin = 0;
  for (unsigned g = 0; g < groups; ++g) {
    largestScale = scale[g] > largestScale ? scale[g] : largestScale;
    largestMin = min[g] > largestMin ? min[g] : largestMin;
  }
  const int steps = (1 << encoding.subBits) - 1;
  const uint16_t scaleBits = halfFromFloat(largestScale / float(steps));
  const uint16_t minBits = halfFromFloat(largestMin / float(steps));
  out.scale[block] = scaleBits;
  out.min[block] = minBits;

  auto inverse = [&](float largest) {
    return largest > 0 ? float(steps) / largest : 0.0f;
  };
  const float scaleFactor = inverse(largestScale);
  const float minFactor = inverse(largestMin);
  for (unsigned g = 0; g < groups; ++g) {
    // Rounding errors can make a scale negative: ggml's bytes wrap then.
    uint8_t sub = uint8_t(nearestInteger(scaleFactor * scale[g]));
    uint8_t subMin = uint8_t(nearestInteger(minFactor * min[g]));
    if (encoding.subBits == 4) {
      const uint8_t both = uint8_t(sub | subMin << 4);
      sub = both & 15;
      subMin = both >> 4;
    }
    sub = uint8_t(std::min<int>(sub, steps));
    subMin = uint8_t(std::min<int>(subMin, steps));
    out.sub[block * groups + g] = sub;
    out.subMin[block * groups + g] = subMin;

    const float step = floatFromHalf(scaleBits) * float(sub);
    if (step == 0)
      continue;
    const float shift = floatFromHalf(minBits) * float(subMin);
    const int highest = (1 << encoding.bits) - 1;
    for (unsigned i = g * group; i < (g + 1) * group; ++i)
      codes[i] = uint8_t(
          std::clamp(nearestInteger((x[i] + shift) / step), 0, highest));
  }
}

static void quantizeScaled(const Encoding &encoding, const float *x,
                           size_t block, Fields &out) {
  const unsigned group = encoding.group, groups = encoding.superBlock / group;
  const int zero = encoding.zero;
  uint8_t *codes = &out.codes[block * encoding.superBlock];
  float scale[kMostGroups];
  for (unsigned g = 0; g < groups; g += kSearchGroups)
    (encoding.subSigned ? searchScale : searchCodes)(
        group, zero, x + g * group, scale + g, codes + g * group);

  float largest = 0;
  for (unsigned g = 0; g < groups; ++g)
    if (std::fabs(scale[g]) > std::fabs(largest))
      largest = scale[g];
  uint8_t *sub = &out.sub[block * groups];
  const bool isZero =
      encoding.subSigned ? std::fabs(largest) < kLeastMagnitude : largest == 0;
  if (isZero) {
    out.scale[block] = 0;
    std::fill_n(sub, groups, uint8_t(0));
    if (encoding.subSigned)
      std::fill_n(codes, encoding.superBlock, uint8_t(0));
    return;
  }

  // The scale furthest from 0 gets the lowest number.
  const int steps = encoding.subSigned ? 128 : encoding.subZero;
  const float factor = -float(steps) / largest;
  const uint16_t scaleBits = halfFromFloat(1.0f / factor);
  out.scale[block] = scaleBits;
  for (unsigned g = 0; g < groups; ++g) {
    const int number =
        std::clamp(nearestInteger(factor * scale[g]), -steps, steps - 1);
    sub[g] = uint8_t(number + encoding.subZero);
    const float step = floatFromHalf(scaleBits) * float(number);
    if (step == 0)
      continue;
    for (unsigned i = g * group; i < (g + 1) * group; ++i)
      codes[i] = uint8_t(
          std::clamp(nearestInteger(x[i] / step), -zero, zero - 1) + zero);
  }
}

void qcc::quantizeSuperBlock(const Encoding &encoding, const float *x,
                             size_t block, Fields &out) {
  (encoding.hasMin() ? quantizeAffine : quantizeScaled)(encoding, x, block,
                                                        out);
}
