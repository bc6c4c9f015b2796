//===- Tokenizer.cpp - Text to token ids and back -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Tokenizer.h"

#include "UnicodeAdditions.h"

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
  auto model = static_cast<TokenizerSpec::Model>(header->model);
  bool isSpm = model == TokenizerSpec::Model::Spm;
  bool isUnigram = model == TokenizerSpec::Model::Unigram;
  std::span<const image::Step> steps;
  std::span<const uint8_t> stepData;
  if (!t.section(header->textOffsets, "text offsets", t.textOffsets, error) ||
      !t.section(header->texts, "texts", t.texts, error) ||
      !t.section(header->keyOffsets, "key offsets", t.keyOffsets, error) ||
      !t.section(header->keys, "keys", t.keys, error) ||
      !t.section(header->types, "types", t.types, error) ||
      (isSpm && !t.section(header->scores, "scores", t.scores, error)) ||
      (isUnigram &&
       !t.section(header->scores, "scores", t.logProbabilities, error)) ||
      !t.section(header->textSlots, "text slots", t.textSlots, error) ||
      !t.section(header->byteTokens, "byte tokens", t.byteTokens, error) ||
      !t.section(header->merges, "merges", t.merges, error) ||
      !t.section(header->mergeSlots, "merge slots", t.mergeSlots, error) ||
      !t.section(header->trie, "special tokens", t.trie, error) ||
      !t.section(header->normalizedTrie, "special tokens", t.normalizedTrie,
                 error) ||
      !t.section(header->steps, "steps", steps, error) ||
      !t.section(header->stepData, "texts of steps", stepData, error) ||
      !t.section(header->wordPrefix, "word prefix", t.wordPrefix, error))
    return nullptr;
  size_t vocab = header->vocabSize;
  if (model > TokenizerSpec::Model::WordPiece || vocab == 0 ||
      vocab > INT32_MAX || t.textOffsets.size() != vocab + 1 ||
      t.keyOffsets.size() != vocab + 1 || t.types.size() != vocab ||
      t.byteTokens.size() != 256 || (isSpm && t.scores.size() != vocab) ||
      (isUnigram && t.logProbabilities.size() != vocab)) {
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
  if ((t.addsBos() && t.bos() < 0) || (t.addsEos() && t.eos() < 0) ||
      (header->flags & image::UseUnknown && t.unk() < 0)) {
    error = "tokenizer image: a token that its flags ask for is not named";
    return nullptr;
  }
  t.pipeline = Pipeline::create(steps, stepData, header->normalizers, error);
  return t.pipeline ? std::move(result) : nullptr;
}

//===-- Tables ------------------------------------------------------------===//

// Indices inside of the sections are not checked when the image is opened,
// which would touch all of it; they are checked where they are used.

static std::string_view textAt(std::span<const uint32_t> offsets,
                               std::span<const char> texts, uint32_t id) {
  size_t begin = offsets[id], end = offsets[id + 1];
  if (begin > end || end > texts.size())
    return {};
  return {texts.data() + begin, end - begin};
}

std::string_view Tokenizer::textOf(uint32_t id) const {
  return textAt(textOffsets, texts, id);
}

std::string_view Tokenizer::keyOf(uint32_t id) const {
  return textAt(keyOffsets, keys, id);
}

int32_t Tokenizer::lookUp(std::string_view key, uint32_t hash) const {
  if (textSlots.empty())
    return -1;
  size_t slot = image::slot(hash, textSlots.size());
  for (size_t tries = 0; tries < textSlots.size(); ++tries) {
    uint32_t id = textSlots[slot];
    if (id >= header->vocabSize)
      return -1;
    if (keyOf(id) == key)
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

int32_t Tokenizer::matchSpecial(std::span<const image::TrieNode> trie,
                                std::string_view text, size_t at,
                                bool parseSpecial, size_t &length) const {
  int32_t best = -1;
  if (trie.empty())
    return best;
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

/// A letter, digit, mark or joining sign, roughly: what borders on a token that
/// must stand alone.
static bool isWordCharacter(std::string_view character) {
  static const Pattern word = [] {
    std::string error;
    return Pattern::compile(
        "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}]", error);
  }();
  size_t begin = 0, end = 0;
  std::string error, storage;
  return word && isValidUtf8(character) &&
         Matcher(character.size())
             .find(word, replaceUnicodeAdditions(character, storage), 0, begin,
                   end, error);
}

/// Finds the special tokens of a trie in a text, from left to right.
struct Tokenizer::Splitter {
  const Tokenizer &tokenizer;
  std::span<const image::TrieNode> trie;
  bool parseSpecial;
  std::string_view text;
  size_t searched = 0, done = 0;

  bool standsAlone(size_t begin, size_t end) const {
    if (end < text.size()) {
      uint32_t codePoint = 0;
      size_t length = decodeUtf8(text, end, codePoint);
      if (isWordCharacter(text.substr(end, length)))
        return false;
    }
    size_t start = begin;
    while (start > 0 && begin - start < 4 &&
           (start == begin || (text[start] & 0xC0) == 0x80))
      --start;
    return !isWordCharacter(text.substr(start, begin - start));
  }

  /// The next token and the text between the one before and it. -1: none, and
  /// the rest of the text.
  int32_t next(std::string_view &before) {
    for (size_t at = searched; !trie.empty() && at < text.size();) {
      size_t length = 0;
      int32_t id = tokenizer.matchSpecial(trie, text, at, parseSpecial, length);
      if (id < 0) {
        ++at;
        continue;
      }
      uint8_t flags = tokenizer.types[static_cast<size_t>(id)];
      size_t begin = at, end = at += length;
      if (flags & SingleWord && !standsAlone(begin, end))
        continue;
      if (flags & LeftStrip && begin > done)
        begin -= whiteSpaceAtEnd(text.substr(done, begin - done));
      if (flags & RightStrip) {
        end = std::max(end, done); // what lies before is white space
        end += whiteSpaceAtStart(text.substr(end));
      }
      before = text.substr(done, begin > done ? begin - done : 0);
      // As the reference: white space that was taken may hold a token, too.
      done = end;
      searched = at;
      return id;
    }
    before = text.substr(done);
    return -1;
  }
};

bool Tokenizer::fallBackToBytes(std::string_view text,
                                std::vector<int32_t> &ids) const {
  for (char c : text)
    if (!isToken(byteTokens[static_cast<uint8_t>(c)]))
      return false;
  for (char c : text)
    ids.push_back(byteTokens[static_cast<uint8_t>(c)]);
  return true;
}

bool Tokenizer::tokenizeWords(std::string_view text, bool isFirst,
                              std::vector<int32_t> &ids,
                              std::string &error) const {
  std::string storage;
  std::vector<Word> words;
  if (!pipeline->split(text, isFirst, storage, text, words, error))
    return false;
  using Model = TokenizerSpec::Model;
  switch (static_cast<Model>(header->model)) {
  case Model::Spm:
    for (Word word : words)
      mergeByScore(text.substr(word.begin, word.end - word.begin), ids);
    break;
  case Model::Bpe:
  case Model::CharBpe:
    mergeByRank(text, words, ids);
    break;
  case Model::Unigram:
    for (Word word : words)
      unigram(text.substr(word.begin, word.end - word.begin), ids);
    break;
  case Model::WordPiece:
    for (Word word : words)
      wordPiece(text.substr(word.begin, word.end - word.begin), ids);
    break;
  }
  return true;
}

bool Tokenizer::tokenizePiece(std::string_view text, bool isFirst,
                              bool parseSpecial, std::vector<int32_t> &ids,
                              std::string &error) const {
  if (text.empty())
    return true;
  std::string valid, storage;
  if (pipeline->needsUtf8() && !isValidUtf8(text)) {
    valid = replaceInvalidUtf8(text);
    text = valid;
  }
  std::string_view normalized;
  if (!pipeline->normalize(text, isFirst, storage, normalized, error))
    return false;
  Splitter splitter{*this, normalizedTrie, parseSpecial, normalized};
  for (;;) {
    std::string_view before;
    bool isStart = isFirst && splitter.done == 0;
    int32_t id = splitter.next(before);
    if (!before.empty() && !tokenizeWords(before, isStart, ids, error))
      return false;
    if (id < 0)
      return true;
    ids.push_back(id);
  }
}

bool Tokenizer::tokenize(std::string_view text, bool addSpecial,
                         bool parseSpecial, std::vector<int32_t> &ids,
                         std::string &error) const {
  if (text.size() > INT32_MAX) {
    error = "the text has " + std::to_string(text.size()) +
            " bytes, expected at most " + std::to_string(INT32_MAX);
    return false;
  }
  error.clear();
  if (addSpecial && addsBos())
    ids.push_back(bos());
  Splitter splitter{*this, trie, parseSpecial, text};
  for (;;) {
    std::string_view before;
    bool isFirst = splitter.done == 0;
    int32_t id = splitter.next(before);
    if (!tokenizePiece(before, isFirst, parseSpecial, ids, error))
      return false;
    if (id < 0)
      break;
    ids.push_back(id);
  }
  if (addSpecial && addsEos())
    ids.push_back(eos());
  return true;
}

//===-- Ids to text -------------------------------------------------------===//

bool Tokenizer::isControl(int32_t id) const {
  if (!isToken(id))
    return false;
  auto type =
      static_cast<TokenType>(types[static_cast<size_t>(id)] & image::typeMask);
  return type == TokenType::Control || type == TokenType::Unknown;
}

std::string_view Tokenizer::piece(int32_t id, bool special) const {
  if (!isToken(id) || (!special && isControl(id)))
    return {};
  // Rows of the embedding beyond the vocabulary.
  if (static_cast<TokenType>(types[static_cast<size_t>(id)] &
                             image::typeMask) == TokenType::Unused)
    return {};
  return textOf(static_cast<uint32_t>(id));
}

void Tokenizer::dropSpace(std::string_view &text) const {
  while (!text.empty() && text[0] == ' ' &&
         header->flags & (image::DropSpace | image::DropAllSpaces)) {
    text.remove_prefix(1);
    if (header->flags & image::DropSpace)
      return;
  }
}

std::string Tokenizer::detokenize(std::span<const int32_t> ids,
                                  bool special) const {
  std::string out;
  bool isStart = true;
  for (int32_t id : ids) {
    std::string_view text = piece(id, special);
    if (isStart && (special || !isControl(id))) {
      dropSpace(text);
      isStart = false;
    }
    out += text;
  }
  return out;
}

int32_t Tokenizer::find(std::string_view text) const {
  if (int32_t id = lookUp(text); id >= 0)
    return id;
  for (std::span<const image::TrieNode> nodes : {trie, normalizedTrie}) {
    size_t length = 0;
    int32_t id = matchSpecial(nodes, text, 0, true, length);
    if (length == text.size() && length > 0)
      return id;
  }
  return -1;
}

void StreamDecoder::push(int32_t id, std::string &out) {
  std::string_view text = tokenizer->piece(id, special);
  if (isStart && (special || !tokenizer->isControl(id))) {
    tokenizer->dropSpace(text);
    isStart = false;
  }
  bytes.push(text, out);
}

void StreamDecoder::finish(std::string &out) { bytes.finish(out); }

} // namespace qcc::text
