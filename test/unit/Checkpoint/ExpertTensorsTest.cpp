//===- ExpertTensorsTest.cpp - Experts in one tensor or in many -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/Quantize.h"
#include <gtest/gtest.h>
#include "FolderBuilder.h"

using namespace qcc;

namespace {

const std::string kModule = "model.layers.0.mlp.experts.";

/// F32 numbers first, first + 1, ...
std::string counting(size_t count, size_t first = 0) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i) {
    float value = float(first + i);
    bytes.append(reinterpret_cast<const char *>(&value), 4);
  }
  return bytes;
}

FolderFiles folder(const SafetensorsBuilder &builder,
                   const std::string &config) {
  return {{"config.json", config}, {"model.safetensors", builder.build()}};
}

std::vector<float> decode(const Checkpoint &checkpoint,
                          const std::string &name) {
  const Tensor *tensor = checkpoint.findTensor(name);
  if (!tensor) {
    ADD_FAILURE() << "no " << name;
    return {};
  }
  std::vector<float> values(tensor->elements());
  checkpoint.decodeRows(*tensor, 0, unsigned(tensor->rows()), values.data());
  return values;
}

std::vector<uint64_t> dims(const Checkpoint &checkpoint,
                           const std::string &name) {
  const Tensor *tensor = checkpoint.findTensor(name);
  return tensor ? tensor->dims : std::vector<uint64_t>();
}

const std::string kPlain = R"({"model_type":"qwen3_moe"})";
const std::string kTurned = R"({"model_type":"gpt_oss"})";

SafetensorsBuilder oneForEach(size_t experts) {
  SafetensorsBuilder builder;
  // More than nine, so that their order is not that of their names.
  for (size_t e = 0; e < experts; ++e)
    builder.tensor(kModule + std::to_string(e) + ".up_proj.weight", "F32",
                   {2, 3}, counting(6, 6 * e));
  return builder;
}

TEST(ExpertTensors, Stacked) {
  auto checkpoint = parseFolderExactly(folder(oneForEach(11), kPlain));
  ASSERT_TRUE(checkpoint) << checkpoint.message();
  ASSERT_EQ(checkpoint->tensors().size(), 1u);
  const Tensor &tensor = checkpoint->tensors()[0];
  EXPECT_EQ(tensor.name, kModule + "up_proj.weight");
  EXPECT_EQ(tensor.dims, (std::vector<uint64_t>{3, 2, 11}));
  EXPECT_EQ(tensor.bytes, 264u);
  std::vector<float> values = decode(*checkpoint, kModule + "up_proj.weight");
  for (size_t i = 0; i < 66; ++i)
    EXPECT_EQ(values[i], float(i));
  // Rows of two experts.
  float rows[6];
  checkpoint->decodeRows(tensor, 3, 2, rows);
  EXPECT_EQ(rows[0], 9.0f);
  EXPECT_EQ(rows[5], 14.0f);
}

TEST(ExpertTensors, StackedAndRounded) {
  SafetensorsBuilder builder;
  for (size_t e = 0; e < 2; ++e)
    builder.tensor(kModule + std::to_string(e) + ".up_proj.weight", "F32",
                   {2, 32}, counting(64, 64 * e));
  builder.tensor("model.layers.0.mlp.gate.weight", "F32", {2, 32},
                 counting(64));
  auto checkpoint = parseFolderExactly(folder(builder, kPlain));
  ASSERT_TRUE(checkpoint) << checkpoint.message();
  const std::string_view exact[] = {"mlp.gate.weight"};
  auto rounded = quantizeCheckpoint(std::move(*checkpoint),
                                    *findQuantizationType("q8_0"), {}, exact);
  ASSERT_TRUE(rounded) << rounded.message();
  EXPECT_EQ(rounded->findTensor(kModule + "up_proj.weight")->typeName(),
            "q8_0");
  EXPECT_EQ(rounded->findTensor("model.layers.0.mlp.gate.weight")->typeName(),
            "F32");
  std::vector<float> values = decode(*rounded, kModule + "up_proj.weight");
  for (size_t i = 0; i < 128; ++i)
    EXPECT_NEAR(values[i], float(i), 0.6);
}

TEST(ExpertTensors, StackedErrors) {
  SafetensorsBuilder missing = oneForEach(2);
  missing.tensor(kModule + "3.up_proj.weight", "F32", {2, 3}, counting(6));
  EXPECT_EQ(folderError(folder(missing, kPlain)),
            "folder: expert 2 is missing beside tensor "
            "'model.layers.0.mlp.experts.3.up_proj.weight'");
  SafetensorsBuilder shape = oneForEach(2);
  shape.tensor(kModule + "2.up_proj.weight", "F32", {3, 2}, counting(6));
  EXPECT_EQ(folderError(folder(shape, kPlain)),
            "folder: tensor 'model.layers.0.mlp.experts.2.up_proj.weight': "
            "expected shape [3, 2], as the first has, got [2, 3]");
  SafetensorsBuilder type = oneForEach(2);
  type.tensor(kModule + "2.up_proj.weight", "F16", {2, 3}, someBytes(12));
  EXPECT_EQ(folderError(folder(type, kPlain)),
            "folder: tensor 'model.layers.0.mlp.experts.2.up_proj.weight': "
            "expected F32, as the first has, got F16");
  SafetensorsBuilder cube;
  cube.tensor(kModule + "0.up_proj.weight", "F32", {1, 2, 3}, counting(6));
  EXPECT_EQ(folderError(folder(cube, kPlain)),
            "folder: tensor 'model.layers.0.mlp.experts.0.up_proj.weight': "
            "expected a matrix or vector, got [3, 2, 1]");
}

TEST(ExpertTensors, Fused) {
  // Two experts of 3 columns, 2 rows of gate and 2 of up.
  SafetensorsBuilder builder;
  builder.tensor(kModule + "gate_up_proj", "F32", {2, 4, 3}, counting(24))
      .tensor(kModule + "down_proj", "F32", {2, 3, 2}, counting(12));
  auto checkpoint = parseFolderExactly(folder(builder, kPlain));
  ASSERT_TRUE(checkpoint) << checkpoint.message();
  EXPECT_EQ(dims(*checkpoint, kModule + "up_proj.weight"),
            (std::vector<uint64_t>{3, 2, 2}));
  EXPECT_EQ(decode(*checkpoint, kModule + "gate_proj.weight"),
            (std::vector<float>{0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17}));
  EXPECT_EQ(decode(*checkpoint, kModule + "up_proj.weight"),
            (std::vector<float>{6, 7, 8, 9, 10, 11, 18, 19, 20, 21, 22, 23}));
  EXPECT_EQ(decode(*checkpoint, kModule + "down_proj.weight"),
            (std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
}

TEST(ExpertTensors, FusedAndTurned) {
  // The same, columns first, gate and up in turn; and biases.
  SafetensorsBuilder builder;
  builder.tensor(kModule + "gate_up_proj", "F32", {2, 3, 4}, counting(24))
      .tensor(kModule + "down_proj", "F32", {2, 2, 3}, counting(12))
      .tensor(kModule + "gate_up_proj_bias", "F32", {2, 4}, counting(8))
      .tensor(kModule + "down_proj_bias", "F32", {2, 3}, counting(6));
  auto checkpoint = parseFolderExactly(folder(builder, kTurned));
  ASSERT_TRUE(checkpoint) << checkpoint.message();
  EXPECT_EQ(dims(*checkpoint, kModule + "gate_proj.weight"),
            (std::vector<uint64_t>{3, 2, 2}));
  EXPECT_EQ(decode(*checkpoint, kModule + "gate_proj.weight"),
            (std::vector<float>{0, 4, 8, 2, 6, 10, 12, 16, 20, 14, 18, 22}));
  EXPECT_EQ(decode(*checkpoint, kModule + "up_proj.weight"),
            (std::vector<float>{1, 5, 9, 3, 7, 11, 13, 17, 21, 15, 19, 23}));
  EXPECT_EQ(dims(*checkpoint, kModule + "down_proj.weight"),
            (std::vector<uint64_t>{2, 3, 2}));
  EXPECT_EQ(decode(*checkpoint, kModule + "down_proj.weight"),
            (std::vector<float>{0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11}));
  EXPECT_EQ(decode(*checkpoint, kModule + "gate_proj.bias"),
            (std::vector<float>{0, 2, 4, 6}));
  EXPECT_EQ(decode(*checkpoint, kModule + "up_proj.bias"),
            (std::vector<float>{1, 3, 5, 7}));
  EXPECT_EQ(decode(*checkpoint, kModule + "down_proj.bias"),
            (std::vector<float>{0, 1, 2, 3, 4, 5}));
}

TEST(ExpertTensors, FusedAndRounded) {
  SafetensorsBuilder builder;
  builder.tensor(kModule + "gate_up_proj", "F32", {2, 32, 4}, counting(256));
  auto checkpoint = parseFolderExactly(folder(builder, kTurned));
  ASSERT_TRUE(checkpoint) << checkpoint.message();
  std::vector<float> exact = decode(*checkpoint, kModule + "up_proj.weight");
  auto rounded = quantizeCheckpoint(std::move(*checkpoint),
                                    *findQuantizationType("q8_0"), {});
  ASSERT_TRUE(rounded) << rounded.message();
  EXPECT_EQ(rounded->findTensor(kModule + "up_proj.weight")->typeName(),
            "q8_0");
  std::vector<float> values = decode(*rounded, kModule + "up_proj.weight");
  for (size_t i = 0; i < exact.size(); ++i)
    EXPECT_NEAR(values[i], exact[i], 1.2);
}

TEST(ExpertTensors, FusedErrors) {
  SafetensorsBuilder odd;
  odd.tensor(kModule + "gate_up_proj", "F32", {2, 3, 4}, counting(24));
  EXPECT_EQ(
      folderError(folder(odd, kPlain)),
      "folder: tensor 'model.layers.0.mlp.experts.gate_up_proj': expected "
      "three dimensions, that of gate and up even, got [4, 3, 2]");
  for (const std::vector<uint64_t> &shape :
       {std::vector<uint64_t>{8}, std::vector<uint64_t>{2, 3}}) {
    SafetensorsBuilder biases;
    size_t count = shape.size() == 1 ? 8 : 6;
    biases.tensor(kModule + "gate_up_proj", "F32", {2, 3, 4}, counting(24))
        .tensor(kModule + "gate_up_proj_bias", "F32", shape, counting(count));
    EXPECT_NE(folderError(folder(biases, kTurned))
                  .find("gate_up_proj_bias': expected"),
              std::string::npos);
  }
  SafetensorsBuilder flat;
  flat.tensor(kModule + "down_proj", "F32", {2, 3}, counting(6));
  EXPECT_NE(folderError(folder(flat, kPlain)).find("expected three dimensions"),
            std::string::npos);
  SafetensorsBuilder ints;
  ints.tensor(kModule + "down_proj", "I32", {1, 2, 3}, counting(6));
  EXPECT_NE(folderError(folder(ints, kPlain)).find("expected F32, F16 or BF16"),
            std::string::npos);
}

} // namespace
