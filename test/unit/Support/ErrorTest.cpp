//===- ErrorTest.cpp - Tests of errors as values --------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Support/Error.h"
#include <gtest/gtest.h>
#include <memory>

using namespace qcc;

namespace {

TEST(Error, DefaultIsSuccess) {
  EXPECT_FALSE(Error());
  Error error("x: broken");
  ASSERT_TRUE(error);
  EXPECT_EQ(error.message(), "x: broken");
}

TEST(Error, MismatchSaysBothSides) {
  EXPECT_EQ(mismatchError("a.gguf: version", "2 or 3", "7").message(),
            "a.gguf: version: expected 2 or 3, got 7");
}

Result<std::unique_ptr<int>> make(bool good) {
  if (!good)
    return Error("no value");
  return std::make_unique<int>(42);
}

TEST(Result, HoldsMoveOnlyValues) {
  Result<std::unique_ptr<int>> result = make(true);
  ASSERT_TRUE(result);
  std::unique_ptr<int> value = std::move(*result);
  EXPECT_EQ(*value, 42);
}

TEST(Result, HandsItsErrorOn) {
  Result<std::unique_ptr<int>> result = make(false);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.message(), "no value");
  Result<int> other = result.takeError();
  EXPECT_EQ(other.message(), "no value");
}

TEST(Quoted, KeepsUTF8AndEscapesTheRest) {
  EXPECT_EQ(quoted("blk.0"), "'blk.0'");
  EXPECT_EQ(quoted("\xc3\xa9\xe2\x96\x81"), "'\xc3\xa9\xe2\x96\x81'");
  EXPECT_EQ(quoted("a\x1b[2J\n"), "'a\\x1b[2J\\x0a'");
  EXPECT_EQ(quoted(std::string_view("\0\x7f", 2)), "'\\x00\\x7f'");
  EXPECT_EQ(quoted("\xff\xc3"), "'\\xff\\xc3'");
  // U+009B starts a terminal sequence like ESC [.
  EXPECT_EQ(quoted("\xc2\x9b"), "'\\xc2\\x9b'");
}

TEST(Quoted, CutsLongText) {
  std::string text = quoted(std::string(1000, 'x'));
  EXPECT_EQ(text, "'" + std::string(80, 'x') + "...'");
}

} // namespace
