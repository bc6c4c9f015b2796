//===- Tokenizer.h - Text to token ids and back -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Works in place on an image made by buildTokenizerImage(). Gives the ids that
// llama.cpp and Hugging Face tokenizers give for the same vocabulary.
//
// Text need not be valid UTF-8. A tokenizer that looks at characters reads each
// byte that starts no well-formed sequence as U+FFFD; SentencePiece of GGUF
// falls back to byte tokens.
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_TOKENIZER_H
#define RUNTIME_TEXT_TOKENIZER_H

#include "Pipeline.h"
#include "TokenizerImage.h"
#include "Utf8.h"

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
  /// a pattern gave up; `ids` then holds what came before.
  bool tokenize(std::string_view text, bool addSpecial, bool parseSpecial,
                std::vector<int32_t> &ids, std::string &error) const;

  /// The bytes that a token stands for; they may be part of a character. Empty
  /// for an id out of range, for an unused one and, unless `special`, for
  /// control and unknown tokens. Valid as long as the image.
  std::string_view piece(int32_t id, bool special) const;

  /// The bytes of all pieces. Drops the space that tokenize() puts in front.
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
  /// Whether the token ends an answer.
  bool isEndOfGeneration(int32_t id) const {
    return isToken(id) && types[static_cast<size_t>(id)] & image::endFlag;
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
  std::string_view keyOf(uint32_t id) const;
  /// Drops what tokenize() put in front from the first text of an answer.
  void dropSpace(std::string_view &text) const;
  friend class StreamDecoder;

  /// Id of a key in the hash table, or -1.
  int32_t lookUp(std::string_view key) const {
    return lookUp(key, image::hashText(key));
  }
  int32_t lookUp(std::string_view key, uint32_t hash) const;
  /// Rank of a merge, or -1.
  int32_t findMerge(uint32_t left, uint32_t right) const;

  /// Longest special token at `at`: its id and length, or -1.
  int32_t matchSpecial(std::span<const image::TrieNode> trie,
                       std::string_view text, size_t at, bool parseSpecial,
                       size_t &length) const;
  struct Splitter;

  bool tokenizePiece(std::string_view text, bool isFirst, bool parseSpecial,
                     std::vector<int32_t> &ids, std::string &error) const;
  bool tokenizeWords(std::string_view text, bool isFirst,
                     std::vector<int32_t> &ids, std::string &error) const;
  /// Appends the ids of one word; not for Spm.
  struct RankMerger;
  struct ScoreMerger;
  struct Unigram;
  void mergeByScore(std::string_view text, std::vector<int32_t> &ids) const;
  void mergeByRank(std::string_view text, std::span<const Word> words,
                   std::vector<int32_t> &ids) const;
  void unigram(std::string_view word, std::vector<int32_t> &ids) const;
  void wordPiece(std::string_view word, std::vector<int32_t> &ids) const;
  /// Appends the byte tokens of `text`; false when not each byte has one.
  bool fallBackToBytes(std::string_view text, std::vector<int32_t> &ids) const;

  const image::Header *header = nullptr;
  size_t bytes = 0;
  std::span<const uint32_t> textOffsets, keyOffsets;
  std::span<const char> texts, keys, wordPrefix;
  std::span<const uint8_t> types;
  std::span<const float> scores;
  std::span<const double> logProbabilities;
  std::span<const uint32_t> textSlots;
  std::span<const int32_t> byteTokens;
  std::span<const image::Merge> merges;
  std::span<const uint32_t> mergeSlots;
  std::span<const image::TrieNode> trie, normalizedTrie;
  std::unique_ptr<Pipeline> pipeline;
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
      : tokenizer(&tokenizer), special(special), isStart(atStart) {}

  /// Appends to `out` the characters that became certain.
  void push(int32_t id, std::string &out);
  /// Appends what is still held back, as U+FFFD.
  void finish(std::string &out);

private:
  const Tokenizer *tokenizer;
  Utf8Stream bytes;
  bool special, isStart;
};

} // namespace qcc::text

#endif // RUNTIME_TEXT_TOKENIZER_H
