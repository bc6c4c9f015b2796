//===- Pace.cpp - How many threads a step is worth ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Pace.h"

namespace qcc::rt {

void Pace::record(double stepSeconds, double stepLost) {
  if (most == 1)
    return;
  seconds += stepSeconds;
  lost += stepLost;
  ++steps;
  // A trial that took as long as a whole window before it has lost.
  bool isDecided = trying && seconds >= currentSeconds;
  if (steps < window && !isDecided)
    return;
  if (trying)
    endTrial();
  else
    endWindow();
  steps = 0;
  seconds = lost = 0;
}

void Pace::endTrial() {
  // A trial must win clearly, for times scatter when others are at work.
  if (seconds < currentSeconds * 0.97) {
    current = trying;
    rest = firstRest;
  } else {
    rest = rest * 2 < lastRest ? rest * 2 : lastRest;
  }
  rested = 0;
  trying = 0;
}

void Pace::endWindow() {
  rested += steps;
  currentSeconds = seconds;
  // While a thread does not have its core, all others wait. Imbalance of the
  // work is shorter than what barriers spin.
  bool crowded = current > 1 && lost > 0.1 * seconds * (current - 1);
  // The first sign of a crowd is acted upon at once; what did not pay is tried
  // again after ever longer rests.
  if (crowded && (rest == firstRest || rested >= rest))
    trying = current - 1;
  else if (current < most && rested >= rest)
    trying = current + 1;
}

} // namespace qcc::rt
