//===- FP8.cpp - Bytes that are floats, with scales for tiles -------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/StoredFormat.h"
#include <cstring>

using namespace qcc;

static void unpackRows(const StoredWeight &weight, uint64_t firstRow,
                       unsigned count, Fields *out) {
  const uint64_t tileRows = weight.numbers[0], tileColumns = weight.numbers[1];
  const uint64_t tiles = (weight.columns + tileColumns - 1) / tileColumns;
  const unsigned bytes = scalarBytes(weight.encoding.scale);
  for (unsigned i = 0; i < count; ++i) {
    const uint64_t row = firstRow + i;
    Fields &fields = out[i];
    fields.resize(weight.encoding, weight.columns);
    std::memcpy(fields.codes.data(), weight.arrays[0] + row * weight.columns,
                weight.columns);
    const uint8_t *scales = weight.arrays[1] + row / tileRows * tiles * bytes;
    uint64_t k = 0, g = 0;
    auto readScales = [&](uint64_t columns, unsigned group) {
      for (uint64_t end = k + columns; k < end; k += group, ++g) {
        fields.scale[g] = 0;
        std::memcpy(&fields.scale[g], scales + k / tileColumns * bytes, bytes);
      }
    };
    for (const Encoding::Span &span : weight.encoding.spans)
      readScales(span.columns, span.group);
    if (weight.encoding.spans.empty())
      readScales(weight.columns, weight.encoding.group);
  }
}

static constexpr const char *kArrays[] = {"weight", "weight_scale"};

const StoredFormat qcc::kFP8Format = {"FP8", kArrays, unpackRows};
