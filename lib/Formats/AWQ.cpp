//===- AWQ.cpp - Rows of an AWQ weight ------------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// As in GPTQ, rows of a GEMM weight are columns of the arrays; here the codes
// of a word belong to eight columns.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include "qcc/Formats/StoredFormat.h"
#include "RowCodes.h"

using namespace qcc;

//===----------------------------------------------------------------------===//
// GEMM
//===----------------------------------------------------------------------===//

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

//===----------------------------------------------------------------------===//
// GEMV
//===----------------------------------------------------------------------===//

static void unpackGEMV(const StoredWeight &weight, uint64_t firstRow,
                       unsigned count, Fields *out) {
  const uint64_t width = weight.numbers[0];
  const uint64_t groups = weight.columns / weight.encoding.group;
  for (unsigned i = 0; i < count; ++i) {
    const uint64_t row = firstRow + i;
    Fields &fields = out[i];
    fields.resize(weight.encoding, weight.columns);
    // Words are little endian, so codes run through the bytes.
    unpackNibbles(weight.arrays[0] + row * (weight.columns / 2), fields.codes);
    const uint8_t *scales = weight.arrays[1] + row * width * 16;
    const uint8_t *zeros = weight.arrays[2] + row * width * 4;
    for (uint64_t g = 0; g < groups; ++g) {
      fields.scale[g] = loadLE<uint16_t>(scales + g * 2);
      fields.zeros[g] = nibble(zeros, g);
    }
  }
}

//===----------------------------------------------------------------------===//
// GEMV_FAST
//===----------------------------------------------------------------------===//

/// The code of row `n` in a line of four rows. A block of 64 k is 64 words, 16
/// of each row; a run of 32 k is eight words, for pairs of k that lie 8 apart:
/// first the even ones of four pairs, then the odd ones.
static uint8_t fastCode(const uint8_t *line, uint64_t n, uint64_t k) {
  const uint64_t run = k % 32;
  const uint64_t pair = run % 8 / 2, isOdd = run % 2, eighth = run / 8;
  const uint64_t place =
      n % 4 * 64 + k % 64 / 32 * 32 + pair * 8 + isOdd * 4 + eighth;
  return nibble(line + k / 64 * 128, place);
}

static void unpackFast(const StoredWeight &weight, uint64_t firstRow,
                       unsigned count, Fields *out) {
  const uint64_t groups = weight.columns / weight.encoding.group;
  for (unsigned i = 0; i < count; ++i) {
    const uint64_t row = firstRow + i;
    Fields &fields = out[i];
    fields.resize(weight.encoding, weight.columns);
    const uint8_t *line = weight.arrays[0] + row / 4 * (weight.columns * 2);
    for (uint64_t k = 0; k < weight.columns; ++k)
      fields.codes[k] = fastCode(line, row, k);
    for (uint64_t g = 0; g < groups; ++g) {
      const uint64_t at = (g * weight.rows + row) * 2;
      fields.scale[g] = loadLE<uint16_t>(weight.arrays[1] + at);
      fields.min[g] = loadLE<uint16_t>(weight.arrays[2] + at);
    }
  }
}

static constexpr const char *kArrays[] = {"qweight", "scales", "qzeros"};

const StoredFormat qcc::kAWQFormat = {"AWQ", kArrays, unpackRows};
const StoredFormat qcc::kAWQGEMVFormat = {"AWQ", kArrays, unpackGEMV};
const StoredFormat qcc::kAWQFastFormat = {"AWQ", kArrays, unpackFast};
