//===- TokenizerTables.cpp - Texts, merges and tries of a tokenizer -------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "TokenizerBuilder.h"
#include "Utf8.h"

#include <algorithm>

namespace qcc::text {

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

std::string byteText(const std::string &name) {
  int byte = byteOfName(name);
  return byte < 0 ? name : std::string(1, static_cast<char>(byte));
}

bool TokenizerBuilder::addText(std::string_view text,
                               std::vector<uint32_t> &offsets,
                               std::vector<uint8_t> &texts) {
  if (text.size() > UINT32_MAX - texts.size())
    return fail("the texts of the tokens exceed 4 GiB");
  texts.insert(texts.end(), text.begin(), text.end());
  offsets.push_back(static_cast<uint32_t>(texts.size()));
  return true;
}

bool TokenizerBuilder::readTexts() {
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
bool TokenizerBuilder::findParts(size_t index, uint32_t (&ids)[3]) {
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

bool TokenizerBuilder::readMerges() {
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

bool TokenizerBuilder::buildTries() {
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

void TokenizerBuilder::buildTrie(Words words,
                                 std::vector<image::TrieNode> &trie) {
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

void TokenizerBuilder::buildTextSlots() {
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

} // namespace qcc::text
