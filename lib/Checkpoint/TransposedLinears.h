//===- TransposedLinears.h - Linear layers stored as [in, out] --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Folders of some families keep the transpose of what a linear layer multiplies
// by; writers of GGUF turn it. Here it is how the tensor is stored, so that
// whoever reads a checkpoint gets [out, in].
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_TRANSPOSEDLINEARS_H
#define QCC_LIB_CHECKPOINT_TRANSPOSEDLINEARS_H

#include "qcc/Checkpoint/Checkpoint.h"

namespace qcc {

/// Whether folders with this model_type have such layers.
bool hasTransposedLinears(std::string_view modelType);

/// Turns a tensor, which is in one range of a file, if it is the matrix of such
/// a layer and of floats.
void transposeLinear(Tensor &tensor);

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_TRANSPOSEDLINEARS_H
