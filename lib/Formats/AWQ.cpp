//===- AWQ.cpp - Rows of an AWQ weight ------------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// As in GPTQ, rows of the weight are columns of the arrays; here the codes of a
// word belong to eight columns.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include "qcc/Formats/StoredFormat.h"

using namespace qcc;

/// Bit of column n % 8 in its word.
static constexpr unsigned kShift[] = {0, 16, 4, 20, 8, 24, 12, 28};

static uint8_t field(const uint8_t *line, uint64_t column) {
  return loadLE<uint32_t>(line + column / 8 * 4) >> kShift[column % 8] & 15;
}

static void unpackRows(const StoredWeight &weight, uint64_t firstRow,
                       unsigned count, Fields *out) {
  for (unsigned row = 0; row < count; ++row)
    out[row].resize(weight.encoding, weight.columns);
  const uint64_t lineBytes = weight.rows / 2;
  for (uint64_t k = 0; k < weight.columns; ++k) {
    const uint8_t *line = weight.arrays[0] + k * lineBytes;
    for (unsigned row = 0; row < count; ++row)
      out[row].codes[k] = field(line, firstRow + row);
  }
  for (uint64_t g = 0; g < weight.columns / weight.encoding.group; ++g) {
    const uint8_t *scales = weight.arrays[1] + (g * weight.rows + firstRow) * 2;
    const uint8_t *zeros = weight.arrays[2] + g * lineBytes;
    for (unsigned row = 0; row < count; ++row) {
      out[row].scale[g] = loadLE<uint16_t>(scales + row * 2);
      out[row].zeros[g] = field(zeros, firstRow + row);
    }
  }
}

static constexpr const char *kArrays[] = {"qweight", "scales", "qzeros"};

const StoredFormat qcc::kAWQFormat = {"AWQ", kArrays, unpackRows};
