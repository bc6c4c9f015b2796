//===- TokenizerImage.h - A tokenizer as one flat block ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The compiler turns a checkpoint's vocabulary into one image, little-endian
// and free of pointers; a compiled model maps it and uses it where it lies.
// Nothing is built when the model starts.
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_TOKENIZERIMAGE_H
#define RUNTIME_TEXT_TOKENIZERIMAGE_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qcc::text {

/// Numbered as in GGUF's tokenizer.ggml.token_type.
enum class TokenType : uint8_t {
  Normal = 1,
  Unknown = 2,
  Control = 3,
  UserDefined = 4,
  Unused = 5,
  Byte = 6,
};

/// What a checkpoint says of its tokenizer. Ids of -1: there is none.
struct TokenizerSpec {
  enum class Model {
    Spm, ///< SentencePiece BPE: scores, byte fallback ("llama" in GGUF)
    Bpe, ///< byte-level BPE: merges, pre-tokenizer ("gpt2" in GGUF)
  };
  Model model = Model::Bpe;
  /// tokenizer.ggml.pre; empty: "default". Unused by Spm.
  std::string pre;
  /// Texts as in the file: byte-encoded (G with dot for a space) for Bpe, with
  /// U+2581 for a space for Spm; control and user-defined tokens as they are.
  std::vector<std::string> tokens;
  /// One for each token. Needed by Spm, unused by Bpe.
  std::vector<float> scores;
  /// One for each token, or empty: all normal.
  std::vector<int32_t> types;
  /// "left right", most important first. Needed by Bpe, unused by Spm.
  std::vector<std::string> merges;
  int32_t bos = -1, eos = -1, eot = -1, eom = -1, unk = -1, pad = -1;
  /// Where the file does not say: the model's and pre-tokenizer's default.
  std::optional<bool> addBos, addEos, addSpacePrefix;
  /// Further tokens that end an answer.
  std::vector<int32_t> stopIds;
};

/// The image of a tokenizer, or an empty vector and `error`, which names what
/// does not fit (sizes that disagree, an id out of range, an unknown
/// pre-tokenizer with the list of known ones, a merge of unknown tokens).
///
/// Besides eos, eot, eom and the stop ids, tokens that by their name end an
/// answer ("<|im_end|>", "<end_of_turn>", ...) are end tokens, as in llama.cpp.
std::vector<uint8_t> buildTokenizerImage(const TokenizerSpec &spec,
                                         std::string &error);

//===-- Layout ------------------------------------------------------------===//

namespace image {

constexpr char magic[8] = {'Q', 'C', 'C', 'T', 'O', 'K', 'E', 'N'};
constexpr uint32_t version = 1;
/// Of the image itself and of each section.
constexpr size_t alignment = 64;
/// Longest text of a token that is looked for in the input as it stands. Keeps
/// the search linear.
constexpr size_t maxSpecialBytes = 4096;

enum Flags : uint32_t {
  Spm = 1,
  AddBos = 2,
  AddEos = 4,
  AddSpacePrefix = 8,
  IgnoreMerges = 16,
};

/// `count` elements from `offset` bytes after the start of the image.
struct Section {
  uint64_t offset, count;
};

/// Per token: its TokenType, and whether it ends an answer.
constexpr uint8_t typeMask = 7;
constexpr uint8_t endFlag = 8;

/// An empty slot of a hash table; others hold a token or merge.
constexpr uint32_t emptySlot = UINT32_MAX;

struct Merge {
  uint32_t left, right, result;
};

/// A node of the trie of control, unknown and user-defined tokens. The
/// children of a node lie side by side, sorted by byte.
struct TrieNode {
  uint32_t firstChild;
  uint16_t childCount;
  uint8_t byte;
  uint8_t reserved;
  int32_t token;       ///< ends here; -1: none
  int32_t userDefined; ///< the same if it is user-defined
};

struct Header {
  char magic[8];
  uint32_t version, headerSize;
  uint64_t imageSize;
  uint32_t flags, preTokenizer;
  uint32_t vocabSize, maxTextBytes; ///< of a token in textSlots
  int32_t bos, eos, eot, eom, unk, pad;
  Section textOffsets; ///< u32, vocabSize + 1: where in `texts`
  Section texts;       ///< u8: what each token stands for in text
  Section types;       ///< u8, vocabSize
  Section scores;      ///< f32, vocabSize or none
  Section textSlots;   ///< u32: hash of text -> normal or user-defined token
  Section byteTokens;  ///< i32, 256; -1: none
  Section merges;      ///< Merge, in the order of their rank
  Section mergeSlots;  ///< u32: hash of (left, right) -> index into `merges`
  Section trie;        ///< TrieNode, the root first; none: no special tokens
};

static_assert(sizeof(Section) == 16 && sizeof(Merge) == 12 &&
                  sizeof(TrieNode) == 16 && sizeof(Header) == 208,
              "the layout is part of a compiled model");

/// The hash functions of the two tables. A table with n slots is searched from
/// slot(hash, n) upwards, wrapping around, until an empty slot.
inline uint32_t finishHash(uint64_t value) {
  value ^= value >> 32;
  value *= 0xD6E8FEB86659FD93u;
  value ^= value >> 32;
  return static_cast<uint32_t>(value);
}
inline uint32_t hashText(std::string_view text) {
  uint64_t hash = text.size();
  for (char c : text) {
    hash = (hash ^ static_cast<uint8_t>(c)) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
  }
  return finishHash(hash);
}
inline uint32_t hashPair(uint32_t left, uint32_t right) {
  return finishHash((static_cast<uint64_t>(left) << 32 | right) *
                    0x9E3779B97F4A7C15u);
}
inline size_t slot(uint32_t hash, size_t slots) {
  return static_cast<size_t>(static_cast<uint64_t>(hash) * slots >> 32);
}

} // namespace image
} // namespace qcc::text

#endif // RUNTIME_TEXT_TOKENIZERIMAGE_H
