//===- TokenizerBuild.cpp - From a vocabulary to a tokenizer image --------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "PreTokenizer.h"
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
  bool isSpm() const { return spec.model == TokenizerSpec::Model::Spm; }
  TokenType type(size_t id) const {
    return static_cast<TokenType>(types[id] & image::typeMask);
  }

  bool checkSizes();
  bool checkId(int32_t id, const char *name);
  bool resolveKind();
  bool readTypes();
  void markEnds();
  bool readTexts();
  bool readMerges();
  bool buildTrie();
  void buildTextSlots();
  std::vector<uint8_t> write();

  const TokenizerSpec &spec;
  std::string &error;
  image::Header header{};
  std::unordered_map<std::string_view, uint32_t> idOfText;
  std::vector<uint32_t> textOffsets;
  std::vector<uint8_t> texts;
  std::vector<uint8_t> types;
  std::vector<uint32_t> textSlots;
  std::vector<int32_t> byteTokens;
  std::vector<image::Merge> merges;
  std::vector<uint32_t> mergeSlots;
  std::vector<image::TrieNode> trie;
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
  if (isSpm() && spec.scores.size() != count)
    return fail("the tokenizer has " + number(spec.scores.size()) +
                " scores for " + number(count) + " tokens");
  for (size_t i = 0; isSpm() && i < count; ++i)
    if (std::isnan(spec.scores[i]))
      return fail("the score of token " + number(i) + " is not a number");
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
  PreTokenizerKind kind{0, false, false};
  if (!isSpm()) {
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
  bool addSpace = isSpm() && spec.addSpacePrefix.value_or(true);
  header.preTokenizer = kind.index;
  header.flags = (isSpm() ? image::Spm : 0u) | (addBos ? image::AddBos : 0u) |
                 (spec.addEos.value_or(false) ? image::AddEos : 0u) |
                 (addSpace ? image::AddSpacePrefix : 0u) |
                 (kind.ignoreMerges ? image::IgnoreMerges : 0u);
  return true;
}

bool Builder::readTypes() {
  types.assign(spec.tokens.size(), static_cast<uint8_t>(TokenType::Normal));
  for (size_t i = 0; i < spec.types.size(); ++i) {
    if (spec.types[i] < 1 || spec.types[i] > 6)
      return fail("the type of token " + number(i) + " is " +
                  std::to_string(spec.types[i]) + ", expected 1 to 6");
    types[i] = static_cast<uint8_t>(spec.types[i]);
  }
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
    if (int32_t id = find(name); id >= 0 && type(id) != TokenType::Byte) {
      types[static_cast<size_t>(id)] = static_cast<uint8_t>(TokenType::Control);
      mark(id);
    }
  for (std::string_view name : endNamesOfControl)
    if (int32_t id = find(name); id >= 0 && type(id) == TokenType::Control)
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
  auto standsForItself = [](uint32_t c) {
    return (c >= 33 && c <= 126) || (c >= 161 && c <= 172) ||
           (c >= 174 && c <= 255);
  };
  if (codePoint < 256)
    return standsForItself(codePoint) ? static_cast<int>(codePoint) : -1;
  // The others have the characters from U+0100 on, in order.
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte)
    if (!standsForItself(byte) && next++ == codePoint)
      return static_cast<int>(byte);
  return -1;
}

/// Undoes GPT-2's mapping of bytes to printable characters. A text that is not
/// such a mapping stands for itself.
static std::string decodeBytes(const std::string &text) {
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

static std::string replaceSpaceMarks(const std::string &text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (text.compare(at, spaceMark.size(), spaceMark) == 0) {
      out += ' ';
      at += spaceMark.size();
    } else {
      out += text[at++];
    }
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

bool Builder::readTexts() {
  byteTokens.assign(256, -1);
  textOffsets.reserve(spec.tokens.size() + 1);
  textOffsets.push_back(0);
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const std::string &token = spec.tokens[i];
    std::string text = token;
    if (type(i) == TokenType::Byte) {
      int byte = byteOfName(token);
      if (byte < 0)
        return fail("byte token " + number(i) + " is '" + token +
                    "', expected <0x00> to <0xFF>");
      text.assign(1, static_cast<char>(byte));
      byteTokens[static_cast<size_t>(byte)] = static_cast<int32_t>(i);
    } else if (isSpm()) {
      if (type(i) != TokenType::Control && type(i) != TokenType::Unknown)
        text = replaceSpaceMarks(token);
    } else if (type(i) == TokenType::Normal || type(i) == TokenType::Unused) {
      text = decodeBytes(token);
      if (text.size() == 1) {
        int32_t &slot = byteTokens[static_cast<uint8_t>(text[0])];
        // A byte token by type comes first.
        if (slot < 0 || type(static_cast<size_t>(slot)) != TokenType::Byte)
          slot = static_cast<int32_t>(i);
      }
    }
    if (text.size() > UINT32_MAX - texts.size())
      return fail("the texts of the tokens exceed 4 GiB");
    texts.insert(texts.end(), text.begin(), text.end());
    textOffsets.push_back(static_cast<uint32_t>(texts.size()));
  }
  return true;
}

bool Builder::readMerges() {
  if (isSpm())
    return true;
  if (spec.merges.size() > INT32_MAX)
    return fail("the tokenizer has " + number(spec.merges.size()) +
                " merges, expected at most 2147483647");
  mergeSlots.assign(spec.merges.size() * 3 / 2 + 1, image::emptySlot);
  merges.reserve(spec.merges.size());
  for (size_t i = 0; i < spec.merges.size(); ++i) {
    const std::string &merge = spec.merges[i];
    size_t space = merge.find(' ', 1);
    if (space == std::string::npos || space + 1 == merge.size())
      return fail("merge " + number(i) + " is '" + merge +
                  "', expected two tokens with a space between");
    std::string left = merge.substr(0, space), right = merge.substr(space + 1);
    uint32_t ids[3];
    const std::string parts[3] = {left, right, left + right};
    for (size_t part = 0; part < 3; ++part) {
      auto it = idOfText.find(parts[part]);
      if (it == idOfText.end())
        return fail("merge " + number(i) + " ('" + merge + "') needs '" +
                    parts[part] + "', which is no token");
      ids[part] = it->second;
    }
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

bool Builder::buildTrie() {
  std::vector<std::pair<std::string_view, int32_t>> words;
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    if (type(i) != TokenType::Control && type(i) != TokenType::Unknown &&
        type(i) != TokenType::UserDefined)
      continue;
    if (spec.tokens[i].size() > image::maxSpecialBytes)
      return fail("special token " + number(i) + " has " +
                  number(spec.tokens[i].size()) + " bytes, expected at most " +
                  number(image::maxSpecialBytes));
    if (!spec.tokens[i].empty())
      words.push_back({spec.tokens[i], static_cast<int32_t>(i)});
  }
  if (words.empty())
    return true;
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
  return true;
}

void Builder::buildTextSlots() {
  auto text = [&](size_t id) {
    return std::string_view(reinterpret_cast<const char *>(texts.data()),
                            texts.size())
        .substr(textOffsets[id], textOffsets[id + 1] - textOffsets[id]);
  };
  std::vector<uint32_t> ids;
  for (uint32_t i = 0; i < spec.tokens.size(); ++i) {
    // Text never merges into a control, unknown or byte token (as in
    // SentencePiece), nor, once spaces are marks, into one with a real space.
    if (type(i) == TokenType::Control || type(i) == TokenType::Unknown ||
        type(i) == TokenType::Byte || text(i).empty() ||
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
  add(header.textOffsets, textOffsets);
  add(header.texts, texts);
  add(header.types, types);
  add(header.scores, isSpm() ? spec.scores : std::vector<float>());
  add(header.textSlots, textSlots);
  add(header.byteTokens, byteTokens);
  add(header.merges, merges);
  add(header.mergeSlots, mergeSlots);
  add(header.trie, trie);
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
  if (!readTexts() || !readMerges() || !buildTrie())
    return {};
  buildTextSlots();
  return write();
}

std::vector<uint8_t> buildTokenizerImage(const TokenizerSpec &spec,
                                         std::string &error) {
  return Builder(spec, error).build();
}

} // namespace qcc::text
