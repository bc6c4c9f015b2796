//===- Strings.cpp - Python's string operations on UTF-8 ------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Strings.h"

#include "../Utf8.h"

#include <algorithm>

namespace qcc::text::jinja {

size_t charSize(std::string_view text, size_t at) {
  uint32_t codePoint = 0;
  return std::max<size_t>(decodeUtf8(text, at, codePoint), 1);
}

size_t countChars(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); at += charSize(text, at))
    ++count;
  return count;
}

size_t byteOfChar(std::string_view text, size_t index) {
  size_t at = 0;
  while (index-- > 0 && at < text.size())
    at += charSize(text, at);
  return at;
}

std::vector<std::string_view> charsOf(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::string_view character : Characters(text))
    out.push_back(character);
  return out;
}

uint32_t codePointOf(std::string_view character) {
  uint32_t codePoint = 0xFFFD;
  if (!character.empty() && decodeUtf8(character, 0, codePoint) == 0)
    codePoint = 0xFFFD;
  return codePoint;
}

bool isSpace(uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 ||
         c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

std::string_view strip(std::string_view text, const std::string *chars,
                       bool left, bool right) {
  std::vector<std::string_view> set;
  if (chars)
    set = charsOf(*chars);
  auto strips = [&](std::string_view character) {
    if (!chars)
      return isSpace(codePointOf(character));
    return std::find(set.begin(), set.end(), character) != set.end();
  };
  while (left && !text.empty()) {
    size_t size = charSize(text, 0);
    if (!strips(text.substr(0, size)))
      break;
    text.remove_prefix(size);
  }
  while (right && !text.empty()) {
    // The last character starts at most four bytes from the end.
    size_t size = 1;
    for (size_t n = 2; n <= 4 && n <= text.size(); ++n) {
      uint32_t codePoint;
      if (decodeUtf8(text, text.size() - n, codePoint) == n)
        size = n;
    }
    if (!strips(text.substr(text.size() - size)))
      break;
    text.remove_suffix(size);
  }
  return text;
}

std::vector<std::string_view> splitSpace(std::string_view text, int64_t count,
                                         bool fromRight) {
  std::vector<std::string_view> words;
  size_t begin = std::string_view::npos;
  for (size_t at = 0; at < text.size();) {
    size_t size = charSize(text, at);
    if (isSpace(codePointOf(text.substr(at, size)))) {
      if (begin != std::string_view::npos)
        words.push_back(text.substr(begin, at - begin));
      begin = std::string_view::npos;
    } else if (begin == std::string_view::npos) {
      begin = at;
    }
    at += size;
  }
  if (begin != std::string_view::npos)
    words.push_back(text.substr(begin));
  if (count < 0 || words.size() <= static_cast<size_t>(count))
    return words;
  // The part that is not split keeps the spaces at its far end.
  size_t splits = static_cast<size_t>(count);
  auto offset = [&](std::string_view word) {
    return static_cast<size_t>(word.data() - text.data());
  };
  if (!fromRight) {
    words[splits] = text.substr(offset(words[splits]));
    words.resize(splits + 1);
    return words;
  }
  size_t last = words.size() - splits - 1;
  words[last] = text.substr(0, offset(words[last]) + words[last].size());
  words.erase(words.begin(), words.begin() + static_cast<ptrdiff_t>(last));
  return words;
}

std::vector<std::string_view> split(std::string_view text,
                                    std::string_view separator, int64_t count,
                                    bool fromRight) {
  std::vector<std::string_view> out;
  for (; count != 0; --count) {
    size_t at = fromRight ? text.rfind(separator) : text.find(separator);
    if (at == std::string_view::npos)
      break;
    if (fromRight) {
      out.push_back(text.substr(at + separator.size()));
      text = text.substr(0, at);
    } else {
      out.push_back(text.substr(0, at));
      text.remove_prefix(at + separator.size());
    }
  }
  out.push_back(text);
  if (fromRight)
    std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string_view> splitLines(std::string_view text, bool keepEnds) {
  std::vector<std::string_view> out;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    size_t size = charSize(text, at);
    uint32_t c = codePointOf(text.substr(at, size));
    bool ends = (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 ||
                c == 0x2028 || c == 0x2029;
    if (c == '\r' && at + 1 < text.size() && text[at + 1] == '\n')
      size = 2;
    if (ends) {
      out.push_back(text.substr(begin, (keepEnds ? at + size : at) - begin));
      begin = at + size;
    }
    at += size;
  }
  if (begin < text.size())
    out.push_back(text.substr(begin));
  return out;
}

std::string replace(std::string_view text, std::string_view from,
                    std::string_view to, int64_t count) {
  std::string out;
  if (from.empty()) {
    // Before each character and at the end.
    for (size_t at = 0; at <= text.size();) {
      if (count != 0) {
        out += to;
        --count;
      }
      if (at == text.size())
        break;
      size_t size = charSize(text, at);
      out += text.substr(at, size);
      at += size;
    }
    return out;
  }
  size_t begin = 0;
  for (; count != 0; --count) {
    size_t at = text.find(from, begin);
    if (at == std::string_view::npos)
      break;
    out += text.substr(begin, at - begin);
    out += to;
    begin = at + from.size();
  }
  out += text.substr(begin);
  return out;
}

/// str.isprintable() of one character, as far as categories are known here:
/// controls, separators other than the space, and formats are not.
static bool isPrintable(uint32_t c) {
  if (c < 0x20 || (c >= 0x7F && c <= 0xA0) || c == 0xAD)
    return false;
  return !(c != ' ' && isSpace(c)) && !(c >= 0x600 && c <= 0x605) &&
         c != 0x61C && c != 0x6DD && c != 0x70F && c != 0x180E &&
         !(c >= 0x200B && c <= 0x200F) && !(c >= 0x202A && c <= 0x202E) &&
         !(c >= 0x2060 && c <= 0x206F) && !(c >= 0xE000 && c <= 0xF8FF) &&
         c != 0xFEFF && !(c >= 0xFFF0 && c <= 0xFFFB) &&
         !(c >= 0xE0000 && c <= 0xE0FFF && !(c >= 0xE0100 && c <= 0xE01EF)) &&
         c < 0xF0000;
}

std::string escapeHtml(std::string_view text) {
  std::string out;
  for (char c : text)
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '\'':
      out += "&#39;";
      break;
    case '"':
      out += "&#34;";
      break;
    default:
      out += c;
    }
  return out;
}

std::string quote(std::string_view text) {
  static const char hex[] = "0123456789abcdef";
  bool doubleQuotes = text.find('\'') != std::string_view::npos &&
                      text.find('"') == std::string_view::npos;
  char mark = doubleQuotes ? '"' : '\'';
  std::string out(1, mark);
  for (std::string_view character : Characters(text)) {
    uint32_t c = codePointOf(character);
    if (c == static_cast<uint8_t>(mark) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (isPrintable(c)) {
      out += character;
    } else {
      int digits = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
      out += digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
      for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4)
        out += hex[c >> shift & 15];
    }
  }
  return out + mark;
}

std::string toTitle(std::string_view text) {
  // Jinja's: a word starts after a dash, white space or an opening bracket.
  std::string out, word;
  auto flush = [&] {
    if (word.empty())
      return;
    size_t first = byteOfChar(word, 1);
    out += toUpper(std::string_view(word).substr(0, first));
    out += toLower(std::string_view(word).substr(first));
    word.clear();
  };
  for (std::string_view character : Characters(text)) {
    uint32_t c = codePointOf(character);
    if (isSpace(c) || c == '-' || c == '(' || c == '{' || c == '[' ||
        c == '<') {
      flush();
      out += character;
    } else {
      word += character;
    }
  }
  flush();
  return out;
}

std::string toCapital(std::string_view text) {
  size_t first = byteOfChar(text, 1);
  return toUpper(text.substr(0, first)) + toLower(text.substr(first));
}

} // namespace qcc::text::jinja
