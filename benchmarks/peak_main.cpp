//===- peak_main.cpp - Prints the limits of this machine as JSON ----------===//
// SPDX-License-Identifier: Apache-2.0
//
//   qcc-peak [THREADS] [FILE...]
//
// measures with THREADS threads (default 1). The files, if any, are read from
// their mapping as well: a limit is the best way to read that there is.
//===----------------------------------------------------------------------===//

#include "qcc/Support/Peak.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

using namespace qcc::bench;

int main(int argc, char **argv) {
  char *end = nullptr;
  unsigned long threads = argc > 1 ? std::strtoul(argv[1], &end, 10) : 1;
  if ((end && *end) || threads < 1 || threads > 1024) {
    std::fprintf(stderr, "usage: qcc-peak [THREADS] [FILE...]\n");
    return 2;
  }
  auto team = unsigned(threads);
  double clock = clockRate();
  double memory = readMemory(team), file = 0;
  for (int i = 2; i < argc; ++i)
    file = std::max(file, readFile(argv[i], team));
  DotPeak dot = dotPeak(team);
  std::printf("{\"threads\": %u, \"clock_ghz\": %.3f, "
              "\"memory_gb_per_second\": %.2f, \"file_gb_per_second\": %.2f, "
              "\"read_gb_per_second\": %.2f, \"dot_instructions\": \"%s\", "
              "\"dot_gmac_per_second\": %.2f}\n",
              team, clock * 1e-9, memory * 1e-9, file * 1e-9,
              std::max(memory, file) * 1e-9, dot.instructions,
              dot.macsPerSecond * 1e-9);
  return 0;
}
