//===- Patterns.cpp - How a warp's accesses fall on memory ----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Patterns.h"

#include <algorithm>
#include <set>

using namespace qcc::emulator;

static constexpr uint32_t kLanes = 32;

void AccessPatterns::reset(size_t threads) {
  calls.clear();
  lanesOfWarp.assign((threads + kLanes - 1) / kLanes, ~0u);
  if (threads % kLanes)
    lanesOfWarp.back() = (1u << threads % kLanes) - 1;
}

void AccessPatterns::add(uint32_t thread, uint32_t site, Space space,
                         uintptr_t address, uint64_t bytes,
                         Counters &counters) {
  // The most that one instruction moves for a lane.
  for (uint64_t done = 0; done < bytes; done += 16)
    addPart(thread, site, space, address + done,
            uint32_t(std::min<uint64_t>(bytes - done, 16)), counters);
}

void AccessPatterns::addPart(uint32_t thread, uint32_t site, Space space,
                             uintptr_t address, uint32_t bytes,
                             Counters &counters) {
  uint32_t warp = thread / kLanes, lane = thread % kLanes;
  Calls &call = calls[{warp, site}];
  uint64_t index = call.made[lane]++ - call.first;
  if (index >= call.requests.size())
    call.requests.resize(index + 1);
  Request &request = call.requests[index];
  request.space = space;
  request.bytes = std::max(request.bytes, bytes);
  request.lanes |= 1u << lane;
  request.addresses[lane] = address;
  // A lane's requests come in order: all before a full one are over too, but
  // for lanes that took another path, which are counted at the end.
  if (index == 0 && request.lanes == lanesOfWarp[warp]) {
    count(request, counters);
    call.requests.erase(call.requests.begin());
    ++call.first;
  }
}

void AccessPatterns::finish(Counters &counters) {
  for (const auto &[key, call] : calls)
    for (const Request &request : call.requests)
      count(request, counters);
  calls.clear();
}

template <typename F>
static void forUnits(uintptr_t address, uint32_t bytes, uint32_t unit,
                     F function) {
  for (uintptr_t i = address / unit; i <= (address + bytes - 1) / unit; ++i)
    function(i);
}

/// Shared memory serves 128 bytes in a cycle, from 32 banks of 4 bytes: wide
/// accesses take the lanes in groups. Lanes that read one word share it.
static uint64_t conflictsOf(const uintptr_t (&addresses)[kLanes],
                            uint32_t lanes, uint32_t bytes) {
  uint32_t group = kLanes * 4 / std::max(4u, bytes);
  uint64_t conflicts = 0;
  for (uint32_t first = 0; first < kLanes; first += group) {
    std::set<uintptr_t> words;
    for (uint32_t lane = first; lane < first + group; ++lane)
      if (lanes >> lane & 1)
        forUnits(addresses[lane], bytes, 4,
                 [&](uintptr_t word) { words.insert(word); });
    uint64_t banks[kLanes] = {}, most = 1;
    for (uintptr_t word : words)
      most = std::max(most, ++banks[word % kLanes]);
    conflicts += most - 1;
  }
  return conflicts;
}

void AccessPatterns::count(const Request &request, Counters &counters) {
  if (!request.lanes)
    return;
  if (request.space == Space::Shared) {
    ++counters.sharedRequests;
    counters.sharedConflicts +=
        conflictsOf(request.addresses, request.lanes, request.bytes);
    return;
  }
  ++counters.globalRequests;
  std::set<uintptr_t> sectors;
  for (uint32_t lane = 0; lane < kLanes; ++lane)
    if (request.lanes >> lane & 1) {
      counters.globalBytes += request.bytes;
      forUnits(request.addresses[lane], request.bytes, 32,
               [&](uintptr_t sector) { sectors.insert(sector); });
    }
  counters.globalSectors += sectors.size();
}
