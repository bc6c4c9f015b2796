//===- PreTokenizer.h - Splitting text into words for BPE -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A byte-level BPE tokenizer merges only inside of words. Which words is told
// by one to a few published patterns; GGUF names them in tokenizer.ggml.pre.
// Each pattern splits every piece that the pattern before it left.
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_PRETOKENIZER_H
#define RUNTIME_TEXT_PRETOKENIZER_H

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qcc::text {

/// What a name in tokenizer.ggml.pre stands for.
struct PreTokenizerKind {
  /// Index in the table, kept in tokenizer images.
  uint32_t index;
  /// A word that is a token as it stands is not merged.
  bool ignoreMerges;
  /// Whether bos is added where the file does not say.
  bool addBos;
};

/// False when the name is unknown.
bool findPreTokenizer(std::string_view name, PreTokenizerKind &kind);
/// All names, for an error message: "a, b, c".
std::string preTokenizerNames();

/// The compiled patterns of one kind. Any number of threads may split at once.
class PreTokenizer {
public:
  /// Null and an error when the index is out of range or memory ran out.
  static std::unique_ptr<PreTokenizer> create(uint32_t index,
                                              std::string &error);
  ~PreTokenizer();

  /// Appends the offset behind each word of `text`, in order; the last one is
  /// the size of `text`, which must be valid UTF-8. Takes time linear in the
  /// size for every published pattern; a limit on the matcher's steps turns
  /// anything else into an error.
  bool split(std::string_view text, std::vector<size_t> &ends,
             std::string &error) const;

private:
  PreTokenizer() = default;
  struct Pattern;
  std::vector<Pattern> patterns;
};

} // namespace qcc::text

#endif // RUNTIME_TEXT_PRETOKENIZER_H
