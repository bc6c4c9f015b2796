//===- Pattern.cpp - Regular expressions of configs -----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Pattern.h"
#include <algorithm>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

using namespace qcc;

namespace {

/// Far above what real patterns take.
constexpr size_t kMaxPattern = size_t(1) << 12, kMaxBytes = size_t(1) << 24;
constexpr uint32_t kMaxHeapKiB = 1 << 14;
/// What a match costs that needs no step.
constexpr uint64_t kMatchSteps = 8;

bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isLetter(char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }

/// Writes a Python pattern for PCRE2.
class Translator {
public:
  explicit Translator(std::string_view text) : text(text) {}

  Result<std::string> run() {
    while (at < text.size() && !error) {
      char c = text[at++];
      if (c == '\\')
        escape(false);
      else if (c == '[')
        bracket();
      else if (c == '(')
        group();
      else if (c == '{')
        brace();
      else
        out += c;
    }
    if (error)
      return std::move(error);
    return std::move(out);
  }

private:
  bool isAt(std::string_view what) const {
    return text.substr(at).starts_with(what);
  }

  /// What stands behind '\'. Of the end of the text PCRE2 complains.
  void escape(bool isInBracket) {
    char c = at < text.size() ? text[at++] : '\0';
    constexpr std::string_view known = "dwsDWSbBAZnrtf";
    if ((isDigit(c) || isLetter(c)) && known.find(c) == known.npos)
      error = Error("'\\" + std::string(1, c) + "' is not supported");
    out += '\\';
    // PCRE2's \Z is also in front of a newline at the end.
    if (c != '\0')
      out += c == 'Z' && !isInBracket ? 'z' : c;
  }

  /// A class. In Python '[' has no meaning in one, such as [:digit:].
  void bracket() {
    out += '[';
    if (isAt("^"))
      out += text[at++];
    for (bool isFirst = true; at < text.size() && !error; isFirst = false) {
      char c = text[at++];
      if (c == '\\') {
        escape(true);
        continue;
      }
      if (c == '[' || (c == ']' && isFirst))
        out += '\\';
      out += c;
      if (c == ']' && !isFirst)
        return;
    }
  }

  void group() {
    out += '(';
    bool isKnown = !isAt("*");
    if (isAt("?")) {
      isKnown = false;
      for (std::string_view kind : {"?:", "?=", "?!", "?<", "?P<", "?>"})
        isKnown |= isAt(kind);
    }
    if (!isKnown)
      error =
          Error("the group " + quoted("(" + std::string(text.substr(at, 2))) +
                " is not supported");
  }

  /// Repetitions, all as {m,} or {m,n}; other braces stand for themselves.
  void brace() {
    size_t end = at;
    auto number = [&] {
      size_t begin = end;
      while (end < text.size() && isDigit(text[end]))
        ++end;
      return std::string(text.substr(begin, end - begin));
    };
    std::string least = number(), most = least;
    bool hasComma = end < text.size() && text[end] == ',';
    if (hasComma) {
      ++end;
      most = number();
    }
    if (end == text.size() || text[end] != '}' ||
        (least.empty() && !hasComma)) {
      out += "\\{";
      return;
    }
    out += "{" + (least.empty() ? "0" : least) + "," + most + "}";
    at = end + 1;
  }

  const std::string_view text;
  size_t at = 0;
  std::string out;
  Error error;
};

std::string pcreMessage(int code) {
  char text[256];
  pcre2_get_error_message(code, reinterpret_cast<PCRE2_UCHAR *>(text),
                          sizeof(text));
  return text;
}

PCRE2_SPTR bytesOf(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data());
}

/// The steps that are left. PCRE2 stops at each item of a pattern to ask.
struct Budget {
  uint64_t &steps;
  uint64_t cost; ///< Of a step: one may run over the whole name.

  bool spend(uint64_t count) {
    steps -= std::min(steps, count * cost);
    return steps != 0;
  }
  static int callout(pcre2_callout_block *, void *budget) {
    return static_cast<Budget *>(budget)->spend(1) ? 0 : PCRE2_ERROR_CALLOUT;
  }
};

using MatchData =
    std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;
using MatchContext =
    std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)>;

} // namespace

void PatternList::Free::operator()(pcre2_code *code) const {
  pcre2_code_free(code);
}

Error PatternList::add(std::string_view text) {
  const std::string what = "pattern " + quoted(text) + ": ";
  if (text.size() > kMaxPattern)
    return Error(what + "longer than is supported");
  Result<std::string> translated = Translator(text).run();
  if (!translated)
    return Error(what + translated.message());
  std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)>
      context(pcre2_compile_context_create(nullptr),
              pcre2_compile_context_free);
  if (!context)
    return Error(what + "out of memory");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int code = 0;
  PCRE2_SIZE place = 0, size = 0;
  patterns.emplace_back(
      pcre2_compile(bytesOf(*translated), translated->size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_AUTO_CALLOUT, &code, &place,
                    context.get()));
  if (!patterns.back()) {
    patterns.pop_back();
    return Error(what + pcreMessage(code));
  }
  pcre2_pattern_info(patterns.back().get(), PCRE2_INFO_SIZE, &size);
  bytes += size;
  if (bytes > kMaxBytes) {
    patterns.pop_back();
    return Error(what + "more patterns than are supported");
  }
  return Error();
}

Result<size_t> PatternList::find(std::string_view name, Begin begin) {
  MatchData data(pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  MatchContext context(pcre2_match_context_create(nullptr),
                       pcre2_match_context_free);
  if (!data || !context)
    return Error("out of memory for patterns");
  Budget budget{steps, 1 + name.size() / 64};
  pcre2_set_callout(context.get(), Budget::callout, &budget);
  // Between two stops there are few more; these only stop what has none.
  pcre2_set_match_limit(context.get(), 1 << 24);
  pcre2_set_depth_limit(context.get(), 1 << 20);
  pcre2_set_heap_limit(context.get(), kMaxHeapKiB);
  const uint32_t options = begin == Begin::Front ? PCRE2_ANCHORED : 0;
  for (size_t i = 0; i < patterns.size(); ++i) {
    int found = budget.spend(kMatchSteps)
                    ? pcre2_match(patterns[i].get(), bytesOf(name), name.size(),
                                  0, options, data.get(), context.get())
                    : PCRE2_ERROR_CALLOUT;
    if (found >= 0)
      return i;
    switch (found) {
    case PCRE2_ERROR_NOMATCH:
      break;
    case PCRE2_ERROR_CALLOUT:
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
      return Error("patterns that take too long to match against " +
                   quoted(name));
    default:
      return Error("cannot match patterns against " + quoted(name) + ": " +
                   pcreMessage(found));
    }
  }
  return patterns.size();
}
