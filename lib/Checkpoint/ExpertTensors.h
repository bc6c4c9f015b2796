//===- ExpertTensors.h - The matrices of experts as one tensor --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_EXPERTTENSORS_H
#define QCC_LIB_CHECKPOINT_EXPERTTENSORS_H

#include "qcc/Checkpoint/Checkpoint.h"

namespace qcc {

/// Folders may keep the matrices of all experts of a layer as
///
///   m.gate_up_proj  [experts, 2 I, H], rows of gate, then those of up
///   m.down_proj     [experts, H, I]
///
/// or, with `isTurned`, gate_up_proj as [experts, H, 2 I] with gate and up in
/// turn, down_proj as [experts, I, H], and with _bias after these names
///
///   m.gate_up_proj_bias  [experts, 2 I], gate and up in turn
///   m.down_proj_bias     [experts, H]
///
/// Makes of them m.gate_proj.weight, m.up_proj.weight, m.down_proj.weight and
/// the same with .bias. Fails on such a tensor that is not of floats or has
/// another number of dimensions.
Error splitExperts(Checkpoint::Contents &contents, bool isTurned);

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
