//===- Parser.h - Tokens to a template --------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Jinja's grammar without what reads other templates (include, import,
// extends). Recursion is bounded: by a count of open parser levels, and by the
// depth of each finished node, which bounds its evaluation. For Parser*.cpp
// only; parseTemplate() is in Ast.h.
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_JINJA_PARSER_H
#define RUNTIME_TEXT_JINJA_PARSER_H

#include "Ast.h"
#include "Lexer.h"

#include <algorithm>
#include <initializer_list>
#include <unordered_map>

namespace qcc::text::jinja {

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
      error = shortError(line, message);
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
  static constexpr unsigned maxLevels = 100;
  unsigned levels = 0;
  unsigned loops = 0; ///< open loops, for break and continue
};

} // namespace qcc::text::jinja

#endif // RUNTIME_TEXT_JINJA_PARSER_H
