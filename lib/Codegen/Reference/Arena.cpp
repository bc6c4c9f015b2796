//===- Arena.cpp - Static places for buffers ------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Arena.h"

#include <iterator>

using namespace qcc;

static uint64_t aligned(uint64_t bytes) { return (bytes + 63) & ~uint64_t(63); }

uint64_t Arena::allocate(uint64_t bytes) {
  bytes = aligned(bytes);
  for (auto it = free.begin(); it != free.end(); ++it) {
    auto [offset, available] = *it;
    if (available < bytes)
      continue;
    free.erase(it);
    if (available > bytes)
      free[offset + bytes] = available - bytes;
    return offset;
  }
  uint64_t offset = end;
  // A free range at the end grows rather than staying a hole.
  if (!free.empty()) {
    auto last = std::prev(free.end());
    if (last->first + last->second == end) {
      offset = last->first;
      free.erase(last);
    }
  }
  end = offset + bytes;
  return offset;
}

void Arena::release(uint64_t offset, uint64_t bytes) {
  bytes = aligned(bytes);
  auto next = free.lower_bound(offset);
  if (next != free.end() && next->first == offset + bytes) {
    bytes += next->second;
    next = free.erase(next);
  }
  if (next != free.begin()) {
    auto previous = std::prev(next);
    if (previous->first + previous->second == offset) {
      previous->second += bytes;
      return;
    }
  }
  free[offset] = bytes;
}
