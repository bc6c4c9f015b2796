//===- GroupOrders.h - Orders of k given by g_idx ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_GROUPORDERS_H
#define QCC_LIB_CHECKPOINT_GROUPORDERS_H

#include <map>
#include "SourceTensors.h"

namespace qcc {

/// Whether `groupIndex`, an i32 tensor with the group of each of `count`
/// elements of k, puts these in another order than runs of `group`. All zero
/// (GPTQ) and all -1 (compressed-tensors) stand for the runs. Fails unless each
/// group has `group` elements.
Result<bool> hasGroupOrder(const SourceTensors &sources,
                           const SourceTensor &groupIndex, uint64_t count,
                           uint64_t group);

/// The orders of k that weights stand in, as tensors of their own. Weights that
/// read the same activations have the same, which must show in the names: only
/// one tensor is made for all that are equal.
class GroupOrders {
public:
  explicit GroupOrders(std::vector<Tensor> &out) : out(out) {}

  /// The name of the tensor for `groupIndex`.
  std::string_view keep(SourceTensors &sources, SourceTensor &groupIndex,
                        const std::string &module, TextPool &texts);

private:
  std::vector<Tensor> &out;
  std::map<std::string_view, std::string_view> names;
};

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_GROUPORDERS_H
