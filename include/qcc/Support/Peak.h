//===- Peak.h - What a machine can do at most -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The limits that speed is reported as a share of: how fast memory is read, and
// how many products of 8-bit integers the cores can issue. All are measured
// now, by the process that reports: another day the machine is another one.
//===----------------------------------------------------------------------===//

#ifndef QCC_SUPPORT_PEAK_H
#define QCC_SUPPORT_PEAK_H

#include <string>

namespace qcc::bench {

/// Best of several passes, in bytes a second, of `threads` threads that read
/// 512 MiB of anonymous memory in huge pages.
double readMemory(unsigned threads);

/// The same for a mapped file, which is in the page cache after the first pass.
/// 0 when the file cannot be mapped or is smaller than 64 MiB: such files stay
/// in caches.
double readFile(const std::string &path, unsigned threads);

/// The best 8-bit dot product instruction of this machine.
struct DotPeak {
  const char *instructions; ///< "vpdpbusd zmm"
  double macsPerSecond;     ///< Products and sums of all threads together.
};
DotPeak dotPeak(unsigned threads);

/// Clock of one core in Hz, from a chain of additions of one cycle each.
double clockRate();

} // namespace qcc::bench

#endif // QCC_SUPPORT_PEAK_H
