//===- Pipeline.h - What happens to a text before the model -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Runs the steps of a tokenizer image: normalizers make one text of another,
// pre-tokenizers split it into words.
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_PIPELINE_H
#define RUNTIME_TEXT_PIPELINE_H

#include "Pattern.h"
#include "TokenizerImage.h"

#include <span>

namespace qcc::text {

/// The place of a word in a text.
struct Word {
  size_t begin, end;
};

/// Any number of threads may use one pipeline at once.
class Pipeline {
public:
  /// Uses the steps and what they refer to where they lie. Null and an error
  /// when a step is none, or its pattern does not compile.
  static std::unique_ptr<Pipeline> create(std::span<const image::Step> steps,
                                          std::span<const uint8_t> data,
                                          size_t normalizers,
                                          std::string &error);

  /// Whether any step looks at characters, so that the text must be UTF-8.
  bool needsUtf8() const { return hasPatterns; }

  /// The normalized text: at most 64 times as long and 1024 bytes more, which
  /// no published step comes near; `text` itself, or a view of `storage`.
  /// `isFirst`: the text is the start of what is tokenized. Takes time linear
  /// in the size for what is published; a limit on the matcher's steps turns
  /// much of the rest into an error, which is false.
  bool normalize(std::string_view text, bool isFirst, std::string &storage,
                 std::string_view &out, std::string &error) const;

  /// The words of a normalized text, in order and not empty; they are places in
  /// `out`, which is `text` itself or a view of `storage`.
  bool split(std::string_view text, bool isFirst, std::string &storage,
             std::string_view &out, std::vector<Word> &words,
             std::string &error) const;

private:
  struct Stage {
    image::Step step;
    std::string_view pattern, content;
    Pattern compiled;
  };

  /// Appends to `out`, which may then have `limit` bytes.
  bool apply(const Stage &stage, std::string_view text, bool isFirst,
             size_t limit, std::string &out, std::string &error) const;
  /// Whether the steps can read a text that another one made.
  bool isReadable(std::string_view text, std::string &error) const;
  bool splitBy(const Stage &stage, std::string_view subject, Matcher &matcher,
               std::vector<Word> &words, std::string &error) const;

  std::vector<Stage> stages;
  size_t normalizers = 0;
  bool hasPatterns = false;
};

/// White space by Unicode's definition.
bool isWhiteSpace(uint32_t codePoint);
/// Bytes of white space at the end, or at the start, of a text.
size_t whiteSpaceAtEnd(std::string_view text);
size_t whiteSpaceAtStart(std::string_view text);

/// Appends `text` with each `pattern`, which is not empty, as `content`; ends
/// early when `out` has more than `limit` bytes.
void replaceText(std::string_view text, std::string_view pattern,
                 std::string_view content, size_t limit, std::string &out);

// The steps that work with tables, which are checked where they are used:
// false when one does not fit. They end early when `out` has more than `limit`
// bytes.
bool mapCharacters(std::string_view table, bool splitHangul,
                   std::string_view text, size_t limit, std::string &out);
bool compose(std::string_view table, bool joinHangul, std::string_view text,
             std::string &out);
bool applyCharsmap(std::string_view table, const Pattern *graphemes,
                   std::string_view text, size_t limit, std::string &out,
                   std::string &error);

} // namespace qcc::text

#endif // RUNTIME_TEXT_PIPELINE_H
