//===- SequenceFilters.cpp - Filters of sequences -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Interpreter.h"
#include "Strings.h"

#include <algorithm>

namespace qcc::text::jinja {

bool Interpreter::filterSequence(const std::string &name, const Value &value,
                                 CallArguments &arguments, Value &out) {
  Bound bound;
  std::vector<Value> items;
  if (name == "length" || name == "count") {
    int64_t size = 0;
    if (bind(arguments, name, {}, 0, bound)) {
      if (length(value, size))
        out = Value::of(size);
      else
        fail(std::string("object of type '") + typeName(value) +
             "' has no len()");
    }
    return true;
  }
  if (name == "items") {
    if (!bind(arguments, name, {}, 0, bound))
      return true;
    if (value.is(Kind::Dict))
      for (const auto &[key, item] : value.dict().items)
        items.push_back(newList({key, item}, Kind::Tuple));
    else if (!value.is(Kind::Undefined))
      fail("can only get item pairs from a mapping");
    out = newList(std::move(items), Kind::Generator);
    return true;
  }
  if (name == "first" || name == "last" || name == "list" ||
      name == "reverse") {
    if (!bind(arguments, name, {}, 0, bound))
      return true;
    if ((name == "last" || name == "reverse") && value.is(Kind::Generator)) {
      // reverse makes a list of it first, last does not.
      if (name == "last") {
        fail("'generator' object is not reversible");
        return true;
      }
    }
    if (!iterate(value, items))
      return true;
    if (name == "list") {
      out = newList(std::move(items));
    } else if (name == "reverse") {
      std::reverse(items.begin(), items.end());
      if (!value.is(Kind::String)) {
        out = newList(std::move(items), Kind::Generator);
        return true;
      }
      std::string text;
      for (const Value &item : items)
        text += item.string();
      out = newString(std::move(text));
    } else if (items.empty()) {
      out = undefined(name == "first" ? "no first item, sequence was empty"
                                      : "no last item, sequence was empty");
    } else {
      // Only the first of a generator is taken.
      if (name == "first" && value.is(Kind::Generator))
        value.list().next = value.list().items.size() - items.size() + 1;
      out = name == "first" ? items.front() : items.back();
    }
    return true;
  }
  if (name == "join") {
    if (!bind(arguments, name, {"d", "attribute"}, 0, bound) ||
        !iterate(value, items))
      return true;
    std::string separator, text;
    if (bound.has(0))
      separator = toText(bound[0]);
    for (size_t i = 0; i < items.size(); ++i) {
      Value item = items[i];
      if (bound.has(1) && !bound[1].is(Kind::None))
        item = path(item, bound[1]);
      if (failed() || !charge(weightOf(item)))
        return true;
      if (i)
        text += separator;
      text += toText(item);
      if (!allows(text.size()))
        return true;
    }
    out = newString(std::move(text));
    return true;
  }
  if (name == "sum") {
    if (!bind(arguments, name, {"attribute", "start"}, 0, bound) ||
        !iterate(value, items))
      return true;
    out = bound.has(1) ? bound[1] : Value::of(int64_t(0));
    for (const Value &item : items) {
      bool byPath = bound.has(0) && !bound[0].is(Kind::None);
      Value part = byPath ? path(item, bound[0]) : item;
      if (!failed())
        out = binary("+", out, part);
      if (failed())
        return true;
    }
    return true;
  }
  if (name == "unique") {
    if (!bind(arguments, name, {"case_sensitive", "attribute"}, 0, bound) ||
        !iterate(value, items))
      return true;
    std::vector<Value> seen, kept;
    for (const Value &item : items) {
      Value key = item;
      if (bound.has(1) && !bound[1].is(Kind::None))
        key = path(item, bound[1]);
      if (!failed() && key.is(Kind::String) && !bound.isTrue(0))
        key = newString(toLower(key.string()));
      if (failed() || !charge(seen.size() / 4 + weightOf(key)))
        return true;
      bool known =
          std::any_of(seen.begin(), seen.end(),
                      [&](const Value &other) { return equals(other, key); });
      if (!known) {
        seen.push_back(key);
        kept.push_back(item);
      }
    }
    out = newList(std::move(kept), Kind::Generator);
    return true;
  }
  if (name == "batch" || name == "slice") {
    if (!bind(arguments, name, {"count", "fill_with"}, 1, bound) ||
        !wantInteger(bound[0], "count") || !iterate(value, items))
      return true;
    constexpr size_t most = 100000;
    size_t count = static_cast<size_t>(
        std::clamp<int64_t>(bound[0].asInteger(), 0, most + 1));
    bool fills = bound.has(1) && !bound[1].is(Kind::None);
    if (count == 0)
      fail(name + "() needs a count of at least 1");
    else if (count > most && (fills || name == "slice"))
      fail(name + "() has more than " + std::to_string(most) + " items");
    else if (count > most) // all of them in one
      count = std::max(count, items.size());
    if (failed())
      return true;
    std::vector<Value> parts;
    size_t at = 0;
    size_t each = items.size() / count, longer = items.size() % count;
    for (size_t i = 0; name == "batch" ? at < items.size() : i < count; ++i) {
      size_t size = name == "batch" ? std::min(count, items.size() - at)
                                    : each + (i < longer ? 1 : 0);
      auto begin = items.begin() + static_cast<ptrdiff_t>(at);
      std::vector<Value> part(begin, begin + static_cast<ptrdiff_t>(size));
      at += size;
      if (fills && name == "batch")
        part.resize(count, bound[1]);
      if (fills && name == "slice" && i >= longer && longer > 0)
        part.push_back(bound[1]);
      if (!charge(part.size()))
        return true;
      parts.push_back(newList(std::move(part)));
    }
    out = newList(std::move(parts), Kind::Generator);
    return true;
  }
  return false;
}

Value Interpreter::filterMap(const Value &value, CallArguments &arguments) {
  std::vector<Value> items, out;
  // None and the like count as empty.
  if (isTrue(value) && !iterate(value, items))
    return {};
  const Value *attribute = nullptr, *fallback = nullptr;
  if (arguments.positional.empty())
    for (const auto &[name, argument] : arguments.named) {
      if (name == "attribute")
        attribute = &argument;
      else if (name == "default")
        fallback = &argument;
      else
        return fail("map() got an unexpected keyword argument '" + name + "'");
    }
  if (!attribute) {
    if (arguments.positional.empty())
      return fail("map requires a filter argument");
    if (!wantString(arguments.positional[0], "the name of a filter"))
      return {};
  }
  for (const Value &item : items) {
    if (!charge(1))
      return {};
    if (attribute) {
      out.push_back(path(item, *attribute, fallback));
    } else {
      CallArguments rest;
      rest.positional.assign(arguments.positional.begin() + 1,
                             arguments.positional.end());
      rest.named = arguments.named;
      if (++depth > limits.depth)
        fail("the template is nested too deeply");
      else
        out.push_back(filter(arguments.positional[0].string(), item, rest));
      --depth;
    }
    if (failed())
      return {};
  }
  return newList(std::move(out), Kind::Generator);
}

Value Interpreter::filterSelect(const Value &value, CallArguments &arguments,
                                bool keep, bool byAttribute) {
  std::vector<Value> items, out;
  if (isTrue(value) && !iterate(value, items))
    return {};
  size_t first = byAttribute ? 1 : 0;
  const std::vector<Value> &given = arguments.positional;
  if (byAttribute && given.empty())
    return fail("missing parameter for attribute name");
  if (given.size() > first && !wantString(given[first], "the name of a test"))
    return {};
  for (const Value &item : items) {
    if (!charge(1))
      return {};
    Value subject = byAttribute ? path(item, given[0]) : item;
    if (failed())
      return {};
    bool holds = isTrue(subject);
    if (given.size() > first) {
      CallArguments rest;
      rest.positional.assign(given.begin() + static_cast<ptrdiff_t>(first + 1),
                             given.end());
      rest.named = arguments.named;
      holds = test(given[first].string(), subject, rest);
    }
    if (failed())
      return {};
    if (holds == keep)
      out.push_back(item);
  }
  return newList(std::move(out), Kind::Generator);
}

/// Sorts (key, value) pairs stably by key, by merging: unlike the standard
/// library's sorts it survives keys without an order, such as NaN. `takesEqual`
/// keys need no order where they are equal, as Python compares lists of them.
bool Interpreter::sortBy(std::vector<std::pair<Value, Value>> &keyed,
                         bool reverse, bool takesEqual) {
  auto less = [&](const Value &x, const Value &y) {
    const Value &a = reverse ? y : x;
    const Value &b = reverse ? x : y;
    int order = 0;
    if (failed() || !charge(1 + std::min(weightOf(a), weightOf(b)) / 8))
      return false;
    if (takesEqual && equals(a, b))
      return false;
    if (a.is(Kind::Undefined) || b.is(Kind::Undefined))
      failUndefined(a.is(Kind::Undefined) ? a : b);
    else if (!compare(a, b, order))
      fail(std::string("'<' is not supported between '") + typeName(a) +
           "' and '" + typeName(b) + "'");
    return order < 0;
  };
  std::vector<std::pair<Value, Value>> merged(keyed.size());
  for (size_t width = 1; width < keyed.size(); width *= 2) {
    for (size_t begin = 0; begin < keyed.size(); begin += 2 * width) {
      size_t middle = std::min(begin + width, keyed.size());
      size_t end = std::min(begin + 2 * width, keyed.size());
      size_t left = begin, right = middle;
      for (size_t to = begin; to < end; ++to) {
        bool second =
            left == middle ||
            (right < end && less(keyed[right].first, keyed[left].first));
        merged[to] = keyed[second ? right++ : left++];
      }
    }
    keyed.swap(merged);
    if (failed())
      return false;
  }
  return true;
}

Value Interpreter::filterSort(const Value &value, CallArguments &arguments) {
  Bound bound;
  std::vector<Value> items;
  if (!bind(arguments, "sort", {"reverse", "case_sensitive", "attribute"}, 0,
            bound) ||
      !iterate(value, items))
    return {};
  auto fold = [&](const Value &key) {
    return key.is(Kind::String) && !bound.isTrue(1)
               ? newString(toLower(key.string()))
               : key;
  };
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value &item : items) {
    Value key = item;
    if (bound.has(2) && bound[2].is(Kind::String)) {
      // "a,b" sorts by several attributes.
      std::vector<Value> keys;
      for (std::string_view part : split(bound[2].string(), ",", -1, false)) {
        Value found = path(item, newString(std::string(part)));
        if (failed())
          return {};
        keys.push_back(fold(found));
      }
      key = newList(std::move(keys));
    } else {
      if (bound.has(2) && !bound[2].is(Kind::None))
        key = path(item, bound[2]);
      if (!failed())
        key = fold(key);
    }
    if (failed())
      return {};
    keyed.push_back({key, item});
  }
  if (!sortBy(keyed, bound.isTrue(0), /*takesEqual=*/true))
    return {};
  items.clear();
  for (const auto &[key, item] : keyed)
    items.push_back(item);
  return newList(std::move(items));
}

Value Interpreter::filterDictSort(const Value &value,
                                  CallArguments &arguments) {
  Bound bound;
  if (!bind(arguments, "dictsort", {"case_sensitive", "by", "reverse"}, 0,
            bound))
    return {};
  if (value.is(Kind::Undefined))
    return failUndefined(value);
  if (!value.is(Kind::Dict))
    return fail(std::string("dictsort expects a dict, got ") + typeName(value));
  bool byValue =
      bound.has(1) && bound[1].is(Kind::String) && bound[1].string() == "value";
  if (bound.has(1) && !byValue &&
      !(bound[1].is(Kind::String) && bound[1].string() == "key"))
    return fail("you can only sort by either \"key\" or \"value\"");
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto &[key, item] : value.dict().items) {
    Value by = byValue ? item : key;
    if (by.is(Kind::String) && !bound.isTrue(0))
      by = newString(toLower(by.string()));
    keyed.push_back({by, newList({key, item}, Kind::Tuple)});
    if (failed())
      return {};
  }
  if (!sortBy(keyed, bound.isTrue(2), /*takesEqual=*/false))
    return {};
  std::vector<Value> items;
  for (const auto &[key, item] : keyed)
    items.push_back(item);
  return newList(std::move(items));
}

Value Interpreter::filterExtreme(const std::string &name, const Value &value,
                                 CallArguments &arguments) {
  Bound bound;
  std::vector<Value> items;
  if (!bind(arguments, name, {"case_sensitive", "attribute"}, 0, bound) ||
      !iterate(value, items))
    return {};
  if (items.empty())
    return undefined("no aggregated item, sequence was empty");
  Value best, bestKey;
  for (size_t i = 0; i < items.size(); ++i) {
    Value key = items[i];
    if (bound.has(1) && !bound[1].is(Kind::None))
      key = path(items[i], bound[1]);
    if (!failed() && key.is(Kind::String) && !bound.isTrue(0))
      key = newString(toLower(key.string()));
    int order = 0;
    if (failed() || !charge(weightOf(key) / 8))
      return {};
    if (i > 0 && !compare(key, bestKey, order))
      return fail(std::string("'<' is not supported between '") +
                  typeName(key) + "' and '" + typeName(bestKey) + "'");
    if (i == 0 || (name == "min" ? order < 0 : order > 0)) {
      best = items[i];
      bestKey = key;
    }
  }
  return best;
}

} // namespace qcc::text::jinja
