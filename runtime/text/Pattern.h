//===- Pattern.h - Regular expressions over text ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// PCRE2's interpreter, which keeps its backtracking on the heap, with limits.
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_PATTERN_H
#define RUNTIME_TEXT_PATTERN_H

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

struct pcre2_real_code_8;
struct pcre2_real_match_data_8;
struct pcre2_real_match_context_8;

namespace qcc::text {

/// A compiled pattern. Any number of threads may use it at once.
class Pattern {
public:
  /// An empty pattern object and an error when `source` is none in PCRE2's
  /// notation, memory ran out, or it can match the empty text and may not.
  static Pattern compile(std::string_view source, std::string &error,
                         bool mayBeEmpty = false);
  explicit operator bool() const { return code != nullptr; }

private:
  friend class Matcher;
  struct Free {
    void operator()(pcre2_real_code_8 *code) const;
  };
  std::unique_ptr<pcre2_real_code_8, Free> code;
  bool mayBeEmpty = false;
};

/// Finds matches in one text of at most `bytes` bytes.
class Matcher {
public:
  explicit Matcher(size_t bytes);
  ~Matcher();
  Matcher(const Matcher &) = delete;
  Matcher &operator=(const Matcher &) = delete;

  /// The first match in `text`, which must be valid UTF-8, from `at` on. What
  /// is before `at` can be seen by lookbehind. False when there is none, or
  /// with an error when the matcher gave up.
  bool find(const Pattern &pattern, std::string_view text, size_t at,
            size_t &begin, size_t &end, std::string &error);

private:
  pcre2_real_match_data_8 *data;
  pcre2_real_match_context_8 *context;
};

/// Puts a pattern in the notation of Hugging Face tokenizers (Oniguruma's with
/// Ruby's syntax) into PCRE2's, so that both match alike. Empty and an error
/// that names what has no counterpart.
std::string translatePattern(std::string_view pattern, std::string &error);

/// A pattern in the notation of Hugging Face that matches `text` as it stands.
std::string escapePattern(std::string_view text);

} // namespace qcc::text

#endif // RUNTIME_TEXT_PATTERN_H
