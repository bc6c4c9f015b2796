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
#include <utility>
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

/// What happens to a text before the model sees it, one step after another.
/// First come the normalizers; from the first Split on (or from where
/// `TokenizerSpec::normalizers` says), each step works on every piece alone.
enum class StepKind : uint32_t {
  Replace,        ///< each `pattern`, as it stands, by `content`
  ReplacePattern, ///< each match of `pattern` by `content`
  Prepend,        ///< `content` in front of what is not empty
  Strip,          ///< no white space at the ends
  MapCharacters,  ///< `pattern`: a CharacterMap
  Compose,        ///< `pattern`: a CompositionTable
  Charsmap,       ///< `pattern`: SentencePiece's precompiled_charsmap
  EncodeBytes,    ///< each byte by GPT-2's printable character for it
  Split,          ///< where `pattern` matches
};

/// What becomes of the text that a Split matches.
enum class SplitBehavior : uint32_t {
  Isolated,
  Removed,
  MergedWithPrevious,
  MergedWithNext,
  Contiguous,
};

enum StepFlags : uint32_t {
  BehaviorMask = 7,   ///< Split: its SplitBehavior
  Invert = 8,         ///< Split: what does not match counts as a match
  UnlessPresent = 16, ///< Prepend: not where the text starts so already
  OnlyFirst = 32,     ///< Prepend: only at the start of the whole text
  Left = 64,          ///< Strip
  Right = 128,        ///< Strip
  Hangul = 256,       ///< MapCharacters: syllables into letters;
                      ///< Compose: letters into syllables
  Graphemes = 512,    ///< Charsmap: as Hugging Face reads it
  Around = 1024,      ///< ReplacePattern: `content` before and after the match
  OldUnicode = 2048,  ///< patterns: what is new to PCRE2 is unassigned
};

/// Patterns are in PCRE2's notation (see translatePattern()).
struct PipelineStep {
  StepKind kind;
  uint32_t flags = 0;
  std::string pattern, content;
};

/// What a checkpoint says of its tokenizer. Ids of -1: there is none.
struct TokenizerSpec {
  enum class Model : uint32_t {
    Spm,       ///< SentencePiece BPE: scores, byte fallback ("llama" in GGUF)
    Bpe,       ///< byte-level BPE: merges ("gpt2" in GGUF)
    CharBpe,   ///< BPE that starts from characters
    Unigram,   ///< the most likely sequence of tokens, by scores
    WordPiece, ///< the longest token first
  };
  Model model = Model::Bpe;
  /// tokenizer.ggml.pre; empty: "default". Only for Bpe, without `steps`.
  std::string pre;
  /// Spm gets its steps from `addSpacePrefix`, Bpe from `pre` where this is
  /// empty; of the others this is all that happens.
  std::optional<std::vector<PipelineStep>> steps;
  /// How many of `steps` are normalizers.
  size_t normalizers = 0;
  /// Texts as in the file: byte-encoded (G with dot for a space) for Bpe, with
  /// U+2581 for a space for Spm; control and user-defined tokens as they are.
  std::vector<std::string> tokens;
  /// What the tokens stand for in an answer; empty: what `tokens` say.
  std::vector<std::string> texts;
  /// One for each token. Needed by Spm and Unigram.
  std::vector<double> scores;
  /// One for each token, or empty: all normal.
  std::vector<int32_t> types;
  /// AddedFlags of each token, or empty.
  std::vector<uint8_t> added;
  /// "left right", most important first. Needed by Bpe and CharBpe, which may
  /// give pairs of ids instead.
  std::vector<std::string> merges;
  std::vector<std::pair<uint32_t, uint32_t>> mergeIds;
  int32_t bos = -1, eos = -1, eot = -1, eom = -1, unk = -1, pad = -1;
  /// Where the file does not say: the model's and pre-tokenizer's default.
  std::optional<bool> addBos, addEos, addSpacePrefix;
  /// Further tokens that end an answer.
  std::vector<int32_t> stopIds;
  /// A word that is a token as it stands is not merged.
  bool ignoreMerges = false;
  /// What has no token becomes: byte tokens, if there are all of them; else the
  /// unknown token, one for several in a row if `fuseUnknown`.
  bool byteFallback = false, fuseUnknown = false;
  /// Unigram: the score of a character without a token, and whether sums are
  /// kept in single precision, as SentencePiece does.
  double unknownScore = 0;
  bool singlePrecision = false;
  /// WordPiece: what a token starts with that continues a word, and the
  /// characters of a word beyond which it is unknown.
  std::string wordPrefix;
  uint32_t maxWordCharacters = 0;
  /// Of the text of a whole sequence, drop one space at the start or all of
  /// those of the first token.
  enum class DropSpace { None, One, All };
  std::optional<DropSpace> dropSpace;
};

/// How a token is looked for in the text, beside its type.
enum AddedFlags : uint8_t {
  OutsideModel = 1, ///< only looked for; not in the image
  LeftStrip = 16,   ///< takes the white space before it
  RightStrip = 32,  ///< takes the white space after it
  SingleWord = 64,  ///< only where it is no part of a word
  Normalized = 128, ///< in the normalized text
};

/// Undoes GPT-2's mapping of bytes to printable characters. A text that is not
/// such a mapping stands for itself.
std::string decodeBytes(const std::string &text);

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
constexpr uint32_t version = 2;
/// Of the image itself and of each section.
constexpr size_t alignment = 64;
/// Longest text of a token that is looked for in the input as it stands. Keeps
/// the search linear.
constexpr size_t maxSpecialBytes = 4096;
/// Most steps of a pipeline.
constexpr size_t maxSteps = 256;

enum Flags : uint32_t {
  AddBos = 1,
  AddEos = 2,
  DropSpace = 4,     ///< at the start of an answer
  DropAllSpaces = 8, ///< of its first token
  IgnoreMerges = 16,
  ByteFallback = 32,
  UseUnknown = 64, ///< for what has no token
  FuseUnknown = 128,
  SinglePrecision = 256,
};

/// `count` elements from `offset` bytes after the start of the image.
struct Section {
  uint64_t offset, count;
};

/// Per token: its TokenType, whether it ends an answer, and its AddedFlags.
constexpr uint8_t typeMask = 7;
constexpr uint8_t endFlag = 8;

/// An empty slot of a hash table; others hold a token or merge.
constexpr uint32_t emptySlot = UINT32_MAX;

struct Merge {
  uint32_t left, right, result;
};

/// A PipelineStep; its texts are in `stepData`, the pattern aligned to 4.
struct Step {
  uint32_t kind, flags;
  uint32_t pattern, patternSize, content, contentSize;
};

/// A CharacterMap: a u32 count of ranges, the ranges in the order of their code
/// points, and the texts, to which `text` is an offset. All characters of a
/// range become the same text.
struct CharacterRange {
  uint32_t first;
  uint16_t more; ///< characters after the first
  uint16_t size; ///< bytes of the text
  uint32_t text;
};
/// A CompositionTable: a u32 count of classes and of compositions, and both, in
/// the order of their code points. Without compositions the characters are only
/// put into canonical order.
struct CombiningClass {
  uint32_t first;
  uint16_t more, value;
};
struct Composition {
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
  uint32_t flags, model;            ///< Flags, TokenizerSpec::Model
  uint32_t vocabSize, maxTextBytes; ///< of a token in textSlots
  uint32_t normalizers;             ///< how many of the steps are
  uint32_t maxWordCharacters;       ///< of WordPiece
  int32_t bos, eos, eot, eom, unk, pad;
  double unknownScore;    ///< of Unigram
  Section textOffsets;    ///< u32, vocabSize + 1: where in `texts`
  Section texts;          ///< u8: what each token stands for in an answer
  Section keyOffsets;     ///< u32, vocabSize + 1: where in `keys`
  Section keys;           ///< u8: what it stands for in a text; may be `texts`
  Section types;          ///< u8, vocabSize
  Section scores;         ///< vocabSize; Spm: f32; Unigram: f64; else none
  Section textSlots;      ///< u32: hash of key -> normal or user-defined token
  Section byteTokens;     ///< i32, 256; -1: none
  Section merges;         ///< Merge, in the order of their rank
  Section mergeSlots;     ///< u32: hash of (left, right) -> index into `merges`
  Section trie;           ///< TrieNode, the root first; none: no special tokens
  Section normalizedTrie; ///< of those that are looked for later
  Section steps;          ///< Step
  Section stepData;       ///< u8: what they refer to
  Section wordPrefix;     ///< u8
};

static_assert(sizeof(Section) == 16 && sizeof(Merge) == 12 &&
                  sizeof(TrieNode) == 16 && sizeof(Header) == 320 &&
                  sizeof(Step) == 24 && sizeof(CharacterRange) == 12 &&
                  sizeof(CombiningClass) == 8 && sizeof(Composition) == 12,
              "the layout is part of a compiled model");

/// The hash functions of the two tables. A table with n slots is searched from
/// slot(hash, n) upwards, wrapping around, until an empty slot.
inline uint32_t finishHash(uint64_t value) {
  value ^= value >> 32;
  value *= 0xD6E8FEB86659FD93u;
  value ^= value >> 32;
  return static_cast<uint32_t>(value);
}
/// The hash of a text, byte by byte.
struct TextHash {
  uint64_t state = 0x243F6A8885A308D3u;
  void add(char c) {
    state = (state ^ static_cast<uint8_t>(c)) * 0x9E3779B97F4A7C15u;
    state ^= state >> 29;
  }
  uint32_t finish() const { return finishHash(state); }
};
inline uint32_t hashText(std::string_view text) {
  TextHash hash;
  for (char c : text)
    hash.add(c);
  return hash.finish();
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
