//===- SmallVocabulary.h - Vocabularies of the tokenizer tests --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef TEST_UNIT_TEXT_SMALLVOCABULARY_H
#define TEST_UNIT_TEXT_SMALLVOCABULARY_H

#include "text/Tokenizer.h"

#include "gtest/gtest.h"

namespace qcc::text {

/// Every byte, a few merges, two control tokens and a user-defined one.
inline TokenizerSpec smallBpe() {
  TokenizerSpec spec;
  spec.model = TokenizerSpec::Model::Bpe;
  spec.pre = "gpt-2";
  // GPT-2's characters for the bytes, in the order of the bytes.
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    bool printable = (byte >= 33 && byte <= 126) ||
                     (byte >= 161 && byte <= 172) || byte >= 174;
    int c = printable ? byte : next++;
    std::string text;
    if (c < 0x80) {
      text += static_cast<char>(c);
    } else {
      text += static_cast<char>(0xC0 | c >> 6);
      text += static_cast<char>(0x80 | (c & 0x3F));
    }
    spec.tokens.push_back(text);
  }
  for (const char *token : {"ab", "abc",
                            "\xC4\xA0"
                            "a",
                            "bc"}) // 256 to 259
    spec.tokens.push_back(token);
  spec.merges = {"a b", "ab c", "\xC4\xA0 a", "b c"};
  spec.types.assign(spec.tokens.size(), 1);
  for (const char *token : {"<|im_start|>", "<|im_end|>"}) { // 260, 261
    spec.tokens.push_back(token);
    spec.types.push_back(3);
  }
  spec.tokens.push_back("<b>"); // 262
  spec.types.push_back(4);
  spec.bos = 260;
  spec.eos = 261;
  return spec;
}

/// <unk> <s> </s>, the bytes (3 to 258), then pieces.
inline TokenizerSpec smallSpm() {
  TokenizerSpec spec;
  spec.model = TokenizerSpec::Model::Spm;
  auto add = [&](std::string token, int type, float score) {
    spec.tokens.push_back(std::move(token));
    spec.types.push_back(type);
    spec.scores.push_back(score);
  };
  add("<unk>", 2, 0);
  add("<s>", 3, 0);
  add("</s>", 3, 0);
  static const char hex[] = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte)
    add(std::string("<0x") + hex[byte >> 4] + hex[byte & 15] + ">", 6, 0);
  add("\xE2\x96\x81", 1, -10); // 259
  add("a", 1, -11);            // 260
  add("b", 1, -12);            // 261
  add("\xE2\x96\x81"
      "a",
      1, -1);       // 262
  add("ab", 1, -2); // 263
  add("\xE2\x96\x81"
      "ab",
      1, -3);        // 264
  add("\n\n", 4, 0); // 265
  spec.unk = 0;
  spec.bos = 1;
  spec.eos = 2;
  return spec;
}

/// An image and a tokenizer that works on it.
struct BuiltTokenizer {
  explicit BuiltTokenizer(const TokenizerSpec &spec) {
    image = buildTokenizerImage(spec, error);
    if (!image.empty())
      tokenizer = Tokenizer::open(image.data(), image.size(), error);
  }
  std::vector<int32_t> ids(std::string_view text, bool addSpecial = false,
                           bool parseSpecial = false) {
    std::vector<int32_t> out;
    EXPECT_TRUE(tokenizer->tokenize(text, addSpecial, parseSpecial, out, error))
        << error;
    return out;
  }
  std::vector<uint8_t> image;
  std::unique_ptr<Tokenizer> tokenizer;
  std::string error;
};

} // namespace qcc::text

#endif // TEST_UNIT_TEXT_SMALLVOCABULARY_H
