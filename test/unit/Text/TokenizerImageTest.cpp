//===- TokenizerImageTest.cpp - Building and opening images ---------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "SmallVocabulary.h"

#include <cstring>
#include <random>

using namespace qcc::text;

static std::string buildError(const TokenizerSpec &spec) {
  std::string error;
  EXPECT_TRUE(buildTokenizerImage(spec, error).empty());
  return error;
}

TEST(TokenizerBuildTest, SameInputSameImage) {
  std::string error;
  EXPECT_EQ(buildTokenizerImage(smallBpe(), error),
            buildTokenizerImage(smallBpe(), error));
}

TEST(TokenizerBuildTest, EachMistakeIsNamed) {
  TokenizerSpec spec = smallBpe();
  spec.tokens.clear();
  EXPECT_EQ(buildError(spec),
            "the tokenizer has 0 tokens, expected 1 to 2147483647");
  spec = smallBpe();
  spec.types.pop_back();
  EXPECT_EQ(buildError(spec),
            "the tokenizer has 262 token types for 263 tokens");
  spec = smallBpe();
  spec.types[7] = 9;
  EXPECT_EQ(buildError(spec), "the type of token 7 is 9, expected 1 to 6");
  spec = smallBpe();
  spec.eos = 263;
  EXPECT_EQ(buildError(spec),
            "eos token id is 263, expected less than the vocabulary size 263");
  spec = smallBpe();
  spec.stopIds = {-2};
  EXPECT_EQ(buildError(spec),
            "stop token id is -2, expected less than the vocabulary size 263");
  spec = smallBpe();
  spec.pre = "gpt-3";
  EXPECT_EQ(buildError(spec).rfind(
                "unsupported pre-tokenizer 'gpt-3', supported: gpt-2, ", 0),
            0u);
  spec = smallBpe();
  spec.merges.push_back("ab");
  EXPECT_EQ(buildError(spec),
            "merge 4 is 'ab', expected two tokens with a space between");
  spec.merges.back() = "ab zz";
  EXPECT_EQ(buildError(spec),
            "merge 4 ('ab zz') needs 'zz', which is no token");
  spec = smallBpe();
  spec.bos = -1;
  spec.addBos = true;
  EXPECT_EQ(buildError(spec), "the tokenizer adds a bos token but names none");
  spec = smallSpm();
  spec.scores.pop_back();
  EXPECT_EQ(buildError(spec), "the tokenizer has 265 scores for 266 tokens");
  spec = smallSpm();
  spec.scores[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(buildError(spec), "the score of token 3 is not a number");
  for (const char *text : {"<0x-1>", "<0xG0>", "<0x0A", "0x0A", "<0x00A>"}) {
    spec = smallSpm();
    spec.tokens[13] = text;
    EXPECT_EQ(buildError(spec), "byte token 13 is '" + std::string(text) +
                                    "', expected <0x00> to <0xFF>");
  }
}

TEST(TokenizerBuildTest, EndTokensByName) {
  TokenizerSpec spec = smallBpe();
  // HTML in a vocabulary ends nothing unless it is a control token.
  spec.tokens.push_back("</s>");
  spec.types.push_back(4);
  spec.tokens.push_back("<|endoftext|>");
  spec.types.push_back(1);
  spec.stopIds = {5};
  BuiltTokenizer t(spec);
  EXPECT_FALSE(t.tokenizer->isEndOfGeneration(263));
  EXPECT_TRUE(t.tokenizer->isEndOfGeneration(264));
  EXPECT_TRUE(t.tokenizer->isControl(264));
  EXPECT_TRUE(t.tokenizer->isEndOfGeneration(5));
  EXPECT_EQ(t.tokenizer->eot(), 261);
}

TEST(TokenizerOpenTest, EachTruncationFails) {
  BuiltTokenizer t(smallSpm());
  for (size_t size = 0; size < t.image.size(); size += size < 256 ? 1 : 61) {
    std::string error;
    EXPECT_FALSE(Tokenizer::open(t.image.data(), size, error));
    EXPECT_FALSE(error.empty());
  }
}

TEST(TokenizerOpenTest, OtherVersionsAndSizesFail) {
  for (size_t offset : {0, 8, 12, 16}) {
    BuiltTokenizer t(smallBpe());
    t.image[offset] ^= 1;
    std::string error;
    EXPECT_FALSE(Tokenizer::open(t.image.data(), t.image.size(), error));
  }
  std::string error;
  EXPECT_FALSE(Tokenizer::open(nullptr, 0, error));
}

// Contents are checked where they are used: whatever is in an image, nothing
// outside of it is touched (watch this under AddressSanitizer).
TEST(TokenizerOpenTest, DamagedImagesDoNoHarm) {
  std::mt19937 random(1);
  for (const TokenizerSpec &spec : {smallBpe(), smallSpm()}) {
    std::string error;
    const std::vector<uint8_t> good = buildTokenizerImage(spec, error);
    for (int round = 0; round < 3000; ++round) {
      std::vector<uint8_t> image = good;
      size_t from = round % 2 ? sizeof(image::Header) : 24;
      for (int i = 0; i < 8; ++i)
        image[from + random() % (image.size() - from)] =
            static_cast<uint8_t>(random());
      auto tokenizer = Tokenizer::open(image.data(), image.size(), error);
      if (!tokenizer)
        continue;
      std::vector<int32_t> ids;
      tokenizer->tokenize("ab abc<|im_end|><b>\n\n\xFF", true, true, ids,
                          error);
      tokenizer->detokenize(ids, true);
      tokenizer->find("<|im_start|>");
    }
  }
}
