//===- FP4.cpp - Rows of floats of 4 bits ---------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include "qcc/Formats/StoredFormat.h"

using namespace qcc;

/// `scale(i)` gives the bits of scale `i` of the whole weight.
template <typename Scale>
static void unpackRows(const StoredWeight &weight, uint64_t firstRow,
                       unsigned count, Fields *out, const Scale &scale) {
  const uint64_t groups = weight.columns / weight.encoding.group;
  for (unsigned i = 0; i < count; ++i) {
    const uint64_t row = firstRow + i;
    Fields &fields = out[i];
    fields.resize(weight.encoding, weight.columns);
    const uint8_t *codes = weight.arrays[0] + row * (weight.columns / 2);
    for (uint64_t k = 0; k < weight.columns; ++k)
      fields.codes[k] = uint8_t(codes[k / 2] >> 4 * (k % 2) & 15);
    for (uint64_t g = 0; g < groups; ++g)
      fields.scale[g] = scale(row * groups + g);
  }
}

static void unpackMX(const StoredWeight &weight, uint64_t firstRow,
                     unsigned count, Fields *out) {
  const uint8_t *scales = weight.arrays[1];
  unpackRows(weight, firstRow, count, out,
             [scales](uint64_t i) { return uint32_t(scales[i]); });
}

template <bool isDivided>
static void unpackNV(const StoredWeight &weight, uint64_t firstRow,
                     unsigned count, Fields *out) {
  const uint8_t *scales = weight.arrays[1];
  const float global = loadLE<float>(weight.arrays[2]);
  unpackRows(weight, firstRow, count, out, [=](uint64_t i) {
    float scale = floatFromE4M3FN(scales[i]);
    return bitsFromFloat(isDivided ? scale / global : scale * global);
  });
}

static constexpr const char *kMX[] = {"weight_packed", "weight_scale"};
static constexpr const char *kNV[] = {"weight_packed", "weight_scale",
                                      "weight_global_scale"};

const StoredFormat qcc::kMXFP4Format = {"MXFP4", kMX, unpackMX};
const StoredFormat qcc::kNVFP4DividedFormat = {"NVFP4", kNV, unpackNV<true>};
const StoredFormat qcc::kNVFP4MultipliedFormat = {"NVFP4", kNV,
                                                  unpackNV<false>};
