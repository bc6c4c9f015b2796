//===- Pattern.cpp - Regular expressions of configs -----------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// A pattern is a program for a machine that visits each pair of an instruction
// and a place in the name at most once.
//===----------------------------------------------------------------------===//

#include "Pattern.h"
#include <algorithm>

using namespace qcc;

namespace {

using Instruction = Pattern::Instruction;
using Kind = Instruction::Kind;
using Assertion = Instruction::Assertion;

/// Instructions of a list; far above those of real patterns.
constexpr size_t kMaxInstructions = size_t(1) << 18;

bool contains(const Instruction &what, uint8_t byte) {
  return what.set[byte / 64] >> byte % 64 & 1;
}

class Machine {
public:
  Machine(std::span<const Instruction> program, std::string_view name,
          uint64_t &steps)
      : program(program), name(name), steps(steps) {}

  /// Whether a path from instruction `start` and place `from` (with `anywhere`
  /// also later ones) ends in a match. Calls itself for lookahead, which nests
  /// no deeper than the parser allows.
  bool run(size_t start, size_t from, bool anywhere) {
    const size_t places = name.size() + 1;
    std::vector<bool> seen(program.size() * places);
    if (!spend(seen.size() / 64 + 1))
      return false;
    std::vector<std::pair<size_t, size_t>> pending;
    auto visit = [&](size_t instruction, size_t place) {
      size_t index = instruction * places + place;
      if (!seen[index])
        pending.emplace_back(instruction, place);
      seen[index] = true;
    };
    for (size_t place = from; place < places; ++place) {
      visit(start, place);
      while (!pending.empty() && spend(1)) {
        auto [index, here] = pending.back();
        pending.pop_back();
        const Instruction &what = program[index];
        auto target = [&, index = index](int32_t distance) {
          return size_t(int64_t(index) + distance);
        };
        switch (what.kind) {
        case Kind::Match:
          return true;
        case Kind::Set:
          if (here < name.size() && contains(what, uint8_t(name[here])))
            visit(index + 1, here + 1);
          break;
        case Kind::Split:
          visit(target(what.second), here);
          visit(target(what.first), here);
          break;
        case Kind::Assert:
          if (holds(what.assertion, here))
            visit(index + 1, here);
          break;
        case Kind::Look:
        case Kind::NotLook:
          if (run(index + 1, here, false) == (what.kind == Kind::Look))
            visit(target(what.first), here);
          break;
        }
      }
      if (!anywhere || steps == 0)
        return false;
    }
    return false;
  }

private:
  bool spend(uint64_t count) {
    steps -= std::min(steps, count);
    return steps != 0;
  }

  bool holds(Assertion assertion, size_t place) const {
    bool before = place > 0 && Pattern::isWord(name[place - 1]);
    bool after = place < name.size() && Pattern::isWord(name[place]);
    switch (assertion) {
    case Assertion::Front:
      return place == 0;
    case Assertion::End:
      return place == name.size();
    case Assertion::Boundary:
      return before != after;
    case Assertion::NoBoundary:
      return before == after;
    }
    return false;
  }

  const std::span<const Instruction> program;
  const std::string_view name;
  uint64_t &steps;
};

} // namespace

bool Pattern::matches(std::string_view name, Begin begin,
                      uint64_t &steps) const {
  return Machine(program, name, steps).run(0, 0, begin == Begin::Anywhere);
}

Error PatternList::add(std::string_view text) {
  Result<Pattern> pattern = Pattern::parse(text);
  if (!pattern)
    return Error("pattern " + quoted(text) + ": " + pattern.message());
  instructions += pattern->size();
  if (instructions > kMaxInstructions)
    return Error("pattern " + quoted(text) +
                 ": more patterns than are "
                 "supported");
  patterns.push_back(std::move(*pattern));
  return Error();
}

Result<size_t> PatternList::find(std::string_view name, Pattern::Begin begin) {
  for (size_t i = 0; i < patterns.size(); ++i) {
    bool isMatch = patterns[i].matches(name, begin, steps);
    if (steps == 0)
      return Error("patterns that take too long to match against " +
                   quoted(name));
    if (isMatch)
      return i;
  }
  return patterns.size();
}
