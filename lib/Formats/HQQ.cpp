//===- HQQ.cpp - Rows of an HQQ weight ------------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/StoredFormat.h"
#include <cstring>

using namespace qcc;

/// Scalar `i` of an array.
static uint32_t scalarAt(const uint8_t *array, ScalarType type, uint64_t i) {
  const unsigned bytes = scalarBytes(type);
  uint32_t bits = 0;
  std::memcpy(&bits, array + i * bytes, bytes);
  return bits;
}

static void unpackRows(const StoredWeight &weight, uint64_t firstRow,
                       unsigned count, Fields *out) {
  const Encoding &encoding = weight.encoding;
  const uint64_t group = encoding.group, groups = weight.columns / group;
  // The words that hold a code each of several groups: those of the first
  // groups have them in their high bits.
  const unsigned wordBytes = encoding.bits == 3 ? 4 : 1,
                 perWord = encoding.bits == 3 ? 10 : 8 / encoding.bits;
  const uint64_t lines = (weight.rows * groups + perWord - 1) / perWord;
  const uint32_t mask = (1u << encoding.bits) - 1;
  for (unsigned i = 0; i < count; ++i) {
    Fields &fields = out[i];
    fields.resize(encoding, weight.columns);
    for (uint64_t g = 0; g < groups; ++g) {
      const uint64_t index = (firstRow + i) * groups + g;
      const uint8_t *line =
          weight.arrays[0] + index % lines * group * wordBytes;
      const unsigned shift =
          (perWord - 1 - unsigned(index / lines)) * encoding.bits;
      for (uint64_t k = 0; k < group; ++k) {
        uint32_t word = 0;
        std::memcpy(&word, line + k * wordBytes, wordBytes);
        fields.codes[g * group + k] = uint8_t(word >> shift & mask);
      }
      fields.scale[g] = scalarAt(weight.arrays[1], encoding.scale, index);
      fields.min[g] = scalarAt(weight.arrays[2], encoding.min, index);
    }
  }
}

static constexpr const char *kArrays[] = {"W_q", "scale", "zero"};

const StoredFormat qcc::kHQQFormat = {"HQQ", kArrays, unpackRows};
