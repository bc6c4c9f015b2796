//===- Pipeline.cpp - What happens to a text before the model -------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Pipeline.h"

#include "UnicodeAdditions.h"
#include "Utf8.h"

#include <algorithm>

namespace qcc::text {

//===-- Opening -----------------------------------------------------------===//

std::unique_ptr<Pipeline> Pipeline::create(std::span<const image::Step> steps,
                                           std::span<const uint8_t> data,
                                           size_t normalizers,
                                           std::string &error) {
  auto text = [&](uint32_t at, uint32_t size, std::string_view &out) {
    if (at > data.size() || size > data.size() - at)
      return false;
    out = {reinterpret_cast<const char *>(data.data()) + at, size};
    return true;
  };
  std::unique_ptr<Pipeline> result(new Pipeline);
  result->normalizers = normalizers;
  if (normalizers > steps.size() || steps.size() > image::maxSteps) {
    error = "tokenizer image: " + std::to_string(normalizers) + " of " +
            std::to_string(steps.size()) + " steps are normalizers";
    return nullptr;
  }
  for (const image::Step &step : steps) {
    Stage stage{step, {}, {}, {}};
    auto kind = static_cast<StepKind>(step.kind);
    if (kind > StepKind::Split ||
        !text(step.pattern, step.patternSize, stage.pattern) ||
        !text(step.content, step.contentSize, stage.content) ||
        (kind == StepKind::Split && result->stages.size() < normalizers) ||
        (kind == StepKind::Replace && stage.pattern.empty())) {
      error = "tokenizer image: step " + std::to_string(result->stages.size()) +
              " does not fit";
      return nullptr;
    }
    std::string_view source = stage.pattern;
    if (kind == StepKind::Charsmap)
      source = "\\X";
    if (kind == StepKind::Split || kind == StepKind::ReplacePattern ||
        (kind == StepKind::Charsmap && step.flags & Graphemes)) {
      stage.compiled = Pattern::compile(source, error, kind == StepKind::Split);
      if (!stage.compiled)
        return nullptr;
    }
    if (kind != StepKind::Replace && kind != StepKind::Prepend)
      result->hasPatterns = true;
    result->stages.push_back(std::move(stage));
  }
  return result;
}

//===-- Normalizers -------------------------------------------------------===//

bool isWhiteSpace(uint32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

size_t whiteSpaceAtStart(std::string_view text) {
  size_t at = 0;
  uint32_t codePoint = 0;
  while (at < text.size()) {
    size_t length = decodeUtf8(text, at, codePoint);
    if (length == 0 || !isWhiteSpace(codePoint))
      break;
    at += length;
  }
  return at;
}

size_t whiteSpaceAtEnd(std::string_view text) {
  size_t end = text.size();
  uint32_t codePoint = 0;
  while (end > 0) {
    size_t at = end - 1;
    while (at > 0 && end - at < 4 && (text[at] & 0xC0) == 0x80)
      --at;
    if (decodeUtf8(text, at, codePoint) != end - at || !isWhiteSpace(codePoint))
      break;
    end = at;
  }
  return text.size() - end;
}

void replaceText(std::string_view text, std::string_view pattern,
                 std::string_view content, size_t limit, std::string &out) {
  for (size_t at = 0;;) {
    size_t found = text.find(pattern, at);
    out += text.substr(at, found - at);
    if (found == std::string_view::npos || out.size() > limit)
      return;
    out += content;
    at = found + pattern.size();
  }
}

/// What a text may become.
static size_t growthLimit(std::string_view text) {
  return std::min<size_t>(INT32_MAX, 64 * text.size() + 1024);
}

bool Pipeline::isReadable(std::string_view text, std::string &error) const {
  if (!hasPatterns || isValidUtf8(text))
    return true;
  error = "a step of the tokenizer makes what is not UTF-8";
  return false;
}

bool Pipeline::apply(const Stage &stage, std::string_view text, bool isFirst,
                     size_t limit, std::string &out, std::string &error) const {
  uint32_t flags = stage.step.flags;
  bool fits = true;
  switch (static_cast<StepKind>(stage.step.kind)) {
  case StepKind::Replace:
    replaceText(text, stage.pattern, stage.content, limit, out);
    break;
  case StepKind::ReplacePattern: {
    std::string storage;
    std::string_view subject =
        flags & OldUnicode ? text : replaceUnicodeAdditions(text, storage);
    Matcher matcher(subject.size());
    size_t at = 0, begin = 0, end = 0;
    while (at < subject.size() && out.size() <= limit &&
           matcher.find(stage.compiled, subject, at, begin, end, error)) {
      out += text.substr(at, begin - at);
      out += stage.content;
      if (flags & Around) {
        out += text.substr(begin, end - begin);
        out += stage.content;
      }
      at = end;
    }
    if (!error.empty())
      return false;
    out += text.substr(at);
    break;
  }
  case StepKind::Prepend:
    if (!text.empty() && (isFirst || !(flags & OnlyFirst)) &&
        !(flags & UnlessPresent && text.starts_with(stage.content)))
      out += stage.content;
    out += text;
    break;
  case StepKind::Strip:
    if (flags & Left)
      text.remove_prefix(whiteSpaceAtStart(text));
    if (flags & Right)
      text.remove_suffix(whiteSpaceAtEnd(text));
    out += text;
    break;
  case StepKind::MapCharacters:
    fits = mapCharacters(stage.pattern, flags & Hangul, text, limit, out);
    break;
  case StepKind::Compose:
    fits = compose(stage.pattern, flags & Hangul, text, out);
    break;
  case StepKind::Charsmap:
    fits = applyCharsmap(stage.pattern,
                         flags & Graphemes ? &stage.compiled : nullptr, text,
                         limit, out, error);
    break;
  case StepKind::EncodeBytes:
    for (char c : text)
      appendUtf8(out, printableOfByte(static_cast<uint8_t>(c)));
    break;
  case StepKind::Split: // create() lets none come here
    break;
  }
  if (!fits && error.empty())
    error = "tokenizer image: a table of a step does not fit";
  if (fits && out.size() > limit) {
    error = "a text grows to more than " + std::to_string(limit) + " bytes";
    return false;
  }
  return fits;
}

bool Pipeline::normalize(std::string_view text, bool isFirst,
                         std::string &storage, std::string_view &out,
                         std::string &error) const {
  std::string next;
  out = text;
  for (size_t i = 0; i < normalizers; ++i) {
    next.clear();
    if (!apply(stages[i], out, isFirst, growthLimit(text), next, error) ||
        !isReadable(next, error))
      return false;
    storage.swap(next);
    out = storage;
  }
  return true;
}

//===-- Pre-tokenizers ----------------------------------------------------===//

namespace {
/// Gathers the pieces of one text as a SplitBehavior wants them, without those
/// that are empty.
struct Gatherer {
  SplitBehavior behavior;
  std::vector<Word> &words;
  size_t first; ///< of the words that come from this text
  bool wasMatch = false, isJoining = false;

  void add(size_t begin, size_t end, bool isMatch) {
    bool hasLast = words.size() > first;
    switch (behavior) {
    case SplitBehavior::Isolated:
      words.push_back({begin, end});
      break;
    case SplitBehavior::Removed:
      if (!isMatch)
        words.push_back({begin, end});
      break;
    case SplitBehavior::Contiguous:
      if (hasLast && isMatch == wasMatch)
        words.back().end = end;
      else
        words.push_back({begin, end});
      break;
    case SplitBehavior::MergedWithPrevious:
      if (hasLast && isMatch && !wasMatch)
        words.back().end = end;
      else
        words.push_back({begin, end});
      break;
    case SplitBehavior::MergedWithNext:
      // A match joins what follows it, unless that is a match, too.
      if (isJoining && !isMatch)
        words.back().end = end;
      else
        words.push_back({begin, end});
      isJoining = isMatch;
      break;
    }
    wasMatch = isMatch;
  }
};
} // namespace

bool Pipeline::splitBy(const Stage &stage, std::string_view subject,
                       Matcher &matcher, std::vector<Word> &words,
                       std::string &error) const {
  std::vector<Word> from;
  from.swap(words);
  bool isInverted = stage.step.flags & Invert;
  auto behavior = static_cast<SplitBehavior>(stage.step.flags & BehaviorMask);
  for (Word word : from) {
    // A piece is matched for itself: lookaround ends where the piece does.
    std::string_view piece = subject.substr(word.begin, word.end - word.begin);
    size_t first = words.size();
    Gatherer gather{behavior, words, first};
    size_t at = 0, begin = 0, end = 0;
    bool hasMatched = false, hasEmpty = false;
    for (size_t from = 0;
         from < piece.size() &&
         matcher.find(stage.compiled, piece, from, begin, end, error);) {
      // A place alone, as lookahead finds it, separates what is around it. Just
      // after a match it is none, and the search goes on behind it.
      if (begin == end && hasMatched && end == at) {
        uint32_t codePoint = 0;
        from += std::max<size_t>(decodeUtf8(piece, from, codePoint), 1);
        continue;
      }
      hasEmpty |= begin == end;
      if (begin > at)
        gather.add(word.begin + at, word.begin + begin, isInverted);
      gather.add(word.begin + begin, word.begin + end, !isInverted);
      at = from = end;
      hasMatched = true;
    }
    if (!error.empty())
      return false;
    if (at < piece.size())
      gather.add(word.begin + at, word.end, isInverted);
    if (hasEmpty) {
      auto isEmpty = [](Word word) { return word.begin == word.end; };
      auto added = words.begin() + static_cast<ptrdiff_t>(first);
      words.erase(std::remove_if(added, words.end(), isEmpty), words.end());
    }
  }
  return true;
}

bool Pipeline::split(std::string_view text, bool isFirst, std::string &storage,
                     std::string_view &out, std::vector<Word> &words,
                     std::string &error) const {
  out = text;
  words.clear();
  if (text.empty())
    return true;
  if (!isReadable(text, error))
    return false;
  words.push_back({0, text.size()});
  std::string older; // the text with new characters replaced
  std::string_view subject;
  for (size_t i = normalizers; i < stages.size(); ++i) {
    const Stage &stage = stages[i];
    if (static_cast<StepKind>(stage.step.kind) == StepKind::Split) {
      if (!subject.data())
        subject = replaceUnicodeAdditions(out, older);
      Matcher matcher(subject.size());
      if (!splitBy(stage, stage.step.flags & OldUnicode ? out : subject,
                   matcher, words, error))
        return false;
      continue;
    }
    std::string next;
    for (Word &word : words) {
      size_t begin = next.size();
      if (!apply(stage, out.substr(word.begin, word.end - word.begin),
                 isFirst && word.begin == 0, growthLimit(text), next, error))
        return false;
      word = {begin, next.size()};
    }
    if (!isReadable(next, error))
      return false;
    std::erase_if(words, [](Word word) { return word.begin == word.end; });
    storage.swap(next);
    out = storage;
    subject = {};
  }
  return true;
}

} // namespace qcc::text
