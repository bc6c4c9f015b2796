//===- TokenizerBuild.cpp - From a vocabulary to a tokenizer image --------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "PreTokenizerTable.h"
#include "TokenizerBuilder.h"

#include <cmath>
#include <cstring>

namespace qcc::text {

// Names of tokens that end an answer in some family, whatever their type.
static constexpr std::string_view endNames[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<end_of_utterance>",
    "_<EOT>",
    "<\xEF\xBD\x9C"
    "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>"};
// Names that may also be ordinary text (Gemma's </s> is HTML): only if control.
static constexpr std::string_view endNamesOfControl[] = {
    "<EOT>", "[EOT]", "[EOS]", "</s>", "<eos>", "<turn|>", "[e~["};
// Names of the token that ends a turn, best first.
static constexpr std::string_view turnEndNames[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<\xEF\xBD\x9C"
    "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
    "<end_of_utterance>"};

bool TokenizerBuilder::checkId(int32_t id, const char *name) {
  if (id < -1 || (id >= 0 && static_cast<size_t>(id) >= spec.tokens.size()))
    return fail(std::string(name) + " token id is " + std::to_string(id) +
                ", expected less than the vocabulary size " +
                number(spec.tokens.size()));
  return true;
}

bool TokenizerBuilder::checkSizes() {
  size_t count = spec.tokens.size();
  if (count == 0 || count > INT32_MAX)
    return fail("the tokenizer has " + number(count) +
                " tokens, expected 1 to 2147483647");
  if (!spec.types.empty() && spec.types.size() != count)
    return fail("the tokenizer has " + number(spec.types.size()) +
                " token types for " + number(count) + " tokens");
  bool hasScores = isSpm() || spec.model == Model::Unigram;
  if (hasScores && spec.scores.size() != count)
    return fail("the tokenizer has " + number(spec.scores.size()) +
                " scores for " + number(count) + " tokens");
  if ((!spec.texts.empty() && spec.texts.size() != count) ||
      (!spec.added.empty() && spec.added.size() != count))
    return fail("the tokenizer has " + number(spec.texts.size()) +
                " texts and " + number(spec.added.size()) + " flags for " +
                number(count) + " tokens");
  for (size_t i = 0; hasScores && i < count; ++i)
    if (std::isnan(spec.scores[i]))
      return fail("the score of token " + number(i) + " is not a number");
  bool looksUp = spec.model == Model::Unigram || spec.model == Model::WordPiece;
  for (size_t i = 0; looksUp && i < count; ++i)
    if (spec.tokens[i].size() > image::maxSpecialBytes)
      return fail("token " + number(i) + " has " +
                  number(spec.tokens[i].size()) + " bytes, expected at most " +
                  number(image::maxSpecialBytes));
  const std::pair<int32_t, const char *> ids[] = {
      {spec.bos, "bos"}, {spec.eos, "eos"},     {spec.eot, "eot"},
      {spec.eom, "eom"}, {spec.unk, "unknown"}, {spec.pad, "padding"}};
  for (auto [id, name] : ids)
    if (!checkId(id, name))
      return false;
  for (int32_t id : spec.stopIds)
    if (!checkId(id, "stop"))
      return false;
  return true;
}

bool TokenizerBuilder::resolveKind() {
  PreTokenizerKind kind;
  kind.ignoreMerges = spec.ignoreMerges;
  size_t normalizers = spec.normalizers;
  bool addSpace = isSpm() && spec.addSpacePrefix.value_or(true);
  if (spec.steps) {
    kind.steps = *spec.steps;
  } else if (isSpm()) {
    // SentencePiece writes a space as U+2581; the keys hold spaces. A U+2581 in
    // the text is thus a space, too.
    kind.steps.push_back({StepKind::Replace, 0, std::string(spaceMark), " "});
    if (addSpace)
      kind.steps.push_back({StepKind::Prepend, 0, "", " "});
    normalizers = kind.steps.size();
  } else if (spec.model == Model::Bpe) {
    std::string_view pre = "default";
    if (!spec.pre.empty())
      pre = spec.pre;
    if (!findPreTokenizer(pre, kind))
      return fail("unsupported pre-tokenizer '" + std::string(pre) +
                  "', supported: " + preTokenizerNames());
  }
  // Only what the file says itself can ask for a token that is not there.
  if (spec.addBos.value_or(false) && spec.bos < 0)
    return fail("the tokenizer adds a bos token but names none");
  if (spec.addEos.value_or(false) && spec.eos < 0)
    return fail("the tokenizer adds an eos token but names none");
  bool addBos = spec.addBos.value_or((isSpm() || kind.addBos) && spec.bos >= 0);
  using Drop = TokenizerSpec::DropSpace;
  Drop drop = spec.dropSpace.value_or(addSpace ? Drop::One : Drop::None);
  auto flag = [](bool isSet, image::Flags flag) { return isSet ? flag : 0u; };
  header.flags = flag(addBos, image::AddBos) |
                 flag(spec.addEos.value_or(false), image::AddEos) |
                 flag(drop == Drop::One, image::DropSpace) |
                 flag(drop == Drop::All, image::DropAllSpaces) |
                 flag(kind.ignoreMerges, image::IgnoreMerges) |
                 flag(spec.byteFallback, image::ByteFallback) |
                 flag(spec.steps && spec.unk >= 0, image::UseUnknown) |
                 flag(spec.fuseUnknown, image::FuseUnknown) |
                 flag(spec.singlePrecision, image::SinglePrecision);
  header.model = static_cast<uint32_t>(spec.model);
  header.unknownScore = spec.unknownScore;
  header.maxWordCharacters = spec.maxWordCharacters;
  return buildSteps(std::move(kind.steps), normalizers);
}

bool TokenizerBuilder::buildSteps(std::vector<PipelineStep> list,
                                  size_t normalizers) {
  auto add = [&](const std::string &text) {
    stepData.resize((stepData.size() + 3) / 4 * 4);
    stepData.insert(stepData.end(), text.begin(), text.end());
    return static_cast<uint32_t>(stepData.size() - text.size());
  };
  size_t size = 0;
  for (const PipelineStep &step : list)
    size += step.pattern.size() + step.content.size() + 8;
  if (size > UINT32_MAX)
    return fail("the steps of the tokenizer exceed 4 GiB");
  for (const PipelineStep &step : list) {
    uint32_t pattern = add(step.pattern);
    steps.push_back({static_cast<uint32_t>(step.kind), step.flags, pattern,
                     static_cast<uint32_t>(step.pattern.size()),
                     add(step.content),
                     static_cast<uint32_t>(step.content.size())});
  }
  header.normalizers = static_cast<uint32_t>(normalizers);
  pipeline = Pipeline::create(steps, stepData, normalizers, error);
  return pipeline != nullptr;
}

bool TokenizerBuilder::readTypes() {
  types.assign(spec.tokens.size(), static_cast<uint8_t>(TokenType::Normal));
  for (size_t i = 0; i < spec.types.size(); ++i) {
    if (spec.types[i] < 1 || spec.types[i] > 6)
      return fail("the type of token " + number(i) + " is " +
                  std::to_string(spec.types[i]) + ", expected 1 to 6");
    types[i] = static_cast<uint8_t>(spec.types[i]);
  }
  for (size_t i = 0; i < spec.added.size(); ++i)
    types[i] |=
        spec.added[i] & (LeftStrip | RightStrip | SingleWord | Normalized);
  for (uint32_t i = 0; i < spec.tokens.size(); ++i)
    idOfText[spec.tokens[i]] = i;
  return true;
}

void TokenizerBuilder::markEnds() {
  auto find = [&](std::string_view name) -> int32_t {
    auto it = idOfText.find(name);
    return it == idOfText.end() ? -1 : static_cast<int32_t>(it->second);
  };
  auto mark = [&](int32_t id) {
    if (id >= 0)
      types[static_cast<size_t>(id)] |= image::endFlag;
  };
  header.bos = spec.bos;
  header.eos = spec.eos;
  header.eot = spec.eot;
  header.eom = spec.eom < 0 ? find("<|eom_id|>") : spec.eom;
  header.unk = spec.unk;
  header.pad = spec.pad;
  for (std::string_view name : turnEndNames)
    if (header.eot < 0)
      header.eot = find(name);
  for (std::string_view name : endNames)
    if (int32_t id = find(name);
        id >= 0 && type(static_cast<size_t>(id)) != TokenType::Byte) {
      uint8_t &known = types[static_cast<size_t>(id)];
      known = static_cast<uint8_t>((known & ~image::typeMask) |
                                   static_cast<uint8_t>(TokenType::Control));
      mark(id);
    }
  for (std::string_view name : endNamesOfControl)
    if (int32_t id = find(name);
        id >= 0 && type(static_cast<size_t>(id)) == TokenType::Control)
      mark(id);
  // Where <|return|> or <|flush|> ends an answer, <|end|> only ends a message.
  if ((find("<|call|>") >= 0 && find("<|return|>") >= 0) ||
      (find("<|calls|>") >= 0 && find("<|flush|>") >= 0)) {
    if (int32_t id = find("<|end|>"); id >= 0)
      types[static_cast<size_t>(id)] &= static_cast<uint8_t>(~image::endFlag);
    if (spec.eot < 0 && header.eot == find("<|end|>"))
      header.eot = -1;
  }
  mark(header.eos);
  mark(header.eot);
  mark(header.eom);
  for (int32_t id : spec.stopIds)
    mark(id);
}

std::vector<uint8_t> TokenizerBuilder::write() {
  std::vector<uint8_t> out(sizeof header);
  auto add = [&](image::Section &section, const auto &data) {
    out.resize((out.size() + image::alignment - 1) / image::alignment *
               image::alignment);
    section = {out.size(), data.size()};
    const auto *bytes = reinterpret_cast<const uint8_t *>(data.data());
    out.insert(out.end(), bytes, bytes + data.size() * sizeof(data[0]));
  };
  add(header.keyOffsets, keyOffsets);
  add(header.keys, keys);
  header.textOffsets = header.keyOffsets;
  header.texts = header.keys;
  if (!spec.texts.empty() && (texts != keys || textOffsets != keyOffsets)) {
    add(header.textOffsets, textOffsets);
    add(header.texts, texts);
  }
  add(header.types, types);
  if (isSpm())
    add(header.scores,
        std::vector<float>(spec.scores.begin(), spec.scores.end()));
  else if (spec.model == Model::Unigram)
    add(header.scores, spec.scores);
  add(header.textSlots, textSlots);
  add(header.byteTokens, byteTokens);
  add(header.merges, merges);
  add(header.mergeSlots, mergeSlots);
  add(header.trie, trie);
  add(header.normalizedTrie, normalizedTrie);
  add(header.steps, steps);
  add(header.stepData, stepData);
  add(header.wordPrefix, spec.wordPrefix);
  std::memcpy(header.magic, image::magic, sizeof header.magic);
  header.version = image::version;
  header.headerSize = sizeof header;
  header.imageSize = out.size();
  header.vocabSize = static_cast<uint32_t>(spec.tokens.size());
  std::memcpy(out.data(), &header, sizeof header);
  return out;
}

std::vector<uint8_t> TokenizerBuilder::build() {
  if (!checkSizes() || !resolveKind() || !readTypes())
    return {};
  markEnds();
  if (!readTexts() || !readMerges() || !buildTries())
    return {};
  buildTextSlots();
  return write();
}

/// The same with the steps and texts that a vocabulary with marks for spaces
/// needs, which GGUF leaves to the pre-tokenizer's name.
static TokenizerSpec withMarkedSpaces(TokenizerSpec spec,
                                      const PreTokenizerKind &kind) {
  spec.model = TokenizerSpec::Model::CharBpe;
  spec.byteFallback = true;
  spec.steps = kind.steps;
  spec.steps->insert(spec.steps->begin(),
                     {StepKind::Replace, 0, " ", std::string(spaceMark)});
  spec.normalizers = 1;
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    auto type = i < spec.types.size() ? static_cast<TokenType>(spec.types[i])
                                      : TokenType::Normal;
    std::string &text = spec.texts.emplace_back();
    if (type == TokenType::Normal)
      replaceText(spec.tokens[i], spaceMark, " ", SIZE_MAX, text);
    else
      text =
          type == TokenType::Byte ? byteText(spec.tokens[i]) : spec.tokens[i];
  }
  return spec;
}

std::vector<uint8_t> buildTokenizerImage(const TokenizerSpec &spec,
                                         std::string &error) {
  PreTokenizerKind kind;
  if (spec.model == TokenizerSpec::Model::Bpe && !spec.steps &&
      findPreTokenizer(spec.pre, kind) && kind.marksSpaces) {
    TokenizerSpec marked = withMarkedSpaces(spec, kind);
    return TokenizerBuilder(marked, error).build();
  }
  return TokenizerBuilder(spec, error).build();
}

} // namespace qcc::text
