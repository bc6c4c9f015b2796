//===- BlockRaces.cpp - Unordered accesses of several blocks --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "BlockRaces.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>

using namespace qcc::emulator;

void BlockRaces::reset() {
  releases.clear();
  atomics.clear();
  stores.clear();
}

void BlockRaces::startBlock(uint64_t number) {
  block = number;
  acquired.clear();
  fenced.clear();
  seen.clear();
}

BlockRaces::Known BlockRaces::knownTo(uint32_t thread) const {
  Known known;
  for (const Acquire &acquire : acquired)
    if (threads.isOrdered(acquire.fence, thread))
      known.insert(known.end(), acquire.known.begin(), acquire.known.end());
  llvm::sort(known);
  known.erase(std::unique(known.begin(), known.end()), known.end());
  return known;
}

void BlockRaces::fence(uint32_t thread) {
  auto clocks = threads.clocksOf(thread);
  releases.push_back({block, clocks.vec(), knownTo(thread)});
  fenced[thread] = releases.size() - 1;
  // What follows is not released.
  uint32_t now = threads.advance(thread);
  if (auto found = seen.find(thread); found != seen.end()) {
    acquired.push_back({{thread, now}, found->second});
    seen.erase(found);
  }
}

/// An atomic operation goes on with what came to its address before.
void BlockRaces::synchronize(uint32_t thread, uintptr_t address) {
  Known &known = atomics[address];
  Known &own = seen[thread];
  for (size_t release : known) {
    own.push_back(release);
    const Known &before = releases[release].known;
    own.insert(own.end(), before.begin(), before.end());
  }
  if (auto found = fenced.find(thread); found != fenced.end())
    known.push_back(found->second);
}

bool BlockRaces::isOrdered(const Store &store, uint32_t thread) const {
  return store.block == block || store.block == UINT64_MAX ||
         llvm::any_of(knownTo(thread), [&](size_t number) {
           const Release &release = releases[number];
           return release.block == store.block &&
                  store.event.clock <= release.clocks[store.event.thread];
         });
}

const BlockRaces::Store *BlockRaces::access(uint32_t thread, uintptr_t address,
                                            size_t bytes, Access access,
                                            uint32_t site) {
  for (uintptr_t line = address / kLine; line * kLine < address + bytes;
       ++line) {
    auto found = stores.find(line);
    if (found == stores.end()) {
      if (access == Access::Read)
        continue;
      found = stores.try_emplace(line).first;
    }
    uintptr_t first = std::max(address, line * kLine),
              end = std::min(address + bytes, (line + 1) * kLine);
    for (uintptr_t place = first; place < end; ++place) {
      Store &store = found->second[place % kLine];
      bool bothAtomic =
          access == Access::Atomic && store.event.access == Access::Atomic;
      if (!bothAtomic && !isOrdered(store, thread))
        return &store;
      if (access != Access::Read)
        store = {block, {thread, threads.now(thread), site, access}};
    }
  }
  if (access == Access::Atomic)
    synchronize(thread, address);
  return nullptr;
}
