//===- Evaluate.cpp - Expressions of a template ---------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Interpreter.h"
#include "Strings.h"

#include <algorithm>
#include <charconv>

namespace qcc::text::jinja {

Value Interpreter::evaluate(const Node &node) {
  if (node.op == Op::Literal)
    return node.value;
  if (!charge(1))
    return {};
  if (++depth > limits.depth) {
    --depth;
    return fail("the template is nested too deeply");
  }
  line = node.line;
  Value result = evaluateNode(node);
  --depth;
  return result;
}

static bool isGlobalFunction(const std::string &name) {
  static constexpr std::string_view names[] = {
      "range", "dict", "namespace", "raise_exception", "strftime_now"};
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

Value Interpreter::evaluateName(uint32_t symbol) {
  size_t names = 0;
  for (Scope *s = scope; s; s = s->parent)
    names += s->names.size();
  if (!charge(names / 16))
    return {};
  for (Scope *s = scope; s; s = s->parent)
    for (const auto &[name, value] : s->names)
      if (name == symbol)
        return value;
  if (isGlobal[symbol])
    return globals[symbol];
  const std::string &name = source.symbols[symbol];
  if (isGlobalFunction(name)) {
    auto *function = arena.make<FunctionObject>();
    function->name = name;
    return Value::of(Kind::Function, function);
  }
  return undefined("'" + name + "' is undefined");
}

Value Interpreter::evaluateNode(const Node &node) {
  auto kid = [&](size_t i) { return evaluate(*node.kids[i]); };
  switch (node.op) {
  case Op::Name:
    return evaluateName(node.symbol);
  case Op::List:
  case Op::Tuple: {
    std::vector<Value> items;
    for (const NodePtr &item : node.kids) {
      items.push_back(evaluate(*item));
      if (failed())
        return {};
    }
    return newList(std::move(items),
                   node.op == Op::List ? Kind::List : Kind::Tuple);
  }
  case Op::Dict: {
    auto *dict = arena.make<DictObject>();
    for (size_t i = 0; i < node.kids.size(); i += 2) {
      Value key = kid(i);
      Value value = failed() ? Value() : kid(i + 1);
      if (failed())
        return {};
      if (key.is(Kind::List) || key.is(Kind::Dict))
        return fail(std::string("unhashable type: '") + typeName(key) + "'");
      if (!chargeLookup(*dict, key))
        return {};
      dict->set(key, value);
    }
    return arena.dict(dict);
  }
  case Op::Attribute: {
    Value object = kid(0);
    if (failed())
      return {};
    line = node.line;
    return attribute(object, node.text);
  }
  case Op::Item: {
    Value object = kid(0);
    Value key = failed() ? Value() : kid(1);
    if (failed())
      return {};
    line = node.line;
    return item(object, key);
  }
  case Op::Slice:
    return evaluateSlice(node);
  case Op::Call:
    return evaluateCall(node, nullptr);
  case Op::Filter: {
    Value value = node.kids[0] ? kid(0) : filterInput;
    CallArguments arguments;
    if (failed() || !evaluateArguments(node.arguments, arguments))
      return {};
    line = node.line;
    return filter(node.text, value, arguments);
  }
  case Op::Test: {
    Value value = kid(0);
    CallArguments arguments;
    if (failed() || !evaluateArguments(node.arguments, arguments))
      return {};
    line = node.line;
    return Value::of(test(node.text, value, arguments));
  }
  case Op::Not: {
    Value value = kid(0);
    return Value::of(!isTrue(value));
  }
  case Op::Negative:
  case Op::Positive: {
    Value value = kid(0);
    if (failed())
      return {};
    if (value.is(Kind::Undefined))
      return failUndefined(value);
    if (!value.isNumber())
      return fail(std::string("bad operand type for unary ") +
                  (node.op == Op::Negative ? "-" : "+") + ": '" +
                  typeName(value) + "'");
    bool negative = node.op == Op::Negative;
    if (value.is(Kind::Float))
      return Value::of(negative ? -value.real : value.real);
    int64_t integer = value.asInteger();
    if (negative && integer == INT64_MIN)
      return fail("integer overflow");
    return Value::of(negative ? -integer : integer);
  }
  case Op::And:
  case Op::Or: {
    Value left = kid(0);
    if (failed() || isTrue(left) == (node.op == Op::Or))
      return left;
    return kid(1);
  }
  case Op::Compare:
    return evaluateCompare(node);
  case Op::Binary: {
    Value left = kid(0);
    Value right = failed() ? Value() : kid(1);
    if (failed())
      return {};
    line = node.line;
    return binary(node.text, left, right);
  }
  case Op::Concat: {
    std::string text;
    for (const NodePtr &part : node.kids) {
      Value value = evaluate(*part);
      if (failed() || !charge(weightOf(value)))
        return {};
      text += toText(value);
      if (!allows(text.size()))
        return {};
    }
    return newString(std::move(text));
  }
  case Op::Condition: {
    Value condition = kid(0);
    if (failed())
      return {};
    if (isTrue(condition))
      return kid(1);
    if (node.kids.size() > 2)
      return kid(2);
    return undefined("the inline if-expression evaluated to false and no else "
                     "section was defined");
  }
  default:
    return fail("unexpected node");
  }
}

//===-- Attributes and items ----------------------------------------------===//

static std::string missing(const Value &object, const std::string &name) {
  const char *type = object.is(Kind::Dict) ? "dict" : typeName(object);
  return std::string("'") + type + " object' has no attribute '" + name + "'";
}

Value Interpreter::attribute(const Value &object, const std::string &name) {
  if (object.is(Kind::Undefined))
    return failUndefined(object);
  if (hasMethod(object, name)) {
    auto *function = arena.make<FunctionObject>();
    function->name = name;
    function->self = object;
    return Value::of(Kind::Function, function);
  }
  if (object.is(Kind::Dict) || object.is(Kind::Namespace)) {
    if (!charge(object.dict().items.size() / 16 * (1 + name.size() / 64)))
      return {};
    if (const Value *value = object.dict().find(name))
      return *value;
  } else if (object.is(Kind::Loop)) {
    return loopAttribute(object.loop(), name);
  } else if (object.is(Kind::Macro) && name == "name") {
    return newString(object.macro().node->text);
  }
  return undefined(missing(object, name));
}

Value Interpreter::loopAttribute(const LoopObject &loop,
                                 const std::string &name) {
  int64_t index = static_cast<int64_t>(loop.index);
  int64_t count = static_cast<int64_t>(loop.items->size());
  if (name == "index")
    return Value::of(index + 1);
  if (name == "index0")
    return Value::of(index);
  if (name == "revindex")
    return Value::of(count - index);
  if (name == "revindex0")
    return Value::of(count - index - 1);
  if (name == "first")
    return Value::of(index == 0);
  if (name == "last")
    return Value::of(index + 1 == count);
  if (name == "length")
    return Value::of(count);
  if (name == "depth")
    return Value::of(loop.depth + 1);
  if (name == "depth0")
    return Value::of(loop.depth);
  if (name == "previtem")
    return index > 0 ? (*loop.items)[loop.index - 1]
                     : undefined("there is no previous item");
  if (name == "nextitem")
    return index + 1 < count ? (*loop.items)[loop.index + 1]
                             : undefined("there is no next item");
  return undefined("'loop object' has no attribute '" + name + "'");
}

Value Interpreter::item(const Value &object, const Value &key) {
  switch (object.kind) {
  case Kind::Undefined:
    return failUndefined(object);
  case Kind::List:
  case Kind::Tuple:
    if (key.isInteger()) {
      const auto &items = object.list().items;
      int64_t size = static_cast<int64_t>(items.size());
      int64_t index = key.asInteger();
      if (index < 0)
        index += size;
      if (index >= 0 && index < size)
        return items[static_cast<size_t>(index)];
    }
    break;
  case Kind::String:
    if (key.isInteger()) {
      const StringObject &text = object.stringObject();
      int64_t size = static_cast<int64_t>(text.length);
      int64_t index = key.asInteger();
      if (index < 0)
        index += size;
      if (index >= 0 && index < size) {
        size_t at = static_cast<size_t>(index);
        if (text.isAscii())
          return newString(std::string(1, text.text[at]));
        if (!charge(text.text.size() / 64))
          return {};
        size_t begin = byteOfChar(text.text, at);
        std::string_view rest = std::string_view(text.text).substr(begin);
        return newString(std::string(rest.substr(0, byteOfChar(rest, 1))));
      }
    }
    break;
  case Kind::Dict:
    if (!chargeLookup(object.dict(), key))
      return {};
    if (const Value *value = object.dict().find(key))
      return *value;
    break;
  default:
    break;
  }
  // What has no such item may have such an attribute.
  if (key.is(Kind::String))
    return attribute(object, key.string());
  if (!charge(weightOf(key)))
    return {};
  return undefined(std::string("'") + typeName(object) +
                   " object' has no element " + toRepr(key));
}

Value Interpreter::path(const Value &object, const Value &attribute,
                        const Value *fallback) {
  auto step = [&](const Value &from, const Value &key) {
    Value value = item(from, key);
    return value.is(Kind::Undefined) && fallback && !fallback->is(Kind::None)
               ? *fallback
               : value;
  };
  if (attribute.isInteger())
    return step(object, attribute);
  if (!wantString(attribute, "an attribute"))
    return {};
  Value value = object;
  for (std::string_view part : split(attribute.string(), ".", -1, false)) {
    int64_t index = 0;
    auto number =
        std::from_chars(part.data(), part.data() + part.size(), index);
    bool digits = !part.empty() && part[0] != '-' && number.ec == std::errc() &&
                  number.ptr == part.data() + part.size();
    Value key = digits ? Value::of(index) : newString(std::string(part));
    if (!failed())
      value = step(value, key);
    if (failed())
      return {};
  }
  return value;
}

Value Interpreter::evaluateSlice(const Node &node) {
  Value object = evaluate(*node.kids[0]);
  if (failed())
    return {};
  int64_t bounds[3] = {};
  bool given[3] = {};
  for (size_t i = 0; i < 3; ++i) {
    if (!node.kids[i + 1])
      continue;
    Value bound = evaluate(*node.kids[i + 1]);
    if (failed())
      return {};
    if (bound.is(Kind::None))
      continue;
    if (!wantInteger(bound, "a slice index"))
      return {};
    bounds[i] = bound.asInteger();
    given[i] = true;
  }
  line = node.line;
  if (object.is(Kind::Undefined))
    return failUndefined(object);
  int64_t size = 0;
  if (object.is(Kind::String))
    size = static_cast<int64_t>(object.stringObject().length);
  else if (object.isSequence())
    size = static_cast<int64_t>(object.list().items.size());
  else
    return fail(std::string("'") + typeName(object) +
                "' object cannot be sliced");
  int64_t step = given[2] ? bounds[2] : 1;
  if (step == 0)
    return fail("slice step cannot be zero");
  // A larger step than the size selects what the size selects.
  step = std::clamp(step, -size - 1, size + 1);
  auto clip = [&](size_t i, int64_t fallback) {
    if (!given[i])
      return fallback;
    int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
    int64_t bound =
        bounds[i] < 0 ? std::max(bounds[i], -size - 1) + size : bounds[i];
    return std::clamp(bound, low, high);
  };
  int64_t start = clip(0, step < 0 ? size - 1 : 0);
  int64_t stop = clip(1, step < 0 ? -1 : size);
  if (object.is(Kind::String)) {
    const StringObject &text = object.stringObject();
    if (!charge(text.text.size() / 64))
      return {};
    if (step == 1) {
      if (start >= stop)
        return newString({});
      std::string_view rest = text.text;
      size_t from = static_cast<size_t>(start), to = static_cast<size_t>(stop);
      if (text.isAscii())
        return newString(std::string(rest.substr(from, to - from)));
      size_t begin = byteOfChar(rest, from);
      rest.remove_prefix(begin);
      return newString(
          std::string(rest.substr(0, byteOfChar(rest, to - from))));
    }
    std::vector<std::string_view> chars = charsOf(text.text);
    std::string out;
    for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step)
      out += chars[static_cast<size_t>(i)];
    return newString(std::move(out));
  }
  std::vector<Value> out;
  const auto &items = object.list().items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step)
    out.push_back(items[static_cast<size_t>(i)]);
  return newList(std::move(out), object.kind);
}

bool Interpreter::iterate(const Value &value, std::vector<Value> &items) {
  switch (value.kind) {
  case Kind::Undefined:
    break;
  case Kind::List:
  case Kind::Tuple:
  case Kind::View:
    items = value.list().items;
    break;
  case Kind::Generator: {
    ListObject &list = value.list();
    items.assign(list.items.begin() + static_cast<ptrdiff_t>(list.next),
                 list.items.end());
    list.next = list.items.size();
    break;
  }
  case Kind::Dict:
    for (const auto &[key, item] : value.dict().items)
      items.push_back(key);
    break;
  case Kind::String:
    if (!charge(value.stringObject().length))
      return false;
    for (std::string_view character : Characters(value.string()))
      items.push_back(newString(std::string(character)));
    break;
  case Kind::Loop: // what is left of it; nobody does that
  default:
    fail(std::string("'") + typeName(value) + "' object is not iterable");
    return false;
  }
  return charge(items.size() / 8);
}

bool Interpreter::length(const Value &value, int64_t &out) {
  switch (value.kind) {
  case Kind::Undefined:
    out = 0;
    return true;
  case Kind::String:
    out = static_cast<int64_t>(value.stringObject().length);
    return true;
  case Kind::List:
  case Kind::Tuple:
  case Kind::View:
    out = static_cast<int64_t>(value.list().items.size());
    return true;
  case Kind::Dict:
    out = static_cast<int64_t>(value.dict().items.size());
    return true;
  case Kind::Loop:
    out = static_cast<int64_t>(value.loop().items->size());
    return true;
  default:
    return false;
  }
}

} // namespace qcc::text::jinja
