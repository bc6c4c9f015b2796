//===- PackedRows.cpp - Rows of codes along k -----------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include "qcc/Formats/StoredFormat.h"
#include <cstring>
#include "RowCodes.h"

using namespace qcc;

/// Scales [out, groups], of one row each, from the second array.
static void unpackScales(const StoredWeight &weight, uint64_t row,
                         Fields &out) {
  const unsigned bytes = scalarBytes(weight.encoding.scale);
  const uint64_t groups = weight.columns / weight.encoding.group;
  const uint8_t *from = weight.arrays[1] + row * groups * bytes;
  for (uint64_t g = 0; g < groups; ++g) {
    uint32_t bits = 0;
    std::memcpy(&bits, from + g * bytes, bytes);
    out.scale[g] = bits;
  }
}

/// The codes of a row in the order of their groups.
static void applyOrder(const StoredWeight &weight,
                       const std::vector<uint32_t> &order, Fields &out) {
  std::vector<uint8_t> codes(weight.columns);
  for (uint64_t j = 0; j < weight.columns; ++j)
    codes[j] = out.codes[order[j]];
  out.codes.swap(codes);
}

template <bool hasOrder>
static void unpackWords(const StoredWeight &weight, uint64_t firstRow,
                        unsigned count, Fields *out) {
  const unsigned bits = weight.encoding.bits, perByte = 8 / bits;
  const uint8_t mask = uint8_t((1u << bits) - 1);
  const uint64_t rowBytes = weight.columns / perByte;
  const uint64_t groups = weight.columns / weight.encoding.group;
  std::vector<uint32_t> order;
  if constexpr (hasOrder)
    order = groupOrder(weight.arrays[weight.encoding.hasZeros() ? 3 : 2],
                       weight.columns, groups);
  for (unsigned i = 0; i < count; ++i) {
    const uint64_t row = firstRow + i;
    out[i].resize(weight.encoding, weight.columns);
    // Words are little endian, so codes run through the bytes.
    const uint8_t *from = weight.arrays[0] + row * rowBytes;
    for (uint64_t k = 0; k < weight.columns; ++k)
      out[i].codes[k] =
          uint8_t(from[k / perByte] >> bits * (k % perByte) & mask);
    if constexpr (hasOrder)
      applyOrder(weight, order, out[i]);
    unpackScales(weight, row, out[i]);
    if (!weight.encoding.hasZeros())
      continue;
    const uint64_t word = row * bits / 32, shift = row * bits % 32;
    for (uint64_t g = 0; g < groups; ++g)
      out[i].zeros[g] = uint8_t(
          loadLE<uint32_t>(weight.arrays[2] + (word * groups + g) * 4) >>
              shift &
          mask);
  }
}

static void unpackBytes(const StoredWeight &weight, uint64_t firstRow,
                        unsigned count, Fields *out) {
  for (unsigned i = 0; i < count; ++i) {
    out[i].resize(weight.encoding, weight.columns);
    unpackSignedBytes(weight.arrays[0] + (firstRow + i) * weight.columns,
                      out[i].codes);
    unpackScales(weight, firstRow + i, out[i]);
  }
}

static constexpr const char *kWords[] = {"weight_packed", "weight_scale"};
static constexpr const char *kWordsZeros[] = {"weight_packed", "weight_scale",
                                              "weight_zero_point"};
static constexpr const char *kWordsOrder[] = {"weight_packed", "weight_scale",
                                              "weight_g_idx"};
static constexpr const char *kWordsZerosOrder[] = {
    "weight_packed", "weight_scale", "weight_zero_point", "weight_g_idx"};
static constexpr const char *kBytes[] = {"weight", "weight_scale"};

const StoredFormat qcc::kPackedRowsFormat = {"packed", kWords,
                                             unpackWords<false>};
const StoredFormat qcc::kPackedRowsZerosFormat = {"packed", kWordsZeros,
                                                  unpackWords<false>};
const StoredFormat qcc::kPackedRowsOrderFormat = {"packed", kWordsOrder,
                                                  unpackWords<true>};
const StoredFormat qcc::kPackedRowsZerosOrderFormat = {
    "packed", kWordsZerosOrder, unpackWords<true>};
const StoredFormat qcc::kByteRowsFormat = {"int8", kBytes, unpackBytes};
