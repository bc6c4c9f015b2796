//===- HuggingFaceTokenizer.h - tokenizer.json as metadata ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_HUGGINGFACETOKENIZER_H
#define QCC_LIB_CHECKPOINT_HUGGINGFACETOKENIZER_H

#include "Json.h"

namespace qcc {

/// What a folder says about its tokenizer. Objects that are not there are null.
struct TokenizerFiles {
  Json tokenizer;           ///< tokenizer.json
  Json config;              ///< tokenizer_config.json
  Json generation;          ///< generation_config.json
  const Json &model;        ///< config.json
  std::string chatTemplate; ///< chat_template.jinja, or empty
};

/// Appends the tokenizer under the keys that GGUF files have for one
/// ("tokenizer.ggml.tokens", ..., "tokenizer.chat_template"), so that what
/// follows need not know where it came from. Supported is byte-level BPE with
/// one of the known splits. Fails without appending anything; `where` names
/// tokenizer.json in messages.
Error readTokenizer(const std::string &where, const TokenizerFiles &files,
                    TextPool &texts, std::vector<MetadataEntry> &out);

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_HUGGINGFACETOKENIZER_H
