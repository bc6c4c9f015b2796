//===- Lexer.cpp - Template source to tokens ------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Lexer.h"

#include "../Utf8.h"
#include "Strings.h"

#include <algorithm>
#include <charconv>

namespace qcc::text::jinja {

std::string shortError(uint32_t line, std::string_view message) {
  constexpr size_t most = 1000;
  std::string text = "line " + std::to_string(line) + ": ";
  if (message.size() <= most)
    return text + std::string(message);
  // Not in the middle of a character.
  size_t end = most;
  while (end > 0 && (static_cast<uint8_t>(message[end]) & 0xC0) == 0x80)
    --end;
  return text + std::string(message.substr(0, end)) + "...";
}

namespace {
class Lexer {
public:
  Lexer(std::string_view source, std::vector<Token> &tokens, std::string &error)
      : tokens(tokens), error(error) {
    normalize(source);
  }

  bool run();

private:
  void normalize(std::string_view text);
  bool fail(const std::string &message) {
    error = shortError(line, message);
    return false;
  }
  void add(Token::Type type, std::string text = {}) {
    Token &token = tokens.emplace_back();
    token.type = type;
    token.line = line;
    token.text = std::move(text);
  }
  /// Goes on to `to`, counting lines.
  void advance(size_t to) {
    line += static_cast<uint32_t>(
        std::count(source.begin() + static_cast<ptrdiff_t>(at),
                   source.begin() + static_cast<ptrdiff_t>(to), '\n'));
    if (to > at)
      lineStarting = source[to - 1] == '\n';
    at = to;
  }
  size_t spaceEnd(size_t from) const;
  bool startsWith(size_t where, std::string_view text) const {
    return where <= source.size() &&
           std::string_view(source).substr(where, text.size()) == text;
  }
  size_t rawTagEnd(size_t open, std::string_view name, bool trims,
                   char &sign) const;
  void addData(std::string_view text, char sign, bool strips);
  bool comment();
  bool raw(size_t from);
  bool tag(bool block);
  bool token();
  bool string(char mark);
  bool number();

  std::string source;
  std::vector<Token> &tokens;
  std::string &error;
  size_t at = 0;
  uint32_t line = 1;
  bool lineStarting = true;
  std::string open; ///< brackets that wait to be closed
};
} // namespace

void Lexer::normalize(std::string_view text) {
  source.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      source += text[i];
      continue;
    }
    source += '\n';
    if (i + 1 < text.size() && text[i + 1] == '\n')
      ++i;
  }
  // One newline at the end does not belong to the text.
  if (!source.empty() && source.back() == '\n')
    source.pop_back();
}

size_t Lexer::spaceEnd(size_t from) const {
  std::string_view rest = std::string_view(source).substr(from);
  return from + (rest.size() - strip(rest, nullptr, true, false).size());
}

/// End of "{% name %}" that starts at `open`, or npos. Without `trims` the tag
/// keeps the newline behind it. `sign` is that of the opening.
size_t Lexer::rawTagEnd(size_t open, std::string_view name, bool trims,
                        char &sign) const {
  size_t pos = open + 2;
  sign = '\0';
  if (pos < source.size() && (source[pos] == '-' || source[pos] == '+'))
    sign = source[pos++];
  pos = spaceEnd(pos);
  if (!startsWith(pos, name))
    return std::string::npos;
  pos = spaceEnd(pos + name.size());
  if (trims && startsWith(pos, "+%}"))
    return pos + 3;
  if (startsWith(pos, "-%}"))
    return spaceEnd(pos + 3);
  if (!startsWith(pos, "%}"))
    return std::string::npos;
  pos += 2;
  return trims && startsWith(pos, "\n") ? pos + 1 : pos;
}

/// Adds the text before a tag whose opening has `sign`.
void Lexer::addData(std::string_view text, char sign, bool strips) {
  std::string_view kept = text;
  if (sign == '-') {
    kept = strip(text, nullptr, false, true);
  } else if (sign != '+' && strips) {
    size_t newline = text.rfind('\n');
    size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    if ((begin > 0 || lineStarting) &&
        strip(text.substr(begin), nullptr, true, false).empty())
      kept = text.substr(0, begin);
  }
  if (!kept.empty())
    add(Token::Data, std::string(kept));
}

bool Lexer::run() {
  while (at < source.size()) {
    size_t open = at;
    for (;; ++open) {
      open = source.find('{', open);
      if (open == std::string::npos || open + 1 >= source.size()) {
        open = source.size();
        break;
      }
      char c = source[open + 1];
      if (c == '%' || c == '{' || c == '#')
        break;
    }
    std::string_view text = std::string_view(source).substr(at, open - at);
    if (open == source.size()) {
      add(Token::Data, std::string(text));
      advance(open);
      break;
    }
    char kind = source[open + 1], sign = '\0';
    if (kind == '%')
      if (size_t end = rawTagEnd(open, "raw", false, sign);
          end != std::string::npos) {
        addData(text, sign, true);
        advance(end);
        if (!raw(end))
          return false;
        continue;
      }
    size_t inside = open + 2;
    sign = '\0';
    if (inside < source.size() &&
        (source[inside] == '-' || source[inside] == '+'))
      sign = source[inside++];
    addData(text, sign, kind != '{');
    advance(inside);
    if (kind == '#' ? !comment() : !tag(kind == '%'))
      return false;
  }
  add(Token::End);
  return true;
}

bool Lexer::comment() {
  size_t end = source.find("#}", at);
  if (end == std::string::npos)
    return fail("missing end of comment tag");
  size_t next = end + 2;
  if (end > at && source[end - 1] == '-')
    next = spaceEnd(next);
  else if (!(end > at && source[end - 1] == '+') && startsWith(next, "\n"))
    ++next;
  advance(next);
  return true;
}

bool Lexer::raw(size_t from) {
  for (size_t open = source.find("{%", from); open != std::string::npos;
       open = source.find("{%", open + 1)) {
    char sign = '\0';
    size_t end = rawTagEnd(open, "endraw", true, sign);
    if (end == std::string::npos)
      continue;
    addData(std::string_view(source).substr(from, open - from), sign, true);
    advance(end);
    return true;
  }
  return fail("missing end of raw directive");
}

bool Lexer::tag(bool block) {
  add(block ? Token::BlockBegin : Token::VariableBegin);
  open.clear();
  std::string_view close = block ? "%}" : "}}";
  while (true) {
    if (open.empty()) {
      size_t end = std::string::npos;
      if (startsWith(at, "-") && startsWith(at + 1, close))
        end = spaceEnd(at + 3);
      else if (block && startsWith(at, "+%}"))
        end = at + 3;
      else if (startsWith(at, close))
        end = at + 2 + (block && startsWith(at + 2, "\n") ? 1 : 0);
      if (end != std::string::npos) {
        add(block ? Token::BlockEnd : Token::VariableEnd);
        advance(end);
        return true;
      }
    }
    if (at >= source.size())
      return fail(std::string("unexpected end of template, expected '") +
                  std::string(close) + "'");
    if (size_t end = spaceEnd(at); end > at)
      advance(end);
    else if (!token())
      return false;
  }
}

static bool isDigit(char c) { return c >= '0' && c <= '9'; }
static bool isNameChar(char c) {
  return isDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         c == '_' || static_cast<uint8_t>(c) >= 0x80;
}

bool Lexer::token() {
  char c = source[at];
  if (c == '\'' || c == '"')
    return string(c);
  if (isDigit(c))
    return number();
  if (isNameChar(c)) {
    size_t end = at;
    while (end < source.size() && isNameChar(source[end]))
      ++end;
    add(Token::Name, source.substr(at, end - at));
    advance(end);
    return true;
  }
  static constexpr std::string_view operators[] = {
      "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
      "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
  for (std::string_view name : operators) {
    if (!startsWith(at, name))
      continue;
    if (c == '(' || c == '[' || c == '{') {
      open += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c)
        return fail(std::string("unexpected '") + c + "'" +
                    (open.empty()
                         ? ""
                         : std::string(", expected '") + open.back() + "'"));
      open.pop_back();
    }
    add(Token::Operator, std::string(name));
    advance(at + name.size());
    return true;
  }
  return fail(std::string("unexpected character '") + c + "'");
}

bool Lexer::number() {
  // Digits may be parted by single underscores.
  auto digits = [&](size_t from) {
    size_t end = from;
    while (end < source.size() &&
           (isDigit(source[end]) ||
            (source[end] == '_' && end > from && end + 1 < source.size() &&
             isDigit(source[end + 1]))))
      ++end;
    return end;
  };
  auto compact = [&](size_t from, size_t end) {
    std::string text = source.substr(from, end - from);
    text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    return text;
  };
  size_t whole = digits(at), end = whole;
  bool afterDot = at > 0 && source[at - 1] == '.';
  bool real = false;
  if (!afterDot) {
    if (startsWith(end, ".") && digits(end + 1) > end + 1) {
      end = digits(end + 1);
      real = true;
    }
    if (end < source.size() && (source[end] == 'e' || source[end] == 'E')) {
      size_t from = end + 1;
      if (from < source.size() && (source[from] == '+' || source[from] == '-'))
        ++from;
      if (digits(from) > from) {
        end = digits(from);
        real = true;
      }
    }
  }
  if (real) {
    std::string text = compact(at, end);
    add(Token::Float);
    std::from_chars(text.data(), text.data() + text.size(), tokens.back().real);
    advance(end);
    return true;
  }
  int base = 10;
  size_t begin = at;
  if (source[at] == '0' && at + 1 < source.size()) {
    char kind = static_cast<char>(source[at + 1] | 0x20);
    base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
    if (base != 10) {
      begin = at + 2;
      whole = begin;
      while (whole < source.size() && isNameChar(source[whole]))
        ++whole;
    }
  }
  std::string text = compact(begin, whole);
  add(Token::Integer, text);
  auto result = std::from_chars(text.data(), text.data() + text.size(),
                                tokens.back().integer, base);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size())
    return fail("invalid or too large integer '" + text + "'");
  advance(whole);
  return true;
}

bool Lexer::string(char mark) {
  std::string out;
  size_t pos = at + 1;
  while (pos < source.size() && source[pos] != mark) {
    char c = source[pos++];
    if (c != '\\') {
      out += c;
      continue;
    }
    if (pos >= source.size())
      break;
    char e = source[pos++];
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    if (const char *found = std::find(from, from + 10, e); found != from + 10) {
      out += to[found - from];
    } else if (e == '\n') {
      // a continued line
    } else if (e >= '0' && e <= '7') {
      uint32_t value = static_cast<uint32_t>(e - '0');
      for (int i = 0; i < 2 && pos < source.size() && source[pos] >= '0' &&
                      source[pos] <= '7';
           ++i)
        value = value * 8 + static_cast<uint32_t>(source[pos++] - '0');
      appendUtf8(out, value);
    } else if (e == 'x' || e == 'u' || e == 'U') {
      size_t digits = e == 'x' ? 2 : e == 'u' ? 4 : 8;
      uint32_t value = 0;
      if (source.size() - pos < digits)
        return fail("truncated escape in a string");
      const char *begin = source.data() + pos;
      auto result = std::from_chars(begin, begin + digits, value, 16);
      if (result.ptr != begin + digits || value > 0x10FFFF)
        return fail("invalid escape in a string");
      pos += digits;
      appendUtf8(out, value >= 0xD800 && value < 0xE000 ? 0xFFFD : value);
    } else if (e == 'N') {
      return fail("\\N escapes are not supported");
    } else {
      out += '\\';
      out += e;
    }
  }
  if (pos >= source.size())
    return fail("unterminated string");
  add(Token::String, std::move(out));
  advance(pos + 1);
  return true;
}

bool tokenizeTemplate(std::string_view source, std::vector<Token> &tokens,
                      std::string &error) {
  return Lexer(source, tokens, error).run();
}

} // namespace qcc::text::jinja
