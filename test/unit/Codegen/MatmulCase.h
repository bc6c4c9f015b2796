//===- MatmulCase.h - Matmuls for tests of generated code -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CODEGEN_MATMULCASE_H
#define QCC_TEST_UNIT_CODEGEN_MATMULCASE_H

#include "CompiledStep.h"
#include "Encodings.h"
#include "RandomWeights.h"

#include <cmath>

namespace qcc::test {

constexpr size_t kTokens = 33;
constexpr const char *kTargets[] = {"x86-64-v3", "x86-64-v4", "znver4",
                                    "sapphirerapids"};

inline Encoding eightBits() {
  Encoding encoding = oneLevel(8, 32, ScalarType::F16);
  encoding.zero = 128;
  return encoding;
}

struct Segment {
  Encoding encoding;
  size_t rows;
  std::vector<Fields> weights;
  bool hasBias = false;
  std::vector<float> bias = {};
};

/// A module with one matmul of `segments`; its rows of `k` columns come from an
/// embedding that is exact. With `viaBuffer` the results go to a buffer first
/// and then, multiplied by the identity, to the logits.
struct MatmulCase {
  size_t k;
  std::vector<Segment> segments;
  std::string epilogue; ///< Of qz.epilogue; empty: none.
  bool viaBuffer = true;
  bool select = false; ///< Only rows that want results.
  std::vector<float> order =
      {}; ///< In which elements enter; empty: as they are.
  /// Weights of a norm of the rows, about their mean if there are biases too.
  std::vector<float> norm = {}, normBias = {};
  std::vector<std::vector<float>> x = {};

  /// Row `row` as its elements enter.
  std::vector<float> entering(size_t row) const;

  size_t columns() const {
    if (epilogue.starts_with("glu"))
      return segments[0].rows;
    size_t sum = 0;
    for (const Segment &segment : segments)
      sum += segment.rows;
    return sum;
  }

  void fill(std::mt19937 &random) {
    x.clear();
    for (size_t row = 0; row < kTokens; ++row)
      x.push_back(randomActivations(k, random));
    for (Segment &segment : segments) {
      segment.weights = randomRows(segment.encoding, segment.rows, k, random);
      if (segment.hasBias)
        segment.bias = randomActivations(segment.rows, random);
    }
  }

  std::string module() const;
  std::unique_ptr<CompiledStep> compile(const StepOptions &options) const;
  std::vector<DotProduct> products(const Activations &activations) const;
  /// The bounds of what the fixed form of a prompt adds to their errors; all 0
  /// without `target`, or where it does not use that form.
  std::vector<double> fixedBounds(const Activations &activations,
                                  const std::string &form,
                                  const std::string &target) const;
};

/// Whether integers can be used, as qcc-select-activations decides.
std::string formInUse(const MatmulCase &c, const std::string &form);

StepRows firstTokens(size_t count, bool prompt, unsigned threads = 1);

/// Largest error of f32 sums of `magnitude`: a part per million for sums of
/// integers in groups; float activations add every product.
double roundingBound(const DotProduct &product, const std::string &form);

/// `results` are rows of plain products; row i is that of token `tokens[i]`, or
/// i without tokens. `promptTarget` is the target of a prompt, empty for other
/// steps.
void expectProducts(const MatmulCase &c, const std::string &form,
                    const std::vector<float> &results,
                    const std::vector<uint32_t> &tokens = {},
                    const std::string &promptTarget = "");

/// The same for products that an activation function follows.
void expectActivated(const MatmulCase &c, const std::string &form,
                     const std::vector<float> &results);

/// The same for rows of a gated unit: the first half of the products is gate.
void expectGated(const MatmulCase &c, const std::string &form,
                 const std::vector<float> &results);

/// Generated rows have the same bits whatever the other rows are, and all
/// results whatever the threads.
void expectInvariant(CompiledStep &step,
                     std::initializer_list<unsigned> teams = {2, 3, 4, 5, 6,
                                                              7});

} // namespace qcc::test

#endif // QCC_TEST_UNIT_CODEGEN_MATMULCASE_H
