//===- Profile.cpp - Where the time of steps goes -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Profile.h"

#include <algorithm>
#include <cstring>
#include <x86intrin.h>

namespace qcc::rt {

bool Profile::start(const qcc_model_v1 &of, uint32_t most) {
  model = &of;
  threads = most;
  steps = barriers = 0;
  seconds = 0;
  if (words.allocate(threads * threadWords()))
    return true;
  model = nullptr;
  return false;
}

void Profile::enter(uint32_t thread) {
  if (isOn())
    words[thread * threadWords()] = __rdtsc();
}

void Profile::record(double time, uint32_t count) {
  ++steps;
  seconds += time;
  barriers += count;
}

void Profile::info(qcc_profile_v1 &result) const {
  qcc_profile_v1 all = {result.struct_size, model->stage_count, steps, barriers,
                        seconds};
  memcpy(&result, &all, std::min(size_t(result.struct_size), sizeof all));
}

void Profile::stage(uint32_t index, qcc_stage_time_v1 &result) const {
  const qcc_stage_v1 &stage = model->stages[index];
  // Thread 0 is in every step from its start to its end.
  uint64_t work = 0, wait = 0, whole = 0, busiest = 0;
  for (uint32_t thread = 0; thread < threads; ++thread) {
    const uint64_t *of = &words[thread * threadWords() + 1];
    work += of[2 * index];
    wait += of[2 * index + 1];
    uint64_t sum = 0;
    for (size_t i = 0; i < 2 * size_t(model->stage_count); ++i)
      sum += of[i];
    whole += sum;
    busiest = std::max(busiest, sum);
  }
  // Ticks of all threads are the seconds of all: threads that had no part in
  // some steps count less.
  double share = busiest ? seconds / double(busiest) : 0;
  double active = busiest ? double(whole) / double(busiest) : 1;
  qcc_stage_time_v1 all = {
      result.struct_size,           stage.runs, stage.name,
      stage.weight_bytes,           stage.macs, double(work) * share / active,
      double(wait) * share / active};
  memcpy(&result, &all, std::min(size_t(result.struct_size), sizeof all));
}

} // namespace qcc::rt
