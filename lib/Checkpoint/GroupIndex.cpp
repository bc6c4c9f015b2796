//===- GroupIndex.cpp - Orders of k given by g_idx ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "GroupIndex.h"
#include "qcc/Formats/Bits.h"
#include <algorithm>

using namespace qcc;

Result<bool> qcc::hasGroupOrder(const SourceTensors &sources,
                                const SourceTensor &groupIndex, uint64_t count,
                                uint64_t group) {
  auto fail = [&](std::string_view expected, std::string_view got) {
    return mismatchError(sources.what(groupIndex), expected, got);
  };
  const uint8_t *data = sources.data(groupIndex);
  auto at = [data](uint64_t k) { return loadLE<uint32_t>(data + k * 4); };
  auto all = [&](auto expected) {
    for (uint64_t k = 0; k < count; ++k)
      if (at(k) != expected(k))
        return false;
    return true;
  };
  if (all([group](uint64_t k) { return k / group; }) ||
      all([](uint64_t) { return 0u; }) ||
      all([](uint64_t) { return 0xffffffffu; }))
    return false;
  // An order is a vector of f32, which holds integers up to here.
  if (count > uint64_t(1) << 24)
    return fail("at most 2^24 elements in another order",
                std::to_string(count));
  const uint64_t groups = (count + group - 1) / group;
  std::vector<uint64_t> sizes(groups);
  for (uint64_t k = 0; k < count; ++k) {
    if (at(k) >= groups)
      return fail("groups below " + std::to_string(groups),
                  std::to_string(at(k)));
    ++sizes[at(k)];
  }
  for (uint64_t g = 0; g < groups; ++g) {
    uint64_t size = std::min(group, count - g * group);
    if (sizes[g] != size)
      return fail("groups of " + std::to_string(size) + " elements",
                  std::to_string(sizes[g]) + " in group " + std::to_string(g));
  }
  return true;
}
