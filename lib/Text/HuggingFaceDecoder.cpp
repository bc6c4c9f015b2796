//===- HuggingFaceDecoder.cpp - What tokens stand for in an answer --------===//
// SPDX-License-Identifier: Apache-2.0
//
// A decoder works on a list of tokens. All that models use can be done once
// for each token, when the model is compiled, but for a space at the start.
//===----------------------------------------------------------------------===//

#include <charconv>
#include <optional>
#include "HuggingFacePipeline.h"

using namespace qcc;
using text::TokenizerSpec;
using Drop = TokenizerSpec::DropSpace;

/// How much longer than a token its text may become; none is known that does.
static constexpr size_t kMostGrowth = 64;

/// The corrections that WordPiece makes to each token with its space.
static std::string cleanUp(std::string text) {
  static constexpr const char *rules[][2] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (auto [from, to] : rules)
    text = replaced(std::move(text), from, to);
  return text;
}

namespace {
class DecoderReader {
public:
  explicit DecoderReader(TokenizerSpec &spec)
      : spec(spec), texts(spec.tokens) {}

  Error read(const Json *decoder) {
    std::vector<const Json *> steps;
    if (decoder)
      steps = stepsOf(*decoder, "decoders");
    else
      each([](std::string text) { return " " + text; }, Drop::One);
    for (const Json *step : steps) {
      if (Error error = readStep(*step))
        return error;
      if (grown)
        return unsupported("a decoder that lets token " +
                           std::to_string(*grown) + " grow so much");
    }
    spec.texts = std::move(texts);
    spec.dropSpace = drop;
    return Error();
  }

private:
  template <typename Function>
  void each(Function change, Drop dropped = Drop::None) {
    for (size_t i = 0; i < texts.size(); ++i) {
      texts[i] = change(std::move(texts[i]));
      if (texts[i].size() > kMostGrowth * spec.tokens[i].size() + 1024)
        grown = i;
    }
    if (dropped != Drop::None)
      drop = dropped;
  }

  Error readStep(const Json &step) {
    std::string type = textOf(member(step, "type"));
    if (type == "Fuse") {
      isFused = true;
    } else if (isFused && type != "Strip") {
      return unsupported("decoder " + quoted(type) + " after 'Fuse'");
    } else if (type == "ByteLevel") {
      each([](std::string text) { return text::decodeBytes(text); });
    } else if (type == "ByteFallback") {
      for (size_t i = 0; i < texts.size(); ++i)
        if (spec.types[i] == int32_t(text::TokenType::Byte)) {
          const std::string &name = spec.tokens[i]; // "<0xNN>"
          uint8_t byte = 0;
          if (name.size() == 6)
            std::from_chars(name.data() + 3, name.data() + 5, byte, 16);
          texts[i].assign(1, char(byte));
        }
    } else if (type == "Replace") {
      const Json *pattern = member(step, "pattern");
      std::string from =
          textOf(pattern && pattern->is_object() ? member(*pattern, "String")
                                                 : pattern);
      std::string to = textOf(member(step, "content"));
      if (to.size() > kMostGrowth)
        return unsupported("decoder 'Replace' with so long a content");
      if (from.empty())
        return unsupported("decoder 'Replace' with a regular expression");
      each([&](std::string text) { return replaced(text, from, to); });
    } else if (type == "Metaspace") {
      std::string mark = textOf(member(step, "replacement"));
      std::string scheme = textOf(member(step, "prepend_scheme"));
      bool drops = scheme.empty() ? isTrueOrAbsent(step, "add_prefix_space")
                                  : scheme != "never";
      each([&](std::string text) { return replaced(text, mark, " "); },
           drops ? Drop::All : Drop::None);
    } else if (type == "WordPiece") {
      std::string prefix = textOf(member(step, "prefix"));
      bool cleans = isTrueOrAbsent(step, "cleanup");
      each(
          [&](std::string text) {
            text = text.starts_with(prefix) ? text.substr(prefix.size())
                                            : " " + text;
            return cleans ? cleanUp(std::move(text)) : text;
          },
          Drop::One);
    } else if (type == "Strip") {
      return readStrip(step);
    } else {
      return unsupported("decoder " + quoted(type) +
                         " (supported: ByteFallback, ByteLevel, Fuse, "
                         "Metaspace, Replace, Sequence, Strip, WordPiece)");
    }
    return Error();
  }

  /// Only a space at the start of the whole text can be dropped.
  Error readStrip(const Json &step) {
    auto number = [&](const char *key) {
      const Json *value = member(step, key);
      return value && value->is_number_unsigned() ? value->get<uint64_t>() : 0;
    };
    if (!isFused || textOf(member(step, "content")) != " " ||
        number("start") > 1 || number("stop") != 0)
      return unsupported("decoder 'Strip' of other than one space at the "
                         "start, after 'Fuse',");
    if (number("start") == 1)
      drop = Drop::One;
    return Error();
  }

  TokenizerSpec &spec;
  std::vector<std::string> texts;
  Drop drop = Drop::None;
  bool isFused = false;
  std::optional<size_t> grown; ///< A token that became too long.
};
} // namespace

Error qcc::readHuggingFaceDecoder(const Json &tokenizer,
                                  const HuggingFaceSteps &steps,
                                  TokenizerSpec &spec) {
  const Json *decoder = member(tokenizer, "decoder");
  // The texts are then those that byte-level BPE has anyway.
  bool isPlain = steps.isByteLevel && decoder &&
                 textOf(member(*decoder, "type")) == "ByteLevel";
  return isPlain ? Error() : DecoderReader(spec).read(decoder);
}
