//===- Filters.cpp - The filters of the template language -----------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Each filter gives what Jinja's gives. Lazy ones give a generator, which is
// true even when it is empty and can be run through once.
//===----------------------------------------------------------------------===//

#include "Interpreter.h"
#include "Strings.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace qcc::text::jinja {

Value Interpreter::filter(const std::string &name, const Value &value,
                          CallArguments &arguments) {
  Value out;
  if (name == "default" || name == "d") {
    Bound bound;
    if (!bind(arguments, name, {"default_value", "boolean"}, 0, bound))
      return {};
    if (value.is(Kind::Undefined) || (bound.isTrue(1) && !isTrue(value)))
      return bound.has(0) ? bound[0] : newString({});
    return value;
  }
  if (name == "tojson")
    return filterToJson(value, arguments);
  if (name == "map")
    return filterMap(value, arguments);
  if (name == "select" || name == "reject" || name == "selectattr" ||
      name == "rejectattr")
    return filterSelect(value, arguments, name[0] == 's',
                        name.ends_with("attr"));
  if (name == "sort")
    return filterSort(value, arguments);
  if (name == "dictsort")
    return filterDictSort(value, arguments);
  if (name == "min" || name == "max")
    return filterExtreme(name, value, arguments);
  if (filterText(name, value, arguments, out) ||
      filterNumber(name, value, arguments, out) ||
      filterSequence(name, value, arguments, out))
    return out;
  return fail("no filter named '" + name.substr(0, 40) + "'");
}

static constexpr size_t maxIndent = 10000;

Value Interpreter::filterToJson(const Value &value, CallArguments &arguments) {
  Bound bound;
  if (!bind(arguments, "tojson",
            {"ensure_ascii", "indent", "separators", "sort_keys"}, 0, bound))
    return {};
  JsonStyle style;
  style.ensureAscii = bound.isTrue(0);
  style.sortKeys = bound.isTrue(3);
  if (bound.has(1) && !bound[1].is(Kind::None)) {
    style.indented = true;
    style.itemSeparator = ",";
    if (bound[1].is(Kind::String))
      style.indent = bound[1].string();
    else if (!wantInteger(bound[1], "indent"))
      return {};
    else
      style.indent.assign(static_cast<size_t>(std::clamp<int64_t>(
                              bound[1].asInteger(), 0, maxIndent + 1)),
                          ' ');
    if (style.indent.size() > maxIndent)
      return fail("tojson() has more than " + std::to_string(maxIndent) +
                  " bytes of indentation");
  }
  if (bound.has(2) && !bound[2].is(Kind::None)) {
    std::vector<Value> pair;
    if (!iterate(bound[2], pair))
      return {};
    if (pair.size() != 2 || !pair[0].is(Kind::String) ||
        !pair[1].is(Kind::String))
      return fail("separators must be two strings");
    style.itemSeparator = pair[0].string();
    style.keySeparator = pair[1].string();
  }
  std::string out, error;
  if (!charge(weightOf(value) / 8))
    return {};
  if (!toJson(value, style, limits.memory, out, error))
    return fail(error);
  return newString(std::move(out));
}

//===-- Text --------------------------------------------------------------===//

static std::string urlEncode(const std::string &text) {
  static const char hex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    uint8_t byte = static_cast<uint8_t>(c);
    bool safe = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                (byte >= 'A' && byte <= 'Z') ||
                std::string_view("_.-~/").find(c) != std::string_view::npos;
    if (safe) {
      out += c;
    } else {
      out += '%';
      out += hex[byte >> 4];
      out += hex[byte & 15];
    }
  }
  return out;
}

static std::string indentLines(const std::string &text,
                               const std::string &indent, bool first,
                               bool blank) {
  // The newline at the end makes a last empty line one of the lines.
  std::string all = text + "\n", out;
  bool start = true;
  for (std::string_view l : splitLines(all, false)) {
    if (!start)
      out += '\n';
    if (!start && (blank || !l.empty()))
      out += indent;
    out += l;
    start = false;
  }
  return first ? indent + out : out;
}

bool Interpreter::filterText(const std::string &name, const Value &value,
                             CallArguments &arguments, Value &out) {
  static constexpr std::string_view names[] = {
      "capitalize", "center",   "e",       "escape",   "forceescape", "format",
      "indent",     "lower",    "replace", "safe",     "string",      "title",
      "trim",       "truncate", "upper",   "urlencode"};
  if (std::find(std::begin(names), std::end(names), name) == std::end(names))
    return false;
  if (!charge(weightOf(value)))
    return true;
  std::string text = toText(value);
  Bound bound;
  // Most are methods of str.
  if (name == "replace" || name == "center" || name == "format") {
    if (name == "format") {
      std::vector<Value> items = arguments.positional;
      out = formatPercent(text, newList(std::move(items), Kind::Tuple));
      return true;
    }
    if (name == "center" && arguments.positional.empty() &&
        arguments.named.empty())
      arguments.positional.push_back(Value::of(int64_t(80)));
    if (name == "replace") // takes what is no text as its text
      for (size_t i = 0; i < arguments.positional.size() && i < 2; ++i)
        if (!arguments.positional[i].is(Kind::String))
          arguments.positional[i] = newString(toText(arguments.positional[i]));
    Value self = newString(std::move(text));
    if (!failed())
      out = callStringMethod(self, name, arguments);
    return true;
  }
  if (name == "trim") {
    if (!bind(arguments, name, {"chars"}, 0, bound))
      return true;
    bool hasChars = bound.has(0) && !bound[0].is(Kind::None);
    if (hasChars && (!wantString(bound[0], "chars") ||
                     !chargeSearch(text, bound[0].string())))
      return true;
    out = newString(std::string(
        strip(text, hasChars ? &bound[0].string() : nullptr, true, true)));
    return true;
  }
  if (name == "indent") {
    if (!bind(arguments, name, {"width", "first", "blank"}, 0, bound))
      return true;
    std::string indent(4, ' ');
    if (bound.has(0) && bound[0].is(Kind::String))
      indent = bound[0].string();
    else if (bound.has(0)) {
      if (!wantInteger(bound[0], "width"))
        return true;
      indent.assign(static_cast<size_t>(std::clamp<int64_t>(
                        bound[0].asInteger(), 0, maxIndent + 1)),
                    ' ');
    }
    if (indent.size() > maxIndent) {
      fail("indent() has more than " + std::to_string(maxIndent) +
           " bytes of indentation");
      return true;
    }
    uint64_t lines = static_cast<uint64_t>(splitLines(text, false).size() + 1);
    if (allows(text.size() + lines * (indent.size() + 1)))
      out = newString(
          indentLines(text, indent, bound.isTrue(1), bound.isTrue(2)));
    return true;
  }
  if (name == "truncate") {
    if (!bind(arguments, name, {"length", "killwords", "end", "leeway"}, 0,
              bound))
      return true;
    if ((bound.has(0) && !wantInteger(bound[0], "length")) ||
        (bound.has(2) && !wantString(bound[2], "end")) ||
        (bound.has(3) && !bound[3].is(Kind::None) &&
         !wantInteger(bound[3], "leeway")))
      return true;
    int64_t length = bound.has(0) ? bound[0].asInteger() : 255;
    int64_t leeway =
        bound.has(3) && !bound[3].is(Kind::None) ? bound[3].asInteger() : 5;
    std::string end = bound.has(2) ? bound[2].string() : "...";
    int64_t endSize = static_cast<int64_t>(countChars(end));
    if (length < endSize || leeway < 0) {
      fail("expected length >= " + std::to_string(endSize) +
           " and leeway >= 0, got " + std::to_string(length) + " and " +
           std::to_string(leeway));
      return true;
    }
    if (static_cast<int64_t>(countChars(text)) > length + leeway) {
      text.resize(byteOfChar(text, static_cast<size_t>(length - endSize)));
      if (!bound.isTrue(1))
        if (size_t space = text.rfind(' '); space != std::string::npos)
          text.resize(space);
      text += end;
    }
    out = newString(std::move(text));
    return true;
  }
  if (!bind(arguments, name, {}, 0, bound))
    return true;
  // Text that is escaped already stays as it is; forceescape does it again.
  bool markup = value.is(Kind::String) && value.stringObject().markup;
  if ((name == "e" || name == "escape") && markup) {
    out = value;
    return true;
  }
  out = newString(name == "upper"                      ? toUpper(text)
                  : name == "lower"                    ? toLower(text)
                  : name == "title"                    ? toTitle(text)
                  : name == "capitalize"               ? toCapital(text)
                  : name == "urlencode"                ? urlEncode(text)
                  : name == "safe" || name == "string" ? text
                                                       : escapeHtml(text),
                  name == "safe" || name == "e" || name == "escape" ||
                      name == "forceescape" || (markup && name != "urlencode"));
  return true;
}

//===-- Numbers -----------------------------------------------------------===//

/// The text of a number without white space and single underscores.
static std::string numberText(const std::string &text) {
  std::string out;
  std::string_view all = strip(text, nullptr, true, true);
  for (size_t i = 0; i < all.size(); ++i) {
    bool between = all[i] == '_' && i > 0 && i + 1 < all.size() &&
                   all[i - 1] != '_' && all[i + 1] != '_';
    if (!between)
      out += all[i];
  }
  return out;
}

static bool parseReal(const std::string &text, double &out) {
  std::string number = numberText(text);
  const char *begin = number.data(), *end = begin + number.size();
  if (begin != end && *begin == '+')
    ++begin;
  auto result = std::from_chars(begin, end, out);
  return begin != end && result.ec == std::errc() && result.ptr == end;
}

static bool parseInteger(const std::string &text, int base, int64_t &out) {
  std::string number = numberText(text);
  bool negative = !number.empty() && number[0] == '-';
  if (!number.empty() && (negative || number[0] == '+'))
    number.erase(0, 1);
  if (number.size() > 2 && number[0] == '0') {
    char kind = static_cast<char>(number[1] | 0x20);
    if ((base == 16 && kind == 'x') || (base == 8 && kind == 'o') ||
        (base == 2 && kind == 'b'))
      number.erase(0, 2);
  }
  if (number.empty() || number[0] == '-')
    return false;
  if (negative)
    number.insert(0, 1, '-');
  auto result =
      std::from_chars(number.data(), number.data() + number.size(), out, base);
  return result.ec == std::errc() &&
         result.ptr == number.data() + number.size();
}

bool Interpreter::filterNumber(const std::string &name, const Value &value,
                               CallArguments &arguments, Value &out) {
  Bound bound;
  if (name == "int") {
    if (!bind(arguments, name, {"default", "base"}, 0, bound))
      return true;
    if (value.is(Kind::Undefined)) {
      failUndefined(value);
      return true;
    }
    if (bound.has(1) && !wantInteger(bound[1], "base"))
      return true;
    int64_t base = bound.has(1) ? bound[1].asInteger() : 10;
    int64_t integer = 0;
    double real = 0;
    out = bound.has(0) ? bound[0] : Value::of(int64_t(0));
    if (base < 2 || base > 36) {
      fail("base must be 2 to 36");
    } else if (value.isInteger()) {
      out = Value::of(value.asInteger());
    } else if (value.is(Kind::String) &&
               parseInteger(value.string(), static_cast<int>(base), integer)) {
      out = Value::of(integer);
    } else if (value.is(Kind::Float) ||
               (value.is(Kind::String) && parseReal(value.string(), real))) {
      if (value.is(Kind::Float))
        real = value.real;
      if (std::fabs(real) < 9.2e18)
        out = Value::of(static_cast<int64_t>(real));
    }
    return true;
  }
  if (name == "float") {
    if (!bind(arguments, name, {"default"}, 0, bound))
      return true;
    double real = 0;
    out = bound.has(0) ? bound[0] : Value::of(0.0);
    if (value.is(Kind::Undefined))
      failUndefined(value);
    else if (value.isNumber())
      out = Value::of(value.asReal());
    else if (value.is(Kind::String) && parseReal(value.string(), real))
      out = Value::of(real);
    return true;
  }
  if (name != "abs" && name != "round")
    return false;
  if (value.is(Kind::Undefined)) {
    failUndefined(value);
    return true;
  }
  if (!value.isNumber()) {
    fail(std::string("bad operand type for ") + name + "(): '" +
         typeName(value) + "'");
    return true;
  }
  if (name == "abs") {
    if (!bind(arguments, name, {}, 0, bound))
      return true;
    if (value.is(Kind::Float))
      out = Value::of(std::fabs(value.real));
    else if (value.asInteger() == INT64_MIN)
      fail("integer overflow");
    else
      out = Value::of(std::abs(value.asInteger()));
    return true;
  }
  if (!bind(arguments, name, {"precision", "method"}, 0, bound) ||
      (bound.has(0) && !wantInteger(bound[0], "precision")) ||
      (bound.has(1) && !wantString(bound[1], "method")))
    return true;
  int64_t precision = bound.has(0) ? bound[0].asInteger() : 0;
  std::string method = bound.has(1) ? bound[1].string() : "common";
  if (precision < -300 || precision > 300 ||
      (method != "common" && method != "ceil" && method != "floor")) {
    fail("round() takes a precision of -300 to 300 and the methods common, "
         "ceil and floor");
    return true;
  }
  double scale = std::pow(10.0, static_cast<double>(precision));
  if (method != "common") {
    double scaled = value.asReal() * scale;
    out = Value::of(
        (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
  } else if (value.isInteger() && precision >= 0) {
    out = Value::of(value.asInteger());
  } else if (precision >= 0) {
    // printf rounds the exact binary value half to even, as Python does.
    char buffer[700];
    std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision),
                  value.real);
    double rounded = value.real;
    std::from_chars(buffer, buffer + std::string_view(buffer).size(), rounded);
    out = Value::of(rounded);
  } else {
    double rounded = std::nearbyint(value.asReal() * scale) / scale;
    out = value.isInteger() ? Value::of(static_cast<int64_t>(rounded))
                            : Value::of(rounded);
  }
  return true;
}

} // namespace qcc::text::jinja
