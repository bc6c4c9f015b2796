//===- RandomBlocks.cpp - Random weights of any block format --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "RandomBlocks.h"

#include <algorithm>

using namespace qcc;
using namespace qcc::bench;

namespace {
class Random {
public:
  uint64_t next() {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
  }

private:
  uint64_t state = 0x9e3779b97f4a7c15;
};

/// A bit of a block that is a bit of a float in it.
struct FloatBit {
  unsigned at;     ///< In the block.
  unsigned number; ///< Of the floats of a block.
  unsigned bit;    ///< Of the float.
};

/// The floats of a block: its scales, or its elements.
struct BlockFloats {
  std::vector<FloatBit> bits;
  std::vector<ScalarType> types; ///< Of each.
};
} // namespace

/// Finds floats by what unpacking makes of a block with one bit set.
static BlockFloats findFloats(const GGMLType &type) {
  const Encoding &encoding = *type.encoding;
  using Member = std::vector<uint32_t> Fields::*;
  const std::pair<Member, ScalarType> members[] = {
      {&Fields::floats, encoding.element},
      {&Fields::scale, encoding.scale},
      {&Fields::min, encoding.min}};
  BlockFloats result;
  std::vector<uint8_t> block(type.blockBytes);
  Fields zero, fields;
  type.unpackRow(block.data(), type.blockElements, zero);
  for (auto [member, scalar] : members)
    result.types.insert(result.types.end(), (zero.*member).size(), scalar);
  for (unsigned at = 0; at < 8 * type.blockBytes; ++at) {
    block[at / 8] = uint8_t(1 << at % 8);
    type.unpackRow(block.data(), type.blockElements, fields);
    block[at / 8] = 0;
    unsigned number = 0;
    for (auto [member, scalar] : members)
      for (size_t i = 0; i < (zero.*member).size(); ++i, ++number)
        for (unsigned bit = 0; bit < 32; ++bit)
          if (((fields.*member)[i] ^ (zero.*member)[i]) >> bit & 1)
            result.bits.push_back({at, number, bit});
  }
  return result;
}

/// Bits of a number from 0.25 to 1 whose last bits are random.
static uint32_t floatBits(ScalarType type, uint64_t random) {
  auto bits = uint32_t(random);
  switch (type) {
  case ScalarType::F32:
    return 0x3e800000 + (bits & 0xffffff);
  case ScalarType::F16:
    return 0x3400 + (bits & 0x7ff);
  case ScalarType::BF16:
    return 0x3e80 + (bits & 0xff);
  case ScalarType::E8M0:
    return 125 + (bits & 1);
  case ScalarType::UE4M3:
    return 0x28 + (bits & 0xf);
  case ScalarType::U8:
  case ScalarType::None:
    return bits & 0xff;
  }
  return 0;
}

std::vector<uint8_t> qcc::bench::randomBlocks(const GGMLType &type, size_t rows,
                                              size_t columns) {
  BlockFloats floats = findFloats(type);
  std::vector<uint8_t> bytes(rows * type.rowBytes(columns));
  Random random;
  for (uint8_t &byte : bytes)
    byte = uint8_t(random.next() >> 32);
  std::vector<uint32_t> values(floats.types.size());
  for (size_t start = 0; start < bytes.size(); start += type.blockBytes) {
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = floatBits(floats.types[i], random.next() >> 32);
    for (const FloatBit &bit : floats.bits) {
      uint8_t &byte = bytes[start + bit.at / 8];
      auto mask = uint8_t(1 << bit.at % 8);
      byte = values[bit.number] >> bit.bit & 1 ? uint8_t(byte | mask)
                                               : uint8_t(byte & ~mask);
    }
  }
  return bytes;
}

std::vector<float> qcc::bench::randomFloats(size_t count) {
  std::vector<float> result(count);
  Random random;
  for (float &value : result)
    value = float(int64_t(random.next()) * 0x1p-63);
  return result;
}
