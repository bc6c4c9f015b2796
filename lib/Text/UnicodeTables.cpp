//===- UnicodeTables.cpp - Unicode's facts as tables of steps -------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "UnicodeTables.h"

#include <map>
#include <utf8proc.h>
#include "text/Pipeline.h"
#include "text/Utf8.h"

using namespace qcc;
namespace image = qcc::text::image;

static constexpr uint32_t kEnd = 0x110000;

static bool isCharacter(uint32_t c) { return c < 0xD800 || c >= 0xE000; }
static bool isHangul(uint32_t c) { return c >= 0xAC00 && c < 0xAC00 + 11172; }

static utf8proc_category_t category(uint32_t c) {
  return utf8proc_category(utf8proc_int32_t(c));
}

namespace {
struct Range {
  uint32_t first, last;
};
enum MarkKind : uint8_t { Nonspacing = 1, Any = 2, Both = 3 };
struct MarkRange {
  uint32_t first, last;
  MarkKind kind; ///< for which of the two the mark is unknown
};
} // namespace

// What the tokenizers library does not know, as its tables are of an older
// version of Unicode: characters that it does not decompose or remove.
static constexpr Range kNewerDecompositions[] = {
    {0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},   {0xAB69, 0xAB69},
    {0x10781, 0x107BA}, {0x11938, 0x11938}, {0x1E030, 0x1E06D},
    {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9}};
static constexpr Range kNewerControls[] = {
    {0x890, 0x891}, {0x8E2, 0x8E2}, {0x110CD, 0x110CD}, {0x13430, 0x1343F}};
static constexpr MarkRange kNewerMarks[] = {
#include "NewerMarks.inc"
};
// And what utf8proc does not know: what became of capital letters since.
static constexpr std::pair<Range, uint32_t> kNewerCapitals[] = {
    {{0x1C89, 0x1C89}, 0x1C8A},    {{0xA7CB, 0xA7CB}, 0x264},
    {{0xA7CC, 0xA7CC}, 0xA7CD},    {{0xA7CE, 0xA7CE}, 0xA7CF},
    {{0xA7D2, 0xA7D2}, 0xA7D3},    {{0xA7D4, 0xA7D4}, 0xA7D5},
    {{0xA7DA, 0xA7DA}, 0xA7DB},    {{0xA7DC, 0xA7DC}, 0x19B},
    {{0x10D50, 0x10D65}, 0x10D70}, {{0x16EA0, 0x16EB8}, 0x16EBB}};

template <size_t N>
static bool isIn(const Range (&ranges)[N], uint32_t c) {
  for (Range range : ranges)
    if (c >= range.first && c <= range.last)
      return true;
  return false;
}

static bool isNewerMark(uint32_t c, MarkKind kind) {
  for (const MarkRange &range : kNewerMarks)
    if (c >= range.first && c <= range.last)
      return range.kind & kind;
  return false;
}

template <typename T>
static void append(std::string &out, const T &value) {
  out.append(reinterpret_cast<const char *>(&value), sizeof value);
}

std::string qcc::characterMap(
    const std::function<std::optional<std::string>(uint32_t)> &map) {
  std::vector<image::CharacterRange> ranges;
  std::string texts;
  std::map<std::string, uint32_t> known;
  std::optional<std::string> last;
  for (uint32_t c = 0; c < kEnd; ++c) {
    std::optional<std::string> text;
    if (isCharacter(c))
      text = map(c);
    if (text && text == last && ranges.back().more < UINT16_MAX) {
      ++ranges.back().more;
    } else if (text) {
      auto [it, isNew] = known.emplace(*text, uint32_t(texts.size()));
      if (isNew)
        texts += *text;
      ranges.push_back({c, 0, uint16_t(text->size()), it->second});
    }
    last = std::move(text);
  }
  std::string out;
  append(out, uint32_t(ranges.size()));
  for (const image::CharacterRange &range : ranges)
    append(out, range);
  return out + texts;
}

static std::vector<uint32_t> decompose(uint32_t c, bool isCompatibility) {
  if (isIn(kNewerDecompositions, c))
    return {};
  utf8proc_int32_t parts[32];
  int boundary = 0;
  auto options = utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                   (isCompatibility ? UTF8PROC_COMPAT : 0));
  utf8proc_ssize_t count = utf8proc_decompose_char(
      utf8proc_int32_t(c), parts, std::ssize(parts), options, &boundary);
  if (count < 0 || count > std::ssize(parts))
    count = 0;
  return {parts, parts + count};
}

static std::string decompositionMapOf(bool isCompatibility) {
  return characterMap([&](uint32_t c) -> std::optional<std::string> {
    std::vector<uint32_t> parts = decompose(c, isCompatibility);
    if (isHangul(c) || parts.empty() || (parts.size() == 1 && parts[0] == c))
      return std::nullopt;
    std::string text;
    for (uint32_t part : parts)
      text::appendUtf8(text, part);
    return text;
  });
}

/// The one character that a text composes to, or 0.
static uint32_t composed(std::vector<uint32_t> parts) {
  std::vector<utf8proc_int32_t> buffer(parts.begin(), parts.end());
  utf8proc_ssize_t count = utf8proc_normalize_utf32(
      buffer.data(), std::ssize(buffer),
      utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  return count == 1 ? uint32_t(buffer[0]) : 0;
}

static std::string compositionTableOf(bool composes) {
  std::vector<image::CombiningClass> classes;
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> pairs;
  for (uint32_t c = 0; c < kEnd; ++c) {
    if (!isCharacter(c) || isHangul(c))
      continue;
    auto value =
        uint16_t(utf8proc_get_property(utf8proc_int32_t(c))->combining_class);
    if (value && isNewerMark(c, Any)) // of no class there
      value = 0;
    if (value && !classes.empty() && classes.back().value == value &&
        classes.back().first + classes.back().more + 1 == c)
      ++classes.back().more;
    else if (value)
      classes.push_back({c, 0, value});
    std::vector<uint32_t> parts;
    if (composes)
      parts = decompose(c, false);
    // A composition is excluded where the parts do not come together again.
    if (parts.size() < 2 || composed(parts) != c)
      continue;
    uint32_t right = parts.back();
    parts.pop_back();
    if (uint32_t left = composed(parts))
      pairs[{left, right}] = c;
  }
  std::string out;
  append(out, uint32_t(classes.size()));
  append(out, uint32_t(pairs.size()));
  for (const image::CombiningClass &range : classes)
    append(out, range);
  for (auto [pair, result] : pairs)
    append(out, image::Composition{pair.first, pair.second, result});
  return out;
}

static std::string makeLowercaseMap() {
  return characterMap([](uint32_t c) -> std::optional<std::string> {
    if (c == 0x130) // the only one that becomes two
      return "i\xCC\x87";
    auto lower = uint32_t(utf8proc_tolower(utf8proc_int32_t(c)));
    for (auto [range, first] : kNewerCapitals)
      if (c >= range.first && c <= range.last)
        lower = first + c - range.first;
    if (lower == c)
      return std::nullopt;
    std::string text;
    text::appendUtf8(text, lower);
    return text;
  });
}

static std::string removeMarksOf(bool isNonspacingOnly) {
  return characterMap([&](uint32_t c) -> std::optional<std::string> {
    utf8proc_category_t kind = category(c);
    bool isMark = kind == UTF8PROC_CATEGORY_MN ||
                  (!isNonspacingOnly && (kind == UTF8PROC_CATEGORY_MC ||
                                         kind == UTF8PROC_CATEGORY_ME));
    // Their kind has changed since.
    isMark |= isNonspacingOnly ? c == 0x1734 : c == 0x1CF2 || c == 0x1CF3;
    if (isMark && isNewerMark(c, isNonspacingOnly ? Nonspacing : Any))
      isMark = false;
    return isMark ? std::optional<std::string>("") : std::nullopt;
  });
}

static std::string makeNmtMap() {
  return characterMap([](uint32_t c) -> std::optional<std::string> {
    bool isRemoved = (c >= 1 && c <= 8) || c == 0xB ||
                     (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F ||
                     c == 0x9F;
    bool isSpace = c == 9 || c == 10 || c == 12 || c == 13 || c == 0x1680 ||
                   (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                   c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    if (!isRemoved && !isSpace)
      return std::nullopt;
    return isSpace ? " " : "";
  });
}

static std::string makeCleanMap() {
  return characterMap([](uint32_t c) -> std::optional<std::string> {
    if (c == '\t' || c == '\n' || c == '\r')
      return " ";
    utf8proc_category_t kind = category(c);
    if (isIn(kNewerControls, c))
      return std::nullopt;
    if (c == 0 || c == 0xFFFD || kind == UTF8PROC_CATEGORY_CC ||
        kind == UTF8PROC_CATEGORY_CF || kind == UTF8PROC_CATEGORY_CO)
      return "";
    if (text::isWhiteSpace(c))
      return " ";
    return std::nullopt;
  });
}

// Each is made once, when it is first asked for.

std::string qcc::decompositionMap(bool isCompatibility) {
  static const std::string canonical = decompositionMapOf(false);
  static const std::string compatible = decompositionMapOf(true);
  return isCompatibility ? compatible : canonical;
}

std::string qcc::compositionTable(bool composes) {
  static const std::string order = compositionTableOf(false);
  static const std::string both = compositionTableOf(true);
  return composes ? both : order;
}

std::string qcc::removeMarks(bool isNonspacingOnly) {
  static const std::string nonspacing = removeMarksOf(true);
  static const std::string all = removeMarksOf(false);
  return isNonspacingOnly ? nonspacing : all;
}

std::string qcc::lowercaseMap() {
  static const std::string table = makeLowercaseMap();
  return table;
}

std::string qcc::nmtMap() {
  static const std::string table = makeNmtMap();
  return table;
}

std::string qcc::cleanMap() {
  static const std::string table = makeCleanMap();
  return table;
}
