//===- Limits.cpp - Errors, limits and arguments --------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Interpreter.h"

#include <algorithm>

namespace qcc::text::jinja {

//===-- Errors and limits -------------------------------------------------===//

Value Interpreter::fail(std::string text) {
  if (message.empty())
    message = shortError(line, text);
  return {};
}

bool Interpreter::charge(uint64_t count) {
  steps = count > limits.steps ? limits.steps + 1 : steps + count;
  if (steps > limits.steps)
    fail("the template takes more than " + std::to_string(limits.steps) +
         " steps");
  else if (arena.bytes > limits.memory)
    fail("the template needs more than " + std::to_string(limits.memory) +
         " bytes of memory");
  return !failed();
}

bool Interpreter::allows(uint64_t bytes) {
  if (bytes > limits.memory || arena.bytes > limits.memory - bytes)
    fail("the template needs more than " + std::to_string(limits.memory) +
         " bytes of memory");
  return !failed() && charge(bytes / 64);
}

bool Interpreter::chargeLookup(const DictObject &dict, const Value &key) {
  // Keys are compared one by one.
  return charge(dict.items.size() / 16 * std::min<uint64_t>(weightOf(key), 64) +
                weightOf(key) / 8);
}

bool Interpreter::chargeSearch(std::string_view text, std::string_view part) {
  // At worst all of it is compared at each place, fast.
  return charge(text.size() / 64 + text.size() / 64 * (part.size() / 64));
}

Value Interpreter::newString(std::string text, bool markup) {
  if (!allows(text.size()))
    return {};
  arena.bytes += text.size();
  auto *object = arena.make<StringObject>(std::move(text));
  object->markup = markup;
  return Value::of(Kind::String, object);
}

Value Interpreter::newList(std::vector<Value> items, Kind kind) {
  if (!charge(items.size() / 8))
    return {};
  return arena.list(std::move(items), kind);
}

Value Interpreter::undefined(std::string why) {
  return Value::of(Kind::Undefined, arena.make<StringObject>(std::move(why)));
}

Value Interpreter::failUndefined(const Value &value) {
  const auto *why = static_cast<const StringObject *>(value.object);
  return fail(why ? why->text : "a value is undefined");
}

//===-- Arguments ---------------------------------------------------------===//

bool Interpreter::bind(const CallArguments &arguments,
                       const std::string &callee,
                       std::initializer_list<const char *> names,
                       size_t required, Bound &out) {
  if (arguments.positional.size() > names.size()) {
    fail(callee + "() takes at most " + std::to_string(names.size()) +
         " arguments, got " + std::to_string(arguments.positional.size()));
    return false;
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i)
    out.value[i] = &arguments.positional[i];
  for (const auto &[name, value] : arguments.named) {
    size_t i = 0;
    for (const char *known : names) {
      if (name == known)
        break;
      ++i;
    }
    if (i == names.size() || out.value[i]) {
      fail(callee + "() got an unexpected keyword argument '" + name + "'");
      return false;
    }
    out.value[i] = &value;
  }
  for (size_t i = 0; i < required; ++i)
    if (!out.value[i]) {
      fail(callee + "() misses the argument '" + names.begin()[i] + "'");
      return false;
    }
  return true;
}

bool Interpreter::wantString(const Value &value, const std::string &what) {
  if (value.is(Kind::Undefined))
    failUndefined(value);
  else if (!value.is(Kind::String))
    fail(what + " must be str, not " + typeName(value));
  return !failed();
}

bool Interpreter::wantInteger(const Value &value, const std::string &what) {
  if (value.is(Kind::Undefined))
    failUndefined(value);
  else if (!value.isInteger())
    fail(what + " must be int, not " + typeName(value));
  return !failed();
}

} // namespace qcc::text::jinja
