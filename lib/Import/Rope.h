//===- Rope.h - How a model's queries and keys turn -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_IMPORT_ROPE_H
#define QCC_LIB_IMPORT_ROPE_H

#include "ConfigReader.h"

#include <optional>

namespace qcc {

/// Pair i of n turns by base^(-i/n) / divisor / divisors[i] each position.
struct Rope {
  float base = 10000;
  float divisor = 1;
  std::vector<float> divisors; ///< One for each pair, or empty.
  float factor = 1;            ///< Of cosines and sines.
  float scoreScale = 1;        ///< Of scores of attention to latents.

  std::vector<float> frequencies(uint32_t rotaryDim) const;
  /// Why cosines and sines cannot be computed as they should; nothing if they
  /// can.
  std::optional<std::string> problem(uint32_t rotaryDim) const;
};

/// What a model's rope depends on besides its keys.
struct RopeSizes {
  uint32_t rotaryDim; ///< Elements of a head that turn.
  uint32_t trained;   ///< Positions that the model can have.
  uint32_t context;   ///< Positions that it is compiled for.
};

/// The rope of full layers.
Rope readRope(const Architecture &arch, const ConfigNames &names,
              const RopeSizes &sizes, ConfigReader &reader);
/// Whether LongRope has its divisors for long contexts. That depends on the
/// context that the model is compiled for, not on the position: keys of a
/// conversation stay in its cache.
bool isLongContext(const ConfigNames &names, const RopeSizes &sizes,
                   ConfigReader &reader);
/// The rope of layers with a window, where that of full ones is `full`.
Rope readSlidingRope(const Architecture &arch, const ConfigNames &names,
                     const Rope &full, ConfigReader &reader);

} // namespace qcc

#endif // QCC_LIB_IMPORT_ROPE_H
