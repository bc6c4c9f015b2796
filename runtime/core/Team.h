//===- Team.h - A team of threads that run steps ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A persistent team for SPMD jobs. The caller is thread 0. Waiting threads spin
// for some tens of microseconds (longer than the imbalance of a stage), then
// yield, then sleep in the kernel, so that a machine with fewer free cores than
// threads still makes progress.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_TEAM_H
#define QCC_RUNTIME_CORE_TEAM_H

#include "Error.h"
#include "Memory.h"

#include <atomic>
#include <pthread.h>

namespace qcc::rt {

class Team {
public:
  static constexpr uint32_t maxThreads = 512;
  using Job = void (*)(void *context, uint32_t thread, uint32_t threads);

  Team() = default;
  Team(const Team &) = delete;
  Team &operator=(const Team &) = delete;
  ~Team() { stop(); }

  /// Starts threads - 1 threads, with all signals blocked.
  qcc_status start(uint32_t threads, ErrorText &error);
  void stop();

  /// Runs the job on the first `threads` threads and returns when all have
  /// returned. False if a barrier told them to stop, or the request was there
  /// before the start; the request is then cleared.
  bool run(Job job, void *context, uint32_t threads);

  /// For jobs: qcc_barrier_fn with the team as context. A sense-reversing
  /// barrier; the last thread to arrive decides for all whether to go on.
  static int32_t barrier(void *team, uint32_t thread);

  /// Any thread, any time; async-signal-safe.
  void requestCancel(bool on) {
    cancelRequested.store(on, std::memory_order_relaxed);
  }
  /// Takes a pending request: true if there was one.
  bool takeCancel() {
    return cancelRequested.load(std::memory_order_relaxed) &&
           cancelRequested.exchange(false, std::memory_order_relaxed);
  }

  uint32_t size() const { return count; }

  /// Barriers of the last job, and the seconds that its threads, all together,
  /// waited at them beyond spinning.
  uint32_t lastBarriers() const { return barriers; }
  double lastLost() const { return lost; }

private:
  struct Worker {
    Team *team;
    uint32_t index;
    pthread_t thread;
  };

  /// A word that threads wait on, with the number of those asleep.
  struct alignas(64) Gate {
    std::atomic<uint32_t> word{0};
    std::atomic<uint32_t> sleepers{0};
    std::atomic<uint64_t> lost{0}; // nanoseconds of waits beyond spinning
    enum Patience { Sleep, Yield, Spin };
    void waitWhile(uint32_t old, Patience patience);
    void waitLong(uint32_t old, Patience patience);
    void open(uint32_t next);
  };

  static constexpr uint32_t activeBits = 10;
  static void *work(void *worker);
  void openJob(uint32_t threads);

  /// Counts jobs, shifted, with the number of their threads in the low bits:
  /// all that a thread reads which has no part in the job.
  Gate jobs;
  Gate phases; // counts completed barriers
  alignas(64) std::atomic<uint32_t> arrived{0};
  alignas(64) std::atomic<bool> cancelRequested{false};
  // Of the last barrier, written by its last thread. Atomic because a thread
  // that leaves a job late may have no part in the next one.
  std::atomic<int32_t> decision{0};
  bool stopped = false; // some barrier of the running job said stop
  Job job = nullptr;    // nullptr ends the workers
  void *context = nullptr;
  uint32_t count = 0;
  uint32_t active = 0; // threads of the running job
  uint32_t barriers = 0;
  double lost = 0;
  Gate::Patience patience = Gate::Spin; // less with more threads than cores
  Array<Worker> workers;
};

} // namespace qcc::rt

#endif // QCC_RUNTIME_CORE_TEAM_H
