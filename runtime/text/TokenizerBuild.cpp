//===- TokenizerBuild.cpp - From a vocabulary to a tokenizer image --------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Pipeline.h"
#include "PreTokenizerTable.h"
#include "TokenizerImage.h"
#include "Utf8.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_map>

namespace qcc::text {

static constexpr std::string_view spaceMark = "\xE2\x96\x81"; // U+2581

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

namespace {
class Builder {
public:
  Builder(const TokenizerSpec &spec, std::string &error)
      : spec(spec), error(error) {}

  std::vector<uint8_t> build();

private:
  bool fail(std::string message) {
    error = std::move(message);
    return false;
  }
  using Model = TokenizerSpec::Model;
  bool isSpm() const { return spec.model == Model::Spm; }
  TokenType type(size_t id) const {
    return static_cast<TokenType>(types[id] & image::typeMask);
  }

  bool checkSizes();
  bool checkId(int32_t id, const char *name);
  bool resolveKind();
  bool readTypes();
  void markEnds();
  bool buildSteps(std::vector<PipelineStep> steps, size_t normalizers);
  bool readTexts();
  bool addText(std::string_view text, std::vector<uint32_t> &offsets,
               std::vector<uint8_t> &texts);
  bool readMerges();
  bool findParts(size_t index, uint32_t (&ids)[3]);
  bool buildTries();
  using Words = std::vector<std::pair<std::string, int32_t>>;
  void buildTrie(Words words, std::vector<image::TrieNode> &trie);
  void buildTextSlots();
  std::vector<uint8_t> write();

  const TokenizerSpec &spec;
  std::string &error;
  image::Header header{};
  std::unordered_map<std::string_view, uint32_t> idOfText;
  std::vector<image::Step> steps;
  std::vector<uint8_t> stepData;
  std::unique_ptr<Pipeline> pipeline;
  std::vector<uint32_t> textOffsets, keyOffsets;
  std::vector<uint8_t> texts, keys;
  std::vector<uint8_t> types;
  std::vector<uint32_t> textSlots;
  std::vector<int32_t> byteTokens;
  std::vector<image::Merge> merges;
  std::vector<uint32_t> mergeSlots;
  std::vector<image::TrieNode> trie, normalizedTrie;
};
} // namespace

static std::string number(size_t value) { return std::to_string(value); }

bool Builder::checkId(int32_t id, const char *name) {
  if (id < -1 || (id >= 0 && static_cast<size_t>(id) >= spec.tokens.size()))
    return fail(std::string(name) + " token id is " + std::to_string(id) +
                ", expected less than the vocabulary size " +
                number(spec.tokens.size()));
  return true;
}

bool Builder::checkSizes() {
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

bool Builder::resolveKind() {
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

bool Builder::buildSteps(std::vector<PipelineStep> list, size_t normalizers) {
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

bool Builder::readTypes() {
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

void Builder::markEnds() {
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

/// The byte that GPT-2's printable character `codePoint` stands for, or -1.
static int byteOfPrintable(uint32_t codePoint) {
  for (int byte = 0; byte < 256; ++byte)
    if (printableOfByte(static_cast<uint8_t>(byte)) == codePoint)
      return byte;
  return -1;
}

std::string decodeBytes(const std::string &text) {
  std::string out;
  uint32_t codePoint = 0;
  for (size_t at = 0; at < text.size();) {
    size_t length = decodeUtf8(text, at, codePoint);
    int byte = length ? byteOfPrintable(codePoint) : -1;
    if (byte < 0)
      return text;
    out += static_cast<char>(byte);
    at += length;
  }
  return out;
}

/// The byte of "<0xNN>", or -1.
static int byteOfName(const std::string &text) {
  auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
  };
  if (text.size() != 6 || text.compare(0, 3, "<0x") != 0 || text[5] != '>' ||
      digit(text[3]) < 0 || digit(text[4]) < 0)
    return -1;
  return digit(text[3]) * 16 + digit(text[4]);
}

bool Builder::addText(std::string_view text, std::vector<uint32_t> &offsets,
                      std::vector<uint8_t> &texts) {
  if (text.size() > UINT32_MAX - texts.size())
    return fail("the texts of the tokens exceed 4 GiB");
  texts.insert(texts.end(), text.begin(), text.end());
  offsets.push_back(static_cast<uint32_t>(texts.size()));
  return true;
}

bool Builder::readTexts() {
  byteTokens.assign(256, -1);
  keyOffsets.push_back(0);
  textOffsets.push_back(0);
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const std::string &token = spec.tokens[i];
    std::string key = token;
    if (type(i) == TokenType::Byte) {
      int byte = byteOfName(token);
      if (byte < 0)
        return fail("byte token " + number(i) + " is '" + token +
                    "', expected <0x00> to <0xFF>");
      key.assign(1, static_cast<char>(byte));
      byteTokens[static_cast<size_t>(byte)] = static_cast<int32_t>(i);
    } else if (isSpm()) {
      if (type(i) != TokenType::Control && type(i) != TokenType::Unknown) {
        key.clear();
        replaceText(token, spaceMark, " ", SIZE_MAX, key);
      }
    } else if (spec.model == Model::Bpe &&
               (type(i) == TokenType::Normal || type(i) == TokenType::Unused)) {
      key = decodeBytes(token);
      if (key.size() == 1) {
        int32_t &slot = byteTokens[static_cast<uint8_t>(key[0])];
        // A byte token by type comes first.
        if (slot < 0 || type(static_cast<size_t>(slot)) != TokenType::Byte)
          slot = static_cast<int32_t>(i);
      }
    }
    // In an answer, too, it is what was looked for.
    std::string storage;
    std::string_view normalized = key;
    if (types[i] & Normalized && spec.texts.empty() &&
        !pipeline->normalize(key, true, storage, normalized, error))
      return false;
    if (!addText(normalized, keyOffsets, keys) ||
        (!spec.texts.empty() && !addText(spec.texts[i], textOffsets, texts)))
      return false;
  }
  return true;
}

/// The ids of the two tokens of a merge and of what they become.
bool Builder::findParts(size_t index, uint32_t (&ids)[3]) {
  std::string parts[3];
  if (!spec.mergeIds.empty()) {
    auto [left, right] = spec.mergeIds[index];
    if (left >= spec.tokens.size() || right >= spec.tokens.size())
      return fail("merge " + number(index) + " is of tokens " + number(left) +
                  " and " + number(right) + ", expected less than " +
                  number(spec.tokens.size()));
    parts[0] = spec.tokens[left];
    parts[1] = spec.tokens[right];
  } else {
    const std::string &merge = spec.merges[index];
    size_t space = merge.find(' ', 1);
    if (space == std::string::npos || space + 1 == merge.size())
      return fail("merge " + number(index) + " is '" + merge +
                  "', expected two tokens with a space between");
    parts[0] = merge.substr(0, space);
    parts[1] = merge.substr(space + 1);
  }
  parts[2] = parts[0] + parts[1];
  for (size_t part = 0; part < 3; ++part) {
    auto it = idOfText.find(parts[part]);
    if (it == idOfText.end())
      return fail("merge " + number(index) + " ('" + parts[0] + " " + parts[1] +
                  "') needs '" + parts[part] + "', which is no token");
    ids[part] = it->second;
  }
  if (!spec.mergeIds.empty()) {
    ids[0] = spec.mergeIds[index].first;
    ids[1] = spec.mergeIds[index].second;
  }
  return true;
}

bool Builder::readMerges() {
  if (spec.model != Model::Bpe && spec.model != Model::CharBpe)
    return true;
  size_t count =
      spec.mergeIds.empty() ? spec.merges.size() : spec.mergeIds.size();
  if (count > INT32_MAX)
    return fail("the tokenizer has " + number(count) +
                " merges, expected at most 2147483647");
  mergeSlots.assign(count * 3 / 2 + 1, image::emptySlot);
  merges.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    uint32_t ids[3];
    if (!findParts(i, ids))
      return false;
    merges.push_back({ids[0], ids[1], ids[2]});
    size_t slot =
        image::slot(image::hashPair(ids[0], ids[1]), mergeSlots.size());
    bool known = false;
    while (mergeSlots[slot] != image::emptySlot && !known) {
      const image::Merge &other = merges[mergeSlots[slot]];
      known = other.left == ids[0] && other.right == ids[1];
      slot = slot + 1 == mergeSlots.size() ? 0 : slot + 1;
    }
    if (!known)
      mergeSlots[slot] = static_cast<uint32_t>(i);
  }
  return true;
}

bool Builder::buildTries() {
  Words words, normalized;
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    if (type(i) != TokenType::Control && type(i) != TokenType::Unknown &&
        type(i) != TokenType::UserDefined)
      continue;
    std::string_view text = spec.tokens[i];
    std::string storage;
    bool isNormalized = types[i] & Normalized;
    if (isNormalized &&
        !pipeline->normalize(spec.tokens[i], true, storage, text, error))
      return false;
    if (text.size() > image::maxSpecialBytes)
      return fail("special token " + number(i) + " has " + number(text.size()) +
                  " bytes, expected at most " + number(image::maxSpecialBytes));
    if (!text.empty())
      (isNormalized ? normalized : words)
          .push_back({std::string(text), static_cast<int32_t>(i)});
  }
  buildTrie(std::move(words), trie);
  buildTrie(std::move(normalized), normalizedTrie);
  return true;
}

void Builder::buildTrie(Words words, std::vector<image::TrieNode> &trie) {
  if (words.empty())
    return;
  std::sort(words.begin(), words.end());

  // Breadth first, so that children lie side by side. Each entry is a range of
  // words with a common prefix of `depth` bytes.
  struct Range {
    size_t begin, end, depth;
  };
  std::vector<Range> ranges{{0, words.size(), 0}};
  trie.push_back({0, 0, 0, 0, -1, -1});
  for (size_t node = 0; node < ranges.size(); ++node) {
    auto [begin, end, depth] = ranges[node];
    while (begin < end && words[begin].first.size() == depth) {
      int32_t id = words[begin++].second;
      trie[node].token = id;
      if (type(static_cast<size_t>(id)) == TokenType::UserDefined)
        trie[node].userDefined = id;
    }
    trie[node].firstChild = static_cast<uint32_t>(ranges.size());
    while (begin < end) {
      char byte = words[begin].first[depth];
      size_t next = begin;
      while (next < end && words[next].first[depth] == byte)
        ++next;
      ranges.push_back({begin, next, depth + 1});
      trie.push_back({0, 0, static_cast<uint8_t>(byte), 0, -1, -1});
      ++trie[node].childCount;
      begin = next;
    }
  }
}

void Builder::buildTextSlots() {
  auto text = [&](size_t id) {
    return std::string_view(reinterpret_cast<const char *>(keys.data()),
                            keys.size())
        .substr(keyOffsets[id], keyOffsets[id + 1] - keyOffsets[id]);
  };
  std::vector<uint32_t> ids;
  for (uint32_t i = 0; i < spec.tokens.size(); ++i) {
    // Text never merges into a control, unknown or byte token (as in
    // SentencePiece), nor, once spaces are marks, into one with a real space.
    // Unused ids and tokens beside the model are none of its own.
    bool isOutside = (type(i) == TokenType::Unused && !isSpm()) ||
                     (!spec.added.empty() && spec.added[i] & OutsideModel);
    if (isOutside || type(i) == TokenType::Control ||
        type(i) == TokenType::Unknown || type(i) == TokenType::Byte ||
        text(i).empty() ||
        (isSpm() && spec.tokens[i].find(' ') != std::string::npos))
      continue;
    ids.push_back(i);
    header.maxTextBytes =
        std::max(header.maxTextBytes, static_cast<uint32_t>(text(i).size()));
  }
  textSlots.assign(ids.size() * 3 / 2 + 1, image::emptySlot);
  for (uint32_t id : ids) {
    size_t slot = image::slot(image::hashText(text(id)), textSlots.size());
    while (textSlots[slot] != image::emptySlot &&
           text(textSlots[slot]) != text(id))
      slot = slot + 1 == textSlots.size() ? 0 : slot + 1;
    textSlots[slot] = id; // of equal texts the last one counts
  }
}

std::vector<uint8_t> Builder::write() {
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

std::vector<uint8_t> Builder::build() {
  if (!checkSizes() || !resolveKind() || !readTypes())
    return {};
  markEnds();
  if (!readTexts() || !readMerges() || !buildTries())
    return {};
  buildTextSlots();
  return write();
}

std::vector<uint8_t> buildTokenizerImage(const TokenizerSpec &spec,
                                         std::string &error) {
  return Builder(spec, error).build();
}

} // namespace qcc::text
