//===- Interpreter.cpp - Rendering a template -----------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Interpreter.h"

#include "Strings.h"

#include <algorithm>

namespace qcc::text::jinja {

bool Interpreter::run(const DictObject &context, std::string &out,
                      std::string &error) {
  globals.assign(source.symbols.size(), {});
  isGlobal.assign(source.symbols.size(), false);
  const std::pair<const char *, uint32_t *> special[] = {
      {"loop", &loopSymbol},
      {"varargs", &varargsSymbol},
      {"kwargs", &kwargsSymbol},
      {"caller", &callerSymbol}};
  for (uint32_t i = 0; i < source.symbols.size(); ++i)
    for (auto [name, symbol] : special)
      if (source.symbols[i] == name)
        *symbol = i;
  for (size_t i = 0; i < source.symbols.size(); ++i)
    if (const Value *value = context.find(source.symbols[i])) {
      globals[i] = *value;
      isGlobal[i] = true;
    }
  scope = arena.make<Scope>();
  output = &out;
  execute(source.body);
  if (failed())
    error = message;
  return !failed();
}

//===-- Statements --------------------------------------------------------===//

void Interpreter::write(std::string_view text) {
  written += text.size();
  if (written > limits.output) {
    fail("the template writes more than " + std::to_string(limits.output) +
         " bytes");
    return;
  }
  *output += text;
}

Interpreter::Flow Interpreter::execute(const Body &body) {
  for (const NodePtr &node : body) {
    Flow flow = execute(*node);
    if (failed() || flow != Flow::Next)
      return flow;
  }
  return Flow::Next;
}

Value Interpreter::capture(const Body &body) {
  std::string text;
  std::string *outer = std::exchange(output, &text);
  Scope *outerScope = scope;
  scope = arena.make<Scope>();
  scope->parent = outerScope;
  execute(body);
  scope = outerScope;
  output = outer;
  return failed() ? Value() : newString(std::move(text));
}

Interpreter::Flow Interpreter::execute(const Node &node) {
  if (!charge(1))
    return Flow::Next;
  if (++depth > limits.depth) {
    fail("the template is nested too deeply");
    --depth;
    return Flow::Next;
  }
  line = node.line;
  Flow flow = Flow::Next;
  switch (node.op) {
  case Op::Data:
    write(node.text);
    break;
  case Op::Output: {
    Value value = evaluate(*node.kids[0]);
    if (failed())
      break;
    if (value.is(Kind::String))
      write(value.string());
    else if (charge(weightOf(value)))
      write(toText(value));
    break;
  }
  case Op::If:
    executeIf(node, flow);
    break;
  case Op::For: {
    Value iterable = evaluate(*node.kids[1]);
    if (!failed())
      flow = executeFor(node, iterable, 0);
    break;
  }
  case Op::Set: {
    Value value = evaluate(*node.kids[1]);
    if (!failed())
      assign(*node.kids[0], value);
    break;
  }
  case Op::SetBlock: {
    Value text = capture(node.bodies[0]);
    if (!failed() && node.kids[1]) {
      // The innermost filter of the chain takes the text.
      Value outer = std::exchange(filterInput, text);
      text = evaluate(*node.kids[1]);
      filterInput = outer;
    }
    if (!failed())
      assign(*node.kids[0], text);
    break;
  }
  case Op::FilterBlock: {
    Value text = capture(node.bodies[0]);
    if (failed())
      break;
    Value outer = std::exchange(filterInput, text);
    Value result = evaluate(*node.kids[0]);
    filterInput = outer;
    if (!failed() && charge(weightOf(result)))
      write(toText(result));
    break;
  }
  case Op::Macro: {
    auto *macro = arena.make<MacroObject>();
    macro->node = &node;
    macro->name = node.text;
    macro->scope = scope;
    Node target;
    target.op = Op::Name;
    target.symbol = node.symbol;
    assign(target, Value::of(Kind::Macro, macro));
    break;
  }
  case Op::CallBlock: {
    auto *macro = arena.make<MacroObject>();
    macro->node = &node;
    macro->name = node.text;
    macro->scope = scope;
    Value caller = Value::of(Kind::Macro, macro);
    Value result = evaluateCall(*node.kids[0], &caller);
    if (!failed() && charge(weightOf(result)))
      write(toText(result));
    break;
  }
  case Op::With:
    executeWith(node, flow);
    break;
  case Op::Scope: {
    Scope *outer = scope;
    scope = arena.make<Scope>();
    scope->parent = outer;
    flow = execute(node.bodies[0]);
    scope = outer;
    break;
  }
  case Op::Break:
    flow = Flow::Break;
    break;
  case Op::Continue:
    flow = Flow::Continue;
    break;
  default:
    fail("unexpected node");
  }
  --depth;
  return flow;
}

void Interpreter::executeIf(const Node &node, Flow &flow) {
  for (size_t i = 0; i < node.kids.size(); ++i) {
    Value condition = evaluate(*node.kids[i]);
    if (failed())
      return;
    if (isTrue(condition)) {
      flow = execute(node.bodies[i]);
      return;
    }
  }
  if (node.bodies.size() > node.kids.size())
    flow = execute(node.bodies.back());
}

void Interpreter::executeWith(const Node &node, Flow &flow) {
  // The values do not see each other's names.
  std::vector<Value> values;
  for (size_t i = 1; i < node.kids.size(); i += 2) {
    values.push_back(evaluate(*node.kids[i]));
    if (failed())
      return;
  }
  Scope *outer = scope;
  scope = arena.make<Scope>();
  scope->parent = outer;
  for (size_t i = 0; i < values.size(); ++i)
    assign(*node.kids[2 * i], values[i]);
  flow = execute(node.bodies[0]);
  scope = outer;
}

bool Interpreter::assign(const Node &target, const Value &value) {
  if (target.op == Op::Name) {
    if (!charge(scope->names.size() / 16))
      return false;
    for (auto &[symbol, old] : scope->names)
      if (symbol == target.symbol) {
        old = value;
        return true;
      }
    scope->names.push_back({target.symbol, value});
    arena.bytes += sizeof(std::pair<uint32_t, Value>);
    return true;
  }
  if (target.op == Op::NamespaceItem) {
    Value object = evaluateName(target.symbol);
    if (!object.is(Kind::Namespace)) {
      fail("cannot assign attribute on non-namespace object");
      return false;
    }
    if (!target.text.empty() && target.text[0] == '_') {
      fail("namespace attribute '" + target.text +
           "' must not start with an underscore");
      return false;
    }
    Value name = newString(target.text);
    if (!chargeLookup(object.dict(), name))
      return false;
    object.dict().set(name, value);
    arena.bytes += 2 * sizeof(Value);
    return !failed();
  }
  std::vector<Value> items;
  if (value.is(Kind::Undefined)) {
    failUndefined(value);
    return false;
  }
  if (!iterate(value, items))
    return false;
  if (items.size() != target.kids.size()) {
    fail("expected " + std::to_string(target.kids.size()) +
         " values to unpack, got " + std::to_string(items.size()));
    return false;
  }
  for (size_t i = 0; i < items.size(); ++i)
    if (!assign(*target.kids[i], items[i]))
      return false;
  return true;
}

Interpreter::Flow Interpreter::executeFor(const Node &node,
                                          const Value &iterable,
                                          int64_t level) {
  auto *all = arena.make<ListObject>();
  if (!iterate(iterable, all->items))
    return Flow::Next;
  Scope *outer = scope;
  if (node.kids[2]) {
    std::vector<Value> kept;
    for (const Value &value : all->items) {
      scope = arena.make<Scope>();
      scope->parent = outer;
      bool keep = assign(*node.kids[0], value) &&
                  isTrue(evaluate(*node.kids[2])) && !failed();
      scope = outer;
      if (failed())
        return Flow::Next;
      if (keep)
        kept.push_back(value);
    }
    all->items = std::move(kept);
  }
  arena.bytes += all->items.size() * sizeof(Value);

  auto *loop = arena.make<LoopObject>();
  loop->items = &all->items;
  loop->depth = level;
  loop->node = node.recursive ? &node : nullptr;
  loop->scope = outer;
  for (; loop->index < all->items.size(); ++loop->index) {
    // Names set in one iteration are gone in the next.
    scope = arena.make<Scope>();
    scope->parent = outer;
    if (loopSymbol != UINT32_MAX)
      scope->names.push_back({loopSymbol, Value::of(Kind::Loop, loop)});
    Flow flow = Flow::Next;
    if (assign(*node.kids[0], all->items[loop->index]))
      flow = execute(node.bodies[0]);
    scope = outer;
    if (failed() || flow == Flow::Break || !charge(1))
      break;
  }
  if (!failed() && all->items.empty() && node.bodies.size() > 1) {
    scope = arena.make<Scope>();
    scope->parent = outer;
    execute(node.bodies[1]);
    scope = outer;
  }
  return Flow::Next;
}

//===-- Calls -------------------------------------------------------------===//

bool Interpreter::evaluateArguments(const Arguments &arguments,
                                    CallArguments &out) {
  for (const NodePtr &node : arguments.positional) {
    out.positional.push_back(evaluate(*node));
    if (failed())
      return false;
  }
  for (const auto &[name, node] : arguments.named) {
    out.named.push_back({name, evaluate(*node)});
    if (failed())
      return false;
  }
  if (arguments.list) {
    Value value = evaluate(*arguments.list);
    std::vector<Value> items;
    if (failed() || !iterate(value, items))
      return false;
    out.positional.insert(out.positional.end(), items.begin(), items.end());
  }
  if (arguments.dict) {
    Value value = evaluate(*arguments.dict);
    if (failed())
      return false;
    if (!value.is(Kind::Dict)) {
      fail(std::string("argument after ** must be a mapping, not ") +
           typeName(value));
      return false;
    }
    for (const auto &[key, item] : value.dict().items) {
      if (!wantString(key, "a keyword"))
        return false;
      out.named.push_back({key.string(), item});
    }
  }
  return true;
}

Value Interpreter::evaluateCall(const Node &node, const Value *caller) {
  const Node &callee = *node.kids[0];
  if (callee.op == Op::Attribute) {
    // A method needs no function object.
    Value self = evaluate(*callee.kids[0]);
    if (failed())
      return {};
    if (hasMethod(self, callee.text)) {
      CallArguments arguments;
      if (!evaluateArguments(node.arguments, arguments))
        return {};
      line = node.line;
      return callMethod(self, callee.text, arguments);
    }
    Value function = attribute(self, callee.text);
    CallArguments arguments;
    if (failed() || !evaluateArguments(node.arguments, arguments))
      return {};
    line = node.line;
    return call(function, arguments, caller);
  }
  Value function = evaluate(callee);
  CallArguments arguments;
  if (failed() || !evaluateArguments(node.arguments, arguments))
    return {};
  line = node.line;
  return call(function, arguments, caller);
}

Value Interpreter::call(const Value &callee, CallArguments &arguments,
                        const Value *caller) {
  switch (callee.kind) {
  case Kind::Undefined:
    return failUndefined(callee);
  case Kind::Macro:
    return callMacro(callee.macro(), arguments, caller);
  case Kind::Loop:
    return callLoop(callee.loop(), arguments);
  case Kind::Function: {
    FunctionObject &function = callee.function();
    if (function.self.is(Kind::Undefined))
      return callGlobal(function.name, arguments);
    return callMethod(function.self, function.name, arguments);
  }
  default:
    return fail(std::string("'") + typeName(callee) +
                "' object is not callable");
  }
}

Value Interpreter::callMacro(MacroObject &macro, CallArguments &arguments,
                             const Value *caller) {
  const Node &node = *macro.node;
  if (!charge(1))
    return {};
  if (++depth > limits.depth) {
    --depth;
    return fail("the template is nested too deeply");
  }
  Scope *outerScope = scope;
  std::string text;
  std::string *outerOutput = std::exchange(output, &text);
  scope = arena.make<Scope>();
  scope->parent = macro.scope;

  size_t count = node.parameters.size();
  std::vector<bool> given(count, false);
  std::vector<Value> values(count);
  std::vector<Value> extra;
  auto *extraNamed = arena.make<DictObject>();
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    if (i < count) {
      values[i] = arguments.positional[i];
      given[i] = true;
    } else if (node.anyPositional) {
      extra.push_back(arguments.positional[i]);
    } else {
      fail("macro '" + node.text + "' takes not more than " +
           std::to_string(count) + " argument(s)");
    }
  }
  for (auto &[name, value] : arguments.named) {
    size_t i = 0;
    if (failed() || !charge((count + extraNamed->items.size()) / 16))
      break;
    while (i < count && source.symbols[node.parameters[i].symbol] != name)
      ++i;
    if (i < count && !given[i]) {
      values[i] = value;
      given[i] = true;
    } else if (i == count && node.anyNamed) {
      extraNamed->set(newString(name), value);
    } else {
      fail("macro '" + node.text + "' takes no keyword argument '" + name +
           "'");
    }
  }
  for (size_t i = 0; i < count && !failed(); ++i) {
    const Parameter &parameter = node.parameters[i];
    if (!given[i])
      values[i] =
          parameter.fallback
              ? evaluate(*parameter.fallback)
              : undefined("parameter '" + source.symbols[parameter.symbol] +
                          "' was not provided");
    scope->names.push_back({parameter.symbol, values[i]});
  }
  if (!failed()) {
    if (varargsSymbol != UINT32_MAX && node.anyPositional)
      scope->names.push_back(
          {varargsSymbol, newList(std::move(extra), Kind::Tuple)});
    if (kwargsSymbol != UINT32_MAX && node.anyNamed)
      scope->names.push_back({kwargsSymbol, arena.dict(extraNamed)});
    if (callerSymbol != UINT32_MAX && node.op == Op::Macro)
      scope->names.push_back(
          {callerSymbol, caller ? *caller : undefined("no caller defined")});
    execute(node.bodies[0]);
  }
  scope = outerScope;
  output = outerOutput;
  --depth;
  return failed() ? Value() : newString(std::move(text));
}

Value Interpreter::callLoop(LoopObject &loop, CallArguments &arguments) {
  if (!loop.node)
    return fail("the loop must have the 'recursive' marker to be called");
  Bound bound;
  if (!bind(arguments, "loop", {"iterable"}, 1, bound))
    return {};
  std::string text;
  std::string *outer = std::exchange(output, &text);
  Scope *outerScope = std::exchange(scope, loop.scope);
  if (++depth > limits.depth)
    fail("the template is nested too deeply");
  else
    executeFor(*loop.node, bound[0], loop.depth + 1);
  --depth;
  scope = outerScope;
  output = outer;
  return failed() ? Value() : newString(std::move(text));
}

} // namespace qcc::text::jinja
