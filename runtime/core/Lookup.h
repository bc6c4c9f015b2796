//===- Lookup.h - Guesses from the text itself ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Prompt lookup: answers repeat what the context says, so the tokens that
// followed its last tokens earlier are a draft of the next ones. One step of
// several rows evaluates them; those that sampling gives, too, are kept, and so
// nothing but the speed depends on the guesses.
//
// On a CPU a step with drafts takes about two plain ones, and so does a step
// in vain. After drafts in vain only longer repetitions are trusted.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_LOOKUP_H
#define QCC_RUNTIME_CORE_LOOKUP_H

#include "qcc-rt/qcc_abi.h"

#include <algorithm>

namespace qcc::rt {

class Lookup {
public:
  /// Drafts at most `most` tokens at a time; 0: none.
  explicit Lookup(uint32_t most)
      : most(std::min(most, QCC_GENERATE_ROWS - 1)) {}

  /// Whether `token` is the next row of the last step, and so evaluated.
  bool accept(int32_t token) {
    if (row + 1 < rows && step[row + 1] == token) {
      ++row;
      ++accepted;
      return true;
    }
    if (rows > 1)
      learn();
    rows = 0;
    return false;
  }

  /// Fills the rows of the next step: the last one of the `count` tokens, then
  /// at most `room` drafted ones. Returns their number.
  uint32_t draft(const int32_t *tokens, size_t count, size_t room) {
    step[0] = tokens[count - 1];
    row = 0;
    rows = 1;
    room = std::min<size_t>(room, most);
    size_t repeated = 0, next = room ? find(tokens, count, repeated) : count;
    // What has repeated for long will go on for long.
    room = std::min(room, std::max(repeated, firstDraft));
    // A repetition that reaches the end goes on with itself.
    for (size_t i = 0; next < count && i < room; ++i, ++rows)
      step[rows] =
          next + i < count ? tokens[next + i] : step[next + i - count + 1];
    drafted += rows - 1;
    return rows;
  }
  const int32_t *tokens() const { return step; }

  uint64_t drafted = 0, accepted = 0; // tokens so far

private:
  // Rows are multiplied by fours.
  static constexpr size_t firstDraft = 3;
  static constexpr size_t firstMatch = 3, lastMatch = 12, longest = 16;

  /// Where the longest repetition of the last tokens goes on, the latest of
  /// several, and how long it is; `count` without one that is long enough.
  size_t find(const int32_t *tokens, size_t count, size_t &best) const {
    best = match - 1;
    size_t next = count;
    for (size_t end = count - 1; end > best && best < longest; --end) {
      size_t n = 0;
      while (n < end && n < longest &&
             tokens[end - 1 - n] == tokens[count - 1 - n])
        ++n;
      if (n > best) {
        best = n;
        next = end;
      }
    }
    return next;
  }

  void learn() {
    if (row + 1 == rows)
      match = std::max(match - 1, firstMatch);
    else if (row < 2)
      match = std::min(match + 1, lastMatch);
  }

  uint32_t most;             // drafts at a time, ever
  size_t match = firstMatch; // tokens that must repeat
  uint32_t rows = 0;         // of the last step
  uint32_t row = 0;          // the one that is the sequence's last token
  int32_t step[QCC_GENERATE_ROWS];
};

} // namespace qcc::rt

#endif // QCC_RUNTIME_CORE_LOOKUP_H
