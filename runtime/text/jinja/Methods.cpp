//===- Methods.cpp - Functions and methods of the template language -------===//
// SPDX-License-Identifier: Apache-2.0
//
// The methods of str, dict and list as Python has them. Those that change a
// container are refused, as Jinja's immutable sandbox does.
//===----------------------------------------------------------------------===//

#include "Interpreter.h"
#include "Strings.h"

#include <algorithm>

namespace qcc::text::jinja {

template <size_t N>
static bool isOneOf(std::string_view name, const std::string_view (&names)[N]) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

static constexpr std::string_view stringMethods[] = {
    "capitalize",   "casefold",     "center",    "count",     "encode",
    "endswith",     "expandtabs",   "find",      "format",    "format_map",
    "index",        "isalnum",      "isalpha",   "isascii",   "isdecimal",
    "isdigit",      "isidentifier", "islower",   "isnumeric", "isprintable",
    "isspace",      "istitle",      "isupper",   "join",      "ljust",
    "lower",        "lstrip",       "maketrans", "partition", "removeprefix",
    "removesuffix", "replace",      "rfind",     "rindex",    "rjust",
    "rpartition",   "rsplit",       "rstrip",    "split",     "splitlines",
    "startswith",   "strip",        "swapcase",  "title",     "translate",
    "upper",        "zfill"};
static constexpr std::string_view dictMethods[] = {
    "clear", "copy",    "fromkeys",   "get",    "items", "keys",
    "pop",   "popitem", "setdefault", "update", "values"};
static constexpr std::string_view listMethods[] = {
    "append", "clear", "copy",   "count",   "extend", "index",
    "insert", "pop",   "remove", "reverse", "sort"};
static constexpr std::string_view changing[] = {
    "append", "clear",   "extend",     "insert", "pop",   "popitem",
    "remove", "reverse", "setdefault", "sort",   "update"};
static constexpr std::string_view tupleMethods[] = {"count", "index"};
static constexpr std::string_view loopMethods[] = {"changed", "cycle"};

bool hasMethod(const Value &value, const std::string &name) {
  switch (value.kind) {
  case Kind::String:
    return isOneOf(name, stringMethods);
  case Kind::Dict:
    return isOneOf(name, dictMethods);
  case Kind::List:
    return isOneOf(name, listMethods);
  case Kind::Tuple:
    return isOneOf(name, tupleMethods);
  case Kind::Loop:
    return isOneOf(name, loopMethods);
  default:
    return false;
  }
}

//===-- Global functions --------------------------------------------------===//

Value Interpreter::callGlobal(const std::string &name,
                              CallArguments &arguments) {
  Bound bound;
  if (name == "raise_exception") {
    if (!bind(arguments, name, {"message"}, 1, bound))
      return {};
    return fail(toText(bound[0]));
  }
  if (name == "strftime_now") {
    if (!bind(arguments, name, {"format"}, 1, bound) ||
        !wantString(bound[0], "a time format"))
      return {};
    return formatTime(bound[0].string());
  }
  if (name == "range") {
    if (!bind(arguments, name, {"start", "stop", "step"}, 1, bound))
      return {};
    for (size_t i = 0; i < 3; ++i)
      if (bound.has(i) && !wantInteger(bound[i], "an argument of range()"))
        return {};
    int64_t start = bound.has(1) ? bound[0].asInteger() : 0;
    int64_t stop = bound.has(1) ? bound[1].asInteger() : bound[0].asInteger();
    int64_t step = bound.has(2) ? bound[2].asInteger() : 1;
    if (step == 0)
      return fail("range() step must not be zero");
    std::vector<Value> items;
    constexpr size_t most = 100000;
    while (step > 0 ? start < stop : start > stop) {
      if (items.size() == most)
        return fail("range() has more than " + std::to_string(most) +
                    " numbers");
      items.push_back(Value::of(start));
      if (__builtin_add_overflow(start, step, &start))
        break;
    }
    return newList(std::move(items));
  }
  // dict() and namespace(): pairs of the one argument, then names.
  auto *dict = arena.make<DictObject>();
  if (arguments.positional.size() > 1)
    return fail(name + "() takes at most 1 argument");
  if (!arguments.positional.empty()) {
    const Value &from = arguments.positional[0];
    if (from.is(Kind::Dict)) {
      dict->items = from.dict().items;
    } else {
      std::vector<Value> items;
      if (!iterate(from, items))
        return {};
      for (const Value &item : items) {
        std::vector<Value> pair;
        if (!iterate(item, pair))
          return {};
        if (pair.size() != 2)
          return fail(name + "() expects pairs");
        if (!chargeLookup(*dict, pair[0]))
          return {};
        dict->set(pair[0], pair[1]);
      }
    }
  }
  for (auto &[key, value] : arguments.named) {
    Value text = newString(key);
    if (!chargeLookup(*dict, text))
      return {};
    dict->set(text, value);
  }
  if (name == "dict")
    return arena.dict(dict);
  for (const auto &[key, value] : dict->items)
    if (key.is(Kind::String) && !key.string().empty() && key.string()[0] == '_')
      return fail("namespace attribute '" + key.string() +
                  "' must not start with an underscore");
  return Value::of(Kind::Namespace, dict);
}

Value Interpreter::formatTime(const std::string &format) {
  if (format.size() > 1024)
    return fail("the time format has more than 1024 bytes");
  std::tm local{};
  if (!localtime_r(&now, &local))
    return fail("the local time is not known");
  // The final character tells an empty result from a small buffer.
  std::string text(16 * format.size() + 256, '\0');
  size_t size =
      std::strftime(text.data(), text.size(), (format + ".").c_str(), &local);
  if (size == 0)
    return fail("the time format '" + format + "' gives too long a text");
  text.resize(size - 1);
  return newString(std::move(text));
}

//===-- Methods -----------------------------------------------------------===//

Value Interpreter::callMethod(const Value &self, const std::string &name,
                              CallArguments &arguments) {
  if (!self.is(Kind::String) && isOneOf(name, changing))
    return fail(std::string("'") + typeName(self) + "." + name +
                "' is not safely callable: values cannot be changed");
  switch (self.kind) {
  case Kind::String:
    return callStringMethod(self, name, arguments);
  case Kind::Dict:
    return callDictMethod(self, name, arguments);
  case Kind::Loop:
    return callLoopMethod(self.loop(), name, arguments);
  default:
    break;
  }
  // list and tuple
  const auto &items = self.list().items;
  Bound bound;
  if (name == "copy")
    return newList(items);
  if (!bind(arguments, name, {"value"}, 1, bound) ||
      !charge(weightOf(self) / 8))
    return {};
  int64_t count = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!equals(items[i], bound[0]))
      continue;
    if (name == "index")
      return Value::of(static_cast<int64_t>(i));
    ++count;
  }
  if (name == "index")
    return fail("the value is not in the list");
  return Value::of(count);
}

Value Interpreter::callDictMethod(const Value &self, const std::string &name,
                                  CallArguments &arguments) {
  const DictObject &dict = self.dict();
  Bound bound;
  if (name == "get") {
    if (!bind(arguments, name, {"key", "default"}, 1, bound) ||
        !chargeLookup(dict, bound[0]))
      return {};
    if (const Value *value = dict.find(bound[0]))
      return *value;
    return bound.has(1) ? bound[1] : Value::none();
  }
  if (name == "fromkeys")
    return fail("dict.fromkeys is not supported");
  if (!bind(arguments, name, {}, 0, bound))
    return {};
  if (name == "copy") {
    auto *copy = arena.make<DictObject>();
    copy->items = dict.items;
    return arena.dict(copy);
  }
  std::vector<Value> items;
  for (const auto &[key, value] : dict.items)
    items.push_back(name == "items"  ? newList({key, value}, Kind::Tuple)
                    : name == "keys" ? key
                                     : value);
  Value view = newList(std::move(items), Kind::View);
  if (!failed())
    view.list().name = name == "items"  ? "dict_items"
                       : name == "keys" ? "dict_keys"
                                        : "dict_values";
  return view;
}

Value Interpreter::callLoopMethod(LoopObject &loop, const std::string &name,
                                  CallArguments &arguments) {
  if (!arguments.named.empty())
    return fail("loop." + name + "() takes no keyword arguments");
  std::vector<Value> &values = arguments.positional;
  if (name == "cycle") {
    if (values.empty())
      return fail("no items for cycling given");
    return values[loop.index % values.size()];
  }
  bool same = loop.hasChanged && loop.changed.size() == values.size();
  for (size_t i = 0; same && i < values.size(); ++i)
    same =
        charge(weightOf(values[i]) / 8) && equals(loop.changed[i], values[i]);
  loop.hasChanged = true;
  loop.changed = std::move(values);
  return Value::of(!same);
}

/// The methods that ask about every character. Beyond ASCII, letters are those
/// with a case and everything that is neither space nor sign is taken as one.
Value Interpreter::callStringQuestion(const std::string &text,
                                      const std::string &name) {
  bool all = !text.empty(), cased = false, previousCased = false;
  for (std::string_view character : Characters(text)) {
    uint32_t c = codePointOf(character);
    bool digit = c >= '0' && c <= '9';
    bool upper = isUpper(c), lower = isLower(c) && !upper;
    bool alpha = c < 0x80 ? upper || lower
                          : !isSpace(c) && !(c >= 0x2000 && c < 0x2C00) &&
                                !(c >= 0x3001 && c < 0x3005) && c >= 0xAA;
    cased |= upper || lower;
    if (name == "isalnum")
      all &= alpha || digit;
    else if (name == "isalpha")
      all &= alpha;
    else if (name == "isdecimal" || name == "isdigit" || name == "isnumeric")
      all &= digit;
    else if (name == "isspace")
      all &= isSpace(c);
    else if (name == "islower")
      all &= !upper;
    else if (name == "isupper")
      all &= !lower;
    else if (name == "istitle")
      all &= upper ? !previousCased : !lower || previousCased;
    else if (name == "isascii")
      all &= c < 0x80;
    else if (name == "isidentifier")
      all &= alpha || c == '_' || (digit && character.data() != text.data());
    previousCased = upper || lower;
  }
  if (name == "isascii" && text.empty())
    all = true;
  if (name == "islower" || name == "isupper" || name == "istitle")
    all &= cased;
  return Value::of(all);
}

/// Start of `needle` in `text` as a character position, or -1. `start` and
/// `end` as Python's slice bounds.
static int64_t findText(const StringObject &text, std::string_view needle,
                        const Value *startValue, const Value *endValue,
                        bool last) {
  int64_t size = static_cast<int64_t>(text.length);
  auto clip = [&](const Value *value, int64_t fallback) {
    if (!value || value->is(Kind::None))
      return fallback;
    int64_t v = value->asInteger();
    return std::clamp<int64_t>(v < 0 ? std::max(v, -size) + size : v, 0,
                               size + 1);
  };
  int64_t start = clip(startValue, 0),
          end = std::min(clip(endValue, size), size);
  if (start > end)
    return -1;
  size_t from = byteOfChar(text.text, static_cast<size_t>(start));
  size_t to = byteOfChar(text.text, static_cast<size_t>(end));
  std::string_view part = std::string_view(text.text).substr(from, to - from);
  size_t at = last ? part.rfind(needle) : part.find(needle);
  if (at == std::string_view::npos)
    return -1;
  return start + static_cast<int64_t>(countChars(part.substr(0, at)));
}

Value Interpreter::callStringMethod(const Value &self, const std::string &name,
                                    CallArguments &arguments) {
  const std::string &text = self.string();
  if (!charge(text.size() / 64))
    return {};
  // The first argument is what most search for.
  if (!arguments.positional.empty() &&
      arguments.positional[0].is(Kind::String) &&
      !chargeSearch(text, arguments.positional[0].string()))
    return {};
  for (const auto &[key, part] : arguments.named)
    if (part.is(Kind::String) && !chargeSearch(text, part.string()))
      return {};
  Bound bound;
  bool markup = self.stringObject().markup;
  auto string = [&](std::string_view part) {
    return newString(std::string(part), markup);
  };
  auto strings = [&](const std::vector<std::string_view> &parts, Kind kind) {
    std::vector<Value> items;
    for (std::string_view part : parts) {
      if (failed())
        break;
      items.push_back(string(part));
    }
    return failed() ? Value() : newList(std::move(items), kind);
  };

  if (name == "format")
    return formatBraces(text, arguments);
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    if (!bind(arguments, name, {"chars"}, 0, bound))
      return {};
    bool hasChars = bound.has(0) && !bound[0].is(Kind::None);
    if (hasChars && !wantString(bound[0], "the argument of " + name + "()"))
      return {};
    return string(strip(text, hasChars ? &bound[0].string() : nullptr,
                        name != "rstrip", name != "lstrip"));
  }
  if (name == "split" || name == "rsplit") {
    if (!bind(arguments, name, {"sep", "maxsplit"}, 0, bound))
      return {};
    if (bound.has(1) && !wantInteger(bound[1], "maxsplit"))
      return {};
    int64_t count = bound.has(1) ? bound[1].asInteger() : -1;
    bool right = name == "rsplit";
    if (!bound.has(0) || bound[0].is(Kind::None))
      return strings(splitSpace(text, count, right), Kind::List);
    if (!wantString(bound[0], "the separator"))
      return {};
    if (bound[0].string().empty())
      return fail("empty separator");
    return strings(split(text, bound[0].string(), count, right), Kind::List);
  }
  if (name == "splitlines") {
    if (!bind(arguments, name, {"keepends"}, 0, bound))
      return {};
    return strings(splitLines(text, bound.isTrue(0)), Kind::List);
  }
  if (name == "partition" || name == "rpartition") {
    if (!bind(arguments, name, {"sep"}, 1, bound) ||
        !wantString(bound[0], "the separator"))
      return {};
    const std::string &separator = bound[0].string();
    if (separator.empty())
      return fail("empty separator");
    bool right = name == "rpartition";
    size_t at = right ? text.rfind(separator) : text.find(separator);
    std::string_view all = text;
    if (at == std::string::npos)
      return strings(right ? std::vector<std::string_view>{"", "", all}
                           : std::vector<std::string_view>{all, "", ""},
                     Kind::Tuple);
    return strings(
        {all.substr(0, at), separator, all.substr(at + separator.size())},
        Kind::Tuple);
  }
  if (name == "startswith" || name == "endswith") {
    if (!bind(arguments, name, {"prefix"}, 1, bound))
      return {};
    std::vector<Value> candidates{bound[0]};
    if (bound[0].is(Kind::Tuple))
      candidates = bound[0].list().items;
    for (const Value &candidate : candidates) {
      if (!wantString(candidate, "the argument of " + name + "()") ||
          !charge(candidate.string().size() / 4096 + 1))
        return {};
      if (name == "startswith" ? text.starts_with(candidate.string())
                               : text.ends_with(candidate.string()))
        return Value::of(true);
    }
    return Value::of(false);
  }
  if (name == "removeprefix" || name == "removesuffix") {
    if (!bind(arguments, name, {"part"}, 1, bound) ||
        !wantString(bound[0], "the argument of " + name + "()"))
      return {};
    std::string_view all = text, part = bound[0].string();
    if (name == "removeprefix" && all.starts_with(part))
      all.remove_prefix(part.size());
    else if (name == "removesuffix" && all.ends_with(part))
      all.remove_suffix(part.size());
    return string(all);
  }
  if (name == "replace") {
    if (!bind(arguments, name, {"old", "new", "count"}, 2, bound) ||
        !wantString(bound[0], "old") || !wantString(bound[1], "new") ||
        (bound.has(2) && !wantInteger(bound[2], "count")))
      return {};
    uint64_t growth =
        (text.size() / std::max<size_t>(bound[0].string().size(), 1) + 1) *
        uint64_t(bound[1].string().size());
    if (!allows(text.size() + growth))
      return {};
    return newString(replace(text, bound[0].string(), bound[1].string(),
                             bound.has(2) ? bound[2].asInteger() : -1));
  }
  if (name == "join") {
    std::vector<Value> items;
    if (!bind(arguments, name, {"iterable"}, 1, bound) ||
        !iterate(bound[0], items))
      return {};
    std::string out;
    for (size_t i = 0; i < items.size(); ++i) {
      if (!wantString(items[i], "sequence item " + std::to_string(i)))
        return {};
      out += (i ? text : std::string()) + items[i].string();
      if (!allows(out.size()))
        return {};
    }
    return newString(std::move(out));
  }
  if (name == "find" || name == "rfind" || name == "index" ||
      name == "rindex" || name == "count") {
    if (!bind(arguments, name, {"sub", "start", "end"}, 1, bound) ||
        !wantString(bound[0], "the argument of " + name + "()"))
      return {};
    for (size_t i = 1; i < 3; ++i)
      if (bound.has(i) && !bound[i].is(Kind::None) &&
          !wantInteger(bound[i], "a bound"))
        return {};
    const std::string &needle = bound[0].string();
    if (name == "count") {
      if (bound.has(1))
        return fail("count() with bounds is not supported");
      if (needle.empty())
        return Value::of(static_cast<int64_t>(self.stringObject().length) + 1);
      return Value::of(
          static_cast<int64_t>(split(text, needle, -1, false).size()) - 1);
    }
    int64_t at = findText(self.stringObject(), needle, bound.value[1],
                          bound.value[2], name[0] == 'r');
    if (at < 0 && name.ends_with("index"))
      return fail("substring not found");
    return Value::of(at);
  }
  if (name == "ljust" || name == "rjust" || name == "center" ||
      name == "zfill") {
    if (!bind(arguments, name, {"width", "fill"}, 1, bound) ||
        !wantInteger(bound[0], "the width") ||
        (bound.has(1) && !wantString(bound[1], "the fill character")))
      return {};
    std::string fill = bound.has(1) ? bound[1].string() : " ";
    if (name == "zfill")
      fill = "0";
    if (countChars(fill) != 1)
      return fail("the fill character must be exactly one character long");
    int64_t size = static_cast<int64_t>(self.stringObject().length);
    int64_t pad = std::max<int64_t>(bound[0].asInteger() - size, 0);
    if (!allows(static_cast<uint64_t>(std::min<int64_t>(pad, INT32_MAX)) * 4))
      return {};
    int64_t left = name == "ljust" ? 0 : pad;
    if (name == "center")
      left = pad / 2 + (pad & bound[0].asInteger() & 1);
    std::string out;
    size_t sign =
        name == "zfill" && !text.empty() && (text[0] == '-' || text[0] == '+')
            ? 1
            : 0;
    out += text.substr(0, sign);
    for (int64_t i = 0; i < left; ++i)
      out += fill;
    out += text.substr(sign);
    for (int64_t i = left; i < pad; ++i)
      out += fill;
    return newString(std::move(out));
  }
  if (!bind(arguments, name, {}, 0, bound))
    return {};
  if (name == "upper")
    return newString(toUpper(text), markup);
  if (name == "lower" || name == "casefold")
    return newString(toLower(text), markup);
  if (name == "capitalize")
    return newString(toCapital(text), markup);
  if (name == "title" || name == "swapcase") {
    std::string out;
    bool inWord = false;
    for (std::string_view character : Characters(text)) {
      uint32_t c = codePointOf(character);
      bool upper = isUpper(c), cased = upper || isLower(c);
      bool lowers = name == "title" ? inWord : upper;
      out += lowers ? toLower(character) : toUpper(character);
      inWord = cased;
    }
    return newString(std::move(out));
  }
  if (name.starts_with("is") && name != "isprintable")
    return callStringQuestion(text, name);
  return fail("str." + name + " is not supported");
}

} // namespace qcc::text::jinja
