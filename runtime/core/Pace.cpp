//===- Pace.cpp - How many threads a step is worth ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Pace.h"

namespace qcc::rt {

void Pace::record(double stepSeconds, uint32_t stepWaits, uint32_t stepDelays) {
  if (most == 1)
    return;
  seconds += stepSeconds;
  waits += stepWaits;
  delays += stepDelays;
  if (++steps < window)
    return;

  // Long waits at one barrier in sixteen are no imbalance of the work: they
  // are that long when a thread does not have its core.
  bool crowded = delays * 16 > waits;
  if (trying) {
    // A trial must win clearly, for times scatter when others are at work.
    if (seconds < currentSeconds * 0.97) {
      current = trying;
      rest = firstRest;
    } else {
      rest = rest * 2 < lastRest ? rest * 2 : lastRest;
    }
    rested = 0;
    trying = 0;
  } else {
    rested += steps;
    currentSeconds = seconds;
    // The first sign of a crowd is acted upon at once; what did not pay is
    // tried again after ever longer rests.
    if (crowded && current > 1 && (rest == firstRest || rested >= rest))
      trying = current - 1;
    else if (current < most && rested >= rest)
      trying = current + 1;
  }
  steps = 0;
  seconds = 0;
  waits = delays = 0;
}

} // namespace qcc::rt
