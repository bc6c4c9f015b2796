//===- Normalize.cpp - Unicode's normal forms by tables -------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The tables come with the tokenizer image, so that a model whose tokenizer
// normalizes nothing carries none.
//===----------------------------------------------------------------------===//

#include "Pipeline.h"

#include "Utf8.h"

#include <algorithm>
#include <cstring>

namespace qcc::text {

/// The `count` elements at `at`, and moves `at` behind them; false when they
/// are not there.
template <typename T>
static bool take(std::string_view table, size_t &at, uint32_t count,
                 std::span<const T> &out) {
  if (at > table.size() || count > (table.size() - at) / sizeof(T) ||
      reinterpret_cast<uintptr_t>(table.data() + at) % alignof(T) != 0)
    return false;
  out = {reinterpret_cast<const T *>(table.data() + at), count};
  at += count * sizeof(T);
  return true;
}

/// The last range that starts at or before `codePoint`, or null.
template <typename T>
static const T *findRange(std::span<const T> ranges, uint32_t codePoint) {
  auto it = std::upper_bound(
      ranges.begin(), ranges.end(), codePoint,
      [](uint32_t value, const T &range) { return value < range.first; });
  if (it == ranges.begin())
    return nullptr;
  --it;
  return codePoint - it->first <= it->more ? &*it : nullptr;
}

// Hangul syllables are made of letters by a rule.
static constexpr uint32_t syllables = 0xAC00, leads = 0x1100, vowels = 0x1161,
                          tails = 0x11A7, leadCount = 19, vowelCount = 21,
                          tailCount = 28;

bool mapCharacters(std::string_view table, bool splitHangul,
                   std::string_view text, size_t limit, std::string &out) {
  size_t at = 0;
  std::span<const uint32_t> count;
  std::span<const image::CharacterRange> ranges;
  if (!take(table, at, 1, count) || !take(table, at, count[0], ranges))
    return false;
  std::string_view texts = table.substr(at);
  uint32_t lowest = ranges.empty() ? UINT32_MAX : ranges.front().first;
  uint32_t codePoint = 0;
  for (size_t i = 0; i < text.size() && out.size() <= limit;) {
    size_t length = std::max<size_t>(decodeUtf8(text, i, codePoint), 1);
    std::string_view character = text.substr(i, length);
    i += length;
    if (codePoint < lowest) {
      out += character;
      continue;
    }
    if (splitHangul &&
        codePoint - syllables < leadCount * vowelCount * tailCount) {
      uint32_t index = codePoint - syllables;
      appendUtf8(out, leads + index / (vowelCount * tailCount));
      appendUtf8(out, vowels + index / tailCount % vowelCount);
      if (index % tailCount)
        appendUtf8(out, tails + index % tailCount);
      continue;
    }
    const image::CharacterRange *range = findRange(ranges, codePoint);
    if (!range) {
      out += character;
      continue;
    }
    if (range->text > texts.size() || range->size > texts.size() - range->text)
      return false;
    out += texts.substr(range->text, range->size);
  }
  return true;
}

namespace {
struct Character {
  uint32_t codePoint, combiningClass;
  size_t place; ///< keeps the order of equal classes
};

struct Composer {
  std::span<const image::Composition> pairs;
  bool joinHangul;

  /// What two characters become, or 0.
  uint32_t join(uint32_t left, uint32_t right) const {
    if (joinHangul && left - leads < leadCount && right - vowels < vowelCount)
      return syllables +
             ((left - leads) * vowelCount + right - vowels) * tailCount;
    if (joinHangul && left - syllables < leadCount * vowelCount * tailCount &&
        (left - syllables) % tailCount == 0 &&
        right - tails - 1 < tailCount - 1)
      return left + right - tails;
    auto it = std::lower_bound(
        pairs.begin(), pairs.end(), std::pair(left, right),
        [](const image::Composition &pair, std::pair<uint32_t, uint32_t> key) {
          return std::pair(pair.left, pair.right) < key;
        });
    return it != pairs.end() && it->left == left && it->right == right
               ? it->result
               : 0;
  }

  /// Joins each starter with what follows it and is not blocked.
  void run(std::vector<Character> &text) const {
    size_t starter = SIZE_MAX, kept = 0;
    uint32_t lastClass = 0;
    for (Character c : text) {
      bool isBlocked = starter == SIZE_MAX ||
                       (kept > starter + 1 && lastClass >= c.combiningClass);
      uint32_t joined =
          isBlocked ? 0 : join(text[starter].codePoint, c.codePoint);
      if (joined) {
        text[starter].codePoint = joined;
        continue;
      }
      if (c.combiningClass == 0)
        starter = kept;
      lastClass = c.combiningClass;
      text[kept++] = c;
    }
    text.resize(kept);
  }
};
} // namespace

bool compose(std::string_view table, bool joinHangul, std::string_view text,
             std::string &out) {
  size_t at = 0;
  std::span<const uint32_t> counts;
  std::span<const image::CombiningClass> classes;
  std::span<const image::Composition> pairs;
  if (!take(table, at, 2, counts) || !take(table, at, counts[0], classes) ||
      !take(table, at, counts[1], pairs))
    return false;
  // Nothing below U+0300 is combined with what is before it.
  if (std::all_of(text.begin(), text.end(),
                  [](char c) { return static_cast<uint8_t>(c) < 0xCC; })) {
    out += text;
    return true;
  }
  std::vector<Character> characters;
  characters.reserve(text.size());
  uint32_t codePoint = 0;
  for (size_t i = 0; i < text.size();) {
    i += std::max<size_t>(decodeUtf8(text, i, codePoint), 1);
    const image::CombiningClass *known =
        codePoint < 0x300 ? nullptr : findRange(classes, codePoint);
    characters.push_back({codePoint, known ? known->value : 0u, i});
  }
  for (size_t i = 0; i < characters.size();) {
    size_t end = i + 1;
    if (characters[i].combiningClass != 0) {
      while (end < characters.size() && characters[end].combiningClass != 0)
        ++end;
      std::sort(characters.begin() + static_cast<ptrdiff_t>(i),
                characters.begin() + static_cast<ptrdiff_t>(end),
                [](const Character &a, const Character &b) {
                  return std::pair(a.combiningClass, a.place) <
                         std::pair(b.combiningClass, b.place);
                });
    }
    i = end;
  }
  if (!pairs.empty() || joinHangul)
    Composer{pairs, joinHangul}.run(characters);
  for (const Character &c : characters) {
    // A table may name what is no character.
    if (c.codePoint > 0x10FFFF || c.codePoint - 0xD800 < 0x800)
      return false;
    appendUtf8(out, c.codePoint);
  }
  return true;
}

namespace {
/// SentencePiece's precompiled_charsmap: a u32 size, a double-array trie of
/// that many bytes, and texts that end in NUL.
struct Charsmap {
  std::span<const uint32_t> units;
  std::string_view texts;

  bool open(std::string_view table) {
    size_t at = 0;
    std::span<const uint32_t> bytes;
    if (!take(table, at, 1, bytes) || bytes[0] % 4 != 0 ||
        !take(table, at, bytes[0] / 4, units) || units.empty())
      return false;
    texts = table.substr(at);
    return true;
  }

  /// The text of the longest (or shortest) start of `text` that has one, and
  /// how long that start is. False: none has.
  bool find(std::string_view text, bool shortest, size_t &length,
            std::string_view &out) const {
    auto offset = [](uint32_t unit) {
      return (unit >> 10) << ((unit & (1u << 9)) >> 6);
    };
    // A trie that lies may have cycles.
    text = text.substr(0, image::maxSpecialBytes);
    bool found = false;
    size_t node = offset(units[0]);
    for (size_t i = 0; i < text.size(); ++i) {
      uint8_t byte = static_cast<uint8_t>(text[i]);
      node ^= byte;
      if (byte == 0 || node >= units.size())
        break;
      uint32_t unit = units[node];
      if ((unit & (1u << 31 | 0xFF)) != byte)
        break;
      node ^= offset(unit);
      if (!(unit >> 8 & 1))
        continue;
      if (node >= units.size())
        break;
      size_t at = units[node] & ~(1u << 31);
      if (at >= texts.size())
        break;
      out = texts.substr(at);
      out = out.substr(0, out.find('\0'));
      length = i + 1;
      found = true;
      if (shortest)
        break;
    }
    return found;
  }
};
} // namespace

bool applyCharsmap(std::string_view table, const Pattern *graphemes,
                   std::string_view text, size_t limit, std::string &out,
                   std::string &error) {
  Charsmap map;
  if (!map.open(table))
    return false;
  std::string_view found;
  size_t length = 0;
  uint32_t codePoint = 0;
  if (!graphemes) {
    for (size_t at = 0; at < text.size() && out.size() <= limit;) {
      if (map.find(text.substr(at), false, length, found)) {
        out += found;
      } else {
        length = std::max<size_t>(decodeUtf8(text, at, codePoint), 1);
        out += text.substr(at, length);
      }
      at += length;
    }
    return true;
  }
  // Hugging Face takes a short grapheme for one that starts with a known text,
  // else each of its characters.
  Matcher matcher(text.size());
  size_t at = 0, begin = 0, end = 0;
  // Each one is looked for in what is left: the matcher counts flags (U+1F1E6)
  // backwards, to the start of what it is given.
  while (at < text.size() && out.size() <= limit &&
         matcher.find(*graphemes, text.substr(at), 0, begin, end, error)) {
    std::string_view grapheme = text.substr(at, end);
    at += end;
    if (grapheme.size() < 6 && map.find(grapheme, true, length, found)) {
      out += found;
      continue;
    }
    for (size_t i = 0; i < grapheme.size();) {
      size_t size = std::max<size_t>(decodeUtf8(grapheme, i, codePoint), 1);
      std::string_view character = grapheme.substr(i, size);
      out += map.find(character, true, length, found) ? found : character;
      i += size;
    }
  }
  return error.empty();
}

} // namespace qcc::text
