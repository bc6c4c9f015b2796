//===- QuantizeTest.cpp - Tests of rounding to codes ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The bits are compared with another quantizer in test/formats.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Quantize.h"
#include "qcc/Formats/Bits.h"
#include "qcc/Formats/GGML.h"
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <random>

using namespace qcc;

namespace {

const QuantizationType &typeOf(std::string_view name) {
  const QuantizationType *type = findQuantizationType(name);
  EXPECT_NE(type, nullptr) << name;
  return *type;
}

TEST(Quantize, Types) {
  for (const QuantizationType &type : quantizationTypes()) {
    EXPECT_EQ(findQuantizationType(type.name), &type);
    Encoding encoding;
    ASSERT_TRUE(type.encodingFor(256, encoding)) << type.name;
    EXPECT_EQ(encoding.check(), "") << type.name;
    EXPECT_FALSE(type.encodingFor(0, encoding)) << type.name;
    EXPECT_FALSE(type.encodingFor(40, encoding)) << type.name;
  }
  EXPECT_EQ(findQuantizationType("q4_k_m"), nullptr);
  Encoding encoding;
  ASSERT_TRUE(typeOf("int8").encodingFor(576, encoding));
  EXPECT_EQ(encoding.group, 576u);
  EXPECT_TRUE(typeOf("int4-g128").encodingFor(192, encoding));
  EXPECT_EQ(encoding.group, 128u);
  EXPECT_FALSE(typeOf("q4_0").encodingFor(48, encoding));
  EXPECT_FALSE(typeOf("q4_k").encodingFor(640, encoding));
}

/// What takes a type's place exists, is not coarser, and ends in one that needs
/// no more than whole blocks of 32.
TEST(Quantize, Substitutes) {
  for (const QuantizationType &type : quantizationTypes()) {
    const QuantizationType &sensitive = typeOf(type.sensitive);
    EXPECT_GE(sensitive.encoding.bits, std::min(type.encoding.bits, 6u))
        << type.name;
    for (const QuantizationType *of : {&type, &sensitive}) {
      const QuantizationType &fallback = typeOf(of->fallback);
      Encoding encoding;
      EXPECT_TRUE(fallback.encodingFor(96, encoding)) << of->name;
      EXPECT_GE(encoding.bits, of->encoding.bits) << of->name;
    }
  }
}

/// ggml's types mean the same here.
TEST(Quantize, HasEncodingsOfGGML) {
  for (auto [name, ggml] : {std::pair{"q4_0", "Q4_0"},
                            {"q4_1", "Q4_1"},
                            {"q5_0", "Q5_0"},
                            {"q5_1", "Q5_1"},
                            {"q8_0", "Q8_0"},
                            {"q2_k", "Q2_K"},
                            {"q3_k", "Q3_K"},
                            {"q4_k", "Q4_K"},
                            {"q5_k", "Q5_K"},
                            {"q6_k", "Q6_K"}})
    EXPECT_EQ(typeOf(name).encoding, *findGGMLType(ggml)->encoding) << name;
}

/// A short last group has what it would have with zeros behind it.
TEST(Quantize, ShortLastGroup) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal;
  std::vector<float> row(256);
  for (size_t k = 0; k < 160; ++k)
    row[k] = normal(random);
  for (const char *name : {"int4-g128", "int4-g128-asym", "nf4"}) {
    Fields whole, rest;
    quantizeRow(typeOf(name), row.data(), 256, whole);
    quantizeRow(typeOf(name), row.data(), 160, rest);
    whole.codes.resize(160);
    whole.scale.resize(rest.scale.size());
    whole.zeros.resize(rest.zeros.size());
    EXPECT_EQ(rest.scale.size(), name == std::string("nf4") ? 3u : 2u) << name;
    EXPECT_EQ(rest, whole) << name;
  }
}

/// What codes can say exactly comes back.
TEST(Quantize, KeepsNumbersOnTheGrid) {
  for (const QuantizationType &type : quantizationTypes()) {
    if (type.rounding == Rounding::Search)
      continue; // Rounds scales too.
    Encoding encoding;
    ASSERT_TRUE(type.encodingFor(128, encoding));
    const bool isTable = !encoding.values.empty();
    const bool isWide = encoding.bits == 8;
    std::vector<float> row(128);
    for (size_t i = 0; i < row.size(); ++i) {
      int number = int(i * 5 % 16) - 8; // -8 to 7 in each 16
      row[i] = isTable  ? encoding.values[i % 16] * 3
               : isWide ? float(number == 7 ? 127 : number) * 0.25f
                        : float(number) * 0.25f;
    }
    if (encoding.bits == 5)
      for (float &x : row)
        x *= 2; // of a grid of 32
    if (encoding.bits == 5 && encoding.hasMin())
      for (size_t i = 0; i < row.size(); ++i)
        row[i] = float(i % 32) * 0.5f - 3;
    Fields fields;
    quantizeRow(type, row.data(), row.size(), fields);
    for (size_t i = 0; i < row.size(); ++i)
      ASSERT_EQ(decodeElement(encoding, fields, i), row[i])
          << type.name << " " << i;
  }
}

TEST(Quantize, TakesAnything) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const QuantizationType &type : quantizationTypes())
    for (float odd : {inf, -inf, nan, 3e38f, -3e38f, 1e-45f, 0.0f, -0.0f}) {
      std::vector<float> row(256, 0.0f);
      row[3] = odd;
      row[70] = -odd;
      Fields fields;
      quantizeRow(type, row.data(), row.size(), fields);
      for (uint8_t code : fields.codes)
        ASSERT_LT(code, 1u << type.encoding.bits) << type.name << " " << odd;
      for (uint8_t zero : fields.zeros)
        ASSERT_LT(zero, 1u << type.encoding.bits) << type.name << " " << odd;
      for (uint8_t sub : fields.sub)
        ASSERT_LT(sub, 1u << type.encoding.subBits) << type.name << " " << odd;
      for (uint8_t sub : fields.subMin)
        ASSERT_LT(sub, 1u << type.encoding.subMinBits)
            << type.name << " " << odd;
    }
}

/// Rows are read from any float type, at any address.
TEST(Quantize, RoundsRowsOfFiles) {
  const QuantizationType &type = typeOf("q8_0");
  std::vector<uint8_t> bytes(1 + 3 * 64 * 2);
  std::vector<float> values(64);
  for (size_t i = 0; i < 3 * 64; ++i) {
    uint16_t half = halfFromFloat(std::sin(float(i)));
    std::memcpy(&bytes[1 + i * 2], &half, 2);
    if (i >= 2 * 64)
      values[i - 2 * 64] = floatFromHalf(half);
  }
  const uint8_t *arrays[] = {bytes.data() + 1};
  const uint64_t numbers[] = {findGGMLType("F16")->id,
                              uint64_t(&type - quantizationTypes().data())};
  Fields rows[2], expected;
  kRoundedFormat.unpackRows({type.encoding, 3, 64, arrays, numbers}, 1, 2,
                            rows);
  quantizeRow(type, values.data(), 64, expected);
  EXPECT_EQ(rows[1], expected);
  EXPECT_FALSE(rows[0] == expected);
}

/// Super-blocks do not depend on each other, and have a small error.
TEST(Quantize, SearchesEachSuperBlock) {
  std::vector<float> row(512);
  for (size_t i = 0; i < row.size(); ++i)
    row[i] = std::sin(float(i * i)) * (i < 256 ? 1.0f : 20.0f);
  for (const QuantizationType &type : quantizationTypes()) {
    if (type.rounding != Rounding::Search)
      continue;
    Fields both, second;
    quantizeRow(type, row.data(), 512, both);
    quantizeRow(type, row.data() + 256, 256, second);
    // A step of a range from -1 to 1, whose ends may be cut off.
    const float bound = 2.0f / float((1 << type.encoding.bits) - 1);
    for (size_t i = 0; i < 512; ++i) {
      const float value = decodeElement(type.encoding, both, i);
      EXPECT_NEAR(value, row[i], i < 256 ? bound : bound * 20)
          << type.name << " " << i;
      if (i >= 256)
        ASSERT_EQ(value, decodeElement(type.encoding, second, i - 256))
            << type.name << " " << i;
    }
  }
}

} // namespace
