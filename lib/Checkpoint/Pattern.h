//===- Pattern.h - Regular expressions of configs ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Configs choose modules by regular expressions in Python's syntax. These are
// as hostile as the rest of a file: compiling one is bounded, and matching
// takes at most its size times the name's length, whatever it nests, and no
// more steps in all than a limit.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_PATTERN_H
#define QCC_LIB_CHECKPOINT_PATTERN_H

#include "qcc/Support/Error.h"
#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace qcc {

/// A regular expression in Python's syntax: literals, '.', classes, \d \w \s
/// and their opposites, groups, '|', '?', '*', '+', '{m,n}', '^', '$', \b, \B,
/// \A, \Z, and lookahead. Back references, lookbehind and flags are refused.
/// Names are taken as bytes, so that '.' is one of UTF-8's, too.
class Pattern {
public:
  /// Fails with what is wrong and at which byte.
  static Result<Pattern> parse(std::string_view text);

  /// Where a match may begin: Python's re.match and re.search.
  enum class Begin { Front, Anywhere };
  /// Takes the steps that it needs from `steps`; what it says is of no use when
  /// none are left.
  bool matches(std::string_view name, Begin begin, uint64_t &steps) const;

  /// In instructions.
  size_t size() const { return program.size(); }
  /// True for what \w stands for.
  static bool isWord(char c);

  /// One instruction of the program that a pattern becomes; distances are
  /// relative to it.
  struct Instruction {
    enum class Kind : uint8_t {
      Set,    ///< Takes a byte that is in `set`.
      Split,  ///< Goes on at `first` or `second`.
      Assert, ///< Goes on where `assertion` holds.
      Look,   ///< Goes on at `first` if the next instructions match here.
      NotLook,
      Match,
    } kind = Kind::Match;
    enum class Assertion : uint8_t { Front, End, Boundary, NoBoundary };
    Assertion assertion = Assertion::Front;
    int32_t first = 0, second = 0;
    std::array<uint64_t, 4> set{}; ///< Bit b: byte b.
  };

private:
  std::vector<Instruction> program;
};

/// Patterns in an order, with a limit for all work on them.
class PatternList {
public:
  /// Fails when `text` is no pattern, naming it.
  Error add(std::string_view text);

  /// Index of the first pattern that matches `name`, or the number of patterns.
  /// Fails when all searches together have taken too long.
  Result<size_t> find(std::string_view name, Pattern::Begin begin);

private:
  std::vector<Pattern> patterns;
  size_t instructions = 0;            ///< Of all of them.
  uint64_t steps = uint64_t(1) << 27; ///< About a second.
};

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_PATTERN_H
