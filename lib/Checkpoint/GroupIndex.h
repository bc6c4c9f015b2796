//===- GroupIndex.h - Orders of k given by g_idx ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_GROUPINDEX_H
#define QCC_LIB_CHECKPOINT_GROUPINDEX_H

#include "SourceTensors.h"

namespace qcc {

/// Whether `groupIndex`, an i32 tensor with the group of each of `count`
/// elements of k, puts these in another order than runs of `group`. All zero
/// (GPTQ) and all -1 (compressed-tensors) stand for the runs. Fails unless each
/// group has `group` elements, and the last one what is left.
Result<bool> hasGroupOrder(const SourceTensors &sources,
                           const SourceTensor &groupIndex, uint64_t count,
                           uint64_t group);

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_GROUPINDEX_H
