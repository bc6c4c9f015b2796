//===- Tokenizer.h - Text to token ids and back -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Works in place on an image made by buildTokenizerImage(). Gives the ids that
// llama.cpp and Hugging Face tokenizers give for the same vocabulary.
//
// Text need not be valid UTF-8. Byte-level BPE reads each byte that starts no
// well-formed sequence as U+FFFD; SentencePiece falls back to byte tokens.
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_TOKENIZER_H
#define RUNTIME_TEXT_TOKENIZER_H

#include "PreTokenizer.h"
#include "TokenizerImage.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qcc::text {

/// Any number of threads may use one tokenizer at once.
class Tokenizer {
public:
  /// Uses `image` (`bytes` long, aligned to 8) where it lies: it must outlive
  /// the tokenizer. Null and an error when it is not an image of this version
  /// or its parts do not fit into it. Costs the same for any vocabulary.
  static std::unique_ptr<Tokenizer> open(const void *image, size_t bytes,
                                         std::string &error);

  /// Appends the ids of `text` to `ids`. `addSpecial` adds bos and eos as the
  /// model wants them; `parseSpecial` reads names of control tokens in the text
  /// as these tokens (user-defined ones are always read so). Time and memory
  /// grow linearly with the text, up to a logarithm. False and an error when
  /// the pre-tokenizer gave up; `ids` then holds what came before.
  bool tokenize(std::string_view text, bool addSpecial, bool parseSpecial,
                std::vector<int32_t> &ids, std::string &error) const;

  /// The bytes that a token stands for; they may be part of a character. Empty
  /// for an id out of range and, unless `special`, for control and unknown
  /// tokens. Valid as long as the image.
  std::string_view piece(int32_t id, bool special) const;

  /// The bytes of all pieces. Drops the space that tokenize() put in front.
  std::string detokenize(std::span<const int32_t> ids, bool special) const;

  /// The normal or user-defined token with exactly this text, else the control
  /// token of this name; -1: none.
  int32_t find(std::string_view text) const;

  uint32_t vocabSize() const { return header->vocabSize; }
  /// Special ids; -1: none.
  int32_t bos() const { return header->bos; }
  int32_t eos() const { return header->eos; }
  int32_t eot() const { return header->eot; }
  int32_t eom() const { return header->eom; }
  int32_t unk() const { return header->unk; }
  int32_t pad() const { return header->pad; }
  bool addsBos() const { return header->flags & image::AddBos; }
  bool addsEos() const { return header->flags & image::AddEos; }
  bool addsSpacePrefix() const { return header->flags & image::AddSpacePrefix; }
  /// Whether the token ends an answer.
  bool isEndOfGeneration(int32_t id) const {
    return isToken(id) && types[id] & image::endFlag;
  }
  /// Whether the token is a control or unknown token, which has a name and no
  /// text.
  bool isControl(int32_t id) const;

private:
  Tokenizer() = default;

  template <typename T>
  bool section(const image::Section &section, const char *name,
               std::span<const T> &out, std::string &error) const;
  bool isToken(int32_t id) const {
    return id >= 0 && static_cast<uint32_t>(id) < header->vocabSize;
  }
  std::string_view textOf(uint32_t id) const;
  /// Id of a text in the hash table, or -1.
  int32_t lookUp(std::string_view text) const;
  /// Rank of a merge, or -1.
  int32_t findMerge(uint32_t left, uint32_t right) const;
  /// Longest special token at `at`: its id and length, or -1.
  int32_t matchSpecial(std::string_view text, size_t at, bool parseSpecial,
                       size_t &length) const;

  void mergeByScore(std::string_view text, std::vector<int32_t> &ids) const;
  bool mergeByRank(std::string_view text, std::vector<int32_t> &ids,
                   std::string &error) const;
  struct RankMerger;
  struct ScoreMerger;

  const image::Header *header = nullptr;
  size_t bytes = 0;
  std::span<const uint32_t> textOffsets;
  std::span<const char> texts;
  std::span<const uint8_t> types;
  std::span<const float> scores;
  std::span<const uint32_t> textSlots;
  std::span<const int32_t> byteTokens;
  std::span<const image::Merge> merges;
  std::span<const uint32_t> mergeSlots;
  std::span<const image::TrieNode> trie;
  std::unique_ptr<PreTokenizer> preTokenizer; ///< null for SentencePiece
};

/// Turns tokens into text as they arrive. What comes out is always valid UTF-8:
/// bytes of an unfinished character are held back, and a byte sequence that can
/// be none becomes U+FFFD. Not for use by two threads at once.
class StreamDecoder {
public:
  /// `special`: control tokens come out as their names. `atStart`: the tokens
  /// are the start of a text and not its continuation, so that the space that
  /// tokenize() puts in front is dropped.
  explicit StreamDecoder(const Tokenizer &tokenizer, bool special = false,
                         bool atStart = false)
      : tokenizer(&tokenizer), special(special),
        dropSpace(atStart && tokenizer.addsSpacePrefix()) {}

  /// Appends to `out` the characters that became certain.
  void push(int32_t id, std::string &out);
  /// Appends what is still held back, as U+FFFD.
  void finish(std::string &out);

private:
  const Tokenizer *tokenizer;
  std::string held; ///< start of a character, at most 3 bytes
  bool special, dropSpace;
};

} // namespace qcc::text

#endif // RUNTIME_TEXT_TOKENIZER_H
