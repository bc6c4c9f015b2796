//===- Json.cpp - JSON in and out of the template language ----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "../Utf8.h"
#include "Strings.h"
#include "Value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

namespace qcc::text::jinja {

static constexpr unsigned maxDepth = 200;

//===-- Writing -----------------------------------------------------------===//

namespace {
class Writer {
public:
  Writer(const JsonStyle &style, size_t limit, std::string &out,
         std::string &error)
      : style(style), limit(limit), out(out), error(error) {}

  bool write(const Value &value, unsigned depth);

private:
  void newLine(unsigned depth) {
    if (!style.indented)
      return;
    out += '\n';
    for (unsigned i = 0; i < depth; ++i)
      out += style.indent;
  }
  void writeString(std::string_view text);
  bool writeDict(const DictObject &dict, unsigned depth);

  const JsonStyle &style;
  size_t limit;
  std::string &out;
  std::string &error;
};
} // namespace

static std::string jsonReal(double value) {
  if (std::isnan(value))
    return "NaN";
  if (std::isinf(value))
    return value < 0 ? "-Infinity" : "Infinity";
  return realText(value);
}

void Writer::writeString(std::string_view text) {
  static const char hex[] = "0123456789abcdef";
  auto escape = [&](uint32_t unit) {
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4)
      out += hex[unit >> shift & 15];
  };
  out += '"';
  for (std::string_view character : Characters(text)) {
    uint32_t c = codePointOf(character);
    switch (c) {
    case '"':
      out += "\\\"";
      continue;
    case '\\':
      out += "\\\\";
      continue;
    case '\n':
      out += "\\n";
      continue;
    case '\r':
      out += "\\r";
      continue;
    case '\t':
      out += "\\t";
      continue;
    case '\b':
      out += "\\b";
      continue;
    case '\f':
      out += "\\f";
      continue;
    }
    if (c < 0x20 || (c >= 0x7F && style.ensureAscii && c < 0x10000)) {
      // json.dumps leaves DEL as it is.
      if (c == 0x7F)
        out += character;
      else
        escape(c);
    } else if (style.ensureAscii && c >= 0x10000) {
      escape(0xD800 + ((c - 0x10000) >> 10));
      escape(0xDC00 + ((c - 0x10000) & 0x3FF));
    } else {
      out += character;
    }
  }
  out += '"';
}

bool Writer::writeDict(const DictObject &dict, unsigned depth) {
  std::vector<std::pair<std::string, Value>> items;
  for (const auto &[key, value] : dict.items) {
    std::string text;
    switch (key.kind) {
    case Kind::String:
      text = key.string();
      break;
    case Kind::None:
      text = "null";
      break;
    case Kind::Bool:
      text = key.boolean ? "true" : "false";
      break;
    case Kind::Int:
      text = std::to_string(key.integer);
      break;
    case Kind::Float:
      text = jsonReal(key.real);
      break;
    default:
      error = std::string("keys must be str, int, float, bool or None, not ") +
              typeName(key);
      return false;
    }
    items.push_back({std::move(text), value});
  }
  if (style.sortKeys)
    // Keys that differ only in type are equal as text; nobody counts on their
    // order.
    std::sort(items.begin(), items.end(),
              [](const auto &a, const auto &b) { return a.first < b.first; });
  if (items.empty()) {
    out += "{}";
    return true;
  }
  out += '{';
  for (size_t i = 0; i < items.size(); ++i) {
    if (i)
      out += style.itemSeparator;
    newLine(depth + 1);
    writeString(items[i].first);
    out += style.keySeparator;
    if (!write(items[i].second, depth + 1))
      return false;
  }
  newLine(depth);
  out += '}';
  return true;
}

bool Writer::write(const Value &value, unsigned depth) {
  if (depth > maxDepth || out.size() > limit) {
    error = depth > maxDepth ? "value is nested too deeply for JSON"
                             : "JSON text is too long";
    return false;
  }
  switch (value.kind) {
  case Kind::None:
    out += "null";
    return true;
  case Kind::Bool:
    out += value.boolean ? "true" : "false";
    return true;
  case Kind::Int:
    out += std::to_string(value.integer);
    return true;
  case Kind::Float:
    out += jsonReal(value.real);
    return true;
  case Kind::String:
    writeString(value.string());
    return true;
  case Kind::List:
  case Kind::Tuple: {
    const auto &items = value.list().items;
    if (items.empty()) {
      out += "[]";
      return true;
    }
    out += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i)
        out += style.itemSeparator;
      newLine(depth + 1);
      if (!write(items[i], depth + 1))
        return false;
    }
    newLine(depth);
    out += ']';
    return true;
  }
  case Kind::Dict:
    return writeDict(value.dict(), depth);
  default:
    error = std::string("object of type ") + typeName(value) +
            " is not JSON serializable";
    return false;
  }
}

bool toJson(const Value &value, const JsonStyle &style, size_t limit,
            std::string &out, std::string &error) {
  return Writer(style, limit, out, error).write(value, 0);
}

//===-- Reading -----------------------------------------------------------===//

namespace {
class Reader {
public:
  Reader(std::string_view text, Arena &arena, std::string &error)
      : text(text), arena(arena), error(error) {}

  bool readAll(Value &out) {
    if (!read(out, 0))
      return false;
    skipSpace();
    return at == text.size() || fail("the end");
  }

private:
  bool fail(const char *expected) {
    error = "JSON: expected " + std::string(expected) + " at byte " +
            std::to_string(at);
    return false;
  }
  void skipSpace() {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\t' ||
                                text[at] == '\n' || text[at] == '\r'))
      ++at;
  }
  bool skip(char c) {
    skipSpace();
    if (at >= text.size() || text[at] != c)
      return false;
    ++at;
    return true;
  }
  bool skipWord(std::string_view word) {
    if (text.substr(at, word.size()) != word)
      return false;
    at += word.size();
    return true;
  }
  bool read(Value &out, unsigned depth);
  bool readString(std::string &out);
  bool readHex(uint32_t &out);
  bool readNumber(Value &out);

  std::string_view text;
  Arena &arena;
  std::string &error;
  size_t at = 0;
};
} // namespace

bool Reader::readHex(uint32_t &out) {
  if (text.size() - at < 4)
    return fail("four hex digits");
  auto end = std::from_chars(text.data() + at, text.data() + at + 4, out, 16);
  if (end.ptr != text.data() + at + 4)
    return fail("four hex digits");
  at += 4;
  return true;
}

bool Reader::readString(std::string &out) {
  if (!skip('"'))
    return fail("a string");
  while (at < text.size() && text[at] != '"') {
    char c = text[at++];
    if (static_cast<uint8_t>(c) < 0x20)
      return --at, fail("an escaped control character");
    if (c != '\\') {
      out += c;
      continue;
    }
    if (at >= text.size())
      break;
    char e = text[at++];
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (const char *found = std::find(from, from + 8, e); found != from + 8) {
      out += to[found - from];
      continue;
    }
    if (e != 'u')
      return --at, fail("an escape");
    uint32_t unit = 0, low = 0;
    if (!readHex(unit))
      return false;
    if (unit >= 0xD800 && unit < 0xDC00 && text.substr(at, 2) == "\\u") {
      size_t before = at;
      at += 2;
      if (!readHex(low))
        return false;
      if (low >= 0xDC00 && low < 0xE000)
        unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
      else
        at = before;
    }
    // A lone surrogate is no character.
    appendUtf8(out, unit >= 0xD800 && unit < 0xE000 ? 0xFFFD : unit);
  }
  if (at >= text.size())
    return fail("the end of a string");
  ++at;
  return true;
}

bool Reader::readNumber(Value &out) {
  size_t begin = at;
  auto digits = [&] {
    size_t from = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9')
      ++at;
    return at > from;
  };
  if (at < text.size() && text[at] == '-')
    ++at;
  bool zero = at < text.size() && text[at] == '0';
  size_t first = at;
  if (!digits() || (zero && at - first > 1))
    return at = begin, fail("a value");
  bool real = false;
  if (at < text.size() && text[at] == '.') {
    real = true;
    ++at;
    if (!digits())
      return fail("a digit");
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    real = true;
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-'))
      ++at;
    if (!digits())
      return fail("a digit");
  }
  const char *from = text.data() + begin, *to = text.data() + at;
  if (!real) {
    int64_t integer = 0;
    if (std::from_chars(from, to, integer).ec != std::errc())
      return at = begin, fail("an integer of 64 bits");
    out = Value::of(integer);
    return true;
  }
  double value = 0;
  auto result = std::from_chars(from, to, value);
  if (result.ec == std::errc::result_out_of_range)
    return at = begin, fail("a number in the range of double");
  out = Value::of(value);
  return true;
}

bool Reader::read(Value &out, unsigned depth) {
  if (depth > maxDepth)
    return fail("at most 200 levels");
  skipSpace();
  char c = at < text.size() ? text[at] : '\0';
  if (c == '"') {
    std::string string;
    if (!readString(string))
      return false;
    out = arena.string(std::move(string));
    return true;
  }
  if (c == '[') {
    ++at;
    std::vector<Value> items;
    if (!skip(']')) {
      do {
        if (!read(items.emplace_back(), depth + 1))
          return false;
      } while (skip(','));
      if (!skip(']'))
        return fail("',' or ']'");
    }
    out = arena.list(std::move(items));
    return true;
  }
  if (c == '{') {
    ++at;
    auto *dict = arena.make<DictObject>();
    // Of equal keys the last value counts, at the place of the first.
    // Ordered, for keys may be made to collide.
    std::map<std::string, size_t> places;
    if (!skip('}')) {
      do {
        std::string key;
        Value value;
        if (!readString(key))
          return false;
        if (!skip(':'))
          return fail("':'");
        if (!read(value, depth + 1))
          return false;
        auto [place, isNew] = places.try_emplace(key, dict->items.size());
        if (isNew)
          dict->items.push_back({arena.string(std::move(key)), value});
        else
          dict->items[place->second].second = value;
      } while (skip(','));
      if (!skip('}'))
        return fail("',' or '}'");
    }
    out = arena.dict(dict);
    return true;
  }
  if (skipWord("true") || skipWord("false")) {
    out = Value::of(c == 't');
    return true;
  }
  if (skipWord("null")) {
    out = Value::none();
    return true;
  }
  return readNumber(out);
}

bool parseJson(std::string_view text, Arena &arena, Value &out,
               std::string &error) {
  return Reader(text, arena, error).readAll(out);
}

} // namespace qcc::text::jinja
