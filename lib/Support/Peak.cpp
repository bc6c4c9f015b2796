//===- Peak.cpp - What a machine can do at most ---------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Support/Peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <emmintrin.h>
#include <fcntl.h>
#include <functional>
#include <sys/mman.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace qcc::bench;

static double now() {
  auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(time).count();
}

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

namespace {
/// All threads meet here; each keeps its own count of the meetings.
class Meeting {
public:
  explicit Meeting(unsigned threads) : threads(threads) {}

  void wait(unsigned &count) {
    unsigned next = ++count;
    if (arrived.fetch_add(1) + 1 == threads) {
      arrived = 0;
      generation = next;
      return;
    }
    while (generation != next)
      _mm_pause();
  }

private:
  const unsigned threads;
  std::atomic<unsigned> arrived{0}, generation{0};
};
} // namespace

/// The shortest time that all threads take for `pass(thread)`, of as many
/// passes as fit into `budget` seconds, at least three.
static double shortestPass(unsigned threads, double budget,
                           const std::function<void(unsigned)> &pass) {
  Meeting meeting(threads);
  std::atomic<bool> stop{false};
  double shortest = 1e30, start = now();
  auto work = [&](unsigned thread) {
    unsigned count = 0;
    for (unsigned i = 0; !stop; ++i) {
      meeting.wait(count);
      double begin = now();
      pass(thread);
      meeting.wait(count);
      if (thread == 0) {
        shortest = std::min(shortest, now() - begin);
        stop = i >= 2 && now() - start > budget;
      }
      meeting.wait(count);
    }
  };
  std::vector<std::thread> team;
  for (unsigned thread = 1; thread < threads; ++thread)
    team.emplace_back(work, thread);
  work(0);
  for (std::thread &member : team)
    member.join();
  return shortest;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Reads every cache line once, in four streams: one alone does not keep enough
/// lines under way. 16 bytes at a time are enough: two such loads a cycle are
/// several times what memory gives.
static void readRange(const uint8_t *data, size_t bytes) {
  constexpr size_t streams = 4;
  const size_t length = bytes / streams;
  __m128i sum[streams] = {};
  for (size_t i = 0; i < length; i += 64)
    for (size_t stream = 0; stream < streams; ++stream) {
      auto *line =
          reinterpret_cast<const __m128i *>(data + stream * length + i);
      __m128i a = _mm_xor_si128(_mm_load_si128(line), _mm_load_si128(line + 1));
      __m128i b =
          _mm_xor_si128(_mm_load_si128(line + 2), _mm_load_si128(line + 3));
      sum[stream] = _mm_xor_si128(sum[stream], _mm_xor_si128(a, b));
    }
  for (__m128i &part : sum)
    __asm__ volatile("" : : "x"(part)); // the loads must stay
}

static double readRate(const uint8_t *data, size_t bytes, unsigned threads) {
  size_t share = bytes / threads / 4096 * 4096;
  double seconds = shortestPass(threads, 0.7, [&](unsigned thread) {
    readRange(data + thread * share, share);
  });
  return double(share * threads) / seconds;
}

double qcc::bench::readMemory(unsigned threads) {
  constexpr size_t huge = size_t(2) << 20, bytes = size_t(512) << 20;
  void *mapping = mmap(nullptr, bytes + huge, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED)
    return 0;
  auto *data = reinterpret_cast<uint8_t *>(
      (reinterpret_cast<uintptr_t>(mapping) + huge - 1) & ~(huge - 1));
  madvise(data, bytes, MADV_HUGEPAGE);
  for (size_t i = 0; i < bytes; i += 4096)
    data[i] = 1; // without a write all pages would be the same page of zeros
  double rate = readRate(data, bytes, threads);
  munmap(mapping, bytes + huge);
  return rate;
}

double qcc::bench::readFile(const std::string &path, unsigned threads) {
  int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return 0;
  double rate = 0;
  struct stat status;
  if (fstat(file, &status) == 0 && status.st_size >= off_t(64) << 20) {
    auto bytes = size_t(status.st_size);
    void *mapping =
        mmap(nullptr, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
    if (mapping != MAP_FAILED) {
      rate = readRate(static_cast<uint8_t *>(mapping), bytes, threads);
      munmap(mapping, bytes);
    }
  }
  close(file);
  return rate;
}

//===----------------------------------------------------------------------===//
// Dot products
//===----------------------------------------------------------------------===//

// Twelve independent sums hide the latency on every core so far. Registers are
// named and not given to the compiler, so that nothing is moved in the loop.
#define FOUR(EMIT, A, B, C, D) EMIT(A) EMIT(B) EMIT(C) EMIT(D)
#define TWELVE(EMIT)                                                           \
  FOUR(EMIT, 0, 1, 2, 3) FOUR(EMIT, 4, 5, 6, 7) FOUR(EMIT, 8, 9, 10, 11)
#define SUMS                                                                   \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",      \
      "xmm9", "xmm10", "xmm11"

static constexpr uint64_t dotRounds = 4'000'000;

static void dotVnni512(unsigned) {
#define EMIT(N) "vpdpbusd %%zmm12, %%zmm13, %%zmm" #N "\n\t"
  for (uint64_t i = 0; i < dotRounds; ++i)
    __asm__ volatile(TWELVE(EMIT) : : : SUMS);
#undef EMIT
}

static void dotVnni256(unsigned) {
#define EMIT(N) "%{vex%} vpdpbusd %%ymm12, %%ymm13, %%ymm" #N "\n\t"
  for (uint64_t i = 0; i < dotRounds; ++i)
    __asm__ volatile(TWELVE(EMIT) : : : SUMS);
#undef EMIT
}

static void dotMaddubs(unsigned) {
  // Each sum takes two pairs of registers in turn, as kernels do.
#define EMIT(N)                                                                \
  "vpmaddubsw %%ymm12, %%ymm13, %%ymm14\n\t"                                   \
  "vpmaddwd %%ymm15, %%ymm14, %%ymm14\n\t"                                     \
  "vpaddd %%ymm14, %%ymm" #N ", %%ymm" #N "\n\t"
  for (uint64_t i = 0; i < dotRounds; ++i)
    __asm__ volatile(TWELVE(EMIT) : : : SUMS, "xmm14");
#undef EMIT
}

DotPeak qcc::bench::dotPeak(unsigned threads) {
  auto measure = [&](const char *name, void (*loop)(unsigned), double macs) {
    double seconds = shortestPass(threads, 0.3, loop);
    return DotPeak{name, macs * 12 * double(dotRounds) * threads / seconds};
  };
  if (__builtin_cpu_supports("avx512vnni"))
    return measure("vpdpbusd zmm", dotVnni512, 64);
  if (__builtin_cpu_supports("avxvnni"))
    return measure("vpdpbusd ymm", dotVnni256, 32);
  if (__builtin_cpu_supports("avx2"))
    return measure("vpmaddubsw + vpmaddwd + vpaddd ymm", dotMaddubs, 32);
  return {"none", 0};
}

double qcc::bench::clockRate() {
  constexpr uint64_t rounds = 10'000'000;
  uint64_t value = 0;
  double seconds = shortestPass(1, 0.2, [&](unsigned) {
#define EMIT(N) "add $1, %0\n\t"
    for (uint64_t i = 0; i < rounds; ++i)
      __asm__ volatile(TWELVE(EMIT) : "+r"(value));
#undef EMIT
  });
  return 12 * double(rounds) / seconds;
}
