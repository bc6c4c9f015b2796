//===- BenchProfile.h - Where the time of a benchmark goes ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CLI_BENCHPROFILE_H
#define QCC_RUNTIME_CLI_BENCHPROFILE_H

#include "Program.h"

#include <functional>

namespace qcc::cli {

/// What one kind of run did, stage by stage.
struct BenchProfile {
  qcc_profile_v1 all = {};
  std::vector<qcc_stage_time_v1> stages;

  /// Profiles what `run` does.
  static BenchProfile of(Program &program, const std::function<void()> &run);

  /// A table. `rows` is how many rows went through the model; weights of
  /// matmuls are read once a step, at a share of `bandwidth` (bytes/s).
  void print(const char *title, uint64_t rows, double bandwidth) const;
  std::string json() const;
};

} // namespace qcc::cli

#endif // QCC_RUNTIME_CLI_BENCHPROFILE_H
