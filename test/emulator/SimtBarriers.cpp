//===- SimtBarriers.cpp - Where threads wait for each other ---------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "SimtState.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/bit.h"

#include <algorithm>

using namespace qcc::emulator;

//===----------------------------------------------------------------------===//
// Block barriers
//===----------------------------------------------------------------------===//

void Simt::barrier(const BarrierArrival &arrival, Site site) {
  if (arrival.id >= kBarriers)
    fail(site, "barrier %u, of %u", arrival.id, kBarriers);
  if (!arrival.all && (!arrival.threads || arrival.threads % kWarpSize))
    fail(site, "a barrier of %u threads, not a multiple of the warp size",
         arrival.threads);
  Barrier &barrier = barriers[arrival.id];
  if (!barrier.arrived) {
    barrier.all = arrival.all;
    barrier.threads = arrival.threads;
    barrier.reduction = arrival.reduction;
  } else if (barrier.all != arrival.all || barrier.threads != arrival.threads ||
             (arrival.wait && barrier.reduction != arrival.reduction)) {
    fail(site, "barrier %u was begun for %u threads, and found with %u",
         arrival.id, barrier.all ? live : barrier.threads,
         arrival.all ? live : arrival.threads);
  }
  if (arrival.aligned) {
    Site &first = barrier.sites[warp()];
    if (first && first != site + 1)
      fail(site, "divergent barrier: another lane of the warp waits in %s",
           siteNames[first - 1].c_str());
    first = site + 1;
  }
  ++barrier.arrived;
  barrier.trues += arrival.predicate;
  barrier.arrivals.push_back(current);
  if (arrival.wait) {
    barrier.released.push_back(current);
    barrier.results.push_back(arrival.result);
  }
  bool last = barrier.arrived == (barrier.all ? live : barrier.threads);
  if (last)
    completeBarrier(barrier);
  else if (arrival.wait)
    waitAt(site);
}

void Simt::completeBarrier(Barrier &barrier) {
  ++counters->barriers;
  if (findRaces) {
    // What exited threads did is also done.
    if (barrier.all)
      races.synchronizeAll();
    else
      races.synchronize(barrier.arrivals, barrier.released);
  }
  for (auto [thread, result] : llvm::zip(barrier.released, barrier.results)) {
    switch (barrier.reduction) {
    case BarrierReduction::None:
      break;
    case BarrierReduction::Count:
      *static_cast<uint32_t *>(result) = barrier.trues;
      break;
    case BarrierReduction::And:
      *static_cast<bool *>(result) = barrier.trues == barrier.arrived;
      break;
    case BarrierReduction::Or:
      *static_cast<bool *>(result) = barrier.trues != 0;
      break;
    }
    if (thread != current)
      release(thread);
  }
  barrier.arrivals.clear();
  barrier.released.clear();
  barrier.results.clear();
  barrier.sites.assign(warpStates.size(), 0);
  barrier.arrived = barrier.trues = 0;
  if (!randomWarps)
    std::shuffle(warpOrder.begin(), warpOrder.end(), random);
}

void Simt::orderWarp(uint32_t mask) {
  if (!findRaces)
    return;
  uint32_t lanes[kWarpSize];
  size_t count = 0;
  for (uint32_t i = 0; i < kWarpSize; ++i)
    if (mask >> i & 1)
      lanes[count++] = warp() * kWarpSize + i;
  races.synchronize({lanes, count}, {lanes, count});
}

//===----------------------------------------------------------------------===//
// Operations of a warp
//===----------------------------------------------------------------------===//

void Simt::collective(uint32_t mask, Complete complete, const void *operands,
                      void *result, Site site) {
  gather(mask, false, complete, operands, result, site);
}

void Simt::wholeWarp(Complete complete, const void *operands, void *result,
                     Site site) {
  uint32_t alive = warpStates[warp()].alive;
  if (alive != ~0u)
    fail(site, "the warp has %d of the 32 lanes that this needs",
         llvm::popcount(alive));
  gather(~0u, true, complete, operands, result, site);
}

void Simt::gather(uint32_t mask, bool aligned, Complete complete,
                  const void *operands, void *result, Site site) {
  if (!(mask >> lane() & 1))
    fail(site, "lane %u is not in its own mask 0x%x", lane(), mask);
  Warp &state = warpStates[warp()];
  size_t index = 0;
  for (; index < state.gatherings.size(); ++index) {
    Gathering &other = state.gatherings[index];
    if (other.complete == complete && other.mask == mask &&
        !(other.arrived >> lane() & 1))
      break;
    // Each waits for the other.
    if ((other.arrived & mask) && (other.mask >> lane() & 1))
      fail(site, "divergent warp: other lanes wait in %s with mask 0x%x",
           siteNames[other.site].c_str(), other.mask);
  }
  if (index == state.gatherings.size()) {
    state.gatherings.push_back({complete, mask, aligned, site, 0, {}});
  } else if (aligned && state.gatherings[index].site != site) {
    fail(site, "divergent warp: other lanes wait in %s",
         siteNames[state.gatherings[index].site].c_str());
  }
  Gathering &gathering = state.gatherings[index];
  gathering.arrived |= 1u << lane();
  gathering.lanes.operands[lane()] = operands;
  gathering.lanes.results[lane()] = result;
  if (!completeIfGathered(state, index))
    waitAt(site);
}

bool Simt::completeIfGathered(Warp &warp, size_t index) {
  Gathering &found = warp.gatherings[index];
  uint32_t expected = found.aligned ? found.mask : found.mask & warp.alive;
  if (found.arrived != expected)
    return false;
  // A copy: the list may not change under the operation, which may fail.
  Gathering gathering = found;
  warp.gatherings.erase(warp.gatherings.begin() + index);
  gathering.lanes.mask = gathering.arrived;
  gathering.complete(*this, gathering.lanes, gathering.site);
  unsigned first = current / kWarpSize * kWarpSize;
  for (unsigned i = 0; i < kWarpSize; ++i)
    if ((gathering.arrived >> i & 1) && first + i != current)
      release(first + i);
  return true;
}
