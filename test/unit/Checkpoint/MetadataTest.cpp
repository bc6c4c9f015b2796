//===- MetadataTest.cpp - Tests of typed metadata -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include "GGUFBuilder.h"

using namespace qcc;

namespace {

class MetadataTest : public testing::Test {
protected:
  std::vector<uint8_t> bytes = richFile().build();
  Checkpoint checkpoint = std::move(*parseExactly(bytes));

  template <typename T>
  T get(std::string_view key) {
    Result<T> result = checkpoint.get<T>(key);
    EXPECT_TRUE(result) << result.message();
    return result ? *result : T();
  }
  template <typename T>
  std::string error(std::string_view key) {
    Result<T> result = checkpoint.get<T>(key);
    EXPECT_FALSE(result) << key;
    return result ? "" : result.message();
  }
};

TEST_F(MetadataTest, ReadsEachType) {
  EXPECT_EQ(get<uint8_t>("u8"), 200);
  EXPECT_EQ(get<int8_t>("i8"), -100);
  EXPECT_EQ(get<uint16_t>("u16"), 60000);
  EXPECT_EQ(get<int16_t>("i16"), -30000);
  EXPECT_EQ(get<uint32_t>("u32"), 4000000000u);
  EXPECT_EQ(get<int32_t>("i32"), -2000000000);
  EXPECT_EQ(get<float>("f32"), 1e-5f);
  EXPECT_EQ(get<bool>("bool"), true);
  EXPECT_EQ(get<uint64_t>("u64"), 18000000000000000000u);
  EXPECT_EQ(get<int64_t>("i64"), -9000000000000000000);
  EXPECT_EQ(get<double>("f64"), 1e300);
  EXPECT_EQ(get<std::string_view>("general.architecture"), "llama");
  EXPECT_EQ(get<std::string>("empty"), "");
}

TEST_F(MetadataTest, ConvertsWhatFits) {
  EXPECT_EQ(get<uint32_t>("u8"), 200u);
  EXPECT_EQ(get<int64_t>("u32"), 4000000000);
  EXPECT_EQ(get<uint64_t>("u16"), 60000u);
  EXPECT_EQ(get<float>("i16"), -30000.0f);
  EXPECT_EQ(get<double>("f32"), double(1e-5f));
  EXPECT_EQ(get<double>("u64"), 18000000000000000000.0);
  EXPECT_EQ(get<float>("u32"), 4000000000.0f);
}

TEST_F(MetadataTest, RefusesWhatDoesNotFit) {
  EXPECT_EQ(error<int8_t>("u8"), "file: key 'u8': expected i8, got 200 (u8)");
  EXPECT_EQ(error<uint32_t>("i8"),
            "file: key 'i8': expected u32, got -100 (i8)");
  EXPECT_EQ(error<int32_t>("u32"),
            "file: key 'u32': expected i32, got 4000000000 (u32)");
  EXPECT_EQ(error<int64_t>("u64"),
            "file: key 'u64': expected i64, got 18000000000000000000 (u64)");
  EXPECT_EQ(error<float>("f64"),
            "file: key 'f64': expected f32, got 1e+300 (f64)");
  // Integers never come from floats, bools or strings.
  EXPECT_EQ(error<uint32_t>("f32"),
            "file: key 'f32': expected u32, got 1e-05 (f32)");
  EXPECT_EQ(error<uint32_t>("bool"),
            "file: key 'bool': expected u32, got bool");
  EXPECT_EQ(error<uint32_t>("empty"),
            "file: key 'empty': expected u32, got string");
  EXPECT_EQ(error<bool>("u8"), "file: key 'u8': expected bool, got u8");
  EXPECT_EQ(error<std::string>("u8"),
            "file: key 'u8': expected string, got u8");
  EXPECT_EQ(error<uint32_t>("array.u8"),
            "file: key 'array.u8': expected u32, got array of 3 u8");
  EXPECT_EQ(error<std::string>("tokenizer.ggml.tokens"),
            "file: key 'tokenizer.ggml.tokens': expected string, got array of "
            "3 string");
}

TEST_F(MetadataTest, MissingKeys) {
  EXPECT_EQ(error<uint32_t>("nothing"), "file: key 'nothing' is missing");
  EXPECT_FALSE(checkpoint.has("nothing"));
  EXPECT_EQ(*checkpoint.getOr<uint32_t>("nothing", 7), 7u);
  EXPECT_EQ(*checkpoint.getOr<uint32_t>("u8", 7), 200u);
  EXPECT_FALSE(checkpoint.getOr<uint32_t>("empty", 7));
}

TEST_F(MetadataTest, Arrays) {
  auto ints = get<NumberArray<int64_t>>("array.i32");
  ASSERT_EQ(ints.size(), 3u);
  EXPECT_EQ(ints[0], -1);
  EXPECT_EQ(ints[2], 1);
  auto floats = get<NumberArray<float>>("array.f32");
  ASSERT_EQ(floats.size(), 2u);
  EXPECT_EQ(floats[1], -0.25f);
  auto bools = get<NumberArray<bool>>("array.bool");
  ASSERT_EQ(bools.size(), 2u);
  EXPECT_TRUE(bools[0]);
  EXPECT_FALSE(bools[1]);
  EXPECT_TRUE(get<NumberArray<uint8_t>>("array.u64").empty());
  auto texts = get<StringArray>("tokenizer.ggml.tokens");
  ASSERT_EQ(texts.size(), 3u);
  EXPECT_EQ(texts[2], "\xe2\x96\x81the");

  EXPECT_EQ(error<NumberArray<uint32_t>>("array.i32"),
            "file: key 'array.i32' element 0: expected u32, got -1 (i32)");
  EXPECT_EQ(error<NumberArray<uint32_t>>("u32"),
            "file: key 'u32': expected array of u32, got u32");
  EXPECT_EQ(error<NumberArray<float>>("tokenizer.ggml.tokens"),
            "file: key 'tokenizer.ggml.tokens': expected array of f32, got "
            "array of 3 string");
  EXPECT_EQ(error<NumberArray<bool>>("array.u8"),
            "file: key 'array.u8': expected array of bool, got array of 3 u8");
  EXPECT_EQ(error<NumberArray<uint8_t>>("array.bool"),
            "file: key 'array.bool': expected array of u8, got array of 2 "
            "bool");
  EXPECT_EQ(error<StringArray>("array.u8"),
            "file: key 'array.u8': expected array of string, got array of 3 "
            "u8");
}

TEST_F(MetadataTest, PerLayer) {
  EXPECT_EQ(*checkpoint.getPerLayer<uint32_t>("u8", 2),
            (std::vector<uint32_t>{200, 200}));
  EXPECT_EQ(*checkpoint.getPerLayer<int32_t>("array.i32", 3),
            (std::vector<int32_t>{-1, 0, 1}));
  EXPECT_EQ(checkpoint.getPerLayer<int32_t>("array.i32", 4).message(),
            "file: key 'array.i32': expected 4 elements, got 3");
  EXPECT_EQ(checkpoint.getPerLayer<uint32_t>("nothing", 4).message(),
            "file: key 'nothing' is missing");
}

TEST_F(MetadataTest, Text) {
  auto text = [&](std::string_view key) {
    return checkpoint.findMetadata(key)->str();
  };
  EXPECT_EQ(text("u64"), "18000000000000000000");
  EXPECT_EQ(text("i8"), "-100");
  EXPECT_EQ(text("f32"), "1e-05");
  EXPECT_EQ(text("bool"), "true");
  EXPECT_EQ(text("empty"), "''");
  EXPECT_EQ(text("array.i32"), "[-1, 0, 1]");
  EXPECT_EQ(text("array.u64"), "[]");
}

/// The number that `type` has at `value`.
template <typename T>
Number numberOf(ValueType type, T value) {
  uint8_t bytes[9] = {};
  std::memcpy(bytes + 1, &value, sizeof(T));
  return Number::read(type, bytes + 1);
}

template <typename To>
bool fits(const Number &number) {
  To out;
  return number.to(out);
}

TEST(Number, Limits) {
  Number big = numberOf(ValueType::U64, std::numeric_limits<uint64_t>::max());
  EXPECT_TRUE(fits<uint64_t>(big));
  EXPECT_FALSE(fits<int64_t>(big));
  EXPECT_FALSE(fits<double>(big));
  Number power = numberOf(ValueType::U64, uint64_t(1) << 63);
  EXPECT_TRUE(fits<float>(power));
  EXPECT_FALSE(fits<int64_t>(power));

  Number low = numberOf(ValueType::I64, std::numeric_limits<int64_t>::min());
  EXPECT_TRUE(fits<int64_t>(low));
  EXPECT_FALSE(fits<uint64_t>(low));
  EXPECT_FALSE(fits<int32_t>(low));
  float out = 0;
  EXPECT_TRUE(low.to(out));
  EXPECT_EQ(out, -0x1p63f);

  EXPECT_TRUE(fits<float>(numberOf(ValueType::U32, uint32_t(1) << 24)));
  EXPECT_FALSE(fits<float>(numberOf(ValueType::U32, (1u << 24) + 1)));
  EXPECT_TRUE(fits<double>(numberOf(ValueType::U64, uint64_t(1) << 53)));
  EXPECT_FALSE(fits<double>(numberOf(ValueType::U64, (uint64_t(1) << 53) + 1)));
}

TEST(Number, NaNAndInfinityStayThat) {
  float out = 0;
  EXPECT_TRUE(numberOf(ValueType::F64, std::nan("")).to(out));
  EXPECT_TRUE(std::isnan(out));
  double infinity = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(numberOf(ValueType::F64, -infinity).to(out));
  EXPECT_EQ(out, -std::numeric_limits<float>::infinity());
  EXPECT_EQ(numberOf(ValueType::F64, infinity).str(), "inf");
  EXPECT_EQ(numberOf(ValueType::F64, -infinity).str(), "-inf");
  EXPECT_EQ(numberOf(ValueType::F64, -std::nan("")).str(), "nan");
}

} // namespace
