//===- UTF8Test.cpp - Tests of UTF-8 validation ---------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Support/UTF8.h"
#include <cstdint>
#include <gtest/gtest.h>
#include <string>

using namespace qcc;

namespace {

std::string encode(uint32_t c) {
  auto byte = [](uint32_t v) { return char(uint8_t(v)); };
  if (c < 0x80)
    return {byte(c)};
  if (c < 0x800)
    return {byte(0xc0 | c >> 6), byte(0x80 | (c & 63))};
  if (c < 0x10000)
    return {byte(0xe0 | c >> 12), byte(0x80 | (c >> 6 & 63)),
            byte(0x80 | (c & 63))};
  return {byte(0xf0 | c >> 18), byte(0x80 | (c >> 12 & 63)),
          byte(0x80 | (c >> 6 & 63)), byte(0x80 | (c & 63))};
}

TEST(UTF8, EveryCodePoint) {
  for (uint32_t c = 0; c < 0x110000; ++c) {
    bool surrogate = c >= 0xd800 && c < 0xe000;
    std::string text = encode(c);
    ASSERT_EQ(utf8SequenceLength(text), surrogate ? 0 : text.size()) << c;
  }
  EXPECT_FALSE(isValidUTF8(encode(0x110000)));
}

// Every text of two and three bytes is well formed exactly when it is made of
// encoded code points.
TEST(UTF8, OnlyEncodedCodePoints) {
  size_t valid = 0;
  for (uint32_t i = 0; i < 1 << 24; ++i) {
    char text[] = {char(i), char(i >> 8), char(i >> 16)};
    valid += isValidUTF8({text, 3});
  }
  size_t one = 0x80, two = 0x800 - 0x80, three = 0x10000 - 0x800 - 0x800;
  EXPECT_EQ(valid, one * one * one + 2 * one * two + three);
}

TEST(UTF8, Truncated) {
  std::string text = encode(0x1f600);
  for (size_t length = 1; length < text.size(); ++length)
    EXPECT_FALSE(isValidUTF8(text.substr(0, length)));
  EXPECT_TRUE(isValidUTF8(""));
  EXPECT_EQ(utf8SequenceLength(""), 0u);
}

} // namespace
