//===- Rope.h - How a model's queries and keys turn -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_IMPORT_ROPE_H
#define QCC_LIB_IMPORT_ROPE_H

#include "ConfigReader.h"

namespace qcc {

/// Pair i of n turns by base^(-i/n) / divisor / divisors[i] each position.
struct Rope {
  float base = 10000;
  float divisor = 1;
  std::vector<float> divisors; ///< One for each pair, or empty.
  float factor = 1;            ///< Of cosines and sines.

  std::vector<float> frequencies(uint32_t rotaryDim) const;
};

/// The rope of full layers; `rotaryDim` elements of a head turn, and the model
/// has `context` positions.
Rope readRope(const ConfigNames &names, uint32_t rotaryDim, uint32_t context,
              ConfigReader &reader);
/// The rope of layers with a window, where that of full ones is `full`.
Rope readSlidingRope(const Architecture &arch, const ConfigNames &names,
                     const Rope &full, ConfigReader &reader);

} // namespace qcc

#endif // QCC_LIB_IMPORT_ROPE_H
