//===- Races.h - Unordered accesses to shared memory -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Finds two accesses to a byte, one of them a store, that no barrier orders,
// whichever came first in this run; and accesses to what an asynchronous copy
// may still write. Each thread keeps a vector clock: what it knows to have
// happened in every other thread. Barriers of the block and of a warp exchange
// that knowledge; shuffles and votes do not, as PTX has it.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_RACES_H
#define QCC_TEST_EMULATOR_RACES_H

#include "llvm/ADT/ArrayRef.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace qcc::emulator {

enum class Access : uint32_t { Read, Write, Atomic };

class RaceDetector {
public:
  static constexpr uint32_t kNobody = UINT32_MAX;

  /// An access by `thread` at its time `clock`, made by call `site`.
  struct Event {
    uint32_t thread = kNobody, clock = 0, site = 0;
    Access access = Access::Read;
    bool pending = false; ///< A copy that was not waited for.
  };

  /// Forgets everything; for blocks of that many threads and bytes.
  void reset(size_t threads, size_t bytes);

  /// The threads of `from` have done all that those of `to` do from now on must
  /// follow. All of `to` that also release are in `from`.
  void synchronize(llvm::ArrayRef<uint32_t> from, llvm::ArrayRef<uint32_t> to);
  /// All threads with each other.
  void synchronizeAll();

  /// Records an access, and returns the event that it conflicts with, if any.
  /// A copy stays pending until endCopy.
  const Event *access(uint32_t thread, size_t offset, size_t bytes,
                      Access access, uint32_t site);
  const Event *beginCopy(uint32_t thread, size_t offset, size_t bytes,
                         uint32_t site);
  void endCopy(uint32_t thread, size_t offset, size_t bytes);

  /// Whether `thread` follows `event`.
  bool isOrdered(const Event &event, uint32_t thread) const {
    return event.thread == kNobody || event.thread == thread ||
           event.clock <= known[thread * threads + event.thread];
  }
  /// By other thread: its last time that this one knows.
  llvm::ArrayRef<uint32_t> clocksOf(uint32_t thread) const {
    return llvm::ArrayRef(known).slice(thread * threads, threads);
  }
  uint32_t now(uint32_t thread) const { return clocksOf(thread)[thread]; }
  /// Tells apart what a thread does from now on; gives its new time.
  uint32_t advance(uint32_t thread) { return ++clocks(thread)[thread]; }

private:
  /// The last store, and the last loads of two threads. (A third reader that
  /// alone is not ordered before a store is missed.)
  struct Byte {
    Event write, reads[2];
  };

  uint32_t *clocks(uint32_t thread) { return &known[thread * threads]; }
  const Event *conflict(const Byte &byte, uint32_t thread, Access access);

  size_t threads = 0;
  /// By thread and other thread: the last known time of the other.
  std::vector<uint32_t> known;
  std::vector<uint32_t> joined, everyone;
  std::vector<Byte> bytes;
};

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_RACES_H
