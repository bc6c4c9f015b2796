//===- Strings.h - Python's string operations on UTF-8 ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Positions and lengths are in characters. A byte that starts no well-formed
// sequence counts as one character.
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_JINJA_STRINGS_H
#define RUNTIME_TEXT_JINJA_STRINGS_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qcc::text::jinja {

size_t countChars(std::string_view text);
/// Byte offset of character `index`; the size for one past the last.
size_t byteOfChar(std::string_view text, size_t index);
/// Bytes of the character at byte `at`, which is inside of the text.
size_t charSize(std::string_view text, size_t at);

/// The characters of a text, each as a view of its bytes, for a loop.
class Characters {
public:
  explicit Characters(std::string_view text) : text(text) {}

  class Iterator {
  public:
    Iterator(std::string_view text, size_t at) : text(text), at(at) { read(); }
    std::string_view operator*() const { return text.substr(at, size); }
    Iterator &operator++() {
      at += size;
      read();
      return *this;
    }
    bool operator!=(const Iterator &other) const { return at != other.at; }

  private:
    void read() { size = at < text.size() ? charSize(text, at) : 0; }
    std::string_view text;
    size_t at, size = 0;
  };
  Iterator begin() const { return {text, 0}; }
  Iterator end() const { return {text, text.size()}; }

private:
  std::string_view text;
};

/// The same at once.
std::vector<std::string_view> charsOf(std::string_view text);
/// Code point of a character; U+FFFD for a stray byte.
uint32_t codePointOf(std::string_view character);

/// str.isspace() of one character.
bool isSpace(uint32_t codePoint);
/// Unicode's general categories as str's methods see them.
bool isUpper(uint32_t codePoint);
bool isLower(uint32_t codePoint);
/// str.upper() and str.lower().
std::string toUpper(std::string_view text);
std::string toLower(std::string_view text);
std::string toCapital(std::string_view text); ///< str.capitalize()
std::string toTitle(std::string_view text);   ///< the filter `title`

/// str.strip(chars); `chars` null: white space.
std::string_view strip(std::string_view text, const std::string *chars,
                       bool left, bool right);
/// str.split() and str.rsplit() at white space or at `separator`, which is not
/// empty; at most `count` splits unless negative.
std::vector<std::string_view> splitSpace(std::string_view text, int64_t count,
                                         bool fromRight);
std::vector<std::string_view> split(std::string_view text,
                                    std::string_view separator, int64_t count,
                                    bool fromRight);
std::vector<std::string_view> splitLines(std::string_view text, bool keepEnds);
/// str.replace(); at most `count` replacements unless negative.
std::string replace(std::string_view text, std::string_view from,
                    std::string_view to, int64_t count);
/// With &, <, >, ' and " as HTML entities.
std::string escapeHtml(std::string_view text);
/// repr() of a string.
std::string quote(std::string_view text);

} // namespace qcc::text::jinja

#endif // RUNTIME_TEXT_JINJA_STRINGS_H
