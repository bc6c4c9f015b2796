//===- GGMLTest.cpp - Tests of the ggml block formats ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/GGML.h"
#include "qcc/Formats/Bits.h"
#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace qcc;

namespace {

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

TEST(GGML, TableIsConsistent) {
  uint32_t last = 0;
  for (const GGMLType &type : ggmlTypes()) {
    SCOPED_TRACE(type.name);
    EXPECT_TRUE(type.id > last || type.id == 0);
    last = type.id;
    EXPECT_EQ(findGGMLType(type.id), &type);
    EXPECT_EQ(findGGMLType(std::string_view(type.name)), &type);
    EXPECT_NE(type.decode, nullptr);
    EXPECT_EQ(type.unpack == nullptr, type.encoding == nullptr);
    if (type.encoding) {
      EXPECT_EQ(type.encoding->check(), "");
    }
  }
  EXPECT_EQ(ggmlTypes().size(), 35u);
  EXPECT_EQ(findGGMLType("q4_0"), nullptr);
}

TEST(GGML, RemovedAndUnknownTypesAreNamed) {
  for (uint32_t id : {4u, 5u, 31u, 32u, 33u, 36u, 37u, 38u}) {
    EXPECT_EQ(findGGMLType(id), nullptr);
    EXPECT_NE(unknownGGMLType(id).find("was removed from ggml"),
              std::string::npos);
  }
  EXPECT_EQ(unknownGGMLType(31), "ggml type 31 (Q4_0_4_4) was removed from "
                                 "ggml; quantize the model again as Q4_0");
  for (uint32_t id : {43u, 255u, 0xffffffffu})
    EXPECT_EQ(findGGMLType(id), nullptr);
  EXPECT_EQ(unknownGGMLType(43), "ggml type 43 is unknown; known are 0 to 42");
}

//===----------------------------------------------------------------------===//
// Golden blocks: made by ggml's own decoders
//===----------------------------------------------------------------------===//

struct Golden {
  const char *type;
  float first[6], middle[3], last[3];
  double sum, absSum;
};

// Byte j of a block is 37 * j + 11, then its scales are set (see goldenBlock).
// The values are those of the reference decoders, the sums cover the block.
// clang-format off
const Golden kGolden[] = {
    {"Q4_0", {-1.5, 1, 3.5, -2, 0.5, 3}, {-1.5, -0.5, 0.5}, {-2.5, -1.5, 0}, -10.5, 61.5},
    {"Q4_1", {7.75, 2.25, 4.75, 7.25, 1.75, 4.25}, {4.75, 6.25, 7.25}, {4.25, 5.25, 6.25}, 130.5, 130.5},
    {"Q5_0", {4.5, -1, 1.5, -4, 6.5, -7}, {7, 0, 1.5}, {-2, 7, 0.5}, 7.5, 123.5},
    {"Q5_1", {9.75, 12.25, 14.75, 9.25, 11.75, 6.25}, {9.75, 2.75, 3.75}, {0.75, 1.75, 2.75}, 260.5, 260.5},
    {"Q8_0", {42.5, 61, -48.5, -30, -11.5, 7}, {-45.5, -27, -8.5}, {-61, -42.5, -24}, -88, 1086},
    {"Q2_K", {16.5, 0, 5.5, 11, 16.5, 0}, {3.75, -0.75, 0.75}, {-0.75, 2.25, 2.25}, 1029.5, 1282},
    {"Q3_K", {40.5, -54, 13.5, -27, 40.5, -54}, {1, -0, -1}, {-21, -14, 21}, 479, 4605},
    {"Q4_K", {157.75, -12.75, 64.75, 142.25, 219.75, 49.25}, {211.5, -3, 94.5}, {9.25, 18.25, 24.25}, 27220, 27514},
    {"Q5_K", {405.75, -12.75, 312.75, 142.25, 467.75, 49.25}, {523.5, -3, 94.5}, {39.25, 48.25, 54.25}, 58108, 58279.5},
    {"Q6_K", {-715.5, 848, 291.5, -265, -821.5, 742}, {-175.5, 208, 71.5}, {75, -20, -30}, 2306, 133251},
    {"IQ4_NL", {-17.5, 12.5, 56.5, -24.5, 6.5, 44.5}, {-17.5, -5, 6.5}, {-32.5, -17.5, 0.5}, -128.5, 852.5},
    {"IQ4_XS", {32.5, -0.5, -34.5, 41.5, 5, -26.5}, {-292.5, 4.5, 310.5}, {392, 176, -8}, -5502.5, 83331.5},
    {"MXFP4", {0, 6, -2, -12, 4, -1}, {3, 6, 12}, {1, 3, 6}, 25, 151},
    {"NVFP4", {-6, 2, -0.5, -4, 1.5, 0}, {-3, 1, -0.25}, {-0.00585938, -0.0117188, 0.000976562}, -4.489257812, 118.0673828},
    {"TQ1_0", {-0.5, -0.5, -0.5, 0, 0, 0.5}, {0, -0.5, 0.5}, {0, -0.5, -0.5}, -1, 87},
    {"TQ2_0", {1, -0.5, 0, 0.5, 1, -0.5}, {1, -0.5, 0}, {1, -0.5, -0.5}, 64.5, 129.5},
    {"IQ2_XXS", {-29.5625, 29.5625, 17.1875, -17.1875, 17.1875, -5.5}, {-48.4375, 15.5, 48.4375}, {23.4375, 7.5, -40.3125}, 381.875, 5283.5},
    {"IQ2_XS", {-5.5, 17.1875, -5.5, -29.5625, -5.5, -17.1875}, {-9.5, 51.0625, -9.5}, {-29.6875, 9.5, -9.5}, 745.25, 5054.875},
    {"IQ2_S", {-72.5625, 42.1875, -13.5, 13.5, -13.5, -72.5625}, {-4.6875, 8.0625, -1.5}, {-39.0625, -39.0625, 39.0625}, -400.3125, 4672.0625},
    {"IQ3_XXS", {-6.5, 4.5, -3.5, 1.5, -7.75, 3.5}, {-27.5, 60.5, -27.5}, {10.5, 4.5, -7.5}, -342, 10102},
    {"IQ3_S", {-40.5, 121.5, -175.5, -94.5, -175.5, -94.5}, {-52.5, 82.5, -52.5}, {-12.5, 62.5, 112.5}, 728, 14226},
    {"IQ1_S", {-1.3125, 0.1875, 1.6875, 1.6875, 1.6875, 0.1875}, {-3.9375, 5.0625, -3.9375}, {-2.1875, 0.3125, -2.1875}, 10, 658.875},
    {"IQ1_M", {-0.4375, 3.0625, -0.4375, -0.4375, 3.0625, -0.4375}, {0.9375, 0.9375, -6.5625}, {6.5625, 6.5625, -0.9375}, 20.5, 579},
    {"Q1_0", {0.5, -0.5, 0.5, -0.5, 0.5, -0.5}, {0.5, -0.5, 0.5}, {-0.5, -0.5, 0.5}, 0, 64},
};
// clang-format on

/// Offsets of the f16 fields d and dmin; -1 for none.
struct ScaleOffsets {
  int d, min;
};

ScaleOffsets scaleOffsets(std::string_view type) {
  if (type == "Q2_K")
    return {80, 82};
  if (type == "Q3_K")
    return {108, -1};
  if (type == "Q6_K")
    return {208, -1};
  if (type == "TQ1_0")
    return {52, -1};
  if (type == "TQ2_0")
    return {64, -1};
  if (type == "MXFP4" || type == "NVFP4" || type == "IQ1_M")
    return {-1, -1};
  if (type == "Q4_1" || type == "Q5_1" || type == "Q4_K" || type == "Q5_K")
    return {0, 2};
  return {0, -1};
}

std::vector<uint8_t> goldenBlock(const GGMLType &type) {
  std::vector<uint8_t> block(type.blockBytes);
  for (size_t j = 0; j < block.size(); ++j)
    block[j] = uint8_t(37 * j + 11);
  std::string_view name = type.name;
  ScaleOffsets offsets = scaleOffsets(name);
  if (offsets.d >= 0) // 0.5
    block[size_t(offsets.d)] = 0x00, block[size_t(offsets.d) + 1] = 0x38;
  if (offsets.min >= 0) // 0.25
    block[size_t(offsets.min)] = 0x00, block[size_t(offsets.min) + 1] = 0x34;
  if (name == "MXFP4")
    block[0] = 128;
  if (name == "NVFP4")
    block[0] = 0x38, block[1] = 0x40, block[2] = 0x30, block[3] = 0x01;
  if (name == "IQ1_M") // 0x3800 in the top four bits of four numbers
    for (unsigned k = 0; k < 4; ++k)
      block[49 + 2 * k] =
          uint8_t((block[49 + 2 * k] & 15) | (0x3800 >> 4 * k & 15) << 4);
  return block;
}

/// The table has nine significant digits.
void expectClose(double got, double want) {
  EXPECT_NEAR(got, want, 1e-5 * std::abs(want));
}

class GoldenTest : public testing::TestWithParam<Golden> {};

TEST_P(GoldenTest, Decodes) {
  const Golden &golden = GetParam();
  const GGMLType *type = findGGMLType(std::string_view(golden.type));
  ASSERT_NE(type, nullptr);
  unsigned n = type->blockElements;
  std::vector<float> values(n);
  type->decode(goldenBlock(*type).data(), values.data());
  for (unsigned i = 0; i < 6; ++i)
    expectClose(values[i], golden.first[i]);
  for (unsigned i = 0; i < 3; ++i) {
    expectClose(values[n / 2 + i], golden.middle[i]);
    expectClose(values[n - 3 + i], golden.last[i]);
  }
  double sum = 0, absSum = 0;
  for (float value : values) {
    sum += double(value);
    absSum += std::abs(double(value));
  }
  expectClose(sum, golden.sum);
  expectClose(absSum, golden.absSum);
}

INSTANTIATE_TEST_SUITE_P(GGML, GoldenTest, testing::ValuesIn(kGolden),
                         [](const auto &info) {
                           return std::string(info.param.type);
                         });

// The types of quantized activations, which occur in no file.
TEST(GGML, ActivationTypes) {
  std::vector<uint8_t> block(292);
  block[4] = 5, block[35] = 0xff, block[259] = 0x80;
  std::vector<float> values(256);
  block[1] = 0x38; // f16 0.5
  findGGMLType("Q8_1")->decode(block.data(), values.data());
  EXPECT_EQ(values[0], 2.5f);
  EXPECT_EQ(values[31], -0.5f);
  block[0] = 0, block[1] = 0, block[2] = 0x80, block[3] = 0x3e; // f32 0.25
  findGGMLType("Q8_K")->decode(block.data(), values.data());
  EXPECT_EQ(values[0], 1.25f);
  EXPECT_EQ(values[31], -0.25f);
  EXPECT_EQ(values[255], -32.0f);
}

//===----------------------------------------------------------------------===//
// Fields
//===----------------------------------------------------------------------===//

class EncodedTypeTest : public testing::TestWithParam<const GGMLType *> {};

std::vector<const GGMLType *> encodedTypes() {
  std::vector<const GGMLType *> types;
  for (const GGMLType &type : ggmlTypes())
    if (type.encoding)
      types.push_back(&type);
  return types;
}

// Random bytes, so that every code and scale occurs, NaN and infinity too.
TEST_P(EncodedTypeTest, FieldsMeanWhatDecodeSays) {
  const GGMLType &type = *GetParam();
  std::mt19937 random(1);
  const size_t blocks = type.blockElements == 1 ? 4096 : 200;
  const size_t k = blocks * type.blockElements;
  std::vector<uint8_t> row(type.rowBytes(k));
  for (uint8_t &byte : row)
    byte = uint8_t(random());
  std::vector<float> want(k);
  type.decodeRow(row.data(), k, want.data());
  Fields fields;
  type.unpackRow(row.data(), k, fields);
  for (size_t i = 0; i < k; ++i) {
    float got = decodeElement(*type.encoding, fields, i);
    if (std::isnan(want[i]))
      ASSERT_TRUE(std::isnan(got)) << i;
    else
      ASSERT_EQ(bitsFromFloat(got), bitsFromFloat(want[i])) << i;
  }
}

// A Fields that held something else before gives the same.
TEST_P(EncodedTypeTest, UnpackOverwritesEverything) {
  const GGMLType &type = *GetParam();
  const size_t k = 2 * size_t(type.blockElements);
  std::vector<uint8_t> zero(type.rowBytes(k)), ones(type.rowBytes(k), 0xff);
  Fields fresh, reused;
  type.unpackRow(zero.data(), k, fresh);
  type.unpackRow(ones.data(), k, reused);
  EXPECT_NE(fresh, reused);
  type.unpackRow(zero.data(), k, reused);
  EXPECT_EQ(fresh, reused);
}

INSTANTIATE_TEST_SUITE_P(GGML, EncodedTypeTest,
                         testing::ValuesIn(encodedTypes()),
                         [](const auto &info) {
                           return std::string(info.param->name);
                         });

} // namespace
