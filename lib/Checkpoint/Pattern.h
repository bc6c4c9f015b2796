//===- Pattern.h - Regular expressions of configs ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Configs choose modules by regular expressions in Python's syntax. PCRE2
// matches them; what it reads differently is written another way for it, or
// refused. Patterns are as hostile as the rest of a file: what they take when
// compiled is bounded, and so are the steps of all matches together.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_PATTERN_H
#define QCC_LIB_CHECKPOINT_PATTERN_H

#include "qcc/Support/Error.h"
#include <cstdint>
#include <memory>
#include <vector>

struct pcre2_real_code_8;

namespace qcc {

/// Patterns in an order: Python's syntax with lookahead, lookbehind and what
/// else PCRE2 reads alike. Back references, flags and escapes of letters other
/// than \d \w \s \D \W \S \b \B \A \Z \n \r \t \f are refused.
class PatternList {
public:
  /// Fails when `text` is no pattern, naming it.
  Error add(std::string_view text);

  /// Where a match may begin: Python's re.match and re.search.
  enum class Begin { Front, Anywhere };
  /// Index of the first pattern that matches `name`, or the number of patterns.
  /// Fails when all searches together have taken too long.
  Result<size_t> find(std::string_view name, Begin begin);

private:
  struct Free {
    void operator()(pcre2_real_code_8 *code) const;
  };
  std::vector<std::unique_ptr<pcre2_real_code_8, Free>> patterns;
  size_t bytes = 0;                   ///< Of all of them.
  uint64_t steps = uint64_t(1) << 27; ///< Left; about two seconds.
};

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_PATTERN_H
