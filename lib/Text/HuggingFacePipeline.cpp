//===- HuggingFacePipeline.cpp - tokenizer.json as steps ------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "HuggingFacePipeline.h"

#include "UnicodeTables.h"
#include "text/Pipeline.h"

using namespace qcc;
using text::PipelineStep;
using text::SplitBehavior;
using text::StepKind;

//===-- JSON --------------------------------------------------------------===//

bool qcc::isTrueOrAbsent(const Json &object, const char *key) {
  return !member(object, key) || isTrue(object, key);
}

std::vector<const Json *> qcc::stepsOf(const Json &step, const char *key) {
  const Json *list = member(step, key);
  if (textOf(member(step, "type")) != "Sequence" || !list || !list->is_array())
    return {&step};
  std::vector<const Json *> result;
  for (const Json &element : *list)
    for (const Json *inner : stepsOf(element, key))
      result.push_back(inner);
  return result;
}

Error qcc::unsupported(const std::string &what) {
  return Error(what + " is not supported");
}

std::string qcc::replaced(std::string text, const std::string &from,
                          const std::string &to) {
  if (from.empty())
    return text;
  std::string out;
  text::replaceText(text, from, to, SIZE_MAX, out);
  return out;
}

//===-- Patterns ----------------------------------------------------------===//

// White space, and what Hugging Face's own steps call a word character, a
// number and punctuation, for PCRE2.
#define SPACE "\\t-\\r\\x{85}\\p{Z}"
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}"
#define NUMBER "\\p{N}\\x{11DE0}-\\x{11DE9}\\x{16FF4}-\\x{16FF6}"
// The library's punctuation is that of Unicode 8: what came later, and what has
// become a sign since.
#define PUNCTUATION                                                            \
  "(?![\\x{61D}\\x{9FD}\\x{A76}\\x{C77}\\x{C84}\\x{1B4E}-\\x{1B4F}\\x{1B7D}-"  \
  "\\x{1B7F}\\x{2E43}-\\x{2E4F}\\x{2E52}-\\x{2E5D}\\x{10D6E}\\x{10EAD}"        \
  "\\x{10F55}-\\x{10F59}\\x{10F86}-\\x{10F89}\\x{113D4}-\\x{113D5}\\x{113D7}-" \
  "\\x{113D8}\\x{1144B}-\\x{1144F}\\x{1145A}-\\x{1145B}\\x{1145D}\\x{11660}-"  \
  "\\x{1166C}\\x{116B9}\\x{1183B}\\x{11944}-\\x{11946}\\x{119E2}\\x{11A3F}-"   \
  "\\x{11A46}\\x{11A9A}-\\x{11A9C}\\x{11A9E}-\\x{11AA2}\\x{11B00}-\\x{11B09}"  \
  "\\x{11BE1}\\x{11C41}-\\x{11C45}\\x{11C70}-\\x{11C71}\\x{11EF7}-\\x{11EF8}"  \
  "\\x{11F43}-\\x{11F4F}\\x{11FFF}\\x{12FF1}-\\x{12FF2}\\x{16D6D}-\\x{16D6F}"  \
  "\\x{16E97}-\\x{16E9A}\\x{16FE2}\\x{1E5FF}\\x{1E95E}-\\x{1E95F}])"           \
  "[!-/:-@\\[-`{-~\\p{P}\\x{166D}\\x{111C9}]"
// Of Chinese characters, as BERT has them.
#define HAN                                                                    \
  "\\x{4E00}-\\x{9FFF}\\x{3400}-\\x{4DBF}\\x{20000}-\\x{2A6DF}\\x{2A700}-"     \
  "\\x{2B73F}\\x{2B740}-\\x{2B81F}\\x{2B920}-\\x{2CEAF}\\x{F900}-\\x{FAFF}"    \
  "\\x{2F800}-\\x{2FA1F}"
// GPT-2's words, in Hugging Face's notation.
static constexpr std::string_view kGPT2 =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
    "\\s+(?!\\S)|\\s+";
static const std::string kMark = "\xE2\x96\x81"; // U+2581

namespace {
class StepReader {
public:
  Result<HuggingFaceSteps> read(const Json &tokenizer) {
    if (const Json *normalizer = member(tokenizer, "normalizer"))
      for (const Json *step : stepsOf(*normalizer, "normalizers"))
        if (!readNormalizer(*step) || hasTooMany())
          return std::move(error);
    out.normalizers = out.steps.size();
    if (const Json *pre = member(tokenizer, "pre_tokenizer"))
      for (const Json *step : stepsOf(*pre, "pretokenizers"))
        if (!readPreTokenizer(*step) || hasTooMany())
          return std::move(error);
    return std::move(out);
  }

private:
  bool hasTooMany() {
    return out.steps.size() > text::image::maxSteps &&
           !fail(unsupported("a tokenizer of so many steps"));
  }
  bool fail(Error why) {
    error = std::move(why);
    return false;
  }
  bool add(StepKind kind, uint32_t flags, std::string pattern,
           std::string content = {}) {
    out.steps.push_back({kind, flags, std::move(pattern), std::move(content)});
    return true;
  }
  bool split(std::string pattern, SplitBehavior behavior, uint32_t flags = 0) {
    return add(StepKind::Split, uint32_t(behavior) | flags, pattern);
  }

  /// A pattern of the file: {"Regex": ...} or {"String": ...}.
  bool readPattern(const Json &step, std::string &pattern, bool &isText,
                   bool mayBeEmpty) {
    const Json *value = member(step, "pattern");
    if (value && value->is_string())
      pattern = textOf(value), isText = true;
    else if (value && member(*value, "String"))
      pattern = textOf(member(*value, "String")), isText = true;
    else if (value && member(*value, "Regex"))
      pattern = textOf(member(*value, "Regex")), isText = false;
    if (pattern.empty())
      return fail(Error("step " + quoted(textOf(member(step, "type"))) +
                        ": expected a pattern"));
    if (isText)
      return true;
    std::string why;
    pattern = text::translatePattern(pattern, why);
    return !pattern.empty() && text::Pattern::compile(pattern, why, mayBeEmpty)
               ? true
               : fail(Error(why));
  }

  bool normalForm(bool isCompatibility, bool composes) {
    uint32_t hangul = composes ? 0 : text::Hangul;
    add(StepKind::MapCharacters, hangul, decompositionMap(isCompatibility));
    return add(StepKind::Compose, composes ? text::Hangul : 0,
               compositionTable(composes));
  }

  bool readNormalizer(const Json &step) {
    std::string type = textOf(member(step, "type"));
    if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD")
      return normalForm(type.size() == 4, type.back() == 'C');
    if (type == "Lowercase")
      return add(StepKind::MapCharacters, 0, lowercaseMap());
    if (type == "StripAccents")
      return add(StepKind::MapCharacters, 0, removeMarks(false));
    if (type == "Nmt")
      return add(StepKind::MapCharacters, 0, nmtMap());
    if (type == "BertNormalizer")
      return readBert(step);
    if (type == "Prepend")
      return add(StepKind::Prepend, 0, "", textOf(member(step, "prepend")));
    if (type == "Strip")
      return add(StepKind::Strip,
                 (isTrue(step, "strip_left") ? text::Left : 0u) |
                     (isTrue(step, "strip_right") ? text::Right : 0u),
                 "");
    if (type == "Replace") {
      std::string pattern, content = textOf(member(step, "content"));
      bool isText = false;
      if (!readPattern(step, pattern, isText, /*mayBeEmpty=*/false))
        return false;
      noteMark(pattern, content);
      return add(isText ? StepKind::Replace : StepKind::ReplacePattern, 0,
                 pattern, content);
    }
    if (type == "Precompiled")
      return readCharsmap(step);
    return fail(unsupported(
        "normalizer " + quoted(type) +
        " (supported: BertNormalizer, Lowercase, NFC, NFD, NFKC, NFKD, Nmt, "
        "Precompiled, Prepend, Replace, Sequence, Strip, StripAccents)"));
  }

  void noteMark(const std::string &pattern, const std::string &content) {
    out.marksSpaces |= pattern == " " && content == kMark;
  }

  bool readBert(const Json &step) {
    bool lowers = isTrueOrAbsent(step, "lowercase");
    if (isTrueOrAbsent(step, "clean_text"))
      add(StepKind::MapCharacters, 0, cleanMap());
    if (isTrueOrAbsent(step, "handle_chinese_chars"))
      add(StepKind::ReplacePattern, text::Around | text::OldUnicode,
          "[" HAN "]", " ");
    if (member(step, "strip_accents") ? isTrue(step, "strip_accents")
                                      : lowers) {
      normalForm(false, false);
      add(StepKind::MapCharacters, 0, removeMarks(true));
    }
    if (lowers)
      add(StepKind::MapCharacters, 0, lowercaseMap());
    return true;
  }

  bool readCharsmap(const Json &step) {
    std::string map, text = textOf(member(step, "precompiled_charsmap"));
    uint32_t bits = 0, count = 0;
    for (char c : text) {
      static constexpr std::string_view digits =
          "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
      size_t digit = digits.find(c);
      if (c == '=')
        break;
      if (digit == std::string_view::npos)
        return fail(Error("precompiled_charsmap: expected base64"));
      bits = bits << 6 | uint32_t(digit);
      if ((count += 6) >= 8)
        map += char(bits >> (count -= 8) & 0xFF);
    }
    if (map.empty()) // a map of nothing
      return true;
    std::string out, why;
    if (!text::applyCharsmap(map, nullptr, "a", SIZE_MAX, out, why))
      return fail(Error("precompiled_charsmap: expected a trie and texts"));
    return add(StepKind::Charsmap, text::Graphemes, std::move(map));
  }

  bool readBehavior(const Json &step, SplitBehavior fallback,
                    SplitBehavior &behavior) {
    static constexpr const char *names[] = {"Isolated", "Removed",
                                            "MergedWithPrevious",
                                            "MergedWithNext", "Contiguous"};
    behavior = fallback;
    std::string name = textOf(member(step, "behavior"));
    if (name.empty())
      return true;
    for (uint32_t i = 0; i < std::size(names); ++i)
      if (name == names[i]) {
        behavior = SplitBehavior(i);
        return true;
      }
    return fail(unsupported("behavior " + quoted(name)));
  }

  bool readPreTokenizer(const Json &step) {
    std::string type = textOf(member(step, "type"));
    if (out.isByteLevel) {
      // What follows sees characters that stand for bytes.
      out.isByteLevel = false;
      out.hasEncodedBytes = true;
      add(StepKind::EncodeBytes, 0, "");
    }
    SplitBehavior behavior;
    if (type == "ByteLevel") {
      if (out.hasEncodedBytes)
        return fail(unsupported("pre_tokenizer 'ByteLevel' twice"));
      out.isByteLevel = true;
      if (isTrueOrAbsent(step, "add_prefix_space"))
        add(StepKind::Prepend, text::UnlessPresent, "", " ");
      std::string why;
      return !isTrueOrAbsent(step, "use_regex") ||
             split(text::translatePattern(kGPT2, why), SplitBehavior::Isolated);
    }
    if (type == "Digits")
      return split("[" NUMBER "]", isTrue(step, "individual_digits")
                                       ? SplitBehavior::Isolated
                                       : SplitBehavior::Contiguous);
    if (type == "Punctuation")
      return readBehavior(step, SplitBehavior::Isolated, behavior) &&
             split(PUNCTUATION, behavior, text::OldUnicode);
    if (type == "Whitespace")
      return split("[" WORD "]+|[^" SPACE WORD "]+", SplitBehavior::Removed,
                   text::Invert);
    if (type == "WhitespaceSplit")
      return split("[" SPACE "]", SplitBehavior::Removed);
    if (type == "BertPreTokenizer")
      return split("[" SPACE "]", SplitBehavior::Removed) &&
             split(PUNCTUATION, SplitBehavior::Isolated, text::OldUnicode);
    if (type == "Metaspace")
      return readMetaspace(step);
    std::string pattern, why;
    bool isText = false;
    if (type == "CharDelimiterSplit")
      return split(
          text::translatePattern(
              text::escapePattern(textOf(member(step, "delimiter"))), why),
          SplitBehavior::Removed);
    if (type == "Split") {
      if (!readBehavior(step, SplitBehavior::Isolated, behavior) ||
          !readPattern(step, pattern, isText, /*mayBeEmpty=*/true))
        return false;
      if (isText)
        pattern = text::translatePattern(text::escapePattern(pattern), why);
      return split(pattern, behavior,
                   isTrue(step, "invert") ? text::Invert : 0u);
    }
    return fail(unsupported(
        "pre_tokenizer " + quoted(type) +
        " (supported: BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits, "
        "Metaspace, Punctuation, Sequence, Split, Whitespace, "
        "WhitespaceSplit)"));
  }

  bool readMetaspace(const Json &step) {
    std::string mark = textOf(member(step, "replacement"));
    std::string scheme = textOf(member(step, "prepend_scheme"));
    if (scheme.empty()) // as older versions write it
      scheme = isTrueOrAbsent(step, "add_prefix_space") ? "always" : "never";
    if (mark.empty())
      return fail(Error("pre_tokenizer 'Metaspace': expected a replacement"));
    if (scheme != "always" && scheme != "first" && scheme != "never")
      return fail(unsupported("prepend_scheme " + quoted(scheme)));
    noteMark(" ", mark);
    add(StepKind::Replace, 0, " ", mark);
    if (scheme != "never")
      add(StepKind::Prepend,
          text::UnlessPresent | (scheme == "first" ? text::OnlyFirst : 0u), "",
          mark);
    std::string why;
    return !isTrueOrAbsent(step, "split") ||
           split(text::translatePattern(text::escapePattern(mark), why),
                 SplitBehavior::MergedWithNext);
  }

  HuggingFaceSteps out;
  Error error;
};
} // namespace

Result<HuggingFaceSteps> qcc::readHuggingFaceSteps(const Json &tokenizer) {
  return StepReader().read(tokenizer);
}
