//===- Tests.cpp - The tests of the template language ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// What stands behind "is", and what select and reject take by name.
//===----------------------------------------------------------------------===//

#include "Interpreter.h"
#include "Strings.h"

#include <algorithm>

namespace qcc::text::jinja {

/// The comparison that a test's name stands for: "==", "<" ..., or "".
static std::string_view comparison(std::string_view name) {
  static constexpr std::string_view names[][2] = {
      {"eq", "=="},         {"equalto", "=="}, {"==", "=="}, {"ne", "!="},
      {"!=", "!="},         {"lt", "<"},       {"<", "<"},   {"lessthan", "<"},
      {"le", "<="},         {"<=", "<="},      {"gt", ">"},  {">", ">"},
      {"greaterthan", ">"}, {"ge", ">="},      {">=", ">="}};
  for (auto [test, op] : names)
    if (name == test)
      return op;
  return {};
}

bool Interpreter::test(const std::string &name, const Value &value,
                       CallArguments &arguments) {
  Bound bound;
  std::string callee = "test " + name;
  if (std::string_view op = comparison(name); !op.empty()) {
    if (!bind(arguments, callee, {"other"}, 1, bound) ||
        !charge(std::min(weightOf(value), weightOf(bound[0])) / 8))
      return false;
    if (op == "==" || op == "!=")
      return equals(value, bound[0]) == (op == "==");
    if (value.is(Kind::Undefined) || bound[0].is(Kind::Undefined)) {
      failUndefined(value.is(Kind::Undefined) ? value : bound[0]);
      return false;
    }
    int order = 0;
    if (!compare(value, bound[0], order)) {
      fail("'" + std::string(op) + "' is not supported between '" +
           typeName(value) + "' and '" + typeName(bound[0]) + "'");
      return false;
    }
    return op == "<"    ? order < 0
           : op == "<=" ? order <= 0
           : op == ">"  ? order > 0
                        : order >= 0;
  }
  if (name == "in" || name == "sameas" || name == "divisibleby") {
    if (!bind(arguments, callee, {"other"}, 1, bound))
      return false;
    if (name == "in")
      return contains(bound[0], value);
    if (name == "sameas")
      return value.kind == bound[0].kind &&
             (value.object == bound[0].object ||
              (value.kind <= Kind::Float && equals(value, bound[0])));
    Value rest = binary("%", value, bound[0]);
    return !failed() && !isTrue(rest);
  }
  if (!bind(arguments, callee, {}, 0, bound))
    return false;
  Kind kind = value.kind;
  if (name == "defined")
    return kind != Kind::Undefined;
  if (name == "undefined")
    return kind == Kind::Undefined;
  if (name == "none")
    return kind == Kind::None;
  if (name == "boolean")
    return kind == Kind::Bool;
  if (name == "true" || name == "false")
    return kind == Kind::Bool && value.boolean == (name == "true");
  if (name == "integer")
    return kind == Kind::Int;
  if (name == "float")
    return kind == Kind::Float;
  if (name == "number")
    return value.isNumber();
  if (name == "string")
    return kind == Kind::String;
  if (name == "mapping")
    return kind == Kind::Dict;
  if (name == "sequence")
    return value.isSequence() || kind == Kind::String || kind == Kind::Dict ||
           kind == Kind::Undefined;
  if (name == "iterable")
    return value.isSequence() || kind == Kind::String || kind == Kind::Dict ||
           kind == Kind::View || kind == Kind::Generator ||
           kind == Kind::Undefined || kind == Kind::Loop;
  if (name == "callable")
    return kind == Kind::Function || kind == Kind::Macro ||
           kind == Kind::Loop || kind == Kind::Undefined;
  if (name == "odd" || name == "even") {
    Value rest = binary("%", value, Value::of(int64_t(2)));
    return !failed() && isTrue(rest) == (name == "odd");
  }
  if (name == "lower" || name == "upper") {
    if (!charge(weightOf(value)))
      return false;
    std::string text = toText(value);
    return callStringQuestion(text, "is" + name).boolean;
  }
  if (name == "escaped")
    return kind == Kind::String && value.stringObject().markup;
  fail("no test named '" + name.substr(0, 40) + "'");
  return false;
}

} // namespace qcc::text::jinja
