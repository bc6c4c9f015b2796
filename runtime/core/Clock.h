//===- Clock.h - Seconds that only grow -------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_CLOCK_H
#define QCC_RUNTIME_CORE_CLOCK_H

#include <ctime>

namespace qcc::rt {

inline double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

} // namespace qcc::rt

#endif // QCC_RUNTIME_CORE_CLOCK_H
