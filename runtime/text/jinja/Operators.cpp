//===- Operators.cpp - Operators of the template language -----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Interpreter.h"
#include "Strings.h"

#include <algorithm>
#include <cmath>

namespace qcc::text::jinja {

bool Interpreter::contains(const Value &container, const Value &item) {
  switch (container.kind) {
  case Kind::String:
    if (!wantString(item, "'in <string>' requires a string: the left operand"))
      return false;
    return chargeSearch(container.string(), item.string()) &&
           container.string().find(item.string()) != std::string::npos;
  case Kind::Dict:
    return chargeLookup(container.dict(), item) && container.dict().find(item);
  default: {
    std::vector<Value> items;
    if (!iterate(container, items) || !charge(weightOf(container) / 8))
      return false;
    for (const Value &candidate : items)
      if (equals(candidate, item))
        return true;
    return false;
  }
  }
}

Value Interpreter::evaluateCompare(const Node &node) {
  Value left = evaluate(*node.kids[0]);
  for (size_t i = 0; i < node.operators.size() && !failed(); ++i) {
    Value right = evaluate(*node.kids[i + 1]);
    if (failed())
      return {};
    line = node.line;
    const std::string &op = node.operators[i];
    bool holds = false;
    if (op == "==" || op == "!=") {
      if (!charge(std::min(weightOf(left), weightOf(right)) / 8))
        return {};
      holds = equals(left, right) == (op == "==");
    } else if (op == "in" || op == "not in") {
      holds = contains(right, left) == (op == "in");
    } else {
      if (left.is(Kind::Undefined) || right.is(Kind::Undefined))
        return failUndefined(left.is(Kind::Undefined) ? left : right);
      int order = 0;
      if (!charge(std::min(weightOf(left), weightOf(right)) / 8))
        return {};
      if (!compare(left, right, order))
        return fail("'" + op + "' is not supported between '" + typeName(left) +
                    "' and '" + typeName(right) + "'");
      holds = op == "<"    ? order < 0
              : op == "<=" ? order <= 0
              : op == ">"  ? order > 0
                           : order >= 0;
    }
    if (failed() || !holds)
      return Value::of(false);
    left = right;
  }
  return Value::of(true);
}

Value Interpreter::binary(const std::string &op, const Value &a,
                          const Value &b) {
  if (a.is(Kind::Undefined))
    return failUndefined(a);
  if (op == "%" && a.is(Kind::String))
    return formatPercent(a.string(), b);
  if (b.is(Kind::Undefined))
    return failUndefined(b);
  if (a.isNumber() && b.isNumber())
    return arithmetic(op, a, b);
  if (op == "+" && a.is(Kind::String) && b.is(Kind::String)) {
    if (!allows(a.string().size() + b.string().size()))
      return {};
    bool first = a.stringObject().markup, second = b.stringObject().markup;
    if (first != second)
      return newString(first ? a.string() + escapeHtml(b.string())
                             : escapeHtml(a.string()) + b.string(),
                       true);
    return newString(a.string() + b.string(), first);
  }
  if (op == "+" && a.isSequence() && a.kind == b.kind) {
    std::vector<Value> items = a.list().items;
    items.insert(items.end(), b.list().items.begin(), b.list().items.end());
    return newList(std::move(items), a.kind);
  }
  if (op == "*" && (a.isInteger() || b.isInteger())) {
    const Value &many = a.isInteger() ? b : a;
    int64_t count = std::max<int64_t>((a.isInteger() ? a : b).asInteger(), 0);
    uint64_t times = static_cast<uint64_t>(count);
    if (many.is(Kind::String)) {
      uint64_t size = many.string().size();
      if (size && times > limits.memory / size)
        times = limits.memory; // refused below
      if (!allows(size * times))
        return {};
      std::string text;
      text.reserve(size * times);
      while (size && times--)
        text += many.string();
      return newString(std::move(text));
    }
    if (many.isSequence()) {
      const auto &items = many.list().items;
      if (items.empty())
        times = 0;
      if (times > limits.steps || !charge(times * items.size()))
        return fail("the template takes too many steps");
      std::vector<Value> out;
      while (times--)
        out.insert(out.end(), items.begin(), items.end());
      return newList(std::move(out), many.kind);
    }
  }
  return fail("unsupported operand type(s) for " + op + ": '" + typeName(a) +
              "' and '" + typeName(b) + "'");
}

Value Interpreter::arithmetic(const std::string &op, const Value &a,
                              const Value &b) {
  if (!a.isInteger() || !b.isInteger() || op == "/") {
    double x = a.asReal(), y = b.asReal();
    if (op == "+")
      return Value::of(x + y);
    if (op == "-")
      return Value::of(x - y);
    if (op == "*")
      return Value::of(x * y);
    if (op == "**")
      return Value::of(std::pow(x, y));
    if (y == 0)
      return fail("division by zero");
    if (op == "/")
      return Value::of(x / y);
    // Python rounds towards minus infinity.
    double rest = std::fmod(x, y);
    if (rest != 0 && (rest < 0) != (y < 0))
      rest += y;
    return Value::of(op == "%" ? rest : std::floor((x - rest) / y + 0.5));
  }
  int64_t x = a.asInteger(), y = b.asInteger(), result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(x, y, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(x, y, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(x, y, &result);
  } else if (op == "**") {
    if (y < 0)
      return x == 0 ? fail("division by zero")
                    : Value::of(std::pow(a.asReal(), b.asReal()));
    result = 1;
    // Beyond 63 factors only -1, 0 and 1 stay in range.
    if (y > 64 && (x < -1 || x > 1))
      overflow = true;
    else if (y > 64)
      result = x == -1 && y % 2 == 0 ? 1 : x;
    else
      while (y-- > 0 && !overflow)
        overflow = __builtin_mul_overflow(result, x, &result);
  } else {
    if (y == 0)
      return fail("integer division or modulo by zero");
    if (y == -1) { // the one quotient that can overflow
      overflow = op == "//" && x == INT64_MIN;
      result = op == "%" || overflow ? 0 : -x;
    } else {
      int64_t rest = x % y;
      bool adjust = rest != 0 && (rest < 0) != (y < 0);
      result = op == "%" ? rest + (adjust ? y : 0) : x / y - (adjust ? 1 : 0);
    }
  }
  return overflow ? fail("integer overflow") : Value::of(result);
}

} // namespace qcc::text::jinja
