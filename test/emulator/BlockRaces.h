//===- BlockRaces.h - Unordered accesses of several blocks -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Finds an access to what another block of the same launch has stored in global
// memory, where nothing orders it after that store. Blocks run one after the
// other here, so that the value alone would look right. What orders blocks is a
// fence of the device, then an atomic operation, in one; and one on the same
// memory, then a fence, in the other. Within a block, RaceDetector knows what a
// barrier hands on. Loads before a store are not kept: in another order of
// blocks they come after it.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_BLOCKRACES_H
#define QCC_TEST_EMULATOR_BLOCKRACES_H

#include "Races.h"

#include <array>
#include <unordered_map>

namespace qcc::emulator {

class BlockRaces {
public:
  /// `threads` orders those of the block that runs.
  explicit BlockRaces(RaceDetector &threads) : threads(threads) {}

  /// A store by `event.thread` of block number `block`.
  struct Store {
    uint64_t block = UINT64_MAX; ///< None.
    RaceDetector::Event event;
  };

  /// Forgets everything.
  void reset();
  void startBlock(uint64_t number);

  /// A fence of the whole device.
  void fence(uint32_t thread);
  /// Records an access to global memory, and returns the store that it
  /// conflicts with, if any.
  const Store *access(uint32_t thread, uintptr_t address, size_t bytes,
                      Access access, uint32_t site);

private:
  /// Numbers of releases.
  using Known = std::vector<size_t>;
  /// What a thread had done, and knew of others, when it came to a fence.
  struct Release {
    uint64_t block;
    std::vector<uint32_t> clocks; ///< By thread of the block.
    Known known;
  };
  /// A thread saw releases, and passed a fence, at its time `fence.clock`.
  struct Acquire {
    RaceDetector::Event fence;
    Known known;
  };
  static constexpr size_t kLine = 16;

  Known knownTo(uint32_t thread) const;
  bool isOrdered(const Store &store, uint32_t thread) const;
  void synchronize(uint32_t thread, uintptr_t address);

  RaceDetector &threads;
  uint64_t block = 0;
  std::vector<Release> releases;
  std::unordered_map<uintptr_t, Known> atomics; ///< What reached an address.
  std::unordered_map<uintptr_t, std::array<Store, kLine>> stores;

  // Of the block that runs.
  std::vector<Acquire> acquired;
  std::unordered_map<uint32_t, size_t> fenced; ///< A thread's last release.
  std::unordered_map<uint32_t, Known> seen;    ///< Not followed by a fence yet.
};

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_BLOCKRACES_H
