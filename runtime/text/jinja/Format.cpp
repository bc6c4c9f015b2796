//===- Format.cpp - Python's two ways to format text ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// "%s" % value and "{}".format(value), with what templates use of the format
// specifications.
//===----------------------------------------------------------------------===//

#include "Interpreter.h"
#include "Strings.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace qcc::text::jinja {

namespace {
struct Spec {
  char align = '\0', sign = '\0', type = '\0';
  std::string fill = " ";
  bool alternate = false, zero = false, comma = false;
  int64_t width = 0, precision = -1;
};
} // namespace

static std::string grouped(const std::string &digits) {
  size_t end = 0;
  while (end < digits.size() && digits[end] >= '0' && digits[end] <= '9')
    ++end;
  std::string out = digits;
  for (size_t at = end; at > 3; at -= 3)
    out.insert(at - 3, ",");
  return out;
}

/// The digits of a number without its sign. False for an unknown type.
static bool formatDigits(const Value &value, const Spec &spec,
                         std::string &out) {
  char type = spec.type;
  if (value.isInteger() &&
      (type == '\0' || type == 'd' || type == 'i' || type == 'x' ||
       type == 'X' || type == 'o' || type == 'b')) {
    uint64_t magnitude = static_cast<uint64_t>(value.asInteger());
    if (value.asInteger() < 0)
      magnitude = 0 - magnitude;
    int base = type == 'x' || type == 'X' ? 16
               : type == 'o'              ? 8
               : type == 'b'              ? 2
                                          : 10;
    char buffer[72];
    auto end = std::to_chars(buffer, buffer + sizeof buffer, magnitude, base);
    out.assign(buffer, end.ptr);
    if (type == 'X')
      out = toUpper(out);
    if (spec.alternate && base != 10)
      out = std::string("0") + type + out;
    return true;
  }
  double real = std::fabs(value.asReal());
  if (std::isnan(real) || std::isinf(real)) {
    out = std::isnan(real) ? "nan" : "inf";
    return true;
  }
  if (type == '\0' && spec.precision < 0) {
    out = realText(real);
    return true;
  }
  std::string scaled;
  if (type == '%') {
    real *= 100;
    type = 'f';
    scaled = "%";
  }
  if (type == '\0')
    type = 'g';
  if (!std::strchr("eEfFgG", type))
    return false;
  int precision = spec.precision < 0 ? 6 : static_cast<int>(spec.precision);
  const char format[] = {'%', '.', '*', type, '\0'};
  std::string buffer(400 + static_cast<size_t>(precision), '\0');
  int size =
      std::snprintf(buffer.data(), buffer.size(), format, precision, real);
  if (size < 0 || static_cast<size_t>(size) >= buffer.size())
    return false;
  buffer.resize(static_cast<size_t>(size));
  out = buffer + scaled;
  return true;
}

static std::string padded(std::string sign, std::string body, const Spec &spec,
                          char defaultAlign) {
  int64_t size = static_cast<int64_t>(countChars(sign) + countChars(body));
  int64_t pad = std::max<int64_t>(spec.width - size, 0);
  char align = spec.align ? spec.align : spec.zero ? '=' : defaultAlign;
  std::string fill = spec.align || !spec.zero ? spec.fill : "0";
  int64_t left = align == '<' ? 0 : align == '^' ? pad / 2 : pad;
  std::string before, after;
  for (int64_t i = 0; i < left; ++i)
    before += fill;
  for (int64_t i = left; i < pad; ++i)
    after += fill;
  return align == '=' ? sign + before + body + after
                      : before + sign + body + after;
}

static bool isNegative(const Value &value) {
  return value.is(Kind::Float) ? std::signbit(value.real)
                               : value.asInteger() < 0;
}

/// [[fill]align][sign][#][0][width][,][.precision][type]
bool Interpreter::formatSpec(const Value &value, std::string_view text,
                             std::string &out) {
  Spec spec;
  auto isAlign = [](char c) {
    return c == '<' || c == '>' || c == '^' || c == '=';
  };
  std::string_view rest = text;
  size_t first = rest.empty() ? 0 : byteOfChar(rest, 1);
  if (first < rest.size() && isAlign(rest[first])) {
    spec.fill = rest.substr(0, first);
    spec.align = rest[first];
    rest.remove_prefix(first + 1);
  } else if (!rest.empty() && isAlign(rest[0])) {
    spec.align = rest[0];
    rest.remove_prefix(1);
  }
  auto skip = [&](char c) {
    if (rest.empty() || rest[0] != c)
      return false;
    rest.remove_prefix(1);
    return true;
  };
  auto number = [&](int64_t &into) {
    auto end = std::from_chars(rest.data(), rest.data() + rest.size(), into);
    bool some = end.ptr != rest.data();
    rest.remove_prefix(static_cast<size_t>(end.ptr - rest.data()));
    return some && into >= 0 && into <= 10000;
  };
  if (!rest.empty() && (rest[0] == '+' || rest[0] == '-' || rest[0] == ' ')) {
    spec.sign = rest[0];
    rest.remove_prefix(1);
  }
  spec.alternate = skip('#');
  spec.zero = skip('0');
  bool good = true;
  if (!rest.empty() && rest[0] >= '1' && rest[0] <= '9')
    good = number(spec.width);
  spec.comma = skip(',');
  if (good && skip('.'))
    good = number(spec.precision);
  if (good && !rest.empty()) {
    spec.type = rest[0];
    rest.remove_prefix(1);
  }
  good &= rest.empty();
  if (good && value.is(Kind::String) && (!spec.type || spec.type == 's')) {
    std::string body = value.string();
    if (spec.precision >= 0)
      body.resize(byteOfChar(body, static_cast<size_t>(spec.precision)));
    out = padded("", body, spec, '<');
    return true;
  }
  // As text, a bool is no number.
  if (good && value.is(Kind::Bool) && text.empty()) {
    out = toText(value);
    return true;
  }
  if (good && value.isNumber()) {
    std::string digits;
    if (formatDigits(value, spec, digits)) {
      std::string sign = isNegative(value) ? "-"
                         : spec.sign == '+' || spec.sign == ' '
                             ? std::string(1, spec.sign)
                             : "";
      out = padded(sign, spec.comma ? grouped(digits) : digits, spec, '>');
      return true;
    }
  }
  if (text.empty() && charge(weightOf(value))) {
    out = toText(value);
    return true;
  }
  fail("unsupported format '" + std::string(text) + "' for " + typeName(value));
  return false;
}

Value Interpreter::formatBraces(const std::string &format,
                                CallArguments &arguments) {
  std::string out;
  size_t automatic = 0;
  for (size_t at = 0; at < format.size();) {
    char c = format[at++];
    if (c != '{' && c != '}') {
      out += c;
      continue;
    }
    if (at < format.size() && format[at] == c) {
      out += c;
      ++at;
      continue;
    }
    size_t end = format.find('}', at);
    if (c == '}' || end == std::string::npos)
      return fail(std::string("single '") + c +
                  "' encountered in format string");
    std::string field = format.substr(at, end - at);
    at = end + 1;
    if (field.find('{') != std::string::npos)
      return fail("nested fields in a format are not supported");
    std::string spec;
    if (size_t colon = field.find(':'); colon != std::string::npos) {
      spec = field.substr(colon + 1);
      field.resize(colon);
    }
    bool repr = field.ends_with("!r");
    if (repr || field.ends_with("!s"))
      field.resize(field.size() - 2);
    // Attributes of fields would be a way around the language's own rules.
    Value value;
    bool found = false;
    if (field.empty())
      field = std::to_string(automatic++);
    size_t index = 0;
    auto number =
        std::from_chars(field.data(), field.data() + field.size(), index);
    if (number.ec == std::errc() && number.ptr == field.data() + field.size()) {
      found = index < arguments.positional.size();
      if (found)
        value = arguments.positional[index];
    } else {
      for (const auto &[name, argument] : arguments.named)
        if (name == field) {
          value = argument;
          found = true;
        }
    }
    if (!found)
      return fail("no argument '" + field + "' for the format");
    std::string text;
    if (repr) {
      if (!charge(weightOf(value)))
        return {};
      value = newString(toRepr(value));
    }
    if (failed() || !formatSpec(value, spec, text))
      return {};
    out += text;
    if (!allows(out.size()))
      return {};
  }
  return newString(std::move(out));
}

Value Interpreter::formatPercent(const std::string &format,
                                 const Value &arguments) {
  std::vector<Value> values{arguments};
  if (arguments.is(Kind::Tuple))
    values = arguments.list().items;
  size_t next = 0;
  std::string out;
  for (size_t at = 0; at < format.size();) {
    char c = format[at++];
    if (c != '%') {
      out += c;
      continue;
    }
    Value value;
    bool named = at < format.size() && format[at] == '(';
    if (named) {
      size_t end = format.find(')', at);
      if (end == std::string::npos || !arguments.is(Kind::Dict))
        return fail("format requires a mapping");
      value = item(arguments, newString(format.substr(at + 1, end - at - 1)));
      if (failed())
        return {};
      at = end + 1;
    }
    Spec spec;
    for (; at < format.size() && std::strchr("-+ #0", format[at]); ++at) {
      if (format[at] == '-')
        spec.align = '<';
      else if (format[at] == '0')
        spec.zero = true;
      else if (format[at] == '#')
        spec.alternate = true;
      else
        spec.sign = format[at];
    }
    auto number = [&](int64_t &into) {
      into = 0;
      for (; at < format.size() && format[at] >= '0' && format[at] <= '9'; ++at)
        into = std::min<int64_t>(into * 10 + (format[at] - '0'), 10001);
      return into <= 10000;
    };
    bool good = number(spec.width);
    if (good && at < format.size() && format[at] == '.') {
      ++at;
      good = number(spec.precision);
    }
    if (!good || at >= format.size())
      return fail("incomplete or unsupported format");
    spec.type = format[at++];
    if (spec.type == '%') {
      out += '%';
      continue;
    }
    if (!named) {
      if (next >= values.size())
        return fail("not enough arguments for format string");
      value = values[next++];
    }
    if (spec.type == 's' || spec.type == 'r') {
      if (!charge(weightOf(value)))
        return {};
      std::string body = spec.type == 's' ? toText(value) : toRepr(value);
      if (spec.precision >= 0)
        body.resize(byteOfChar(body, static_cast<size_t>(spec.precision)));
      spec.zero = false;
      out += padded("", body, spec, '>');
    } else {
      if (!value.isNumber())
        return fail(std::string("a number is required for %") + spec.type +
                    ", not " + typeName(value));
      bool integer = spec.type == 'd' || spec.type == 'i';
      if (integer && value.is(Kind::Float)) {
        if (!(std::fabs(value.real) < 9e18))
          return fail("integer overflow");
        value = Value::of(static_cast<int64_t>(value.real));
      }
      std::string digits;
      if (!formatDigits(value, spec, digits))
        return fail(std::string("unsupported format character '") + spec.type +
                    "'");
      std::string sign = isNegative(value) ? "-"
                         : spec.sign       ? std::string(1, spec.sign)
                                           : "";
      out += padded(sign, digits, spec, '>');
    }
    if (!allows(out.size()))
      return {};
  }
  if (next < values.size() && !arguments.is(Kind::Dict))
    return fail("not all arguments converted during string formatting");
  return newString(std::move(out));
}

} // namespace qcc::text::jinja
