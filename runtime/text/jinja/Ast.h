//===- Ast.h - A parsed template --------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_JINJA_AST_H
#define RUNTIME_TEXT_JINJA_AST_H

#include "Value.h"

namespace qcc::text::jinja {

enum class Op : uint8_t {
  // Expressions
  Literal,   ///< value
  Name,      ///< symbol
  List,      ///< kids
  Tuple,     ///< kids
  Dict,      ///< kids: key, value, key, value ...
  Attribute, ///< kids[0].text
  Item,      ///< kids[0][kids[1]]
  Slice,     ///< kids[0][kids[1] : kids[2] : kids[3]], each may be null
  Call,      ///< kids[0](arguments)
  Filter,    ///< kids[0] | text(arguments); kids[0] null: the body's text
  Test,      ///< kids[0] is text(arguments)
  Not,
  Negative,
  Positive,
  And,
  Or,
  Compare,   ///< kids[0] operators[0] kids[1] operators[1] kids[2] ...
  Binary,    ///< kids[0] text kids[1]
  Concat,    ///< kids
  Condition, ///< kids[1] if kids[0] else kids[2] (may be null)
  // Statements
  Data,      ///< text as it stands
  Output,    ///< kids[0]
  If,        ///< kids: conditions; bodies: one each, and the else branch
  For,       ///< kids: target, iterable, condition or null; bodies: loop, else
  Set,       ///< kids: target, value
  SetBlock,  ///< kids: target, filter or null; bodies[0]
  Macro,     ///< symbol, parameters; bodies[0]
  CallBlock, ///< kids[0]: the call; parameters; bodies[0]
  FilterBlock, ///< kids[0]: the filter; bodies[0]
  With,        ///< kids: target, value, target, value ...; bodies[0]
  Scope,       ///< bodies[0] with names of its own
  Break,
  Continue,
  // Targets
  NamespaceItem, ///< symbol.text
};

struct Node;
using NodePtr = std::unique_ptr<Node>;
using Body = std::vector<NodePtr>;

struct Arguments {
  std::vector<NodePtr> positional;
  std::vector<std::pair<std::string, NodePtr>> named;
  NodePtr list, dict; ///< *list, **dict; may be null
};

struct Parameter {
  uint32_t symbol;
  NodePtr fallback; ///< null: none
};

struct Node {
  Op op = Op::Data;
  bool recursive = false;     ///< For
  bool anyPositional = false; ///< Macro: its body names `varargs`
  bool anyNamed = false;      ///< Macro: its body names `kwargs`
  uint32_t line = 0;
  uint32_t depth = 1; ///< levels of nodes below and with this one
  uint32_t symbol = 0;
  std::string text;
  Value value;
  std::unique_ptr<StringObject> string; ///< behind `value`
  std::vector<NodePtr> kids;
  std::vector<std::string> operators;
  std::vector<Body> bodies;
  Arguments arguments;
  std::vector<Parameter> parameters;
};

/// Immutable once parsed; several threads may render it at once.
struct Template {
  Body body;
  /// Names of variables; symbols are indices.
  std::vector<std::string> symbols;
};

/// "line 3: ...", which ends early where a template made it long.
std::string shortError(uint32_t line, std::string_view message);

/// Null and an error, "line 3: ...", for what is no template.
std::unique_ptr<Template> parseTemplate(std::string_view source,
                                        std::string &error);

} // namespace qcc::text::jinja

#endif // RUNTIME_TEXT_JINJA_AST_H
