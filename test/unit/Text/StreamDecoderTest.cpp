//===- StreamDecoderTest.cpp - Text as tokens arrive ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "SmallVocabulary.h"

using namespace qcc::text;

static std::string pushAll(StreamDecoder &decoder,
                           const std::vector<int32_t> &ids) {
  std::string out;
  for (int32_t id : ids)
    decoder.push(id, out);
  return out;
}

TEST(StreamDecoderTest, HoldsBackUnfinishedCharacters) {
  BuiltTokenizer t(smallBpe());
  StreamDecoder decoder(*t.tokenizer);
  EXPECT_EQ(pushAll(decoder, {'a', 0xF0, 0x9F, 0x99}), "a");
  EXPECT_EQ(pushAll(decoder, {0x82}), "\xF0\x9F\x99\x82");
  EXPECT_EQ(pushAll(decoder, {0xC3}), "");
  EXPECT_EQ(pushAll(decoder, {'x'}), "\xEF\xBF\xBDx");
  EXPECT_EQ(pushAll(decoder, {0xE4, 0xB8}), "");
  std::string out;
  decoder.finish(out);
  EXPECT_EQ(out, "\xEF\xBF\xBD");
  decoder.finish(out);
  EXPECT_EQ(out, "\xEF\xBF\xBD");
}

TEST(StreamDecoderTest, ControlTokensAreSilentUnlessAskedFor) {
  BuiltTokenizer t(smallBpe());
  StreamDecoder silent(*t.tokenizer), loud(*t.tokenizer, true);
  EXPECT_EQ(pushAll(silent, {'a', 261, 'b'}), "ab");
  EXPECT_EQ(pushAll(loud, {'a', 261, 'b'}), "a<|im_end|>b");
}

TEST(StreamDecoderTest, DropsTheSpacePrefixOnlyAtTheStart) {
  BuiltTokenizer t(smallSpm());
  StreamDecoder start(*t.tokenizer, false, true), rest(*t.tokenizer);
  EXPECT_EQ(pushAll(start, {1, 262, 262}), "a a");
  EXPECT_EQ(pushAll(rest, {262, 262}), " a a");
}
