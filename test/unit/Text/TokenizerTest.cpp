//===- TokenizerTest.cpp - Text to token ids and back ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "SmallVocabulary.h"

#include <pthread.h>

using namespace qcc::text;
using Ids = std::vector<int32_t>;

TEST(BpeTest, MergesByRankInsideOfWords) {
  BuiltTokenizer t(smallBpe());
  ASSERT_TRUE(t.tokenizer) << t.error;
  EXPECT_EQ(t.ids("abc"), Ids({257}));
  EXPECT_EQ(t.ids("bc"), Ids({259}));
  EXPECT_EQ(t.ids("ab abc"), Ids({256, ' ', 257}));
  EXPECT_EQ(t.ids("b a"), Ids({'b', 258}));
  EXPECT_EQ(t.ids("aabbcc"), Ids({'a', 256, 259, 'c'}));
  EXPECT_EQ(t.ids(""), Ids());
}

TEST(BpeTest, InvalidBytesAreReplacementCharacters) {
  BuiltTokenizer t(smallBpe());
  EXPECT_EQ(t.ids("\xFF"), Ids({0xEF, 0xBF, 0xBD}));
  EXPECT_EQ(t.ids("\xE2\x96"), Ids({0xEF, 0xBF, 0xBD, 0xEF, 0xBF, 0xBD}));
}

TEST(BpeTest, WholeWordsFirstWhereThePreTokenizerSaysSo) {
  TokenizerSpec spec = smallBpe();
  spec.pre = "llama-bpe";
  spec.merges = {"b c"}; // "abc" cannot be reached by merging
  BuiltTokenizer t(spec);
  EXPECT_EQ(t.ids("abc"), Ids({257}));
  EXPECT_EQ(t.ids("abcc"), Ids({'a', 259, 'c'}));
  EXPECT_TRUE(t.tokenizer->addsBos());
}

TEST(BpeTest, SpecialTokens) {
  BuiltTokenizer t(smallBpe());
  // Control tokens only when asked for, user-defined ones always.
  EXPECT_EQ(t.ids("a<|im_end|><b>", false, true), Ids({'a', 261, 262}));
  EXPECT_EQ(t.ids("<b>"), Ids({262}));
  EXPECT_EQ(t.ids("<|im_end|>").size(), 10u);
  EXPECT_TRUE(t.tokenizer->isEndOfGeneration(261));
  EXPECT_FALSE(t.tokenizer->isEndOfGeneration(260));
  EXPECT_FALSE(t.tokenizer->isEndOfGeneration(-1));
  EXPECT_FALSE(t.tokenizer->isEndOfGeneration(100000));
  EXPECT_EQ(t.tokenizer->piece(261, false), "");
  EXPECT_EQ(t.tokenizer->piece(261, true), "<|im_end|>");
  EXPECT_EQ(t.tokenizer->piece(262, false), "<b>");
  EXPECT_EQ(t.tokenizer->piece(-5, true), "");
  EXPECT_EQ(t.tokenizer->find("<|im_end|>"), 261);
  EXPECT_EQ(t.tokenizer->find("abc"), 257);
  EXPECT_EQ(t.tokenizer->find("nothing"), -1);
}

TEST(BpeTest, EveryByteComesBack) {
  BuiltTokenizer t(smallBpe());
  std::string text;
  for (int c = 1; c < 128; ++c)
    text += static_cast<char>(c);
  text += "\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x99\x82";
  EXPECT_EQ(t.tokenizer->detokenize(t.ids(text), false), text);
}

TEST(SpmTest, HighestScoreFirst) {
  BuiltTokenizer t(smallSpm());
  ASSERT_TRUE(t.tokenizer) << t.error;
  // "_a" scores best, so "ab" is not joined first; then "_a" + "b".
  EXPECT_EQ(t.ids("ab"), Ids({264}));
  EXPECT_EQ(t.ids("ab", true), Ids({1, 264}));
  EXPECT_EQ(t.ids("bab"), Ids({259, 261, 263}));
}

TEST(SpmTest, UnknownCharactersFallBackToBytes) {
  BuiltTokenizer t(smallSpm());
  EXPECT_EQ(t.ids("a\xC3\xA9"), Ids({262, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(t.ids("a\xFF"), Ids({262, 3 + 0xFF}));
  EXPECT_EQ(t.tokenizer->detokenize(t.ids("a\xC3\xA9\xFF"), false),
            "a\xC3\xA9\xFF");
}

TEST(SpmTest, SpacePrefix) {
  TokenizerSpec spec = smallSpm();
  BuiltTokenizer with(spec);
  // A space before the text and after each special token.
  EXPECT_EQ(with.ids("a</s>a", false, true), Ids({262, 2, 262}));
  EXPECT_EQ(with.ids("a\n\na"), Ids({262, 265, 262}));
  EXPECT_EQ(with.ids(""), Ids());
  spec.addSpacePrefix = false;
  BuiltTokenizer without(spec);
  EXPECT_EQ(without.ids("a</s>a", false, true), Ids({260, 2, 260}));
  EXPECT_EQ(without.tokenizer->detokenize(without.ids(" a"), false), " a");
}

TEST(SpmTest, TextNeverBecomesAControlToken) {
  TokenizerSpec spec = smallSpm();
  for (const char *piece : {"<", "s>"}) {
    spec.tokens.push_back(piece);
    spec.types.push_back(1);
    spec.scores.push_back(-5);
  }
  spec.addSpacePrefix = false;
  BuiltTokenizer t(spec);
  // "<" + "s>" spells <s>, which may only be read where it is asked for. (The
  // letter s has no token: its byte.)
  for (int32_t id : t.ids("<s>"))
    EXPECT_NE(id, 1);
  EXPECT_EQ(t.ids("<s>", false, true), Ids({1}));
}

TEST(SpmTest, UnusedTokensAreTakenApart) {
  TokenizerSpec spec = smallSpm();
  spec.addSpacePrefix = false;
  spec.types[263] = 5; // "ab"
  BuiltTokenizer t(spec);
  EXPECT_EQ(t.ids("ab"), Ids({260, 261}));
}

namespace {
/// Runs of one unit, a megabyte each, through both kinds of tokenizer.
void *tokenizeRuns(void *) {
  for (const TokenizerSpec &spec : {smallBpe(), smallSpm()})
    for (const char *unit :
         {"a", "ab", " ", "\n", "1", "\xE4\xB8\xAD", "\xFF"}) {
      BuiltTokenizer t(spec);
      std::string text;
      while (text.size() < (1u << 20))
        text += unit;
      EXPECT_FALSE(t.ids(text).empty());
    }
  return nullptr;
}
} // namespace

// Other implementations recurse once for each character. A quadratic step would
// take hours on these.
TEST(TokenizerTest, MegabyteRunsAreLinearAndNeedLittleStack) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 64 * 1024), 0);
  pthread_t thread;
  ASSERT_EQ(pthread_create(&thread, &attributes, tokenizeRuns, nullptr), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}
