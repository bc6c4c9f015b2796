//===- TextModel.h - The language model of several parts --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Models that see images are folders with a language model, whose config is
// `text_config` and whose tensors have names with a prefix, beside a vision
// tower and a projector. Only the former is read.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_TEXTMODEL_H
#define QCC_LIB_CHECKPOINT_TEXTMODEL_H

#include "qcc/Checkpoint/Checkpoint.h"
#include "Json.h"

namespace qcc {

/// Makes the config of a model of several parts that of its language model;
/// false, changing nothing, for another one.
bool takeTextConfig(Json &config);

/// Whether a tensor of a model of several parts is none of its language model.
bool isOfOtherPart(std::string_view name);

/// Removes the tensors of other parts, and gives those of the language model
/// the names that they have without the others. Returns what was removed, for
/// people: "vision_tower (12 tensors)"; empty when nothing was.
std::string keepTextTensors(std::vector<Tensor> &tensors, TextPool &texts);

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_TEXTMODEL_H
