//===- PlainFloats.cpp - Floats that are not stored as they are -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include "qcc/Formats/GGML.h"
#include "qcc/Formats/StoredFormat.h"

using namespace qcc;

static void unpackOnePlus(const StoredWeight &weight, uint64_t firstRow,
                          unsigned count, Fields *out) {
  const GGMLType &type = *findGGMLType(uint32_t(weight.numbers[0]));
  const size_t rowBytes = type.rowBytes(weight.columns);
  std::vector<float> values(weight.columns);
  for (unsigned row = 0; row < count; ++row) {
    type.decodeRow(weight.arrays[0] + (firstRow + row) * rowBytes,
                   weight.columns, values.data());
    out[row].resize(weight.encoding, weight.columns);
    for (uint64_t i = 0; i < weight.columns; ++i)
      out[row].floats[i] = bitsFromFloat(1.0f + values[i]);
  }
}

static void unpackInterleaved(const StoredWeight &weight, uint64_t firstRow,
                              unsigned count, Fields *out) {
  const GGMLType &type = *findGGMLType(uint32_t(weight.numbers[0]));
  const uint64_t step = weight.numbers[1], first = weight.numbers[2];
  for (unsigned row = 0; row < count; ++row) {
    out[row].resize(weight.encoding, weight.columns);
    uint64_t place = (firstRow + row) * weight.columns * step + first;
    for (uint32_t &bits : out[row].floats) {
      float value;
      type.decodeRow(weight.arrays[0] + place * type.blockBytes, 1, &value);
      bits = bitsFromFloat(value);
      place += step;
    }
  }
}

static constexpr const char *kWeight[] = {"weight"};
static constexpr const char *kBias[] = {"bias"};

const StoredFormat qcc::kOnePlusFormat = {"1+w", kWeight, unpackOnePlus};
const StoredFormat qcc::kInterleavedFormat = {"interleaved", kBias,
                                              unpackInterleaved};
