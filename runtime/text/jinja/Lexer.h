//===- Lexer.h - Template source to tokens ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Jinja's rules with trim_blocks and lstrip_blocks, as transformers uses them:
// the newline after a block or comment goes, and so do the blanks between the
// start of a line and a block or comment; "-" strips all white space on its
// side, "+" keeps it.
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_JINJA_LEXER_H
#define RUNTIME_TEXT_JINJA_LEXER_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qcc::text::jinja {

struct Token {
  enum Type : uint8_t {
    Data,
    BlockBegin,
    BlockEnd,
    VariableBegin,
    VariableEnd,
    Name,
    String,
    Integer,
    Float,
    Operator,
    End,
  };
  Type type = End;
  uint32_t line = 1;
  std::string text; ///< unescaped for String
  int64_t integer = 0;
  double real = 0;

  bool isName(std::string_view name) const {
    return type == Name && text == name;
  }
  bool isOperator(std::string_view name) const {
    return type == Operator && text == name;
  }
};

/// False and an error, "line 3: ...". The last token is End.
bool tokenizeTemplate(std::string_view source, std::vector<Token> &tokens,
                      std::string &error);

} // namespace qcc::text::jinja

#endif // RUNTIME_TEXT_JINJA_LEXER_H
