//===- ElementOrders.h - Orders in which elements of rows stand -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_ELEMENTORDERS_H
#define QCC_LIB_CHECKPOINT_ELEMENTORDERS_H

#include <map>
#include "SourceTensors.h"

namespace qcc {

/// The orders of k that weights stand in, as tensors of their own. Weights that
/// read the same activations have the same, which must show in the names: only
/// one tensor is made for all that are equal.
class ElementOrders {
public:
  explicit ElementOrders(std::vector<Tensor> &out) : out(out) {}

  /// The name of the tensor (Tensor::order) of `count` elements that `format`
  /// reads from `source` and `numbers`.
  std::string_view keep(SourceTensors &sources, SourceTensor &source,
                        const std::string &module, uint64_t count,
                        const StoredFormat &format,
                        std::vector<uint64_t> numbers, TextPool &texts);

private:
  std::vector<Tensor> &out;
  std::map<std::string_view, std::string_view> names; ///< By the bytes.
};

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_ELEMENTORDERS_H
