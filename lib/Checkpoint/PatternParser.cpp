//===- PatternParser.cpp - Regular expressions to programs ----------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Each part of an expression becomes a run of instructions with relative
// targets, so that a repetition is copies of it.
//===----------------------------------------------------------------------===//

#include "Pattern.h"

using namespace qcc;

namespace {

using Instruction = Pattern::Instruction;
using Kind = Instruction::Kind;
using Assertion = Instruction::Assertion;
using Program = std::vector<Instruction>;
using Set = std::array<uint64_t, 4>;

/// Far above those of real patterns.
constexpr size_t kMaxProgram = 4096;
constexpr unsigned kMaxDepth = 32;
constexpr unsigned kMaxRepeat = 1000;

void insert(Set &set, unsigned byte) {
  set[byte / 64] |= uint64_t(1) << byte % 64;
}
void insertRange(Set &set, unsigned first, unsigned last) {
  for (unsigned byte = first; byte <= last; ++byte)
    insert(set, byte);
}
Set inverted(Set set) {
  for (uint64_t &word : set)
    word = ~word;
  return set;
}

bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isLetter(char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }

/// The bytes that \d, \w, \s, \D, \W or \S stands for; false for others.
bool namedSet(char name, Set &set) {
  Set found{};
  switch (name | 32) {
  case 'd':
    insertRange(found, '0', '9');
    break;
  case 'w':
    for (unsigned byte = 0; byte < 128; ++byte)
      if (Pattern::isWord(char(byte)))
        insert(found, byte);
    break;
  case 's':
    insertRange(found, '\t', '\r');
    insert(found, ' ');
    break;
  default:
    return false;
  }
  if (name >= 'A' && name <= 'Z')
    found = inverted(found);
  for (size_t i = 0; i < set.size(); ++i)
    set[i] |= found[i];
  return true;
}

/// Turns text into a program. A method that fails sets `problem`.
class Parser {
public:
  explicit Parser(std::string_view text) : text(text) {}

  Program run() {
    Program program = alternatives(0);
    if (problem.empty() && at < text.size())
      fail("')' without '('");
    program.emplace_back(); // Match
    return program;
  }

  std::string problem;
  size_t at = 0;

private:
  void fail(const std::string &what) {
    if (problem.empty())
      problem = what;
  }
  bool isAt(std::string_view what) const {
    return text.substr(at).starts_with(what);
  }
  bool take(std::string_view what) {
    bool found = isAt(what);
    at += found ? what.size() : 0;
    return found;
  }

  void append(Program &program, const Program &more) {
    // What fails is thrown away, so it need not be right, only small.
    if (program.size() + more.size() > kMaxProgram)
      fail("the pattern is too long");
    else
      program.insert(program.end(), more.begin(), more.end());
  }
  static Instruction split(size_t first, size_t second) {
    Instruction result{.kind = Kind::Split};
    result.first = int32_t(first);
    result.second = int32_t(second);
    return result;
  }

  Program alternatives(unsigned depth) {
    std::vector<Program> parts = {sequence(depth)};
    size_t size = parts.back().size();
    while (problem.empty() && take("|")) {
      parts.push_back(sequence(depth));
      size += parts.back().size() + 2;
      if (size > kMaxProgram)
        fail("the pattern is too long");
    }
    Program result;
    for (size_t i = 0; i + 1 < parts.size() && problem.empty(); ++i) {
      append(result, {split(1, parts[i].size() + 2)});
      append(result, parts[i]);
      size_t end = size - result.size();
      append(result, {split(end, end)});
    }
    append(result, parts.back());
    return result;
  }

  Program sequence(unsigned depth) {
    Program result;
    while (problem.empty() && at < text.size() && !isAt("|") && !isAt(")")) {
      bool canRepeat = true;
      Program part = atom(depth, canRepeat);
      append(result, repeated(std::move(part), canRepeat));
    }
    return result;
  }

  //===--- Repetition -----------------------------------------------------===//

  /// '?', '*', '+' or '{m,n}' after a part, if there is one.
  Program repeated(Program part, bool canRepeat) {
    unsigned least = 1, most = 1;
    bool isBounded = true;
    if (!problem.empty() || !repetition(least, most, isBounded))
      return part;
    if (!canRepeat)
      fail("nothing to repeat");
    take("?"); // Which match is preferred does not matter.
    unsigned again, other;
    bool bounded;
    if (repetition(again, other, bounded))
      fail("multiple repeat");
    Program result;
    for (unsigned i = 0; i < least && problem.empty(); ++i)
      append(result, part);
    if (!isBounded) {
      // Round and round, or on.
      append(result, {split(1, part.size() + 2)});
      append(result, part);
      Instruction back = split(0, 0);
      back.first = back.second = -int32_t(part.size() + 1);
      append(result, {back});
      return result;
    }
    for (unsigned i = least; i < most && problem.empty(); ++i) {
      append(result, {split(1, part.size() + 1)});
      append(result, part);
    }
    return result;
  }

  bool repetition(unsigned &least, unsigned &most, bool &isBounded) {
    isBounded = false;
    if (take("*")) {
      least = 0;
      return true;
    }
    if (take("+")) {
      least = 1;
      return true;
    }
    isBounded = true;
    if (take("?")) {
      least = 0;
      most = 1;
      return true;
    }
    // What is no number in braces stands for itself.
    size_t begin = at;
    if (take("{")) {
      bool hasLeast = number(least), hasMost = false;
      if (!hasLeast)
        least = 0;
      if (take(",")) {
        hasMost = number(most);
        isBounded = hasMost;
      } else {
        most = least;
        hasMost = hasLeast;
      }
      if ((hasLeast || hasMost) && take("}")) {
        if (isBounded && most < least)
          fail("'{m,n}' with m above n");
        return true;
      }
    }
    if (problem.empty())
      at = begin;
    return false;
  }

  bool number(unsigned &value) {
    size_t begin = at;
    for (value = 0; at < text.size() && isDigit(text[at]); ++at)
      if (value = value * 10 + unsigned(text[at] - '0'); value > kMaxRepeat) {
        fail("more than 1000 repetitions");
        return false;
      }
    return at > begin;
  }

  //===--- Atoms ----------------------------------------------------------===//

  static Program one(const Set &set) {
    return {Instruction{.kind = Kind::Set, .set = set}};
  }
  static Program one(unsigned byte) {
    Set set{};
    insert(set, byte);
    return one(set);
  }
  static Program assertion(Assertion what) {
    return {Instruction{.kind = Kind::Assert, .assertion = what}};
  }

  Program atom(unsigned depth, bool &canRepeat) {
    if (take("("))
      return group(depth + 1, canRepeat);
    if (take("["))
      return one(bracket());
    if (take("\\"))
      return escape(canRepeat);
    for (auto [what, meaning] :
         {std::pair{"^", Assertion::Front}, std::pair{"$", Assertion::End}})
      if (take(what)) {
        canRepeat = false;
        return assertion(meaning);
      }
    if (take(".")) {
      Set newline{};
      insert(newline, '\n');
      return one(inverted(newline));
    }
    size_t begin = at;
    unsigned least, most;
    bool isBounded;
    if (repetition(least, most, isBounded)) {
      at = begin;
      fail("nothing to repeat");
      return {};
    }
    // A character, which a repetition takes as a whole.
    Program result = one(uint8_t(text[at++]));
    if (uint8_t(text[at - 1]) >= 0x80)
      while (at < text.size() && (uint8_t(text[at]) & 0xc0) == 0x80)
        append(result, one(uint8_t(text[at++])));
    return result;
  }

  Program group(unsigned depth, bool &canRepeat) {
    if (depth > kMaxDepth) {
      fail("nested deeper than " + std::to_string(kMaxDepth));
      return {};
    }
    bool isLook = isAt("?=") || isAt("?!");
    Kind look = isAt("?!") ? Kind::NotLook : Kind::Look;
    if (isLook) {
      at += 2;
    } else if (take("?P<") || (isAt("?<") && !isAt("?<=") && !isAt("?<!"))) {
      take("?<");
      while (at < text.size() && Pattern::isWord(text[at]))
        ++at;
      if (!take(">"))
        fail("a group's name does not end");
    } else if (!take("?:") && isAt("?")) {
      fail("the group " + quoted("(" + std::string(text.substr(at, 2))) +
           " is not supported");
    }
    Program inside = alternatives(depth);
    if (problem.empty() && !take(")"))
      fail("'(' without ')'");
    if (!isLook)
      return inside;
    canRepeat = false;
    Program result = {Instruction{.kind = look}};
    append(result, inside);
    append(result, {Instruction{}});
    result[0].first = int32_t(result.size());
    return result;
  }

  Program escape(bool &canRepeat) {
    if (at == text.size()) {
      fail("'\\' without a character");
      return {};
    }
    char c = text[at++];
    Set set{};
    if (namedSet(c, set))
      return one(set);
    for (auto [name, meaning] :
         {std::pair{'A', Assertion::Front}, std::pair{'Z', Assertion::End},
          std::pair{'b', Assertion::Boundary},
          std::pair{'B', Assertion::NoBoundary}})
      if (c == name) {
        canRepeat = false;
        return assertion(meaning);
      }
    return one(escaped(c));
  }

  /// The byte that '\' and `c` stand for.
  unsigned escaped(char c) {
    if (c == 'n' || c == 't' || c == 'r')
      return c == 'n' ? '\n' : c == 't' ? '\t' : '\r';
    if (isDigit(c) || isLetter(c))
      fail("'\\" + std::string(1, c) + "' is not supported");
    return uint8_t(c);
  }

  /// What stands between '[' and ']'.
  Set bracket() {
    Set set{};
    bool isInverse = take("^");
    for (bool isFirst = true; problem.empty(); isFirst = false) {
      if (at == text.size()) {
        fail("'[' without ']'");
        break;
      }
      if (!isFirst && take("]"))
        break;
      unsigned first = 0, last = 0;
      if (!member(set, first))
        continue;
      last = first;
      if (isAt("-") && !isAt("-]") && at + 1 < text.size()) {
        ++at;
        if (!member(set, last) || last < first)
          fail("a range that does not ascend");
      }
      insertRange(set, first, last);
    }
    return isInverse ? inverted(set) : set;
  }

  /// A byte of a class; false when it was a set, which is then in `set`.
  bool member(Set &set, unsigned &byte) {
    byte = uint8_t(text[at++]);
    if (byte >= 0x80)
      fail("a class with more than ASCII is not supported");
    if (byte != '\\')
      return true;
    if (at == text.size()) {
      fail("'\\' without a character");
      return true;
    }
    char c = text[at++];
    if (namedSet(c, set))
      return false;
    byte = escaped(c);
    return true;
  }

  const std::string_view text;
};

} // namespace

bool Pattern::isWord(char c) { return isDigit(c) || isLetter(c) || c == '_'; }

Result<Pattern> Pattern::parse(std::string_view text) {
  Parser parser(text);
  Pattern pattern;
  pattern.program = parser.run();
  if (!parser.problem.empty())
    return Error(parser.problem + ", at byte " + std::to_string(parser.at));
  return pattern;
}
