//===- Value.cpp - Values of the template language ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Value.h"

#include "Strings.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace qcc::text::jinja {

// Of containers in containers. A template can nest them without end.
static constexpr unsigned maxDepth = 200;

template <typename T>
static T &objectOf(const Value &value) {
  return *static_cast<T *>(const_cast<Object *>(value.object));
}
const StringObject &Value::stringObject() const {
  return objectOf<StringObject>(*this);
}
const std::string &Value::string() const { return stringObject().text; }
ListObject &Value::list() const { return objectOf<ListObject>(*this); }
DictObject &Value::dict() const { return objectOf<DictObject>(*this); }
FunctionObject &Value::function() const {
  return objectOf<FunctionObject>(*this);
}
MacroObject &Value::macro() const { return objectOf<MacroObject>(*this); }
LoopObject &Value::loop() const { return objectOf<LoopObject>(*this); }

StringObject::StringObject(std::string value)
    : text(std::move(value)), length(countChars(text)) {}

const Value *DictObject::find(std::string_view key) const {
  for (const auto &[k, v] : items)
    if (k.is(Kind::String) && k.string() == key)
      return &v;
  return nullptr;
}

const Value *DictObject::find(const Value &key) const {
  if (key.is(Kind::String))
    return find(std::string_view(key.string()));
  for (const auto &[k, v] : items)
    if (equals(k, key))
      return &v;
  return nullptr;
}

void DictObject::set(const Value &key, const Value &value) {
  if (const Value *old = find(key))
    *const_cast<Value *>(old) = value;
  else
    items.push_back({key, value});
}

uint64_t weightOf(const Value &value) {
  switch (value.kind) {
  case Kind::String:
    return 1 + value.string().size() / 64;
  case Kind::List:
  case Kind::Tuple:
  case Kind::View:
  case Kind::Generator:
    return value.list().weight;
  case Kind::Dict:
    return value.dict().weight;
  default:
    return 1;
  }
}

bool isTrue(const Value &value) {
  switch (value.kind) {
  case Kind::Undefined:
  case Kind::None:
    return false;
  case Kind::Bool:
    return value.boolean;
  case Kind::Int:
    return value.integer != 0;
  case Kind::Float:
    return value.real != 0;
  case Kind::String:
    return !value.string().empty();
  case Kind::List:
  case Kind::Tuple:
  case Kind::View:
    return !value.list().items.empty();
  case Kind::Dict:
    return !value.dict().items.empty();
  default:
    return true;
  }
}

const char *typeName(const Value &value) {
  switch (value.kind) {
  case Kind::Undefined:
    return "Undefined";
  case Kind::None:
    return "NoneType";
  case Kind::Bool:
    return "bool";
  case Kind::Int:
    return "int";
  case Kind::Float:
    return "float";
  case Kind::String:
    return "str";
  case Kind::List:
    return "list";
  case Kind::Tuple:
    return "tuple";
  case Kind::Dict:
    return "dict";
  case Kind::View:
    return "dict view";
  case Kind::Generator:
    return "generator";
  case Kind::Namespace:
    return "Namespace";
  case Kind::Function:
    return "function";
  case Kind::Macro:
    return "Macro";
  case Kind::Loop:
    return "LoopContext";
  }
  return "object";
}

static bool equals(const Value &a, const Value &b, unsigned depth) {
  if (a.isNumber() && b.isNumber()) {
    if (a.isInteger() && b.isInteger())
      return a.asInteger() == b.asInteger();
    return a.asReal() == b.asReal();
  }
  if (a.kind != b.kind)
    return false;
  switch (a.kind) {
  case Kind::Undefined:
  case Kind::None:
    return true;
  case Kind::String:
    return a.string() == b.string();
  case Kind::List:
  case Kind::Tuple: {
    const auto &x = a.list().items, &y = b.list().items;
    if (x.size() != y.size() || depth > maxDepth)
      return false;
    for (size_t i = 0; i < x.size(); ++i)
      if (!equals(x[i], y[i], depth + 1))
        return false;
    return true;
  }
  case Kind::Dict: {
    const DictObject &x = a.dict(), &y = b.dict();
    if (x.items.size() != y.items.size() || depth > maxDepth)
      return false;
    for (const auto &[key, value] : x.items) {
      const Value *other = y.find(key);
      if (!other || !equals(value, *other, depth + 1))
        return false;
    }
    return true;
  }
  default:
    return a.object == b.object;
  }
}

bool equals(const Value &a, const Value &b) { return equals(a, b, 0); }

static bool compare(const Value &a, const Value &b, int &order,
                    unsigned depth) {
  auto three = [&](const auto &x, const auto &y) {
    order = x < y ? -1 : y < x ? 1 : 0;
    return true;
  };
  if (a.isInteger() && b.isInteger())
    return three(a.asInteger(), b.asInteger());
  if (a.isNumber() && b.isNumber())
    return three(a.asReal(), b.asReal());
  // UTF-8 sorts like its code points.
  if (a.is(Kind::String) && b.is(Kind::String))
    return three(a.string(), b.string());
  if (a.isSequence() && a.kind == b.kind && depth < maxDepth) {
    const auto &x = a.list().items, &y = b.list().items;
    for (size_t i = 0; i < x.size() && i < y.size(); ++i)
      if (!equals(x[i], y[i], depth + 1))
        return compare(x[i], y[i], order, depth + 1);
    return three(x.size(), y.size());
  }
  return false;
}

bool compare(const Value &a, const Value &b, int &order) {
  return compare(a, b, order, 0);
}

std::string realText(double value) {
  if (std::isnan(value))
    return "nan";
  if (std::isinf(value))
    return value < 0 ? "-inf" : "inf";
  // The shortest digits that read back as the same number, in Python's form.
  char buffer[40];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, value,
                           std::chars_format::scientific);
  std::string_view text(buffer, static_cast<size_t>(end.ptr - buffer));
  std::string out;
  if (text[0] == '-') {
    out = "-";
    text.remove_prefix(1);
  }
  size_t e = text.find('e');
  int exponent = 0;
  std::string_view digitsOfExponent = text.substr(e + 1);
  if (digitsOfExponent[0] == '+')
    digitsOfExponent.remove_prefix(1);
  std::from_chars(digitsOfExponent.data(),
                  digitsOfExponent.data() + digitsOfExponent.size(), exponent);
  std::string digits(text.substr(0, 1));
  if (e > 2)
    digits += text.substr(2, e - 2);
  int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1)
      out += "." + digits.substr(1);
    out += exponent < 0 ? "e-" : "e+";
    std::string number = std::to_string(std::abs(exponent));
    return out + (number.size() < 2 ? "0" : "") + number;
  }
  if (exponent < 0)
    return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') +
           digits;
  if (count <= exponent + 1)
    return out + digits +
           std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  size_t point = static_cast<size_t>(exponent + 1);
  return out + digits.substr(0, point) + "." + digits.substr(point);
}

static void writeRepr(const Value &value, std::string &out, unsigned depth) {
  auto writeItems = [&](const std::vector<Value> &items) {
    for (size_t i = 0; i < items.size(); ++i) {
      if (i)
        out += ", ";
      writeRepr(items[i], out, depth + 1);
    }
  };
  if (depth > maxDepth) {
    out += "...";
    return;
  }
  switch (value.kind) {
  case Kind::Undefined:
    out += "Undefined";
    return;
  case Kind::None:
    out += "None";
    return;
  case Kind::Bool:
    out += value.boolean ? "True" : "False";
    return;
  case Kind::Int:
    out += std::to_string(value.integer);
    return;
  case Kind::Float:
    out += realText(value.real);
    return;
  case Kind::String:
    out += quote(value.string());
    return;
  case Kind::List:
    out += '[';
    writeItems(value.list().items);
    out += ']';
    return;
  case Kind::Tuple:
    out += '(';
    writeItems(value.list().items);
    out += value.list().items.size() == 1 ? ",)" : ")";
    return;
  case Kind::Dict: {
    out += '{';
    bool first = true;
    for (const auto &[key, item] : value.dict().items) {
      if (!first)
        out += ", ";
      first = false;
      writeRepr(key, out, depth + 1);
      out += ": ";
      writeRepr(item, out, depth + 1);
    }
    out += '}';
    return;
  }
  case Kind::View:
    out += value.list().name;
    out += "([";
    writeItems(value.list().items);
    out += "])";
    return;
  case Kind::Macro:
    out += "<Macro " + quote(value.macro().name) + ">";
    return;
  default:
    out += '<';
    out += typeName(value);
    out += '>';
  }
}

std::string toRepr(const Value &value) {
  std::string out;
  writeRepr(value, out, 0);
  return out;
}

std::string toText(const Value &value) {
  if (value.is(Kind::String))
    return value.string();
  if (value.is(Kind::Undefined))
    return {};
  return toRepr(value);
}

} // namespace qcc::text::jinja
