//===- Parser.cpp - Statements of a template ------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Parser.h"

namespace qcc::text::jinja {

static constexpr uint32_t maxNodeDepth = 200;

std::string Parser::describe(const Token &token) {
  switch (token.type) {
  case Token::Data:
    return "template text";
  case Token::BlockBegin:
    return "'{%'";
  case Token::BlockEnd:
    return "'%}'";
  case Token::VariableBegin:
    return "'{{'";
  case Token::VariableEnd:
    return "'}}'";
  case Token::End:
    return "the end of the template";
  case Token::String:
    return "a string";
  case Token::Float:
    return "a number";
  default:
    return "'" + token.text.substr(0, 40) + "'";
  }
}

/// Sets the depth of a node whose children are complete.
NodePtr Parser::finish(NodePtr node) {
  uint32_t deepest = 0;
  auto add = [&](const NodePtr &child) {
    if (child)
      deepest = std::max(deepest, child->depth);
  };
  for (const NodePtr &kid : node->kids)
    add(kid);
  for (const Body &body : node->bodies)
    for (const NodePtr &statement : body)
      add(statement);
  for (const NodePtr &argument : node->arguments.positional)
    add(argument);
  for (const auto &[name, argument] : node->arguments.named)
    add(argument);
  add(node->arguments.list);
  add(node->arguments.dict);
  for (const Parameter &parameter : node->parameters)
    add(parameter.fallback);
  node->depth = deepest + 1;
  if (node->depth > maxNodeDepth)
    return failAt(node->line, "template is nested too deeply");
  return node;
}

//===-- Statements --------------------------------------------------------===//

/// Parses up to a block tag that is one of `ends`, at whose name it stops, or
/// without `ends` up to the end of the template. `opened` is the line of the
/// tag that wants an end.
bool Parser::parseBody(Body &body, std::initializer_list<std::string_view> ends,
                       uint32_t opened) {
  Level level(*this);
  if (tooDeep())
    return false;
  while (true) {
    const Token &token = current();
    NodePtr node;
    switch (token.type) {
    case Token::Data:
      node = make(Op::Data, token.line);
      node->text = token.text;
      next();
      break;
    case Token::VariableBegin: {
      uint32_t line = token.line;
      next();
      NodePtr value = parseTuple(true, false);
      if (!value || !expect(Token::VariableEnd, "'}}'"))
        return false;
      node = make(Op::Output, line, std::move(value));
      break;
    }
    case Token::BlockBegin:
      next();
      for (std::string_view end : ends)
        if (current().isName(end))
          return true;
      node = parseStatement();
      if (!node || !expect(Token::BlockEnd, "'%}'"))
        return false;
      break;
    case Token::End:
      if (ends.size() == 0)
        return true;
      failAt(opened, "unexpected end of the template, expected '" +
                         std::string(*(ends.end() - 1)) + "'");
      return false;
    default:
      fail("unexpected " + describe(token));
      return false;
    }
    if (!node)
      return false;
    body.push_back(std::move(node));
  }
}

/// Parses "%} ... {% end", appending to the node's bodies.
bool Parser::parseBlock(Node &node,
                        std::initializer_list<std::string_view> ends) {
  skipOperator(":");
  return expect(Token::BlockEnd, "'%}'") &&
         parseBody(node.bodies.emplace_back(), ends, node.line);
}

NodePtr Parser::parseStatement() {
  const Token &token = current();
  if (token.type != Token::Name)
    return fail("expected the name of a tag, got " + describe(token));
  const std::string &name = token.text;
  uint32_t line = token.line;
  if (name == "for")
    return parseFor();
  if (name == "if")
    return parseIf();
  if (name == "set")
    return parseSet();
  if (name == "macro")
    return parseMacro();
  if (name == "call")
    return parseCallBlock();
  if (name == "filter")
    return parseFilterBlock();
  if (name == "with")
    return parseWith();
  if (name == "generation")
    return parseScope("endgeneration");
  if (name == "break" || name == "continue") {
    if (loops == 0)
      return fail("'" + name + "' outside of a loop");
    NodePtr node = make(name == "break" ? Op::Break : Op::Continue, line);
    next();
    return node;
  }
  if (name == "print") {
    next();
    NodePtr value = parseTuple(true, false);
    return value ? make(Op::Output, line, std::move(value)) : nullptr;
  }
  return fail("unknown or unsupported tag '" + name.substr(0, 40) + "'");
}

NodePtr Parser::parseTarget(bool allowNamespace) {
  uint32_t line = current().line;
  std::vector<NodePtr> parts;
  bool tuple = false;
  do {
    const Token &token = current();
    if (!parts.empty() &&
        (token.isName("in") || token.type == Token::BlockEnd ||
         token.isOperator("=") || token.isOperator(")")))
      break;
    NodePtr part;
    if (token.isOperator("(")) {
      Level level(*this);
      if (tooDeep())
        return nullptr;
      next();
      part = parseTarget(allowNamespace);
      if (!part || !expectOperator(")"))
        return nullptr;
    } else if (token.type == Token::Name) {
      static constexpr std::string_view constants[] = {"true", "false", "none",
                                                       "True", "False", "None"};
      if (std::find(std::begin(constants), std::end(constants), token.text) !=
          std::end(constants))
        return fail("cannot assign to '" + token.text + "'");
      part = make(Op::Name, token.line);
      part->symbol = symbol(token.text);
      next();
      if (allowNamespace && skipOperator(".")) {
        part->op = Op::NamespaceItem;
        part->text = current().text;
        if (!expect(Token::Name, "a name"))
          return nullptr;
      }
    } else {
      return fail("cannot assign to " + describe(token));
    }
    parts.push_back(std::move(part));
    if (current().isOperator(","))
      tuple = true;
  } while (skipOperator(","));
  if (!tuple)
    return std::move(parts[0]);
  NodePtr node = make(Op::Tuple, line);
  node->kids = std::move(parts);
  return finish(std::move(node));
}

NodePtr Parser::parseFor() {
  NodePtr node = make(Op::For, current().line);
  next();
  NodePtr target = parseTarget(false);
  if (!target)
    return nullptr;
  if (!skipName("in"))
    return fail("expected 'in', got " + describe(current()));
  NodePtr iterable = parseTuple(false, false, "recursive");
  if (!iterable)
    return nullptr;
  NodePtr condition;
  if (skipName("if") && !(condition = parseExpression()))
    return nullptr;
  node->recursive = skipName("recursive");
  node->kids.push_back(std::move(target));
  node->kids.push_back(std::move(iterable));
  node->kids.push_back(std::move(condition));
  ++loops;
  bool parsed = parseBlock(*node, {"else", "endfor"});
  --loops;
  if (!parsed)
    return nullptr;
  if (skipName("else") && !parseBlock(*node, {"endfor"}))
    return nullptr;
  skipName("endfor");
  return finish(std::move(node));
}

NodePtr Parser::parseIf() {
  NodePtr node = make(Op::If, current().line);
  do {
    next();
    NodePtr condition = parseTuple(false, false);
    if (!condition)
      return nullptr;
    node->kids.push_back(std::move(condition));
    if (!parseBlock(*node, {"elif", "else", "endif"}))
      return nullptr;
  } while (current().isName("elif"));
  if (skipName("else") && !parseBlock(*node, {"endif"}))
    return nullptr;
  skipName("endif");
  return finish(std::move(node));
}

NodePtr Parser::parseSet() {
  uint32_t line = current().line;
  next();
  NodePtr target = parseTarget(true);
  if (!target)
    return nullptr;
  if (skipOperator("=")) {
    NodePtr value = parseTuple(true, false);
    return value ? make(Op::Set, line, std::move(target), std::move(value))
                 : nullptr;
  }
  NodePtr node = make(Op::SetBlock, line);
  node->kids.push_back(std::move(target));
  NodePtr filter;
  while (skipOperator("|"))
    if (!(filter = parseFilter(std::move(filter))))
      return nullptr;
  node->kids.push_back(std::move(filter));
  if (!parseBlock(*node, {"endset"}))
    return nullptr;
  next();
  return finish(std::move(node));
}

bool Parser::parseSignature(Node &node) {
  if (!expectOperator("("))
    return false;
  bool fallbacks = false;
  while (!current().isOperator(")")) {
    if (!node.parameters.empty() && !expectOperator(","))
      return false;
    std::string name = current().text;
    if (!expect(Token::Name, "the name of a parameter"))
      return false;
    Parameter parameter{symbol(name), nullptr};
    if (skipOperator("=")) {
      parameter.fallback = parseExpression();
      if (!parameter.fallback)
        return false;
      fallbacks = true;
    } else if (fallbacks) {
      fail("non-default argument follows default argument");
      return false;
    }
    node.parameters.push_back(std::move(parameter));
  }
  next();
  return true;
}

NodePtr Parser::parseMacro() {
  NodePtr node = make(Op::Macro, current().line);
  next();
  node->text = current().text;
  if (!expect(Token::Name, "the name of a macro"))
    return nullptr;
  node->symbol = symbol(node->text);
  unsigned outer = std::exchange(loops, 0);
  size_t begin = at;
  bool parsed = parseSignature(*node) && parseBlock(*node, {"endmacro"});
  loops = outer;
  if (!parsed)
    return nullptr;
  for (size_t i = begin; i < at; ++i) {
    node->anyPositional |= tokens[i].isName("varargs");
    node->anyNamed |= tokens[i].isName("kwargs");
  }
  next();
  return finish(std::move(node));
}

NodePtr Parser::parseCallBlock() {
  NodePtr node = make(Op::CallBlock, current().line);
  next();
  if (current().isOperator("(") && !parseSignature(*node))
    return nullptr;
  NodePtr call = parseExpression();
  if (!call)
    return nullptr;
  if (call->op != Op::Call)
    return fail("expected a call");
  node->kids.push_back(std::move(call));
  node->text = "caller";
  unsigned outer = std::exchange(loops, 0);
  bool parsed = parseBlock(*node, {"endcall"});
  loops = outer;
  if (!parsed)
    return nullptr;
  next();
  return finish(std::move(node));
}

NodePtr Parser::parseFilterBlock() {
  NodePtr node = make(Op::FilterBlock, current().line);
  next();
  NodePtr filter = parseFilter(nullptr);
  while (filter && skipOperator("|"))
    filter = parseFilter(std::move(filter));
  if (!filter)
    return nullptr;
  node->kids.push_back(std::move(filter));
  if (!parseBlock(*node, {"endfilter"}))
    return nullptr;
  next();
  return finish(std::move(node));
}

NodePtr Parser::parseWith() {
  NodePtr node = make(Op::With, current().line);
  next();
  while (current().type != Token::BlockEnd) {
    if (!node->kids.empty() && !expectOperator(","))
      return nullptr;
    // One name each: a comma parts assignments here.
    const Token &token = current();
    NodePtr target = make(Op::Name, token.line);
    target->symbol = symbol(token.text);
    if (!expect(Token::Name, "a name") || !expectOperator("="))
      return nullptr;
    NodePtr value = parseExpression();
    if (!value)
      return nullptr;
    node->kids.push_back(std::move(target));
    node->kids.push_back(std::move(value));
  }
  if (!parseBlock(*node, {"endwith"}))
    return nullptr;
  next();
  return finish(std::move(node));
}

NodePtr Parser::parseScope(std::string_view end) {
  NodePtr node = make(Op::Scope, current().line);
  next();
  if (!parseBlock(*node, {end}))
    return nullptr;
  next();
  return finish(std::move(node));
}

std::unique_ptr<Template> parseTemplate(std::string_view source,
                                        std::string &error) {
  std::vector<Token> tokens;
  error.clear();
  if (!tokenizeTemplate(source, tokens, error))
    return nullptr;
  auto result = std::make_unique<Template>();
  if (!Parser(std::move(tokens), *result, error).run())
    return nullptr;
  return result;
}

} // namespace qcc::text::jinja
