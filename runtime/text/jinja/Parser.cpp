//===- Parser.cpp - Tokens to a template ----------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Jinja's grammar without what reads other templates (include, import,
// extends). Recursion is bounded: by a count of open parser levels, and by the
// depth of each finished node, which bounds its evaluation.
//===----------------------------------------------------------------------===//

#include "Ast.h"
#include "Lexer.h"

#include <algorithm>
#include <initializer_list>
#include <unordered_map>

namespace qcc::text::jinja {

static constexpr unsigned maxLevels = 100;
static constexpr uint32_t maxNodeDepth = 200;

namespace {
class Parser {
public:
  Parser(std::vector<Token> tokens, Template &result, std::string &error)
      : tokens(std::move(tokens)), result(result), error(error) {}

  bool run() { return parseBody(result.body, {}, 1) && error.empty(); }

private:
  /// Counts open levels; every parsing function that can recurse holds one.
  struct Level {
    explicit Level(Parser &parser) : parser(parser) { ++parser.levels; }
    ~Level() { --parser.levels; }
    Parser &parser;
  };
  bool tooDeep() {
    if (levels <= maxLevels)
      return false;
    fail("template is nested too deeply");
    return true;
  }

  // Each function returns null (or false) after it reported an error.
  std::nullptr_t fail(const std::string &message) {
    return failAt(current().line, message);
  }
  std::nullptr_t failAt(uint32_t line, const std::string &message) {
    if (error.empty())
      error = "line " + std::to_string(line) + ": " + message;
    return nullptr;
  }
  const Token &current() const { return tokens[at]; }
  const Token &look() const {
    return tokens[std::min(at + 1, tokens.size() - 1)];
  }
  void next() {
    if (at + 1 < tokens.size())
      ++at;
  }
  bool skipOperator(std::string_view name) {
    if (!current().isOperator(name))
      return false;
    next();
    return true;
  }
  bool skipName(std::string_view name) {
    if (!current().isName(name))
      return false;
    next();
    return true;
  }
  static std::string describe(const Token &token);
  bool expectOperator(std::string_view name) {
    if (skipOperator(name))
      return true;
    fail("expected '" + std::string(name) + "', got " + describe(current()));
    return false;
  }
  bool expect(Token::Type type, const char *name) {
    if (current().type == type) {
      next();
      return true;
    }
    fail(std::string("expected ") + name + ", got " + describe(current()));
    return false;
  }

  NodePtr make(Op op, uint32_t line) {
    auto node = std::make_unique<Node>();
    node->op = op;
    node->line = line;
    return node;
  }
  NodePtr make(Op op, uint32_t line, NodePtr a, NodePtr b = nullptr,
               NodePtr c = nullptr) {
    NodePtr node = make(op, line);
    node->kids.push_back(std::move(a));
    if (b)
      node->kids.push_back(std::move(b));
    if (c)
      node->kids.push_back(std::move(c));
    return finish(std::move(node));
  }
  NodePtr finish(NodePtr node);
  NodePtr literal(uint32_t line, Value value) {
    NodePtr node = make(Op::Literal, line);
    node->value = value;
    return node;
  }
  NodePtr literal(uint32_t line, std::string text) {
    NodePtr node = make(Op::Literal, line);
    node->string = std::make_unique<StringObject>(std::move(text));
    node->value = Value::of(Kind::String, node->string.get());
    return node;
  }
  uint32_t symbol(const std::string &name) {
    auto [it, added] =
        symbols.try_emplace(name, static_cast<uint32_t>(result.symbols.size()));
    if (added)
      result.symbols.push_back(name);
    return it->second;
  }

  // Statements
  bool parseBody(Body &body, std::initializer_list<std::string_view> ends,
                 uint32_t opened);
  bool parseBlock(Node &node, std::initializer_list<std::string_view> ends);
  NodePtr parseStatement();
  NodePtr parseFor();
  NodePtr parseIf();
  NodePtr parseSet();
  NodePtr parseMacro();
  NodePtr parseCallBlock();
  NodePtr parseFilterBlock();
  NodePtr parseWith();
  NodePtr parseScope(std::string_view end);
  bool parseSignature(Node &node);
  NodePtr parseTarget(bool allowNamespace);

  // Expressions, loosest first
  NodePtr parseTuple(bool conditions, bool parenthesized,
                     std::string_view endName = {});
  NodePtr parseExpression() { return parseCondition(); }
  NodePtr parseCondition();
  NodePtr parseOr();
  NodePtr parseAnd();
  NodePtr parseNot();
  NodePtr parseCompare();
  NodePtr parseSum();
  NodePtr parseConcat();
  NodePtr parseProduct();
  NodePtr parsePower();
  NodePtr parseUnary(bool filters);
  NodePtr parsePrimary();
  NodePtr parsePostfix(NodePtr node);
  NodePtr parseFilters(NodePtr node);
  NodePtr parseFilter(NodePtr node);
  NodePtr parseTest(NodePtr node);
  NodePtr parseSubscript(NodePtr node);
  bool parseArguments(Arguments &arguments);
  NodePtr parseBinary(std::initializer_list<std::string_view> operators,
                      NodePtr (Parser::*operand)());

  std::vector<Token> tokens;
  Template &result;
  std::string &error;
  std::unordered_map<std::string, uint32_t> symbols;
  size_t at = 0;
  unsigned levels = 0;
  unsigned loops = 0; ///< open loops, for break and continue
};
} // namespace

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

//===-- Expressions -------------------------------------------------------===//

NodePtr Parser::parseTuple(bool conditions, bool parenthesized,
                           std::string_view endName) {
  uint32_t line = current().line;
  std::vector<NodePtr> items;
  bool tuple = false;
  while (true) {
    if (!items.empty() && !expectOperator(","))
      return nullptr;
    const Token &token = current();
    if (token.type == Token::VariableEnd || token.type == Token::BlockEnd ||
        token.isOperator(")") || (!endName.empty() && token.isName(endName)))
      break;
    NodePtr item = conditions ? parseExpression() : parseOr();
    if (!item)
      return nullptr;
    items.push_back(std::move(item));
    if (!current().isOperator(","))
      break;
    tuple = true;
  }
  if (!tuple && !items.empty())
    return std::move(items[0]);
  if (!tuple && !parenthesized)
    return fail("expected an expression, got " + describe(current()));
  NodePtr node = make(Op::Tuple, line);
  node->kids = std::move(items);
  return finish(std::move(node));
}

NodePtr Parser::parseCondition() {
  Level level(*this);
  if (tooDeep())
    return nullptr;
  NodePtr value = parseOr();
  while (value && current().isName("if")) {
    uint32_t line = current().line;
    next();
    NodePtr condition = parseOr();
    if (!condition)
      return nullptr;
    NodePtr other;
    if (skipName("else") && !(other = parseCondition()))
      return nullptr;
    value = make(Op::Condition, line, std::move(condition), std::move(value),
                 std::move(other));
  }
  return value;
}

NodePtr Parser::parseOr() {
  NodePtr left = parseAnd();
  while (left && current().isName("or")) {
    uint32_t line = current().line;
    next();
    NodePtr right = parseAnd();
    left =
        right ? make(Op::Or, line, std::move(left), std::move(right)) : nullptr;
  }
  return left;
}

NodePtr Parser::parseAnd() {
  NodePtr left = parseNot();
  while (left && current().isName("and")) {
    uint32_t line = current().line;
    next();
    NodePtr right = parseNot();
    left = right ? make(Op::And, line, std::move(left), std::move(right))
                 : nullptr;
  }
  return left;
}

NodePtr Parser::parseNot() {
  if (!current().isName("not"))
    return parseCompare();
  Level level(*this);
  if (tooDeep())
    return nullptr;
  uint32_t line = current().line;
  next();
  NodePtr operand = parseNot();
  return operand ? make(Op::Not, line, std::move(operand)) : nullptr;
}

NodePtr Parser::parseCompare() {
  NodePtr first = parseSum();
  if (!first)
    return nullptr;
  NodePtr node = make(Op::Compare, current().line);
  node->kids.push_back(std::move(first));
  while (true) {
    static constexpr std::string_view operators[] = {"==", "!=", "<",
                                                     "<=", ">",  ">="};
    const Token &token = current();
    std::string name;
    if (token.type == Token::Operator &&
        std::find(std::begin(operators), std::end(operators), token.text) !=
            std::end(operators)) {
      name = token.text;
    } else if (token.isName("in")) {
      name = "in";
    } else if (token.isName("not") && look().isName("in")) {
      name = "not in";
      next();
    } else {
      break;
    }
    next();
    NodePtr operand = parseSum();
    if (!operand)
      return nullptr;
    node->operators.push_back(std::move(name));
    node->kids.push_back(std::move(operand));
  }
  if (node->operators.empty())
    return std::move(node->kids[0]);
  return finish(std::move(node));
}

NodePtr Parser::parseBinary(std::initializer_list<std::string_view> operators,
                            NodePtr (Parser::*operand)()) {
  NodePtr left = (this->*operand)();
  while (left && current().type == Token::Operator &&
         std::find(operators.begin(), operators.end(), current().text) !=
             operators.end()) {
    uint32_t line = current().line;
    std::string name = current().text;
    next();
    NodePtr right = (this->*operand)();
    if (!right)
      return nullptr;
    left = make(Op::Binary, line, std::move(left), std::move(right));
    if (left)
      left->text = std::move(name);
  }
  return left;
}

NodePtr Parser::parseSum() {
  return parseBinary({"+", "-"}, &Parser::parseConcat);
}

NodePtr Parser::parseConcat() {
  NodePtr first = parseProduct();
  if (!first || !current().isOperator("~"))
    return first;
  NodePtr node = make(Op::Concat, current().line);
  node->kids.push_back(std::move(first));
  while (skipOperator("~")) {
    NodePtr operand = parseProduct();
    if (!operand)
      return nullptr;
    node->kids.push_back(std::move(operand));
  }
  return finish(std::move(node));
}

NodePtr Parser::parseProduct() {
  return parseBinary({"*", "/", "//", "%"}, &Parser::parsePower);
}

NodePtr Parser::parsePower() {
  NodePtr left = parseUnary(true);
  while (left && current().isOperator("**")) {
    uint32_t line = current().line;
    next();
    NodePtr right = parseUnary(true);
    if (!right)
      return nullptr;
    left = make(Op::Binary, line, std::move(left), std::move(right));
    if (left)
      left->text = "**";
  }
  return left;
}

NodePtr Parser::parseUnary(bool filters) {
  uint32_t line = current().line;
  NodePtr node;
  if (current().isOperator("-") || current().isOperator("+")) {
    Level level(*this);
    if (tooDeep())
      return nullptr;
    Op op = current().isOperator("-") ? Op::Negative : Op::Positive;
    next();
    node = parseUnary(false);
    if (node)
      node = make(op, line, std::move(node));
  } else {
    node = parsePrimary();
  }
  if (node)
    node = parsePostfix(std::move(node));
  if (node && filters)
    node = parseFilters(std::move(node));
  return node;
}

NodePtr Parser::parsePrimary() {
  const Token &token = current();
  uint32_t line = token.line;
  switch (token.type) {
  case Token::Name: {
    const std::string &name = token.text;
    NodePtr node;
    if (name == "true" || name == "True" || name == "false" || name == "False")
      node = literal(line, Value::of(name[0] == 't' || name[0] == 'T'));
    else if (name == "none" || name == "None")
      node = literal(line, Value::none());
    else {
      node = make(Op::Name, line);
      node->symbol = symbol(name);
    }
    next();
    return node;
  }
  case Token::String: {
    std::string text;
    while (current().type == Token::String) {
      text += current().text;
      next();
    }
    return literal(line, std::move(text));
  }
  case Token::Integer: {
    NodePtr node = literal(line, Value::of(token.integer));
    next();
    return node;
  }
  case Token::Float: {
    NodePtr node = literal(line, Value::of(token.real));
    next();
    return node;
  }
  default:
    break;
  }
  if (skipOperator("(")) {
    NodePtr node = parseTuple(true, true);
    return node && expectOperator(")") ? std::move(node) : nullptr;
  }
  bool isDict = current().isOperator("{");
  if (!isDict && !current().isOperator("["))
    return fail("unexpected " + describe(token));
  next();
  NodePtr node = make(isDict ? Op::Dict : Op::List, line);
  std::string_view close = isDict ? "}" : "]";
  while (!current().isOperator(close)) {
    if (!node->kids.empty() && !expectOperator(","))
      return nullptr;
    if (current().isOperator(close))
      break;
    do {
      NodePtr item = parseExpression();
      if (!item)
        return nullptr;
      node->kids.push_back(std::move(item));
      // In a dict every second expression follows a colon.
      if (isDict && node->kids.size() % 2 == 1 && !expectOperator(":"))
        return nullptr;
    } while (isDict && node->kids.size() % 2 == 1);
  }
  next();
  return finish(std::move(node));
}

NodePtr Parser::parsePostfix(NodePtr node) {
  while (node) {
    uint32_t line = current().line;
    if (skipOperator(".")) {
      const Token &token = current();
      NodePtr item;
      if (token.type == Token::Name) {
        item = make(Op::Attribute, line);
        item->text = token.text;
        item->kids.push_back(std::move(node));
        node = finish(std::move(item));
      } else if (token.type == Token::Integer) {
        node = make(Op::Item, line, std::move(node),
                    literal(line, Value::of(token.integer)));
      } else {
        return fail("expected a name or number after '.'");
      }
      next();
    } else if (current().isOperator("[")) {
      node = parseSubscript(std::move(node));
    } else if (current().isOperator("(")) {
      NodePtr call = make(Op::Call, line);
      call->kids.push_back(std::move(node));
      if (!parseArguments(call->arguments))
        return nullptr;
      node = finish(std::move(call));
    } else {
      break;
    }
  }
  return node;
}

NodePtr Parser::parseSubscript(NodePtr node) {
  uint32_t line = current().line;
  next();
  NodePtr parts[3];
  bool slice = false;
  size_t part = 0;
  while (true) {
    if (current().isOperator(":")) {
      slice = true;
      if (++part == 3)
        return fail("expected ']', got ':'");
      next();
    } else if (current().isOperator("]")) {
      break;
    } else if (parts[part]) {
      return fail("expected ']', got " + describe(current()));
    } else if (!(parts[part] = parseExpression())) {
      return nullptr;
    }
  }
  next();
  if (!slice && !parts[0])
    return fail("expected an index");
  if (!slice)
    return make(Op::Item, line, std::move(node), std::move(parts[0]));
  NodePtr result = make(Op::Slice, line);
  result->kids.push_back(std::move(node));
  for (NodePtr &bound : parts)
    result->kids.push_back(std::move(bound));
  return finish(std::move(result));
}

NodePtr Parser::parseFilters(NodePtr node) {
  while (node) {
    if (skipOperator("|")) {
      node = parseFilter(std::move(node));
    } else if (current().isName("is")) {
      node = parseTest(std::move(node));
    } else if (current().isOperator("(")) {
      NodePtr call = make(Op::Call, current().line);
      call->kids.push_back(std::move(node));
      if (!parseArguments(call->arguments))
        return nullptr;
      node = finish(std::move(call));
    } else {
      break;
    }
  }
  return node;
}

NodePtr Parser::parseFilter(NodePtr node) {
  NodePtr filter = make(Op::Filter, current().line);
  filter->text = current().text;
  if (!expect(Token::Name, "the name of a filter"))
    return nullptr;
  filter->kids.push_back(std::move(node));
  if (current().isOperator("(") && !parseArguments(filter->arguments))
    return nullptr;
  return finish(std::move(filter));
}

NodePtr Parser::parseTest(NodePtr node) {
  NodePtr test = make(Op::Test, current().line);
  next();
  bool negated = skipName("not");
  test->text = current().text;
  if (!expect(Token::Name, "the name of a test"))
    return nullptr;
  test->kids.push_back(std::move(node));
  const Token &token = current();
  if (token.isOperator("(")) {
    if (!parseArguments(test->arguments))
      return nullptr;
  } else if (token.type == Token::String || token.type == Token::Integer ||
             token.type == Token::Float || token.isOperator("[") ||
             token.isOperator("{") ||
             (token.type == Token::Name && !token.isName("else") &&
              !token.isName("or") && !token.isName("and"))) {
    if (token.isName("is"))
      return fail("tests cannot be chained with 'is'");
    NodePtr argument = parsePrimary();
    if (argument)
      argument = parsePostfix(std::move(argument));
    if (!argument)
      return nullptr;
    test->arguments.positional.push_back(std::move(argument));
  }
  uint32_t line = test->line;
  test = finish(std::move(test));
  if (!test || !negated)
    return test;
  return make(Op::Not, line, std::move(test));
}

bool Parser::parseArguments(Arguments &arguments) {
  if (!expectOperator("("))
    return false;
  bool first = true;
  while (!current().isOperator(")")) {
    if (!first && !expectOperator(","))
      return false;
    if (!first && current().isOperator(")"))
      break;
    first = false;
    bool late = arguments.dict != nullptr;
    if (skipOperator("*")) {
      late = late || arguments.list;
      if (!(arguments.list = parseExpression()))
        return false;
    } else if (skipOperator("**")) {
      if (!(arguments.dict = parseExpression()))
        return false;
    } else if (current().type == Token::Name && look().isOperator("=")) {
      std::string name = current().text;
      next();
      next();
      NodePtr value = parseExpression();
      if (!value)
        return false;
      arguments.named.push_back({std::move(name), std::move(value)});
    } else {
      late = late || arguments.list || !arguments.named.empty();
      NodePtr value = parseExpression();
      if (!value)
        return false;
      arguments.positional.push_back(std::move(value));
    }
    if (late) {
      fail("arguments are in the wrong order");
      return false;
    }
  }
  next();
  return true;
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
