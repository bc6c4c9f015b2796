//===- TextParts.h - The checkpoint's tokenizer -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEXT_TEXTPARTS_H
#define QCC_TEXT_TEXTPARTS_H

#include "qcc/Checkpoint/Checkpoint.h"

#include <optional>

namespace qcc {

/// What a compiled model carries to turn text into tokens and back.
struct TextParts {
  std::vector<uint8_t> image; ///< Of runtime/text; empty: no tokenizer.
  std::optional<std::string> chatTemplate;
  /// Others that the checkpoint has, "tool_use" and the like, by name.
  std::vector<std::pair<std::string, std::string>> templates;
};

/// Reads the tokenizer keys of `checkpoint` for a model of `vocab` tokens.
Result<TextParts> readTextParts(const Checkpoint &checkpoint, uint64_t vocab);

} // namespace qcc

#endif // QCC_TEXT_TEXTPARTS_H
