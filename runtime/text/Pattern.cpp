//===- Pattern.cpp - Regular expressions over text ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Pattern.h"

#include <algorithm>
#include <cstdint>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace qcc::text {

void Pattern::Free::operator()(pcre2_code *code) const {
  pcre2_code_free(code);
}

Pattern Pattern::compile(std::string_view source, std::string &error,
                         bool mayBeEmpty) {
  Pattern result;
  result.mayBeEmpty = mayBeEmpty;
  int status = 0;
  PCRE2_SIZE offset = 0;
  result.code.reset(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &status,
                    &offset, nullptr));
  if (!result.code) {
    error = "cannot compile the pattern '" + std::string(source) +
            "': PCRE2 error " + std::to_string(status) + " at " +
            std::to_string(offset);
    return {};
  }
  uint32_t matchesEmpty = 0;
  pcre2_pattern_info(result.code.get(), PCRE2_INFO_MATCHEMPTY, &matchesEmpty);
  if (matchesEmpty && !mayBeEmpty) {
    error = "the pattern '" + std::string(source) +
            "' matches the empty text, which is not supported";
    return {};
  }
  return result;
}

Matcher::Matcher(size_t bytes)
    : data(pcre2_match_data_create(1, nullptr)),
      context(pcre2_match_context_create(nullptr)) {
  if (!context)
    return;
  // A run of one class costs each published pattern a few steps per character.
  uint64_t steps = 64 * static_cast<uint64_t>(bytes) + 100000;
  pcre2_set_match_limit(
      context, static_cast<uint32_t>(std::min<uint64_t>(steps, UINT32_MAX)));
  pcre2_set_heap_limit(context, 64 * 1024);
}

Matcher::~Matcher() {
  pcre2_match_context_free(context);
  pcre2_match_data_free(data);
}

bool Matcher::find(const Pattern &pattern, std::string_view text, size_t at,
                   size_t &begin, size_t &end, std::string &error) {
  if (!data || !context) {
    error = "out of memory";
    return false;
  }
  int found = pcre2_match(
      pattern.code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
      text.size(), at,
      PCRE2_NO_UTF_CHECK | (pattern.mayBeEmpty ? 0 : PCRE2_NOTEMPTY), data,
      context);
  if (found == PCRE2_ERROR_NOMATCH)
    return false;
  if (found < 0) {
    error = "a pattern stopped at byte " + std::to_string(at) + " of " +
            std::to_string(text.size()) + ": PCRE2 error " +
            std::to_string(found);
    return false;
  }
  const PCRE2_SIZE *match = pcre2_get_ovector_pointer(data);
  begin = match[0];
  end = match[1];
  return true;
}

} // namespace qcc::text
