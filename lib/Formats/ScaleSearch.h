//===- ScaleSearch.h - Scales of groups with a small error ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The searches that ggml's K-quants make in each group of a super-block. Every
// operation is f32 and in ggml's order, since codes must be the same bits; what
// is free is the order of groups, so that kSearchGroups of them go side by
// side, one in each lane of a vector.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_FORMATS_SCALESEARCH_H
#define QCC_LIB_FORMATS_SCALESEARCH_H

#include "qcc/Formats/Bits.h"

namespace qcc {

/// Consecutive groups that one call searches.
inline constexpr unsigned kSearchGroups = 4;
/// Elements of a group, at most.
inline constexpr unsigned kSearchElements = 32;
/// A group whose magnitudes are all below it counts as zero where there is no
/// min.
inline constexpr float kLeastMagnitude = 1e-15f;

/// The nearest integer, of two equally near ones the even, for magnitudes below
/// 2^22. Of others and of NaN some integer: the one that ggml takes.
inline int32_t nearestInteger(float value) {
  return int32_t(bitsFromFloat(value + 0x1.8p23f) & 0x7fffff) - 0x400000;
}

/// How scale and min of a group are looked for.
struct AffineSearch {
  unsigned elements; ///< Of a group.
  float highest;     ///< Code; the lowest is 0.
  /// Candidates map the group's range to first + highest and 0.1 more each.
  float first;
  unsigned candidates;
  /// Errors count by magnitude and are weighted by that of the element, rather
  /// than squared and weighted by this and the group's root mean square.
  bool isAbsolute;
};

/// For `x` [kSearchGroups][elements]: x is near to scale * code - min, with
/// min >= 0.
void searchScaleAndMin(const AffineSearch &search, const float *x,
                       float scale[kSearchGroups], float min[kSearchGroups],
                       uint8_t *codes);

/// For `x` [kSearchGroups][elements]: x is near to scale * (code - zero), with
/// codes below 2 * zero. Scales around the one that gives the element furthest
/// from 0 the lowest code are tried.
void searchScale(unsigned elements, int zero, const float *x,
                 float scale[kSearchGroups], uint8_t *codes);

/// The same with one scale to begin with, whose codes are then changed one by
/// one while that makes the error smaller.
void searchCodes(unsigned elements, int zero, const float *x,
                 float scale[kSearchGroups], uint8_t *codes);

} // namespace qcc

#endif // QCC_LIB_FORMATS_SCALESEARCH_H
