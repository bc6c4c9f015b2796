//===- ExpertTensors.h - The matrices of experts as one tensor --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_EXPERTTENSORS_H
#define QCC_LIB_CHECKPOINT_EXPERTTENSORS_H

#include "qcc/Checkpoint/Checkpoint.h"

namespace qcc {

/// How folders may keep the matrices of all experts of a layer.
enum class ExpertLayout {
  Rows,        ///< gate_up_proj [experts, 2 I, H], rows of gate, then of up;
               ///< down_proj [experts, H, I]
  Turned,      ///< [experts, H, 2 I] and [experts, I, H]
  TurnedPairs, ///< likewise, with gate and up in turn, and with biases:
               ///< gate_up_proj_bias [experts, 2 I], gate and up in turn, and
               ///< down_proj_bias [experts, H]
};

/// Makes of such tensors of a module m, m.gate_up_proj and m.down_proj, the
/// tensors m.gate_proj.weight, m.up_proj.weight, m.down_proj.weight and the
/// same with .bias. With Turned, one that has `hidden` elements where Rows has
/// H is of that layout, as newer versions of transformers write it. Granite's
/// input_linear and output_linear are those of a module "experts" beside them.
/// Fails on such a tensor that is not of floats or has another number of
/// dimensions.
Error splitExperts(Checkpoint::Contents &contents, ExpertLayout layout,
                   uint64_t hidden);

/// Folders keep a matrix of each expert in a tensor of its own,
/// "layer.experts.7.up_proj.weight". Makes of those of experts 0, 1, ... one
/// tensor "layer.experts.up_proj.weight" with slices and one dimension more, as
/// GGUF files have it. Fails when a number is missing or differs from the first
/// in shape or encoding.
Error stackExperts(Checkpoint::Contents &contents);

/// The same for norms of heads, "q_layernorm.norms.7.weight", of which it makes
/// "q_layernorm.norms.weight".
Error stackHeadNorms(Checkpoint::Contents &contents);

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_EXPERTTENSORS_H
