//===- TextModelTest.cpp - The language model of several parts ------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include <gtest/gtest.h>
#include "FolderBuilder.h"

using namespace qcc;

/// The names of a folder's tensors, after its config.
static Result<Checkpoint> read(const std::string &config,
                               const std::vector<std::string> &names) {
  static FolderFiles files;
  SafetensorsBuilder builder;
  for (const std::string &name : names)
    builder.tensor(name, "F32", {3}, words(0x3E800000, 3));
  files = {{"config.json", config}, {"model.safetensors", builder.build()}};
  return parseFolderExactly(files);
}

static const std::string kConfig =
    R"({"model_type": "gemma3", "eos_token_id": [1, 106], "hidden_size": 7,
        "text_config": {"hidden_size": 5, "eos_token_id": 1, "head_dim": null},
        "vision_config": {"hidden_size": 3}})";

TEST(TextModel, ConfigOfTheLanguageModel) {
  Result<Checkpoint> checkpoint = read(kConfig, {"language_model.model.a"});
  ASSERT_TRUE(bool(checkpoint)) << checkpoint.message();
  EXPECT_EQ(*checkpoint->architecture(), "gemma3_text");
  EXPECT_EQ(*checkpoint->get<uint32_t>("hidden_size"), 5u);
  EXPECT_EQ(*checkpoint->get<uint32_t>("vision_config.hidden_size"), 3u);
  EXPECT_EQ(checkpoint->get<NumberArray<uint32_t>>("eos_token_id")->size(), 2u);
  EXPECT_TRUE(checkpoint->isNull("head_dim"));
  EXPECT_FALSE(checkpoint->isNull("hidden_size"));
  EXPECT_EQ(checkpoint->format(), "safetensors");
}

TEST(TextModel, TensorsOfTheLanguageModel) {
  for (const char *prefix : {"language_model.model.", "model.language_model."})
    for (const char *outer : {"", "model."}) {
      Result<Checkpoint> checkpoint =
          read(kConfig, {std::string(prefix) + "norm.weight",
                         outer + std::string("vision_tower.a"),
                         outer + std::string("vision_tower.b"),
                         outer + std::string("multi_modal_projector.c"),
                         "language_model.lm_head.weight", "vision_towers.d"});
      ASSERT_TRUE(bool(checkpoint)) << checkpoint.message();
      EXPECT_EQ(checkpoint->format(),
                "safetensors, without vision_tower (2 tensors), "
                "multi_modal_projector (1 tensors)");
      EXPECT_EQ(checkpoint->tensors().size(), 3u);
      EXPECT_TRUE(checkpoint->findTensor("lm_head.weight"));
      EXPECT_TRUE(checkpoint->findTensor("vision_towers.d"));
      const Tensor *norm = checkpoint->findTensor("model.norm.weight");
      ASSERT_TRUE(norm);
      // As of Gemma 3.
      EXPECT_EQ(norm->format, &kOnePlusFormat);
    }
}

TEST(TextModel, NotOfOtherModels) {
  std::vector<std::string> names = {"vision_tower.a", "model.norm.weight"};
  for (const char *config :
       {R"({"model_type": "llama", "text_config": {}})",
        R"({"model_type": "gemma3", "text_config": 1})",
        R"({"model_type": "gemma3"})", R"({"model_type": 3})"}) {
    Result<Checkpoint> checkpoint = read(config, names);
    ASSERT_TRUE(bool(checkpoint)) << checkpoint.message();
    EXPECT_EQ(checkpoint->tensors().size(), 2u) << config;
    EXPECT_EQ(checkpoint->format(), "safetensors") << config;
  }
}

TEST(TextModel, SameNameTwice) {
  Result<Checkpoint> checkpoint =
      read(kConfig, {"language_model.model.a", "model.a"});
  ASSERT_FALSE(bool(checkpoint));
  EXPECT_NE(checkpoint.message().find("tensor 'model.a' occurs twice"),
            std::string::npos);
}
