//===- Pace.h - How many threads a step is worth ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// When another process takes a core, a team of all cores waits at each barrier
// for the thread that shares one, and fewer threads are faster. Results do not
// depend on their number, so it can change from step to step: this class
// watches how long threads wait at barriers, and when that takes a good part of
// a step, tries one thread less and keeps what is faster. On a quiet machine
// nothing is ever tried.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_PACE_H
#define QCC_RUNTIME_CORE_PACE_H

#include <cstdint>

namespace qcc::rt {

class Pace {
public:
  void start(uint32_t threads) {
    *this = Pace();
    most = current = threads;
  }

  /// Threads for the next generating step.
  uint32_t threads() const { return trying ? trying : current; }

  /// What that step took, and for how long its threads, all together, waited at
  /// barriers beyond spinning.
  void record(double seconds, double lost);

private:
  void endWindow();
  void endTrial();

  static constexpr uint32_t window = 8;     // steps before a decision
  static constexpr uint32_t firstRest = 32; // steps before another trial
  static constexpr uint32_t lastRest = 1024;

  uint32_t most = 1;    // threads of the team
  uint32_t current = 1; // threads in use
  uint32_t trying = 0;  // threads under trial; 0: none
  uint32_t steps = 0;   // in this window
  double seconds = 0;   // of this window
  double lost = 0;
  double currentSeconds = 0; // of the window before the trial
  uint32_t rest = firstRest; // grows while trials do not pay
  uint32_t rested = 0;
};

} // namespace qcc::rt

#endif // QCC_RUNTIME_CORE_PACE_H
