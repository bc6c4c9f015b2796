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

/// A line for each type of tensors, how many they are, and what is not compiled
/// as it is in the file: what is rounded, and which codes take more bits. Does
/// not end in a newline.
std::string describeTypes(const Checkpoint &checkpoint);

/// The same as describeText() as one JSON object, with keys "format", "files",
/// "architecture", "parameters", "bytes", "types", "config", "tokenizer",
/// "chat_template" and "tensors"; a tensor kept in several arrays has these as
/// "parts". Long arrays are given as their type and length. Bytes that are not
/// UTF-8 become U+FFFD.
std::string describeJson(const Checkpoint &checkpoint);

} // namespace qcc

#endif // QCC_CHECKPOINT_DESCRIBE_H
