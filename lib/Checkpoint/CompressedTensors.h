//===- CompressedTensors.h - Schemes of compressed-tensors ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_COMPRESSEDTENSORS_H
#define QCC_LIB_CHECKPOINT_COMPRESSEDTENSORS_H

#include <map>
#include "FP4.h"
#include "FP8.h"
#include "Pattern.h"

namespace qcc {

/// How the weights of a group of the config are kept. At most one of `tiles`
/// and `fp4` is set; without either codes are integers.
struct WeightScheme {
  bool isPacked = false; ///< In words, else in bytes.
  unsigned bits = 0;
  int64_t group = -1; ///< -1: one for each row.
  bool isSymmetric = true;
  bool hasOrder = false;           ///< With weight_g_idx.
  std::optional<ScaleTiles> tiles; ///< Floats of 8 bits.
  const FP4Layout *fp4 = nullptr;  ///< Floats of 4 bits.
};

/// The schemes of all modules.
class WeightSchemes {
public:
  static Result<WeightSchemes> read(const Json &config,
                                    const std::string &where);

  /// The scheme of `module`: that of its name, else of the first expression
  /// that matches its beginning, expressions being in alphabetical order as in
  /// compressed-tensors itself, else of its class. Null when none is meant.
  Result<const WeightScheme *> of(const std::string &module);

private:
  /// `format`: that of groups without one.
  Error addGroup(const std::string &name, const Json &group,
                 const std::string &format, bool isOnly,
                 const std::string &where);
  Error addTargets(const Json &group, size_t index, const std::string &where);

  std::vector<WeightScheme> schemes;
  /// Index of a scheme by what chooses it: names and classes, and expressions.
  std::map<std::string, size_t> names, expressions;
  PatternList patterns; ///< Of `expressions`, in their order.
};

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_COMPRESSEDTENSORS_H
