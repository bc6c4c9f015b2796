//===- StageCase.h - A matmul stage, its data and its meaning ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// What a GPU's kernel of a stage is compared with: the scalar meaning, within
// the rounding of activations to f16, and the error of an evaluation of the
// same formula in f16 (weights, activations and results rounded to f16, sums
// exact), which it must not exceed.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CODEGEN_STAGECASE_H
#define QCC_TEST_UNIT_CODEGEN_STAGECASE_H

#include "EmulatedStage.h"

#include <random>

namespace qcc::test {

struct StageSegment {
  Encoding encoding;
  size_t rows;
  std::vector<Fields> weights;
};

struct StageCase {
  size_t k;
  std::vector<StageSegment> segments;
  std::string epilogue = {}; ///< Of qz.epilogue; empty: none.
  bool hasNorm = false;

  std::vector<std::vector<float>> x = {}, residual = {};
  std::vector<float> norm = {};
  std::vector<DeviceMemory> packed = {};

  bool isGlu() const { return epilogue.starts_with("glu"); }
  size_t columns() const;

  /// Random rows, and random weights where there are none.
  void fill(std::mt19937 &random, size_t tokens);
  /// A step whose last stage is this one.
  std::string module() const;
  StageRows rows() const;
};

/// Squared errors in units of each result's bound. Single results err by luck;
/// sums over many compare.
struct ErrorTotals {
  double kernel = 0, half = 0;
};

/// Empty when `got` is right; otherwise what is wrong.
std::string compare(const StageCase &c,
                    const std::vector<std::vector<float>> &got,
                    ErrorTotals *totals = nullptr);

/// Another order of blocks and warps and another timing of copies for each
/// seed.
emulator::Launch seeded(uint32_t seed);

} // namespace qcc::test

#endif // QCC_TEST_UNIT_CODEGEN_STAGECASE_H
