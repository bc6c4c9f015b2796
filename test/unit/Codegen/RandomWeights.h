//===- RandomWeights.h - Weights, activations and their meaning -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Random weights in any encoding, and what a matmul with them means, written
// element by element in double precision: both for exact activations and for
// activations that were quantized as documented in ActivationLayout.h.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CODEGEN_RANDOMWEIGHTS_H
#define QCC_TEST_UNIT_CODEGEN_RANDOMWEIGHTS_H

#include "qcc/Formats/Encoding.h"

#include <random>
#include <string>
#include <vector>

namespace qcc::test {

/// A float weight.
Encoding floatEncoding(ScalarType element);

/// Random codes and finite scales of usual sizes, some of them zero.
Fields randomRow(const Encoding &encoding, size_t k, std::mt19937 &random);
std::vector<Fields> randomRows(const Encoding &encoding, size_t rows, size_t k,
                               std::mt19937 &random);
/// Normally distributed values; some groups of 16 are zero or much larger.
std::vector<float> randomActivations(size_t k, std::mt19937 &random);

/// A row of an f32 weight.
Fields floatRow(const std::vector<float> &values);
/// The rows of the f32 identity matrix.
std::vector<Fields> identityRows(size_t size);

/// A row of activations as a matmul sees it.
struct Activations {
  std::vector<double> value; ///< After quantization.
  std::vector<double> step;  ///< Distance of neighbouring values; 0: exact.
};
/// `form`: a8, a8g16, a16, bf16, f16 or f32.
Activations quantize(const std::vector<float> &x, const std::string &form);

struct DotProduct {
  double value;     ///< sum of w[k] * x[k]
  double magnitude; ///< The same with every term of w * x positive.
  double stepBound; ///< sum of |w[k]| * step[k] / 2
  /// How far the sum may be off where integers stand for values of codes that
  /// are floats: by 2^-14 of the largest value, for each.
  double valueBound;
};
DotProduct dotProduct(const Encoding &encoding, const Fields &row,
                      const Activations &x);

/// The activation function of an epilogue: "gelu_erf" or "glu_gelu_erf".
using Activation = double(double);
Activation *activationOf(const std::string &epilogue);

} // namespace qcc::test

#endif // QCC_TEST_UNIT_CODEGEN_RANDOMWEIGHTS_H
