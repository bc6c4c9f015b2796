//===- Describe.h - A checkpoint as text for people and tools ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_CHECKPOINT_DESCRIBE_H
#define QCC_CHECKPOINT_DESCRIBE_H

#include "qcc/Checkpoint/Checkpoint.h"

namespace qcc {

/// Architecture, configuration, tokenizer facts, chat template and every
/// tensor with its type, shape and size, as text to read. Ends in a newline.
std::string describeText(const Checkpoint &checkpoint);

/// The same as one JSON object, with keys "format", "files", "architecture",
/// "parameters", "bytes", "types", "config", "tokenizer", "chat_template" and
/// "tensors"; a tensor kept in several arrays has these as "parts". Long arrays
/// are given as their type and length. Bytes that are not UTF-8 become U+FFFD.
std::string describeJson(const Checkpoint &checkpoint);

} // namespace qcc

#endif // QCC_CHECKPOINT_DESCRIBE_H
