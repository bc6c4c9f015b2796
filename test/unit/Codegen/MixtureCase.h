//===- MixtureCase.h - A mixture of experts, its data, its meaning -*- C++
//-*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CODEGEN_MIXTURECASE_H
#define QCC_TEST_UNIT_CODEGEN_MIXTURECASE_H

#include "MatmulCase.h"

namespace qcc::test {

/// A layer's mixture: x + sum of weight * down(glu(gate(x), up(x)) + bias).
struct Mixture {
  size_t k, middle, experts, slots;
  Encoding encoding;
  bool normalize = true, hasShared = false;
  std::string epilogue = "glu_silu";
  unsigned used = 0;      ///< Experts that rows may choose; 0: all.
  bool isGated = true;    ///< Of the shared expert.
  bool isSigmoid = false; ///< With a bias.
  double scale = 1;
  size_t groups = 1, topGroups = 1;

  std::vector<std::vector<float>> x;
  std::vector<std::vector<float>> router;
  std::vector<Fields> gate, up, down;
  std::vector<float> bias, sharedGate, routerBias;

  void fill(std::mt19937 &random);
  /// Lets row r choose the experts choices[r], best first.
  void route(const std::vector<std::vector<size_t>> &choices);
  std::string module() const;
  std::unique_ptr<CompiledStep> compile(const StepOptions &options) const;
  std::vector<double> expected(size_t token) const;

private:
  /// The experts of a row, best first, by what each is chosen by.
  std::vector<size_t> chosen(std::vector<double> choices) const;
  std::vector<double> times(const std::vector<Fields> &rows, size_t first,
                            size_t count, const std::vector<double> &v) const;
};

} // namespace qcc::test

#endif // QCC_TEST_UNIT_CODEGEN_MIXTURECASE_H
