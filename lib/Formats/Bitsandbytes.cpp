//===- Bitsandbytes.cpp - NF4, FP4 and LLM.int8 ---------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include "qcc/Formats/PackedLayout.h"
#include "qcc/Formats/StoredFormat.h"
#include <algorithm>
#include "RowCodes.h"

using namespace qcc;

/// The scale of block `i`; `isNested` says how it is kept.
static float blockScale(const StoredWeight &weight, bool isNested, uint64_t i) {
  if (!isNested)
    return loadLE<float>(weight.arrays[1] + i * 4);
  float entry = loadLE<float>(weight.arrays[3] + weight.arrays[1][i] * 4u);
  float nested = loadLE<float>(weight.arrays[2] + i / weight.numbers[1] * 4);
  float product = entry * nested;
  return product + floatFromBits(uint32_t(weight.numbers[2]));
}

/// The levels of nested scales as they are, for one row.
static void unpackNestedScales(const StoredWeight &weight, uint64_t row,
                               Fields &fields) {
  const uint64_t groups = weight.encoding.superBlock / weight.encoding.group,
                 nestedBlock = weight.numbers[1];
  const uint64_t rowGroups = fields.sub.size(), block = row * rowGroups,
                 end = block + rowGroups;
  for (uint64_t g = 0; g < rowGroups; ++g)
    fields.sub[g] = weight.arrays[1][block + g];
  auto nested = [&](uint64_t i) {
    return loadLE<uint32_t>(weight.arrays[2] + i / nestedBlock * 4);
  };
  for (uint64_t b = 0; b < fields.scale.size(); ++b) {
    const uint64_t own = block + b * groups;
    // Of the blocks that share two scales.
    uint64_t begin = own, last = std::min(own + groups, end) - 1;
    if (weight.encoding.commonScale) {
      const uint64_t panel = row / PackedLayout::kRows * PackedLayout::kRows;
      begin = panel * rowGroups;
      last = std::min(panel + PackedLayout::kRows, weight.rows) * rowGroups - 1;
    }
    fields.scale[b] = nested(begin);
    fields.offset[b] = uint32_t(weight.numbers[2]);
    if (!weight.encoding.splitScale)
      continue;
    const uint64_t changed = std::max(last / nestedBlock * nestedBlock, begin);
    fields.secondScale[b] = nested(last);
    fields.split[b] = uint8_t(std::clamp(changed, own, own + groups) - own);
  }
}

static void unpack4(const StoredWeight &weight, bool isNested,
                    uint64_t firstRow, unsigned count, Fields *out) {
  const uint64_t block = weight.numbers[0], columns = weight.columns;
  for (unsigned i = 0; i < count; ++i) {
    Fields &fields = out[i];
    fields.resize(weight.encoding, columns);
    const uint64_t first = (firstRow + i) * columns;
    for (uint64_t k = 0; k < columns; ++k) {
      uint8_t byte = weight.arrays[0][(first + k) / 2];
      fields.codes[k] = (first + k) % 2 ? byte & 15 : byte >> 4;
    }
    if (weight.encoding.isTwoLevel()) {
      unpackNestedScales(weight, firstRow + i, fields);
      continue;
    }
    for (uint64_t g = 0; g < fields.scale.size(); ++g)
      fields.scale[g] = bitsFromFloat(blockScale(
          weight, isNested, (first + g * weight.encoding.group) / block));
  }
}

static void unpackPlain(const StoredWeight &weight, uint64_t firstRow,
                        unsigned count, Fields *out) {
  unpack4(weight, false, firstRow, count, out);
}

static void unpackNested(const StoredWeight &weight, uint64_t firstRow,
                         unsigned count, Fields *out) {
  unpack4(weight, true, firstRow, count, out);
}

static void unpackInt8(const StoredWeight &weight, uint64_t firstRow,
                       unsigned count, Fields *out) {
  for (unsigned i = 0; i < count; ++i) {
    const uint64_t row = firstRow + i;
    out[i].resize(weight.encoding, weight.columns);
    unpackSignedBytes(weight.arrays[0] + row * weight.columns, out[i].codes);
    float scale = loadLE<float>(weight.arrays[1] + row * 4) / 127.0f;
    for (uint32_t &bits : out[i].scale)
      bits = bitsFromFloat(scale);
  }
}

static constexpr const char *kPlain[] = {"weight", "weight.absmax"};
static constexpr const char *kNested[] = {"weight", "weight.absmax",
                                          "weight.nested_absmax",
                                          "weight.nested_quant_map"};
static constexpr const char *kInt8[] = {"weight", "SCB"};

const StoredFormat qcc::kNF4Format = {"NF4", kPlain, unpackPlain};
const StoredFormat qcc::kFP4Format = {"FP4", kPlain, unpackPlain};
const StoredFormat qcc::kNF4NestedFormat = {"NF4", kNested, unpackNested};
const StoredFormat qcc::kFP4NestedFormat = {"FP4", kNested, unpackNested};
const StoredFormat qcc::kLLMInt8Format = {"LLM.int8", kInt8, unpackInt8};
