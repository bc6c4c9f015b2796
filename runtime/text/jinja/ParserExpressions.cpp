//===- ParserExpressions.cpp - Expressions of a template ------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Parser.h"

namespace qcc::text::jinja {

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

} // namespace qcc::text::jinja
