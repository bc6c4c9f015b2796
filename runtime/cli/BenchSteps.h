//===- BenchSteps.h - Steps that a benchmark times --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CLI_BENCHSTEPS_H
#define QCC_RUNTIME_CLI_BENCHSTEPS_H

#include "Program.h"

namespace qcc::cli {

/// The sequences of a benchmark, all with the same tokens. Those after the
/// first take part in generation only.
class BenchSteps {
public:
  /// `program` has a session of `parallel` sequences.
  BenchSteps(Program &program, uint32_t parallel);

  /// Appends tokens to a sequence; returns the seconds it took.
  double eval(const std::vector<int32_t> &tokens, uint32_t batch,
              uint32_t sequence = 0);

  /// Appends the same to all, each with a state of its own.
  void evalAll(const std::vector<int32_t> &tokens, uint32_t batch);

  /// Appends tokens to all sequences, one token in a step; returns seconds.
  double generate(const std::vector<int32_t> &tokens);

  /// Leaves the first `length` tokens of each sequence.
  void rewind(uint32_t length);

private:
  Program &program;
  std::vector<uint32_t> rows; // 0 .. parallel - 1
  std::vector<float> memory;  // of the logits, not aligned
  float *logits = nullptr;
};

} // namespace qcc::cli

#endif // QCC_RUNTIME_CLI_BENCHSTEPS_H
