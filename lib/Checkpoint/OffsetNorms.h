//===- OffsetNorms.h - Norms that multiply by 1 + w -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Folders of some families hold w where a norm multiplies by 1 + w; writers of
// GGUF add the 1. Here it is how the tensor is stored, so that whoever reads a
// checkpoint gets what its norms multiply by.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_OFFSETNORMS_H
#define QCC_LIB_CHECKPOINT_OFFSETNORMS_H

#include "qcc/Checkpoint/Checkpoint.h"

namespace qcc {

/// Whether folders with this model_type have such norms.
bool hasOffsetNorms(std::string_view modelType);

/// Makes a tensor, which is in one range of a file, one of 1 + w if it is a
/// norm's and of floats.
void addOneToNorm(Tensor &tensor);

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_OFFSETNORMS_H
