//===- FP4.cpp - Rows of floats of 4 bits ---------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include "qcc/Formats/StoredFormat.h"
#include <algorithm>
#include "RowCodes.h"

using namespace qcc;

/// The codes of row `row` of the arrays, and what the second has for its groups
/// as `groups`.
template <typename T>
static void unpackRow(const StoredWeight &weight, uint64_t row, Fields &fields,
                      std::vector<T> Fields::*groups) {
  fields.resize(weight.encoding, weight.columns);
  unpackNibbles(weight.arrays[0] + row * (weight.columns / 2), fields.codes);
  std::vector<T> &out = fields.*groups;
  const uint8_t *scales = weight.arrays[1] + row * out.size();
  std::copy(scales, scales + out.size(), out.begin());
}

static void unpackMX(const StoredWeight &weight, uint64_t firstRow,
                     unsigned count, Fields *out) {
  for (unsigned i = 0; i < count; ++i)
    unpackRow(weight, firstRow + i, out[i], &Fields::scale);
}

static void unpackMXBlocks(const StoredWeight &weight, uint64_t firstRow,
                           unsigned count, Fields *out) {
  for (unsigned i = 0; i < count; ++i)
    unpackRow(weight, (firstRow + i) * weight.numbers[0] + weight.numbers[1],
              out[i], &Fields::scale);
}

template <bool isDivided>
static void unpackNV(const StoredWeight &weight, uint64_t firstRow,
                     unsigned count, Fields *out) {
  const float global = loadLE<float>(weight.arrays[2]);
  for (unsigned i = 0; i < count; ++i) {
    unpackRow(weight, firstRow + i, out[i], &Fields::sub);
    std::fill(out[i].scale.begin(), out[i].scale.end(),
              bitsFromFloat(isDivided ? 1.0f / global : global));
  }
}

static constexpr const char *kMX[] = {"weight_packed", "weight_scale"};
static constexpr const char *kBlocks[] = {"blocks", "scales"};
static constexpr const char *kNV[] = {"weight_packed", "weight_scale",
                                      "weight_global_scale"};

const StoredFormat qcc::kMXFP4Format = {"MXFP4", kMX, unpackMX};
const StoredFormat qcc::kMXFP4BlocksFormat = {"MXFP4", kBlocks, unpackMXBlocks};
const StoredFormat qcc::kNVFP4DividedFormat = {"NVFP4", kNV, unpackNV<true>};
const StoredFormat qcc::kNVFP4MultipliedFormat = {"NVFP4", kNV,
                                                  unpackNV<false>};
