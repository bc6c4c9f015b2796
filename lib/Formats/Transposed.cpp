//===- Transposed.cpp - Matrices that are stored as their transpose -------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/GGML.h"
#include "qcc/Formats/StoredFormat.h"

using namespace qcc;

static void unpackTransposed(const StoredWeight &weight, uint64_t firstRow,
                             unsigned count, Fields *out) {
  const GGMLType &type = *findGGMLType(uint32_t(weight.numbers[0]));
  const size_t size = type.rowBytes(1);
  for (unsigned row = 0; row < count; ++row)
    out[row].resize(weight.encoding, weight.columns);
  Fields line;
  for (uint64_t k = 0; k < weight.columns; ++k) {
    const uint8_t *first =
        weight.arrays[0] + (k * weight.rows + firstRow) * size;
    type.unpackRow(first, count, line);
    for (unsigned row = 0; row < count; ++row)
      out[row].floats[k] = line.floats[row];
  }
}

static constexpr const char *kArrays[] = {"weight"};

const StoredFormat qcc::kTransposedFormat = {"transposed", kArrays,
                                             unpackTransposed};
