//===- TextParts.cpp - The checkpoint's tokenizer -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Text/TextParts.h"

#include <algorithm>
#include <set>
#include "HuggingFacePipeline.h"
#include "text/Pipeline.h"

using namespace qcc;

namespace {
/// Reads keys until the first failure, so that the reader below stays a list.
class KeyReader {
public:
  explicit KeyReader(const Checkpoint &checkpoint) : checkpoint(checkpoint) {}

  void id(std::string_view key, int32_t &out) {
    if (error || !checkpoint.has(key))
      return;
    Result<int64_t> value = checkpoint.get<int64_t>(key);
    if (!value)
      error = value.takeError();
    else if (*value < -1 || *value > INT32_MAX)
      error = checkpoint.error("key " + quoted(key) +
                               ": expected a token id, got " +
                               std::to_string(*value));
    else
      out = int32_t(*value);
  }

  void flag(std::string_view key, std::optional<bool> &out) {
    if (error || !checkpoint.has(key))
      return;
    Result<bool> value = checkpoint.get<bool>(key);
    if (!value)
      error = value.takeError();
    else
      out = *value;
  }

  void texts(std::string_view key, bool needed, std::vector<std::string> &out) {
    if (error || (!needed && !checkpoint.has(key)))
      return;
    Result<StringArray> value = checkpoint.get<StringArray>(key);
    if (!value)
      error = value.takeError();
    else
      out.assign(value->begin(), value->end());
  }

  template <typename T>
  void numbers(std::string_view key, bool needed, std::vector<T> &out) {
    if (error || (!needed && !checkpoint.has(key)))
      return;
    Result<NumberArray<T>> value = checkpoint.get<NumberArray<T>>(key);
    if (!value) {
      error = value.takeError();
      return;
    }
    out.resize(value->size());
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = (*value)[i];
  }

  void text(std::string_view key, std::string &out) {
    if (error || !checkpoint.has(key))
      return;
    Result<std::string> value = checkpoint.get<std::string>(key);
    if (!value)
      error = value.takeError();
    else
      out = *value;
  }

  const Checkpoint &checkpoint;
  Error error;
};
} // namespace

/// The normalizer of a SentencePiece model, and what sets Unigram apart.
static Error readSentencePiece(const Checkpoint &checkpoint,
                               text::TokenizerSpec &spec) {
  using text::StepKind;
  static const std::string mark = "\xE2\x96\x81"; // U+2581, there a space
  KeyReader read(checkpoint);
  std::optional<bool> removes;
  std::vector<uint8_t> map;
  read.flag("tokenizer.ggml.remove_extra_whitespaces", removes);
  read.numbers("tokenizer.ggml.precompiled_charsmap", false, map);
  if (read.error)
    return std::move(read.error);
  bool isUnigram = spec.model == text::TokenizerSpec::Model::Unigram;
  bool addsPrefix = spec.addSpacePrefix.value_or(!isUnigram);
  std::vector<text::PipelineStep> steps;
  if (!map.empty()) {
    steps.push_back(
        {StepKind::Charsmap, 0, std::string(map.begin(), map.end()), ""});
    std::string out, why;
    if (!text::applyCharsmap(steps[0].pattern, nullptr, "a", SIZE_MAX, out,
                             why))
      return checkpoint.error("key 'tokenizer.ggml.precompiled_charsmap': "
                              "expected a trie and texts");
  }
  if (removes.value_or(false)) {
    steps.push_back({StepKind::ReplacePattern, 0, " {2,}", " "});
    steps.push_back({StepKind::ReplacePattern, 0, "\\A | \\z", ""});
  }
  if (addsPrefix)
    steps.push_back(
        {StepKind::Prepend, isUnigram ? text::OnlyFirst : 0u, "", " "});
  steps.push_back({StepKind::Replace, 0, mark, " "});
  spec.normalizers = steps.size();
  spec.steps = std::move(steps);
  spec.addSpacePrefix = addsPrefix;
  spec.dropSpace = addsPrefix ? text::TokenizerSpec::DropSpace::One
                              : text::TokenizerSpec::DropSpace::None;
  if (!isUnigram)
    return Error();

  double lowest = 0;
  bool hasBytes = false;
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    auto type = i < spec.types.size() ? text::TokenType(spec.types[i])
                                      : text::TokenType::Normal;
    hasBytes |= type == text::TokenType::Byte;
    if (type == text::TokenType::Normal && i < spec.scores.size())
      lowest = std::min(lowest, spec.scores[i]);
    if (type == text::TokenType::Normal)
      spec.tokens[i] = replaced(spec.tokens[i], mark, " ");
  }
  spec.byteFallback = hasBytes;
  spec.fuseUnknown = true;
  // As SentencePiece itself does; of GGUF files llama.cpp adds them in double.
  spec.singlePrecision = checkpoint.naming() == Naming::HuggingFace;
  spec.unknownScore = lowest - 10;
  if (!spec.addEos && spec.eos >= 0)
    spec.addEos = true;
  return Error();
}

/// What a tokenizer.json has beside the keys of GGUF.
static Error readFolder(const Checkpoint &checkpoint,
                        text::TokenizerSpec &spec) {
  KeyReader read(checkpoint);
  std::string rest;
  std::vector<uint32_t> merges;
  read.text("tokenizer.huggingface.json", rest);
  read.numbers("tokenizer.huggingface.merges", false, merges);
  if (read.error)
    return std::move(read.error);
  for (size_t i = 0; i + 1 < merges.size(); i += 2)
    spec.mergeIds.push_back({merges[i], merges[i + 1]});
  Json tokenizer = Json::parse(rest, nullptr, /*allow_exceptions=*/false);
  if (Error error = readHuggingFaceTokenizer(tokenizer, spec))
    return checkpoint.error("tokenizer.json: " + error.message());
  return Error();
}

/// tokenizer.chat_template, and tokenizer.chat_template.NAME of each name in
/// tokenizer.chat_templates.
static Error readChatTemplates(const Checkpoint &checkpoint, TextParts &parts) {
  KeyReader read(checkpoint);
  std::vector<std::string> names;
  read.texts("tokenizer.chat_templates", false, names);
  auto readOne = [&](const std::string &key, bool needed, std::string &out) {
    if (needed && !read.error && !checkpoint.has(key))
      read.error = checkpoint.error("key " + quoted(key) +
                                    " is missing, which "
                                    "'tokenizer.chat_templates' names");
    read.text(key, out);
    if (!read.error && out.find('\0') != std::string::npos)
      read.error = checkpoint.error("key " + quoted(key) + " holds a NUL byte");
  };
  std::string source;
  readOne("tokenizer.chat_template", false, source);
  if (!source.empty())
    parts.chatTemplate = std::move(source);
  std::set<std::string_view> seen;
  for (const std::string &name : names) {
    const char *wrong = name.find('\0') != std::string::npos
                            ? " with a NUL byte"
                        : !seen.insert(name).second ? " twice"
                                                    : nullptr;
    if (!read.error && wrong)
      read.error = checkpoint.error("key 'tokenizer.chat_templates': expected "
                                    "names that differ, got " +
                                    quoted(name) + wrong);
    if (read.error)
      break;
    auto &[key, text] = parts.templates.emplace_back(name, "");
    readOne("tokenizer.chat_template." + name, true, text);
  }
  return std::move(read.error);
}

Result<TextParts> qcc::readTextParts(const Checkpoint &checkpoint,
                                     uint64_t vocab) {
  if (checkpoint.has("tokenizer.unsupported")) {
    Result<std::string> why =
        checkpoint.get<std::string>("tokenizer.unsupported");
    return Error((why ? *why : why.message()) +
                 "; without the file the model compiles, for token ids only");
  }
  // A folder of weights alone is of use too: it takes and gives token ids.
  if (checkpoint.naming() == Naming::HuggingFace &&
      !checkpoint.has("tokenizer.ggml.model"))
    return TextParts();
  Result<std::string> model =
      checkpoint.get<std::string>("tokenizer.ggml.model");
  if (!model)
    return model.takeError();

  text::TokenizerSpec spec;
  bool isSpm = *model == "llama", isUnigram = *model == "t5";
  bool isFolder =
      *model == "huggingface" && checkpoint.naming() == Naming::HuggingFace;
  spec.model = isSpm       ? text::TokenizerSpec::Model::Spm
               : isUnigram ? text::TokenizerSpec::Model::Unigram
                           : text::TokenizerSpec::Model::Bpe;
  bool isGemma4 = *model == "gemma4";
  if (!isSpm && !isUnigram && !isFolder && !isGemma4 && *model != "gpt2")
    return checkpoint.error("unsupported tokenizer " + quoted(*model) +
                            " (supported: gemma4, gpt2, llama, t5)");

  KeyReader read(checkpoint);
  read.text("tokenizer.ggml.pre", spec.pre);
  if (isGemma4) // both in one name
    spec.pre = *model;
  read.texts("tokenizer.ggml.tokens", true, spec.tokens);
  read.numbers("tokenizer.ggml.scores", isSpm || isUnigram, spec.scores);
  read.numbers("tokenizer.ggml.token_type", false, spec.types);
  read.texts("tokenizer.ggml.merges", *model == "gpt2" || isGemma4,
             spec.merges);
  read.id("tokenizer.ggml.bos_token_id", spec.bos);
  read.id("tokenizer.ggml.eos_token_id", spec.eos);
  read.id("tokenizer.ggml.eot_token_id", spec.eot);
  read.id("tokenizer.ggml.eom_token_id", spec.eom);
  read.id("tokenizer.ggml.unknown_token_id", spec.unk);
  read.id("tokenizer.ggml.padding_token_id", spec.pad);
  read.numbers("tokenizer.ggml.eos_token_ids", false, spec.stopIds);
  read.flag("tokenizer.ggml.add_bos_token", spec.addBos);
  read.flag("tokenizer.ggml.add_eos_token", spec.addEos);
  read.flag("tokenizer.ggml.add_space_prefix", spec.addSpacePrefix);
  if (read.error)
    return read.error;
  if (spec.tokens.size() != vocab)
    return checkpoint.error("key 'tokenizer.ggml.tokens': expected " +
                            std::to_string(vocab) +
                            " tokens, as the embedding has rows, got " +
                            std::to_string(spec.tokens.size()));

  if (isSpm || isUnigram)
    if (Error error = readSentencePiece(checkpoint, spec))
      return error;
  if (isFolder)
    if (Error error = readFolder(checkpoint, spec))
      return error;

  TextParts parts;
  std::string why;
  parts.image = text::buildTokenizerImage(spec, why);
  if (parts.image.empty())
    return checkpoint.error("tokenizer: " + why);
  if (Error error = readChatTemplates(checkpoint, parts))
    return error;
  return parts;
}
