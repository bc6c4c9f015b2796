//===- HuggingFaceTokenizer.h - tokenizer.json as metadata ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_HUGGINGFACETOKENIZER_H
#define QCC_LIB_CHECKPOINT_HUGGINGFACETOKENIZER_H

#include "qcc/Checkpoint/JsonMembers.h"
#include "Json.h"

namespace qcc {

/// What a folder says about its tokenizer. Objects that are not there are null.
struct TokenizerFiles {
  Json tokenizer;    ///< tokenizer.json, or vocabularyTokenizer()
  Json config;       ///< tokenizer_config.json
  Json generation;   ///< generation_config.json
  const Json &model; ///< config.json
  Json added;        ///< added_tokens.json
  std::span<const uint8_t> sentencePiece; ///< tokenizer.model, or empty
};

/// The tokenizer.json that vocab.json and merges.txt are short for, by the
/// class that `config` names. Fails on other classes, naming those it knows.
Result<Json> vocabularyTokenizer(Json vocab, std::string_view merges,
                                 const Json &config);

/// Appends the tokenizer under the keys that GGUF files have for one
/// ("tokenizer.ggml.tokens", ...), with the model "huggingface". What GGUF has
/// no keys for is "tokenizer.huggingface.merges", two ids for each merge, and
/// "tokenizer.huggingface.json", the file without its tables, which lib/Text
/// reads. A tokenizer.model has the model "llama" or "t5" and GGUF's keys.
/// Fails without appending anything; `where` names the file in messages.
Error readTokenizer(const std::string &where, const TokenizerFiles &files,
                    TextPool &texts, std::vector<MetadataEntry> &out);

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_HUGGINGFACETOKENIZER_H
