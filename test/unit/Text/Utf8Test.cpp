//===- Utf8Test.cpp - Strict UTF-8 ----------------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "text/Utf8.h"

#include "gtest/gtest.h"

using namespace qcc::text;

TEST(Utf8Test, EveryScalarValueRoundTrips) {
  for (uint32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c < 0xE000)
      continue;
    std::string text;
    appendUtf8(text, c);
    uint32_t decoded = 0;
    ASSERT_EQ(decodeUtf8(text, 0, decoded), text.size());
    ASSERT_EQ(decoded, c);
  }
}

TEST(Utf8Test, RefusesWhatIsNotWellFormed) {
  for (const char *text :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF",
        "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3", "\xC3x",
        "\xE4\xB8", "\xE4\xB8x", "\xF0\x9F\x99"})
    EXPECT_FALSE(isValidUtf8(text)) << text;
  EXPECT_TRUE(isValidUtf8("a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x99\x82"));
  EXPECT_EQ(replaceInvalidUtf8("a\xFF\xC3"), "a\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Utf8Test, TellsUnfinishedFromMalformed) {
  bool incomplete = false;
  EXPECT_EQ(malformedUtf8("\xF0\x9F\x99", 0, incomplete), 3u);
  EXPECT_TRUE(incomplete);
  EXPECT_EQ(malformedUtf8("\xF0\x9Fx", 0, incomplete), 2u);
  EXPECT_FALSE(incomplete);
  EXPECT_EQ(malformedUtf8("\xED\xA0\x80", 0, incomplete), 1u);
  EXPECT_FALSE(incomplete);
}
