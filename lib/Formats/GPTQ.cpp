//===- GPTQ.cpp - Rows of a GPTQ weight -----------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Rows of the weight are columns of the arrays, so all wanted rows are read
// together, line by line of the arrays: 16 rows are one cache line.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include "qcc/Formats/StoredFormat.h"

using namespace qcc;

static void unpackCodes(const StoredWeight &weight, uint64_t firstRow,
                        unsigned count, Fields *out) {
  const unsigned bits = weight.encoding.bits, perWord = 32 / bits;
  const uint32_t mask = (1u << bits) - 1;
  const uint64_t words = weight.columns / perWord;
  const uint8_t *line = weight.arrays[0] + firstRow * 4;
  for (uint64_t word = 0; word < words; ++word, line += weight.rows * 4) {
    for (unsigned row = 0; row < count; ++row) {
      uint32_t value = loadLE<uint32_t>(line + row * 4);
      uint8_t *codes = out[row].codes.data() + word * perWord;
      for (unsigned i = 0; i < perWord; ++i)
        codes[i] = uint8_t(value >> bits * i & mask);
    }
  }
}

static void unpackScales(const StoredWeight &weight, uint64_t firstRow,
                         unsigned count, Fields *out) {
  const uint64_t groups = weight.columns / weight.encoding.group;
  const uint8_t *line = weight.arrays[1] + firstRow * 2;
  for (uint64_t group = 0; group < groups; ++group, line += weight.rows * 2)
    for (unsigned row = 0; row < count; ++row)
      out[row].scale[group] = loadLE<uint16_t>(line + row * 2);
}

static void unpackRows(const StoredWeight &weight, uint64_t firstRow,
                       unsigned count, Fields *out) {
  for (unsigned row = 0; row < count; ++row)
    out[row].resize(weight.encoding, weight.columns);
  unpackCodes(weight, firstRow, count, out);
  unpackScales(weight, firstRow, count, out);
}

static constexpr const char *kArrays[] = {"qweight", "scales"};

const StoredFormat qcc::kGPTQFormat = {"GPTQ", kArrays, unpackRows};
