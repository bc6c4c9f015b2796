//===- TokenizerBuilder.h - The making of a tokenizer image -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// For TokenizerBuild.cpp, which says what the tokenizer does, and for
// TokenizerTables.cpp, which makes the tables of its tokens.
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_TOKENIZERBUILDER_H
#define RUNTIME_TEXT_TOKENIZERBUILDER_H

#include "Pipeline.h"
#include "TokenizerImage.h"

#include <unordered_map>

namespace qcc::text {

constexpr std::string_view spaceMark = "\xE2\x96\x81"; // U+2581

/// The byte that "<0xNN>" names, or the text itself.
std::string byteText(const std::string &name);

inline std::string number(size_t value) { return std::to_string(value); }

/// Reads a specification part by part; each part that can fail leaves the
/// reason in `error`.
class TokenizerBuilder {
public:
  TokenizerBuilder(const TokenizerSpec &spec, std::string &error)
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

} // namespace qcc::text

#endif // RUNTIME_TEXT_TOKENIZERBUILDER_H
