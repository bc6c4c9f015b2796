//===- Metrics.h - What the server counts -----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_SERVE_METRICS_H
#define QCC_RUNTIME_SERVE_METRICS_H

#include "Job.h"

#include <mutex>

namespace qcc::serve {

/// Counts, by bounds of seconds, as Prometheus has them.
struct Histogram {
  static constexpr double bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                      1,     2.5,  5,     10,   30,  60,   300};
  uint64_t counts[std::size(bounds) + 1] = {}; // the last: above all bounds
  double sum = 0;
  void add(double seconds);
};

/// All of it; plain numbers.
struct Counters {
  uint64_t promptTokens = 0; // of admitted jobs
  uint64_t reusedTokens = 0; // of these, not evaluated again
  uint64_t generatedTokens = 0;
  uint64_t generatingSteps = 0, promptSteps = 0;
  uint64_t generatingRows = 0; // of generating steps
  double generatingSeconds = 0, promptSeconds = 0;
  uint64_t finished[5] = {}; // by Finish
  uint64_t refused = 0;      // because the queue was full
  uint32_t running = 0, waiting = 0;
  uint64_t stateBytes = 0;
  Histogram firstToken; // from the submission on
  Histogram nextToken;  // from one token to the next
  Histogram whole;      // from the submission to the end
};

/// The counters, for all threads.
class Metrics {
public:
  template <typename Change>
  void update(const Change &change) {
    std::lock_guard<std::mutex> lock(mutex);
    change(counters);
  }
  Counters read() const {
    std::lock_guard<std::mutex> lock(mutex);
    return counters;
  }

private:
  mutable std::mutex mutex;
  Counters counters;
};

/// In Prometheus' text format 0.0.4.
std::string prometheusText(const Counters &counters, const std::string &model);

} // namespace qcc::serve

#endif // QCC_RUNTIME_SERVE_METRICS_H
