//===- Tokenizer.cpp - Text to token ids and back -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Tokenizer.h"

#include "Utf8.h"

#include <bit>
#include <cstring>

namespace qcc::text {

static_assert(std::endian::native == std::endian::little,
              "tokenizer images are used in place");

//===-- Opening -----------------------------------------------------------===//

template <typename T>
bool Tokenizer::section(const image::Section &section, const char *name,
                        std::span<const T> &out, std::string &error) const {
  if (section.offset > bytes || section.offset % alignof(T) != 0 ||
      section.count > (bytes - section.offset) / sizeof(T)) {
    error = "tokenizer image: " + std::string(name) + " has " +
            std::to_string(section.count) + " elements at offset " +
            std::to_string(section.offset) + ", which do not fit into " +
            std::to_string(bytes) + " bytes";
    return false;
  }
  out = {reinterpret_cast<const T *>(reinterpret_cast<const char *>(header) +
                                     section.offset),
         static_cast<size_t>(section.count)};
  return true;
}

std::unique_ptr<Tokenizer> Tokenizer::open(const void *image, size_t bytes,
                                           std::string &error) {
  if (!image || bytes < sizeof(image::Header) ||
      reinterpret_cast<uintptr_t>(image) % alignof(image::Header) != 0) {
    error = "tokenizer image: expected at least " +
            std::to_string(sizeof(image::Header)) + " aligned bytes, found " +
            std::to_string(bytes);
    return nullptr;
  }
  std::unique_ptr<Tokenizer> result(new Tokenizer);
  Tokenizer &t = *result;
  const auto *header = static_cast<const image::Header *>(image);
  t.header = header;
  t.bytes = bytes;
  if (std::memcmp(header->magic, image::magic, sizeof image::magic) != 0) {
    error = "not a tokenizer image";
    return nullptr;
  }
  if (header->version != image::version ||
      header->headerSize != sizeof(image::Header) ||
      header->imageSize != bytes) {
    error = "tokenizer image: expected version " +
            std::to_string(image::version) + " of " + std::to_string(bytes) +
            " bytes, found version " + std::to_string(header->version) +
            " of " + std::to_string(header->imageSize);
    return nullptr;
  }
  if (!t.section(header->textOffsets, "text offsets", t.textOffsets, error) ||
      !t.section(header->texts, "texts", t.texts, error) ||
      !t.section(header->types, "types", t.types, error) ||
      !t.section(header->scores, "scores", t.scores, error) ||
      !t.section(header->textSlots, "text slots", t.textSlots, error) ||
      !t.section(header->byteTokens, "byte tokens", t.byteTokens, error) ||
      !t.section(header->merges, "merges", t.merges, error) ||
      !t.section(header->mergeSlots, "merge slots", t.mergeSlots, error) ||
      !t.section(header->trie, "special tokens", t.trie, error))
    return nullptr;
  bool spm = header->flags & image::Spm;
  size_t vocab = header->vocabSize;
  if (vocab == 0 || vocab > INT32_MAX || t.textOffsets.size() != vocab + 1 ||
      t.types.size() != vocab || t.byteTokens.size() != 256 ||
      (spm && t.scores.size() != vocab)) {
    error = "tokenizer image: the sizes of its parts disagree with a "
            "vocabulary of " +
            std::to_string(vocab);
    return nullptr;
  }
  for (int32_t id : {header->bos, header->eos, header->eot, header->eom,
                     header->unk, header->pad})
    if (id != -1 && !t.isToken(id)) {
      error = "tokenizer image: special token " + std::to_string(id) +
              " is not in the vocabulary of " + std::to_string(vocab);
      return nullptr;
    }
  if ((t.addsBos() && t.bos() < 0) || (t.addsEos() && t.eos() < 0)) {
    error = "tokenizer image: a token that is added to each text is not named";
    return nullptr;
  }
  if (!spm) {
    t.preTokenizer = PreTokenizer::create(header->preTokenizer, error);
    if (!t.preTokenizer)
      return nullptr;
  }
  return result;
}

//===-- Tables ------------------------------------------------------------===//

// Indices inside of the sections are not checked when the image is opened,
// which would touch all of it; they are checked where they are used.

std::string_view Tokenizer::textOf(uint32_t id) const {
  size_t begin = textOffsets[id], end = textOffsets[id + 1];
  if (begin > end || end > texts.size())
    return {};
  return {texts.data() + begin, end - begin};
}

int32_t Tokenizer::lookUp(std::string_view text) const {
  if (textSlots.empty())
    return -1;
  size_t slot = image::slot(image::hashText(text), textSlots.size());
  for (size_t tries = 0; tries < textSlots.size(); ++tries) {
    uint32_t id = textSlots[slot];
    if (id >= header->vocabSize)
      return -1;
    if (textOf(id) == text)
      return static_cast<int32_t>(id);
    slot = slot + 1 == textSlots.size() ? 0 : slot + 1;
  }
  return -1;
}

int32_t Tokenizer::findMerge(uint32_t left, uint32_t right) const {
  if (mergeSlots.empty())
    return -1;
  size_t slot = image::slot(image::hashPair(left, right), mergeSlots.size());
  for (size_t tries = 0; tries < mergeSlots.size(); ++tries) {
    uint32_t rank = mergeSlots[slot];
    if (rank >= merges.size())
      return -1;
    const image::Merge &merge = merges[rank];
    if (merge.left == left && merge.right == right)
      return merge.result < header->vocabSize ? static_cast<int32_t>(rank) : -1;
    slot = slot + 1 == mergeSlots.size() ? 0 : slot + 1;
  }
  return -1;
}

int32_t Tokenizer::matchSpecial(std::string_view text, size_t at,
                                bool parseSpecial, size_t &length) const {
  int32_t best = -1;
  size_t node = 0;
  size_t end = std::min(text.size(), at + image::maxSpecialBytes);
  for (size_t i = at; i < end; ++i) {
    size_t low = trie[node].firstChild, count = trie[node].childCount;
    if (low > trie.size() || count > trie.size() - low)
      return best;
    uint8_t byte = static_cast<uint8_t>(text[i]);
    while (count > 0) {
      size_t half = count / 2;
      if (trie[low + half].byte < byte) {
        low += half + 1;
        count -= half + 1;
      } else {
        count = half;
      }
    }
    size_t last = trie[node].firstChild + size_t(trie[node].childCount);
    if (low == last || trie[low].byte != byte)
      return best;
    node = low;
    int32_t id = parseSpecial ? trie[node].token : trie[node].userDefined;
    if (isToken(id)) {
      best = id;
      length = i + 1 - at;
    }
  }
  return best;
}

//===-- Text to ids -------------------------------------------------------===//

bool Tokenizer::tokenize(std::string_view text, bool addSpecial,
                         bool parseSpecial, std::vector<int32_t> &ids,
                         std::string &error) const {
  if (text.size() > INT32_MAX) {
    error = "the text has " + std::to_string(text.size()) +
            " bytes, expected at most " + std::to_string(INT32_MAX);
    return false;
  }
  if (addSpecial && addsBos())
    ids.push_back(bos());

  // SentencePiece puts a space before the text, and before each piece of it
  // that follows a special token.
  bool prefix = addsSpacePrefix();
  std::string spaced;
  auto add = [&](std::string_view piece) {
    if (piece.empty())
      return true;
    if (preTokenizer)
      return mergeByRank(piece, ids, error);
    if (prefix) {
      spaced.assign(1, ' ');
      spaced += piece;
      piece = spaced;
    }
    prefix = false;
    mergeByScore(piece, ids);
    return true;
  };

  size_t begin = 0;
  for (size_t at = 0; !trie.empty() && at < text.size();) {
    size_t length = 0;
    int32_t id = matchSpecial(text, at, parseSpecial, length);
    if (id < 0) {
      ++at;
      continue;
    }
    if (!add(text.substr(begin, at - begin)))
      return false;
    ids.push_back(id);
    prefix = addsSpacePrefix();
    begin = at += length;
  }
  if (!add(text.substr(begin)))
    return false;

  if (addSpecial && addsEos())
    ids.push_back(eos());
  return true;
}

//===-- Ids to text -------------------------------------------------------===//

bool Tokenizer::isControl(int32_t id) const {
  if (!isToken(id))
    return false;
  auto type = static_cast<TokenType>(types[id] & image::typeMask);
  return type == TokenType::Control || type == TokenType::Unknown;
}

std::string_view Tokenizer::piece(int32_t id, bool special) const {
  if (!isToken(id) || (!special && isControl(id)))
    return {};
  return textOf(static_cast<uint32_t>(id));
}

std::string Tokenizer::detokenize(std::span<const int32_t> ids,
                                  bool special) const {
  std::string out;
  bool dropSpace = addsSpacePrefix();
  for (int32_t id : ids) {
    std::string_view text = piece(id, special);
    if (dropSpace && !isControl(id)) {
      if (!text.empty() && text[0] == ' ')
        text.remove_prefix(1);
      dropSpace = false;
    }
    out += text;
  }
  return out;
}

int32_t Tokenizer::find(std::string_view text) const {
  if (int32_t id = lookUp(text); id >= 0)
    return id;
  size_t length = 0;
  if (!trie.empty() && !text.empty())
    if (int32_t id = matchSpecial(text, 0, true, length); length == text.size())
      return id;
  return -1;
}

void StreamDecoder::push(int32_t id, std::string &out) {
  std::string_view text = tokenizer->piece(id, special);
  if (dropSpace && !tokenizer->isControl(id)) {
    if (!text.empty() && text[0] == ' ')
      text.remove_prefix(1);
    dropSpace = false;
  }
  held += text;
  size_t at = 0;
  while (at < held.size()) {
    uint32_t codePoint = 0;
    if (size_t length = decodeUtf8(held, at, codePoint)) {
      out.append(held, at, length);
      at += length;
      continue;
    }
    bool incomplete = false;
    size_t length = malformedUtf8(held, at, incomplete);
    if (incomplete)
      break;
    out += "\xEF\xBF\xBD";
    at += length;
  }
  held.erase(0, at);
}

void StreamDecoder::finish(std::string &out) {
  if (!held.empty())
    out += "\xEF\xBF\xBD";
  held.clear();
}

} // namespace qcc::text
