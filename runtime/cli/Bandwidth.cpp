//===- Bandwidth.cpp - How fast this machine reads memory -----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Bandwidth.h"

#include "Program.h"

#include <algorithm>
#include <atomic>
#include <emmintrin.h>
#include <sys/mman.h>
#include <thread>
#include <vector>

namespace qcc::cli {

/// Reads all cache lines of a range, in several streams as kernels do.
static void readRange(const uint8_t *data, size_t bytes) {
  __m128i sum[4] = {};
  const size_t quarter = bytes / 4 / 64 * 64;
  for (size_t i = 0; i < quarter; i += 64)
    for (size_t stream = 0; stream < 4; ++stream) {
      const auto *line =
          reinterpret_cast<const __m128i *>(data + stream * quarter + i);
      __m128i a = _mm_xor_si128(_mm_load_si128(line), _mm_load_si128(line + 1));
      __m128i b =
          _mm_xor_si128(_mm_load_si128(line + 2), _mm_load_si128(line + 3));
      sum[stream] = _mm_xor_si128(sum[stream], _mm_xor_si128(a, b));
    }
  // The compiler must not drop the loads.
  for (__m128i &part : sum)
    __asm__ volatile("" : : "x"(part));
}

/// The best of several passes, each over the whole range once.
static double measure(const uint8_t *data, uint64_t bytes, uint32_t threads) {
  constexpr double budget = 0.4; // seconds
  const uint64_t share = bytes / threads / 256 * 256;
  if (share == 0)
    return 0;
  std::atomic<uint32_t> arrived{0}, pass{0};
  std::atomic<bool> stop{false};
  auto turn = [&](uint32_t seen) {
    if (arrived.fetch_add(1) + 1 == threads) {
      arrived = 0;
      ++pass;
    } else {
      while (pass == seen)
        std::this_thread::yield();
    }
  };
  double best = 0, start = now();
  auto work = [&](uint32_t thread) {
    uint32_t seen = 0;
    while (true) {
      turn(seen++);
      if (stop)
        return;
      double begin = now();
      readRange(data + thread * share, share);
      turn(seen++);
      if (thread == 0) {
        best = std::max(best, double(share * threads) / (now() - begin));
        stop = now() - start > budget;
      }
    }
  };
  std::vector<std::thread> helpers;
  for (uint32_t i = 1; i < threads; ++i)
    helpers.emplace_back(work, i);
  work(0);
  for (std::thread &helper : helpers)
    helper.join();
  return best;
}

double readBandwidth(const uint8_t *weights, uint64_t bytes, uint32_t threads) {
  // Too large for caches, small enough for small machines.
  constexpr uint64_t size = uint64_t(256) << 20, huge = uint64_t(2) << 20;
  double best = 0;
  void *memory = mmap(nullptr, size + huge, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED) {
    auto *start = reinterpret_cast<uint8_t *>(
        (reinterpret_cast<uintptr_t>(memory) + huge - 1) & ~(huge - 1));
    madvise(start, size, MADV_HUGEPAGE);
    for (uint64_t i = 0; i < size; i += 4096)
      start[i] = 1;
    best = measure(start, size, threads);
    munmap(memory, size + huge);
  }
  // Weights that fit into caches would measure those.
  if (weights && bytes >= uint64_t(64) << 20)
    best = std::max(best, measure(weights, bytes, threads));
  return best;
}

} // namespace qcc::cli
