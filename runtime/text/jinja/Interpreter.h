//===- Interpreter.h - Rendering a template ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Walks the parsed template. An error stops it: every function that can fail
// leaves its message here and returns a value of no meaning; callers look at
// failed() before they go on.
//
// A template comes out of a model file and is not trusted. Steps, memory,
// output and recursion are limited; nothing in the language reaches outside of
// the rendering.
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_JINJA_INTERPRETER_H
#define RUNTIME_TEXT_JINJA_INTERPRETER_H

#include "Ast.h"

#include <ctime>

namespace qcc::text::jinja {

struct Limits {
  uint64_t steps = 1000000;
  size_t output = size_t(1) << 20;
  size_t memory = size_t(64) << 20;
  unsigned depth = 400; ///< of nested evaluations, macro calls included
};

struct Scope : Object {
  Scope *parent = nullptr;
  std::vector<std::pair<uint32_t, Value>> names;
};

/// The evaluated arguments of a call.
struct CallArguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Interpreter {
public:
  Interpreter(const Template &source, Arena &arena, const Limits &limits,
              std::time_t now)
      : source(source), arena(arena), limits(limits), now(now) {}

  /// Renders with the variables of `context`.
  bool run(const DictObject &context, std::string &out, std::string &error);

private:
  enum class Flow { Next, Break, Continue };

  // Errors and limits
  bool failed() const { return !message.empty(); }
  Value fail(std::string text);
  bool charge(uint64_t count);
  bool chargeLookup(const DictObject &dict, const Value &key);
  bool chargeSearch(std::string_view text, std::string_view part);
  /// Whether a text of that many bytes may be made.
  bool allows(uint64_t bytes);
  Value newString(std::string text, bool markup = false);
  Value newList(std::vector<Value> items, Kind kind = Kind::List);
  Value undefined(std::string why);
  /// The error of using an undefined value.
  Value failUndefined(const Value &value);

  // Statements
  Flow execute(const Body &body);
  Flow execute(const Node &node);
  void write(std::string_view text);
  bool assign(const Node &target, const Value &value);
  Flow executeFor(const Node &node, const Value &iterable, int64_t depth);
  void executeIf(const Node &node, Flow &flow);
  void executeWith(const Node &node, Flow &flow);
  /// What the body writes, executed in a scope of its own.
  Value capture(const Body &body);

  // Expressions
  Value evaluate(const Node &node);
  Value evaluateNode(const Node &node);
  Value evaluateName(uint32_t symbol);
  Value evaluateCompare(const Node &node);
  Value evaluateSlice(const Node &node);
  Value evaluateCall(const Node &node, const Value *caller);
  bool evaluateArguments(const Arguments &arguments, CallArguments &out);
  Value binary(const std::string &op, const Value &a, const Value &b);
  Value arithmetic(const std::string &op, const Value &a, const Value &b);
  bool contains(const Value &container, const Value &item);

  // Values
  Value attribute(const Value &object, const std::string &name);
  Value item(const Value &object, const Value &key);
  Value loopAttribute(const LoopObject &loop, const std::string &name);
  /// The values that iteration gives; takes them from a generator.
  bool iterate(const Value &value, std::vector<Value> &items);
  bool length(const Value &value, int64_t &out);
  /// make_attrgetter(): "a.b.0". `fallback` takes the place of each undefined
  /// value on the way.
  Value path(const Value &object, const Value &attribute,
             const Value *fallback = nullptr);

  // Calls
  Value call(const Value &callee, CallArguments &arguments,
             const Value *caller);
  Value callMacro(MacroObject &macro, CallArguments &arguments,
                  const Value *caller);
  Value callGlobal(const std::string &name, CallArguments &arguments);
  Value callLoop(LoopObject &loop, CallArguments &arguments);
  Value callMethod(const Value &self, const std::string &name,
                   CallArguments &arguments);
  Value callStringMethod(const Value &self, const std::string &name,
                         CallArguments &arguments);
  Value callStringQuestion(const std::string &text, const std::string &name);
  Value callDictMethod(const Value &self, const std::string &name,
                       CallArguments &arguments);
  Value callLoopMethod(LoopObject &loop, const std::string &name,
                       CallArguments &arguments);
  Value formatPercent(const std::string &format, const Value &arguments);
  Value formatBraces(const std::string &format, CallArguments &arguments);
  bool formatSpec(const Value &value, std::string_view spec, std::string &out);
  Value formatTime(const std::string &format);

  // Filters and tests
  Value filter(const std::string &name, const Value &value,
               CallArguments &arguments);
  bool filterText(const std::string &name, const Value &value,
                  CallArguments &arguments, Value &out);
  bool filterNumber(const std::string &name, const Value &value,
                    CallArguments &arguments, Value &out);
  bool filterSequence(const std::string &name, const Value &value,
                      CallArguments &arguments, Value &out);
  Value filterMap(const Value &value, CallArguments &arguments);
  Value filterSelect(const Value &value, CallArguments &arguments, bool keep,
                     bool byAttribute);
  Value filterSort(const Value &value, CallArguments &arguments);
  Value filterDictSort(const Value &value, CallArguments &arguments);
  Value filterExtreme(const std::string &name, const Value &value,
                      CallArguments &arguments);
  Value filterToJson(const Value &value, CallArguments &arguments);
  bool sortBy(std::vector<std::pair<Value, Value>> &keyed, bool reverse,
              bool takesEqual);
  bool test(const std::string &name, const Value &value,
            CallArguments &arguments);

  /// Arguments by position or name. An absent one stays null.
  struct Bound {
    const Value *value[6] = {};
    const Value &operator[](size_t i) const { return *value[i]; }
    bool has(size_t i) const { return value[i] != nullptr; }
    bool isTrue(size_t i) const { return has(i) && jinja::isTrue(*value[i]); }
  };
  /// Fails when there are too many arguments, an unknown name, or fewer than
  /// `required`.
  bool bind(const CallArguments &arguments, const std::string &callee,
            std::initializer_list<const char *> names, size_t required,
            Bound &out);
  bool wantString(const Value &value, const std::string &what);
  bool wantInteger(const Value &value, const std::string &what);

  const Template &source;
  Arena &arena;
  Limits limits;
  std::time_t now;
  std::vector<Value> globals; ///< by symbol: the context
  std::vector<bool> isGlobal;
  // Names with a meaning of their own; UINT32_MAX: the template has none.
  uint32_t loopSymbol = UINT32_MAX, varargsSymbol = UINT32_MAX,
           kwargsSymbol = UINT32_MAX, callerSymbol = UINT32_MAX;
  Scope *scope = nullptr;
  Value filterInput; ///< of the filter of a block
  std::string *output = nullptr;
  size_t written = 0; ///< into all outputs
  std::string message;
  uint32_t line = 1;
  uint64_t steps = 0;
  unsigned depth = 0;
};

/// Whether str, dict or list has a method of this name.
bool hasMethod(const Value &value, const std::string &name);

} // namespace qcc::text::jinja

#endif // RUNTIME_TEXT_JINJA_INTERPRETER_H
