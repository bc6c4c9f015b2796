//===- GPTQ.cpp - Rows of a GPTQ weight -----------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include "qcc/Formats/StoredFormat.h"
#include <algorithm>
#include "ColumnCodes.h"

using namespace qcc;

std::vector<uint32_t> qcc::groupOrder(const uint8_t *groupIndex, uint64_t count,
                                      uint64_t groups) {
  std::vector<uint32_t> next(groups + 1), order(count);
  for (uint64_t k = 0; k < count; ++k)
    ++next[loadLE<uint32_t>(groupIndex + k * 4) + 1];
  for (uint64_t g = 0; g < groups; ++g)
    next[g + 1] += next[g];
  for (uint64_t k = 0; k < count; ++k)
    order[next[loadLE<uint32_t>(groupIndex + k * 4)]++] = uint32_t(k);
  return order;
}

namespace {

/// What of the arrays a format has.
struct Parts {
  bool hasZeros, isV1, hasOrder;
};

/// Of all spans: they differ in the size of the last group.
unsigned bitsOf(const Encoding &encoding) {
  return encoding.spans.empty() ? encoding.bits : encoding.spans.front().bits;
}

/// Codes of `count` rows from `firstRow` on, in the order of the file.
void unpackCodes(const StoredWeight &weight, uint64_t firstRow, unsigned count,
                 Fields *out) {
  forColumnCodes(weight.arrays[0] + firstRow * 4, weight.rows * 4,
                 bitsOf(weight.encoding), weight.columns / 32, count,
                 [&](unsigned row, uint64_t k, uint8_t code) {
                   out[row].codes[k] = code;
                 });
}

/// Zero point `row` of line `line` of qzeros.
uint8_t zeroPoint(const uint8_t *line, unsigned bits, uint64_t row, bool isV1) {
  const uint32_t mask = (1u << bits) - 1;
  const uint64_t bit = row * bits, shift = bit % 32;
  uint32_t word = loadLE<uint32_t>(line + bit / 32 * 4);
  // One is added to whole words, which restores a zero point of 0 that was
  // written by taking one from whole words; 3 bits have no whole words, and the
  // encoding adds the one.
  if (isV1 && bits != 3)
    word += ~uint32_t(0) / mask;
  uint64_t value = word;
  if (shift + bits > 32)
    value |= uint64_t(loadLE<uint32_t>(line + bit / 32 * 4 + 4)) << 32;
  return uint8_t(uint32_t(value >> shift) & mask);
}

template <Parts parts>
void unpackRows(const StoredWeight &weight, uint64_t firstRow, unsigned count,
                Fields *out) {
  const Encoding &encoding = weight.encoding;
  const unsigned bits = bitsOf(encoding);
  for (unsigned row = 0; row < count; ++row)
    out[row].resize(encoding, weight.columns);
  const uint64_t groups = out[0].scale.size();
  unpackCodes(weight, firstRow, count, out);
  const uint8_t *line = weight.arrays[1] + firstRow * 2;
  for (uint64_t group = 0; group < groups; ++group, line += weight.rows * 2)
    for (unsigned row = 0; row < count; ++row)
      out[row].scale[group] = loadLE<uint16_t>(line + row * 2);
  if constexpr (parts.hasZeros) {
    const uint8_t *zeros = weight.arrays[2];
    const uint64_t bytes = weight.rows * bits / 8;
    for (uint64_t group = 0; group < groups; ++group, zeros += bytes)
      for (unsigned row = 0; row < count; ++row)
        out[row].zeros[group] =
            zeroPoint(zeros, bits, firstRow + row, parts.isV1);
  }
  if constexpr (parts.hasOrder) {
    std::vector<uint32_t> order = groupOrder(
        weight.arrays[parts.hasZeros ? 3 : 2], weight.columns, groups);
    std::vector<uint8_t> codes(weight.columns);
    for (unsigned row = 0; row < count; ++row) {
      for (uint64_t j = 0; j < weight.columns; ++j)
        codes[j] = out[row].codes[order[j]];
      out[row].codes.swap(codes);
    }
  }
}

/// The order itself, as a row of f32.
void unpackOrder(const StoredWeight &weight, uint64_t, unsigned count,
                 Fields *out) {
  // The number of groups does not matter here; no index is larger.
  uint64_t groups = 0;
  for (uint64_t k = 0; k < weight.columns; ++k)
    groups = std::max<uint64_t>(
        groups, loadLE<uint32_t>(weight.arrays[0] + k * 4) + uint64_t(1));
  std::vector<uint32_t> order =
      groupOrder(weight.arrays[0], weight.columns, groups);
  for (unsigned row = 0; row < count; ++row) {
    out[row].resize(weight.encoding, weight.columns);
    for (uint64_t j = 0; j < weight.columns; ++j)
      out[row].floats[j] = bitsFromFloat(float(order[j]));
  }
}

constexpr const char *kPlain[] = {"qweight", "scales"};
constexpr const char *kOrder[] = {"qweight", "scales", "g_idx"};
constexpr const char *kZeros[] = {"qweight", "scales", "qzeros"};
constexpr const char *kZerosOrder[] = {"qweight", "scales", "qzeros", "g_idx"};
constexpr const char *kIndex[] = {"g_idx"};

} // namespace

const StoredFormat qcc::kGPTQFormat = {"GPTQ", kPlain,
                                       unpackRows<{false, false, false}>};
const StoredFormat qcc::kGPTQOrderFormat = {"GPTQ", kOrder,
                                            unpackRows<{false, false, true}>};
const StoredFormat qcc::kGPTQZerosFormat = {"GPTQ", kZeros,
                                            unpackRows<{true, false, false}>};
const StoredFormat qcc::kGPTQV1ZerosFormat = {"GPTQ", kZeros,
                                              unpackRows<{true, true, false}>};
const StoredFormat qcc::kGPTQZerosOrderFormat = {
    "GPTQ", kZerosOrder, unpackRows<{true, false, true}>};
const StoredFormat qcc::kGPTQV1ZerosOrderFormat = {
    "GPTQ", kZerosOrder, unpackRows<{true, true, true}>};
const StoredFormat qcc::kGroupOrderFormat = {"group order", kIndex,
                                             unpackOrder};
