//===- TransposedLinearsTest.cpp - Linear layers stored as [in, out] ------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/Quantize.h"
#include "qcc/Formats/Bits.h"
#include "FolderBuilder.h"

#include <gtest/gtest.h>

using namespace qcc;

static constexpr uint64_t kIn = 32, kOut = 21;
static const char *const kLinear = "transformer.h.0.attn.c_attn.weight";

/// A matrix [in, out] of small integers, which every type has exactly.
static float element(uint64_t in, uint64_t out) {
  return float(int(in * 7 + out * 3) % 64 - 20);
}

static FolderFiles folder(const std::string &modelType,
                          const std::string &type) {
  std::string bytes;
  auto add = [&](uint32_t bits, unsigned size) {
    for (unsigned i = 0; i < size; ++i)
      bytes += char(bits >> 8 * i);
  };
  for (uint64_t in = 0; in < kIn; ++in)
    for (uint64_t out = 0; out < kOut; ++out) {
      float value = element(in, out);
      if (type == "F32")
        add(bitsFromFloat(value), 4);
      else
        add(type == "F16" ? halfFromFloat(value) : bitsFromFloat(value) >> 16,
            2);
    }
  SafetensorsBuilder builder;
  builder.tensor(kLinear, type, {kIn, kOut}, bytes);
  builder.tensor("transformer.wte.weight", type, {kIn, kOut}, bytes);
  builder.tensor("transformer.h.0.attn.c_attn.bias", "F32", {kOut},
                 words(0, kOut));
  return {{"config.json", "{\"model_type\":\"" + modelType + "\"}"},
          {"model.safetensors", builder.build()}};
}

TEST(TransposedLinears, AreTurned) {
  for (const char *type : {"F32", "F16", "BF16"}) {
    SCOPED_TRACE(type);
    FolderFiles files = folder("gpt2", type);
    Result<Checkpoint> checkpoint = parseFolderExactly(files);
    ASSERT_TRUE(bool(checkpoint)) << checkpoint.message();
    const Tensor &linear = *checkpoint->findTensor(kLinear);
    EXPECT_EQ(linear.shape(), "[32, 21]");
    EXPECT_EQ(linear.typeName(), type);
    for (unsigned count : {16, 5, 1}) {
      std::vector<float> rows(count * kIn);
      for (uint64_t first = 0; first + count <= kOut; first += count) {
        checkpoint->decodeRows(linear, first, count, rows.data());
        for (uint64_t i = 0; i < count; ++i)
          for (uint64_t k = 0; k < kIn; ++k)
            ASSERT_EQ(rows[i * kIn + k], element(k, first + i));
      }
    }
    EXPECT_EQ(checkpoint->findTensor("transformer.wte.weight")->shape(),
              "[21, 32]");
    EXPECT_EQ(
        checkpoint->findTensor("transformer.h.0.attn.c_attn.bias")->shape(),
        "[21]");
  }
}

TEST(TransposedLinears, AreRounded) {
  FolderFiles files = folder("gpt2", "F16");
  Result<Checkpoint> opened = parseFolderExactly(files);
  ASSERT_TRUE(bool(opened)) << opened.message();
  const QuantizationType &type = *findQuantizationType("q8_0");
  Result<Checkpoint> checkpoint =
      quantizeCheckpoint(std::move(*opened), type, {});
  ASSERT_TRUE(bool(checkpoint)) << checkpoint.message();
  const Tensor &linear = *checkpoint->findTensor(kLinear);
  EXPECT_EQ(linear.typeName(), "q8_0");
  std::vector<Fields> rows(kOut);
  checkpoint->unpackRows(linear, 0, kOut, rows.data());
  for (uint64_t out = 0; out < kOut; ++out) {
    std::vector<float> values;
    for (uint64_t in = 0; in < kIn; ++in)
      values.push_back(element(in, out));
    Fields expected;
    quantizeRow(type, values.data(), kIn, expected);
    EXPECT_EQ(rows[out], expected) << out;
  }
}

TEST(TransposedLinears, NotOfOtherFamilies) {
  FolderFiles files = folder("starcoder2", "F32");
  Result<Checkpoint> checkpoint = parseFolderExactly(files);
  ASSERT_TRUE(bool(checkpoint)) << checkpoint.message();
  EXPECT_EQ(checkpoint->findTensor(kLinear)->shape(), "[21, 32]");
}
