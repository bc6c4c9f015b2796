//===- VocabularyTokenizer.cpp - vocab.json and merges.txt ----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "HuggingFaceTokenizer.h"

#include <algorithm>
#include <charconv>

using namespace qcc;

Result<Json> qcc::vocabularyTokenizer(Json vocab, std::string_view merges,
                                      const Json &config) {
  std::string name(textOf(member(config, "tokenizer_class")));
  Json split = {{"type", "ByteLevel"},
                {"add_prefix_space", isTrue(config, "add_prefix_space")}};
  Json tokenizer = Json::object();
  if (name == "Qwen2Tokenizer" || name == "Qwen2TokenizerFast") {
    split["use_regex"] = false;
    Json words = {
        {"type", "Split"},
        {"behavior", "Isolated"},
        {"pattern",
         {{"Regex", "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}"
                    "+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\"
                    "s+(?!\\S)|\\s+"}}}};
    Json steps = Json::array();
    steps.push_back(std::move(words));
    steps.push_back(std::move(split));
    split = {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
    tokenizer["normalizer"] = {{"type", "NFC"}};
  } else if (name != "GPT2Tokenizer" && name != "GPT2TokenizerFast") {
    return Error("vocab.json with merges.txt of tokenizer_class " +
                 quoted(name) +
                 " is not supported (supported: GPT2Tokenizer, "
                 "Qwen2Tokenizer)");
  }
  Json list = Json::array();
  while (!merges.empty()) {
    std::string_view line = merges.substr(0, merges.find('\n'));
    merges.remove_prefix(std::min(merges.size(), line.size() + 1));
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    if (!line.empty() && !line.starts_with("#version"))
      list.push_back(std::string(line));
  }
  tokenizer["pre_tokenizer"] = std::move(split);
  tokenizer["decoder"] = {{"type", "ByteLevel"}};
  Json added = Json::array();
  const Json *decoder = member(config, "added_tokens_decoder");
  const Json none = Json::object();
  for (const auto &[id, token] : (decoder ? *decoder : none).items()) {
    Json entry = token;
    uint64_t number = 0;
    auto [end, code] =
        std::from_chars(id.data(), id.data() + id.size(), number);
    if (code != std::errc() || end != id.data() + id.size())
      return Error("added_tokens_decoder: expected ids, got " + quoted(id));
    if (entry.is_object())
      entry["id"] = number;
    added.push_back(std::move(entry));
  }
  tokenizer["added_tokens"] = std::move(added);
  tokenizer["model"] = {{"type", "BPE"},
                        {"vocab", std::move(vocab)},
                        {"merges", std::move(list)}};
  return tokenizer;
}
