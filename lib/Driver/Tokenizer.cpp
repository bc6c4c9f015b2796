//===- Tokenizer.cpp - The checkpoint's tokenizer -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Tokenizer.h"

#include "text/TokenizerImage.h"

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
  if (*model == "llama")
    spec.model = text::TokenizerSpec::Model::Spm;
  else if (*model == "gpt2")
    spec.model = text::TokenizerSpec::Model::Bpe;
  else
    return checkpoint.error("unsupported tokenizer " + quoted(*model) +
                            " (supported: gpt2, llama)");
  bool isSpm = spec.model == text::TokenizerSpec::Model::Spm;

  KeyReader read(checkpoint);
  read.text("tokenizer.ggml.pre", spec.pre);
  read.texts("tokenizer.ggml.tokens", true, spec.tokens);
  read.numbers("tokenizer.ggml.scores", isSpm, spec.scores);
  read.numbers("tokenizer.ggml.token_type", false, spec.types);
  read.texts("tokenizer.ggml.merges", !isSpm, spec.merges);
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
  std::string chatTemplate;
  read.text("tokenizer.chat_template", chatTemplate);
  if (read.error)
    return read.error;
  if (spec.tokens.size() != vocab)
    return checkpoint.error("key 'tokenizer.ggml.tokens': expected " +
                            std::to_string(vocab) +
                            " tokens, as the embedding has rows, got " +
                            std::to_string(spec.tokens.size()));

  TextParts parts;
  std::string why;
  parts.image = text::buildTokenizerImage(spec, why);
  if (parts.image.empty())
    return checkpoint.error("tokenizer: " + why);
  if (chatTemplate.find('\0') != std::string::npos)
    return checkpoint.error("key 'tokenizer.chat_template' holds a NUL byte");
  if (!chatTemplate.empty())
    parts.chatTemplate = std::move(chatTemplate);
  return parts;
}
