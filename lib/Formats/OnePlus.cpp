//===- OnePlus.cpp - Weights that are stored less 1 -----------------------===//
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

static constexpr const char *kArrays[] = {"weight"};

const StoredFormat qcc::kOnePlusFormat = {"1+w", kArrays, unpackOnePlus};
