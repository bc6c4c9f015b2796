//===- OffsetNormsTest.cpp - Norms that multiply by 1 + w -----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include <gtest/gtest.h>
#include "FolderBuilder.h"

using namespace qcc;

/// The folder of a family with tensors of one element pattern, 0.25 each.
static FolderFiles folder(const std::string &modelType) {
  SafetensorsBuilder builder;
  builder.tensor("model.norm.weight", "F32", {3}, words(0x3E800000, 3));
  builder.tensor("model.layers.0.input_layernorm.weight", "F16", {2},
                 words(0x34003400, 1));
  builder.tensor("model.layers.0.self_attn.q_norm.weight", "BF16", {2},
                 words(0x3E803E80, 1));
  builder.tensor("model.x.weight", "F32", {2}, words(0x3E800000, 2));
  builder.tensor("model.y_norm.weight", "F32", {2, 2}, words(0x3E800000, 4));
  builder.tensor("model.z_norm.weight", "I32", {2}, words(1, 2));
  return {{"config.json", "{\"model_type\":\"" + modelType + "\"}"},
          {"model.safetensors", builder.build()}};
}

/// The first element of each tensor of floats, which all others are.
static std::map<std::string, float> values(const std::string &modelType) {
  FolderFiles files = folder(modelType);
  Result<Checkpoint> checkpoint = parseFolderExactly(files);
  std::map<std::string, float> result;
  if (!checkpoint) {
    ADD_FAILURE() << checkpoint.message();
    return result;
  }
  for (const Tensor &tensor : checkpoint->tensors()) {
    if (!tensor.encoding())
      continue;
    std::vector<float> row(tensor.rowElements());
    for (uint64_t i = 0; i < tensor.rows(); ++i) {
      checkpoint->decodeRows(tensor, i, 1, row.data());
      for (float value : row)
        EXPECT_EQ(value, row[0]);
    }
    result[std::string(tensor.name)] = row[0];
  }
  return result;
}

TEST(OffsetNorms, VectorsOfNorms) {
  for (const char *family : {"gemma", "gemma3_text"}) {
    auto found = values(family);
    EXPECT_EQ(found.size(), 5u);
    EXPECT_EQ(found["model.norm.weight"], 1.25f);
    EXPECT_EQ(found["model.layers.0.input_layernorm.weight"], 1.25f);
    EXPECT_EQ(found["model.layers.0.self_attn.q_norm.weight"], 1.25f);
    EXPECT_EQ(found["model.x.weight"], 0.25f);
    EXPECT_EQ(found["model.y_norm.weight"], 0.25f);
  }
}

TEST(OffsetNorms, NotOfOtherFamilies) {
  for (const auto &[name, value] : values("llama"))
    EXPECT_EQ(value, 0.25f) << name;
}
