//===- HuggingFaceTokenizer.cpp - The model of a tokenizer.json -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include <algorithm>
#include "HuggingFacePipeline.h"

using namespace qcc;
using text::TokenizerSpec;
using text::TokenType;
using Model = TokenizerSpec::Model;

static const std::string kMark = "\xE2\x96\x81"; // U+2581

/// Lets the model see spaces where it has U+2581 for them. Then its tokens are
/// what they stand for, and an answer needs no texts of its own. Not possible
/// where some token has a space already or stands for something else.
static void useSpaces(const HuggingFaceSteps &steps, TokenizerSpec &spec) {
  if (!steps.marksSpaces || spec.texts.empty())
    return;
  std::vector<std::string> tokens = spec.tokens;
  for (size_t i = 0; i < tokens.size(); ++i) {
    auto type = TokenType(spec.types[i]);
    if (type == TokenType::Byte) {
      if (spec.texts[i].size() != 1) // it stands for its name
        return;
      continue;
    }
    if (type == TokenType::Normal) {
      if (tokens[i].find(' ') != std::string::npos)
        return;
      tokens[i] = replaced(tokens[i], kMark, " ");
    }
    if (tokens[i] != spec.texts[i])
      return;
  }
  spec.tokens = std::move(tokens);
  spec.texts.clear();
  spec.steps->push_back({text::StepKind::Replace, 0, kMark, " "});
}

static void readAddedTokens(const Json &tokenizer, TokenizerSpec &spec) {
  const Json *list = member(tokenizer, "added_tokens");
  spec.added.assign(spec.tokens.size(), 0);
  for (const Json &token : list && list->is_array() ? *list : Json::array()) {
    const Json *id = member(token, "id");
    // Beyond the model's are those of another modality.
    if (!id || !id->is_number_unsigned() ||
        id->get<uint64_t>() >= spec.added.size())
      continue;
    auto flag = [&](const char *key, text::AddedFlags value) {
      return isTrue(token, key) ? value : 0;
    };
    spec.added[id->get<size_t>()] = uint8_t(
        flag("outside", text::OutsideModel) | flag("lstrip", text::LeftStrip) |
        flag("rstrip", text::RightStrip) |
        flag("single_word", text::SingleWord) |
        flag("normalized", text::Normalized));
  }
}

static Error readModel(const Json &model, const HuggingFaceSteps &steps,
                       TokenizerSpec &spec) {
  std::string type = textOf(member(model, "type"));
  spec.byteFallback = isTrue(model, "byte_fallback");
  if (type == "BPE") {
    spec.model = steps.isByteLevel ? Model::Bpe : Model::CharBpe;
    spec.ignoreMerges = isTrue(model, "ignore_merges");
    spec.fuseUnknown = isTrue(model, "fuse_unk");
    return Error();
  }
  if (steps.isByteLevel)
    return unsupported(
        "pre_tokenizer 'ByteLevel' with a model that is not BPE");
  if (type == "Unigram") {
    spec.model = Model::Unigram;
    spec.fuseUnknown = true;
    double lowest = 0;
    for (size_t i = 0; i < spec.scores.size(); ++i)
      if (TokenType(spec.types[i]) != TokenType::Unused)
        lowest = std::min(lowest, spec.scores[i]);
    spec.unknownScore = lowest - 10;
    return Error();
  }
  if (type != "WordPiece")
    return unsupported("a tokenizer of type " + quoted(type) +
                       " (supported: BPE, Unigram, WordPiece)");
  spec.model = Model::WordPiece;
  spec.wordPrefix = textOf(member(model, "continuing_subword_prefix"));
  const Json *longest = member(model, "max_input_chars_per_word");
  spec.maxWordCharacters = 100;
  if (longest && longest->is_number_unsigned())
    spec.maxWordCharacters =
        uint32_t(std::min<uint64_t>(longest->get<uint64_t>(), 10000));
  return Error();
}

Error qcc::readHuggingFaceTokenizer(const Json &tokenizer,
                                    TokenizerSpec &spec) {
  Result<HuggingFaceSteps> steps = readHuggingFaceSteps(tokenizer);
  if (!steps)
    return steps.takeError();
  const Json *model = member(tokenizer, "model");
  if (spec.types.size() != spec.tokens.size())
    return Error("expected a type for each token");
  if (Error error = readModel(model ? *model : Json(), *steps, spec))
    return error;
  readAddedTokens(tokenizer, spec);
  if (Error error = readHuggingFaceDecoder(tokenizer, *steps, spec))
    return error;
  spec.steps = steps->steps;
  spec.normalizers = steps->normalizers;
  useSpaces(*steps, spec);
  return Error();
}
