//===- GPTQ.h - Weights of GPTQ checkpoints ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_GPTQ_H
#define QCC_LIB_CHECKPOINT_GPTQ_H

#include "ElementOrders.h"

namespace qcc {

/// What a config says of a weight in GPTQ's arrays.
struct GPTQScheme {
  unsigned bits = 0;
  int64_t group = 0; ///< -1: one group.
  bool isSymmetric = false;
  bool hasActOrder = false;
  /// Zero points are stored as they are; else one less.
  bool isV2 = false;
  std::string format; ///< As the config calls it.
};

/// Reads bits and group_size, "sym" and "desc_act" of `fields` into `scheme`,
/// which has the values of those that are absent. Sets the error of `fields`.
void readGPTQFields(JsonFields &fields, GPTQScheme &scheme);

/// Takes the arrays of `module`, which has "<module>.qweight", and checks them.
Result<Tensor> readGPTQWeight(const GPTQScheme &scheme, SourceTensors &sources,
                              TextPool &texts, ElementOrders &orders,
                              std::string module);

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_GPTQ_H
