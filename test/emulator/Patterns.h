//===- Patterns.h - How a warp's accesses fall on memory -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Fibers run one lane after the other, a device runs them together: the n-th
// execution of an access by each lane of a warp counts as one request.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_PATTERNS_H
#define QCC_TEST_EMULATOR_PATTERNS_H

#include "Launch.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace qcc::emulator {

class AccessPatterns {
public:
  enum class Space { Shared, Global };

  /// Begins a block of that many threads.
  void reset(size_t threads);

  /// An access by `thread` at call `site`, `bytes` at `address`.
  void add(uint32_t thread, uint32_t site, Space space, uintptr_t address,
           uint64_t bytes, Counters &counters);
  /// Counts the requests that not all lanes made.
  void finish(Counters &counters);

private:
  struct Request {
    Space space = Space::Shared;
    uint32_t bytes = 0, lanes = 0;
    uintptr_t addresses[32] = {};
  };
  struct Calls {
    uint64_t first = 0; ///< The number of the first request that is kept.
    std::vector<Request> requests;
    uint64_t made[32] = {}; ///< By lane.
  };

  void addPart(uint32_t thread, uint32_t site, Space space, uintptr_t address,
               uint32_t bytes, Counters &counters);
  static void count(const Request &request, Counters &counters);

  /// By warp and site.
  std::map<std::pair<uint32_t, uint32_t>, Calls> calls;
  std::vector<uint32_t> lanesOfWarp;
};

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_PATTERNS_H
