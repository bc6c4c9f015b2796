//===- Value.h - Values of the template language ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Python's values as far as chat templates use them. A Value is small and
// copied freely; strings and containers live in the Arena of one rendering (or,
// for literals, in the parsed template) and are freed with it, so that cyclic
// values need no care.
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_JINJA_VALUE_H
#define RUNTIME_TEXT_JINJA_VALUE_H

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qcc::text::jinja {

enum class Kind : uint8_t {
  Undefined,
  None,
  Bool,
  Int,
  Float,
  String,
  List,
  Tuple,
  Dict,
  View,      ///< dict.items() and its like: iterable, with a length
  Generator, ///< what lazy filters give: can be run through once
  Namespace,
  Function, ///< a global function, or a method with the value it belongs to
  Macro,
  Loop,
};

struct Object {
  virtual ~Object() = default;
};

struct StringObject;
struct ListObject;
struct DictObject;
struct FunctionObject;
struct MacroObject;
struct LoopObject;

struct Value {
  Kind kind = Kind::Undefined;
  union {
    bool boolean;
    int64_t integer;
    double real;
    const Object *object = nullptr; ///< Undefined: its name or null
  };

  static Value none() { return of(Kind::None); }
  static Value of(Kind kind) {
    Value v;
    v.kind = kind;
    return v;
  }
  static Value of(bool value) {
    Value v = of(Kind::Bool);
    v.boolean = value;
    return v;
  }
  static Value of(int64_t value) {
    Value v = of(Kind::Int);
    v.integer = value;
    return v;
  }
  static Value of(double value) {
    Value v = of(Kind::Float);
    v.real = value;
    return v;
  }
  static Value of(Kind kind, const Object *object) {
    Value v = of(kind);
    v.object = object;
    return v;
  }

  bool is(Kind other) const { return kind == other; }
  /// int or bool, which is an int in Python.
  bool isInteger() const { return is(Kind::Int) || is(Kind::Bool); }
  bool isNumber() const { return isInteger() || is(Kind::Float); }
  int64_t asInteger() const { return is(Kind::Bool) ? boolean : integer; }
  double asReal() const {
    return is(Kind::Float) ? real : static_cast<double>(asInteger());
  }
  bool isSequence() const { return is(Kind::List) || is(Kind::Tuple); }

  const std::string &string() const;
  const StringObject &stringObject() const;
  /// List, Tuple, View or Generator.
  ListObject &list() const;
  /// Dict or Namespace.
  DictObject &dict() const;
  FunctionObject &function() const;
  MacroObject &macro() const;
  LoopObject &loop() const;
};

/// UTF-8. A byte that starts no well-formed sequence counts as one character.
struct StringObject : Object {
  explicit StringObject(std::string text);
  std::string text;
  size_t length; ///< in characters
  /// Jinja's Markup: what `safe` and `escape` give. Adding other text to it
  /// escapes that text.
  bool markup = false;
  bool isAscii() const { return length == text.size(); }
};

/// How much work it is to print or compare a value: about the number of values
/// in it, each counted as often as it can be reached. Containers keep theirs,
/// because sharing can make it exponential in their size.
uint64_t weightOf(const Value &value);

struct ListObject : Object {
  std::vector<Value> items;
  uint64_t weight = 1;
  size_t next = 0;       ///< Generator: the first item that was not taken yet
  const char *name = ""; ///< View: how it prints
};

struct DictObject : Object {
  std::vector<std::pair<Value, Value>> items;
  uint64_t weight = 1; ///< not kept for namespaces, which print no contents
  /// Null when absent.
  const Value *find(std::string_view key) const;
  const Value *find(const Value &key) const;
  void set(const Value &key, const Value &value);
};

/// A builtin: a global function (`self` is Undefined) or a method.
struct FunctionObject : Object {
  std::string name;
  Value self;
};

struct Node;
struct Scope;

struct MacroObject : Object {
  const Node *node = nullptr;
  std::string_view name;
  Scope *scope = nullptr; ///< where it was defined
  Value caller;           ///< of a call block
};

/// The variable `loop`.
struct LoopObject : Object {
  const std::vector<Value> *items = nullptr;
  size_t index = 0; ///< from 0
  int64_t depth = 0;
  const Node *node = nullptr; ///< the loop, if recursive
  Scope *scope = nullptr;
  std::vector<Value> changed; ///< arguments of the last loop.changed()
  bool hasChanged = false;
};

/// Owns what a rendering makes.
class Arena {
public:
  template <typename T, typename... Args>
  T *make(Args &&...args) {
    auto object = std::make_unique<T>(std::forward<Args>(args)...);
    T *result = object.get();
    objects.push_back(std::move(object));
    bytes += sizeof(T) + 16;
    return result;
  }
  Value string(std::string text) {
    bytes += text.size();
    return Value::of(Kind::String, make<StringObject>(std::move(text)));
  }
  Value list(std::vector<Value> items, Kind kind = Kind::List) {
    bytes += items.size() * sizeof(Value);
    auto *object = make<ListObject>();
    object->items = std::move(items);
    for (const Value &item : object->items)
      object->weight = addWeights(object->weight, weightOf(item));
    return Value::of(kind, object);
  }
  /// A dict whose items are complete.
  Value dict(DictObject *object) {
    bytes += object->items.size() * 2 * sizeof(Value);
    for (const auto &[key, value] : object->items)
      object->weight = addWeights(object->weight,
                                  addWeights(weightOf(key), weightOf(value)));
    return Value::of(Kind::Dict, object);
  }
  /// Of all that was made.
  size_t bytes = 0;

private:
  static uint64_t addWeights(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
  }

  std::vector<std::unique_ptr<Object>> objects;
};

//===-- Python's rules ----------------------------------------------------===//

bool isTrue(const Value &value);
/// type(value).__name__
const char *typeName(const Value &value);
/// a == b
bool equals(const Value &a, const Value &b);
/// -1, 0, 1 for a < b, a == b, a > b; false when Python has no order for them.
bool compare(const Value &a, const Value &b, int &order);
/// str(value)
std::string toText(const Value &value);
/// repr(value)
std::string toRepr(const Value &value);
/// repr() of a float.
std::string realText(double value);

struct JsonStyle {
  bool ensureAscii = false, sortKeys = false, indented = false;
  std::string indent; ///< of one level
  std::string itemSeparator = ", ", keySeparator = ": ";
};
/// json.dumps(). False and an error for what has no JSON form, and for more
/// than `limit` bytes.
bool toJson(const Value &value, const JsonStyle &style, size_t limit,
            std::string &out, std::string &error);
/// Reads a JSON text strictly; at most 200 levels deep. The error names the
/// byte.
bool parseJson(std::string_view text, Arena &arena, Value &out,
               std::string &error);

} // namespace qcc::text::jinja

#endif // RUNTIME_TEXT_JINJA_VALUE_H
