//===- SimtState.h - What the emulated threads are doing -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_SIMTSTATE_H
#define QCC_TEST_EMULATOR_SIMTSTATE_H

#include "Simt.h"

namespace qcc::emulator {

constexpr unsigned kBarriers = 16; ///< Of a block.

/// One asynchronous copy of a thread.
struct Copy {
  void *to;
  const void *from;
  uint32_t bytes, read, group;
  bool done = false;
};

/// An operation that lanes of a warp have begun.
struct Gathering {
  Simt::Complete complete;
  uint32_t mask;
  bool aligned;
  Site site;
  uint32_t arrived = 0;
  Collective lanes;
};

enum class ThreadState { Ready, Waiting, Exited };

struct Simt::Thread {
  Simt *simt = nullptr;
  void *context = nullptr;
  Dim3 index;
  ThreadState state = ThreadState::Ready;
  Site site = 0; ///< Where it waits.
  std::vector<Copy> copies;
  uint32_t groups = 0;    ///< Committed so far.
  bool hasWaited = false; ///< For the launch before.
};

struct Simt::Warp {
  std::vector<unsigned> ready;
  uint32_t alive = 0;
  std::vector<Gathering> gatherings;
};

struct Simt::Barrier {
  uint32_t arrived = 0, threads = 0;
  bool all = true;
  BarrierReduction reduction = BarrierReduction::None;
  uint32_t trues = 0;
  std::vector<uint32_t> arrivals, released;
  std::vector<void *> results; ///< Of those that are released.
  /// By warp: one more than the site where its first lane arrived.
  std::vector<Site> sites;
};

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_SIMTSTATE_H
