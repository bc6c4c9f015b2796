//===- PreTokenizerTable.h - What GGUF's pre-tokenizers are -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A byte-level BPE tokenizer merges only inside of words. Which words is told
// by one to a few published patterns; GGUF names them in tokenizer.ggml.pre.
// Each pattern splits every piece that the pattern before it left.
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_PRETOKENIZERTABLE_H
#define RUNTIME_TEXT_PRETOKENIZERTABLE_H

#include "TokenizerImage.h"

namespace qcc::text {

/// What a name in tokenizer.ggml.pre stands for.
struct PreTokenizerKind {
  std::vector<PipelineStep> steps;
  /// A word that is a token as it stands is not merged.
  bool ignoreMerges = false;
  /// Whether bos is added where the file does not say.
  bool addBos = false;
  /// Not of bytes: tokens are characters with U+2581 for a space, as
  /// SentencePiece has them, and what has no token falls back to bytes.
  bool marksSpaces = false;
};

/// False when the name is unknown.
bool findPreTokenizer(std::string_view name, PreTokenizerKind &kind);
/// All names, for an error message: "a, b, c".
std::string preTokenizerNames();

} // namespace qcc::text

#endif // RUNTIME_TEXT_PRETOKENIZERTABLE_H
