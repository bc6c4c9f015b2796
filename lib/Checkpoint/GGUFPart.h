//===- GGUFPart.h - Contents of one GGUF file -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_GGUFPART_H
#define QCC_LIB_CHECKPOINT_GGUFPART_H

#include "qcc/Checkpoint/Checkpoint.h"

namespace qcc::gguf {

struct Part {
  uint32_t version = 0;
  std::vector<MetadataEntry> metadata;
  /// With `file` 0 and checked ranges. Names may still be duplicates.
  std::vector<Tensor> tensors;
};

/// Reads the header of one GGUF file; `path` is named in errors.
Result<Part> readPart(const std::string &path, std::span<const uint8_t> bytes);

/// The value of `key` in a part, or null.
const Value *find(const Part &part, std::string_view key);

} // namespace qcc::gguf

#endif // QCC_LIB_CHECKPOINT_GGUFPART_H
