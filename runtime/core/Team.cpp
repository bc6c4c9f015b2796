//===- Team.cpp - A team of threads that run steps ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Team.h"

#include "Clock.h"
#include "Cpu.h"

#include <climits>
#include <immintrin.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace qcc::rt {

// About 30 us of spinning (a pause takes 20 to 45 ns), and about as long again
// of giving the core to whoever wants it.
static constexpr unsigned spins = 1000, yields = 40;

static void futexWait(std::atomic<uint32_t> &word, uint32_t old) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, old, nullptr, nullptr, 0);
}

void Team::Gate::waitWhile(uint32_t old, Patience patience) {
  if (patience == Spin)
    for (unsigned i = 0; i < spins; ++i) {
      if (word.load(std::memory_order_acquire) != old)
        return;
      _mm_pause();
    }
  double start = now();
  waitLong(old, patience);
  lost.fetch_add(uint64_t((now() - start) * 1e9), std::memory_order_relaxed);
}

void Team::Gate::waitLong(uint32_t old, Patience patience) {
  if (patience != Sleep)
    for (unsigned i = 0; i < yields; ++i) {
      if (word.load(std::memory_order_acquire) != old)
        return;
      sched_yield();
    }
  sleepers.fetch_add(1, std::memory_order_seq_cst);
  while (word.load(std::memory_order_seq_cst) == old)
    futexWait(word, old);
  sleepers.fetch_sub(1, std::memory_order_relaxed);
}

void Team::Gate::open(uint32_t next) {
  // Sequentially consistent with waitWhile(): either the sleeper sees the new
  // word or this thread sees the sleeper.
  word.store(next, std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst))
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

qcc_status Team::start(uint32_t threads, ErrorText &error) {
  if (threads == 0 || threads > maxThreads)
    return error.set(QCC_E_ARGUMENT, "threads is %u, expected 1 to %u", threads,
                     maxThreads);
  patience = threads <= usableCores() ? Gate::Spin : Gate::Yield;
  count = 1;
  if (threads == 1)
    return QCC_OK;
  if (!workers.allocate(threads))
    return error.set(QCC_E_NO_MEMORY, "out of memory for %u threads", threads);
  // The host's signal handlers must not run on threads it does not know.
  sigset_t all, previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 1 << 20);
  int failed = 0;
  // A worker reads `count` only in a job, so it may grow while they start.
  for (uint32_t i = 1; i < threads && !failed; ++i) {
    workers[i].team = this;
    workers[i].index = i;
    failed = pthread_create(&workers[i].thread, &attributes, work, &workers[i]);
    count += !failed;
  }
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  if (!failed)
    return QCC_OK;
  uint32_t started = count;
  stop();
  return error.set(QCC_E_NO_MEMORY, "cannot start thread %u of %u", started + 1,
                   threads);
}

void Team::stop() {
  if (count > 1) {
    job = nullptr;
    openJob(count);
    for (uint32_t i = 1; i < count; ++i)
      pthread_join(workers[i].thread, nullptr);
  }
  count = 0;
}

void Team::openJob(uint32_t threads) {
  active = threads;
  uint32_t old = jobs.word.load(std::memory_order_relaxed);
  jobs.open((((old >> activeBits) + 1) << activeBits) | threads);
}

bool Team::run(Job newJob, void *newContext, uint32_t threads) {
  if (takeCancel())
    return false;
  stopped = false;
  uint32_t phase = phases.word.load(std::memory_order_relaxed);
  uint64_t before = phases.lost.load(std::memory_order_relaxed);
  if (threads <= 1 || count == 1) {
    active = 1;
    newJob(newContext, 0, 1);
  } else {
    job = newJob;
    context = newContext;
    openJob(threads < count ? threads : count);
    newJob(newContext, 0, active);
    barrier(this, 0);
  }
  barriers = phases.word.load(std::memory_order_relaxed) - phase;
  lost = double(phases.lost.load(std::memory_order_relaxed) - before) * 1e-9;
  // The barrier at the end of the job may have taken a request that came too
  // late to stop anything: then the job's results are whole, but the caller
  // asked to be stopped.
  if (!stopped)
    return true;
  cancelRequested.store(false, std::memory_order_relaxed);
  return false;
}

int32_t Team::barrier(void *opaque, uint32_t) {
  Team &team = *static_cast<Team *>(opaque);
  // Read before arriving: afterwards the job may be over and another begin.
  const uint32_t active = team.active;
  if (active == 1) {
    int32_t stop = team.cancelRequested.load(std::memory_order_relaxed);
    team.stopped |= stop != 0;
    return stop;
  }
  // The phase cannot move on before this thread has arrived.
  uint32_t phase = team.phases.word.load(std::memory_order_relaxed);
  if (team.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == active) {
    team.arrived.store(0, std::memory_order_relaxed);
    int32_t stop = team.cancelRequested.load(std::memory_order_relaxed);
    team.stopped |= stop != 0;
    team.decision.store(stop, std::memory_order_relaxed);
    team.phases.open(phase + 1);
    return stop;
  }
  team.phases.waitWhile(phase, team.patience);
  return team.decision.load(std::memory_order_relaxed);
}

void *Team::work(void *opaque) {
  const Worker &worker = *static_cast<const Worker *>(opaque);
  Team &team = *worker.team;
  uint32_t seen = 0;
  bool takesPart = true;
  while (true) {
    // A thread that is not needed must not disturb whoever has its core.
    team.jobs.waitWhile(seen, takesPart ? team.patience : Gate::Sleep);
    seen = team.jobs.word.load(std::memory_order_acquire);
    uint32_t active = seen & ((1u << activeBits) - 1);
    takesPart = worker.index < active;
    if (!takesPart)
      continue;
    if (!team.job)
      return nullptr;
    team.job(team.context, worker.index, active);
    barrier(&team, worker.index);
  }
}

} // namespace qcc::rt
