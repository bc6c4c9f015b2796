//===- DescribeTest.cpp - Tests of checkpoints as text --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/Describe.h"
#include "qcc/Checkpoint/Quantize.h"
#include <gtest/gtest.h>
#include "GGUFBuilder.h"

using namespace qcc;

namespace {

void expectContains(const std::string &text, const std::string &part) {
  EXPECT_NE(text.find(part), std::string::npos) << part << "\nin\n" << text;
}

TEST(Describe, Text) {
  std::vector<uint8_t> bytes = richFile().build();
  Result<Checkpoint> checkpoint = parseExactly(bytes);
  ASSERT_TRUE(checkpoint);
  std::string text = describeText(*checkpoint);
  expectContains(text, "file: GGUF v3, 5 tensors, 1350 parameters, 844 B (5.00 "
                       "bits each)\narchitecture: llama\n");
  expectContains(text, "  f32                                       1e-05\n");
  expectContains(text, "tokenizer.ggml.eos_token_id               2 "
                       "'\xe2\x96\x81the'\n");
  expectContains(text,
                 "chat template:\n  {% for m in messages %}\n  {{ m }}\n");
  expectContains(text, "  token_embd.weight                         Q4_0     "
                       "[64, 3]                     108 B\n");
}

/// What is not compiled as it is in the file is said.
TEST(Describe, Types) {
  GGUFBuilder b;
  b.tensor("a", {256, 4}, 1).tensor("b", {320, 4}, 0).tensor("c", {256, 4}, 0);
  b.tensor("norm", {256}, 0).tensor("grid", {256}, 16).tensor("plain", {32}, 2);
  std::vector<uint8_t> bytes = b.build();
  Result<Checkpoint> checkpoint = parseExactly(bytes);
  ASSERT_TRUE(checkpoint);
  EXPECT_EQ(describeTypes(*checkpoint),
            "F16          1 tensors         1024 parameters\n"
            "F32          3 tensors         2560 parameters\n"
            "IQ2_XXS      1 tensors          256 parameters, as codes of 3 "
            "bits\n"
            "Q4_0         1 tensors           32 parameters");
  checkpoint = quantizeCheckpoint(std::move(*checkpoint),
                                  *findQuantizationType("q4_k"), {});
  ASSERT_TRUE(checkpoint) << checkpoint.message();
  expectContains(checkpoint->format(), ", rounded to q4_k");
  EXPECT_EQ(describeTypes(*checkpoint),
            "F32          1 tensors          256 parameters\n"
            "IQ2_XXS      1 tensors          256 parameters, as codes of 3 "
            "bits\n"
            "Q4_0         1 tensors           32 parameters\n"
            "q4_k         2 tensors         2048 parameters, rounded from F16 "
            "and F32\n"
            "q5_0         1 tensors         1280 parameters, rounded from F32");
}

TEST(Describe, Json) {
  std::vector<uint8_t> bytes = richFile().build();
  Result<Checkpoint> checkpoint = parseExactly(bytes);
  ASSERT_TRUE(checkpoint);
  std::string text = describeJson(*checkpoint);
  expectContains(text, "\"architecture\": \"llama\"");
  expectContains(text, "\"f32\": 1e-05");
  expectContains(text, "\"u64\": 18000000000000000000");
  expectContains(text, "\"i64\": -9000000000000000000");
  expectContains(text, "\"array.bool\": [\n      true,\n      false\n    ]");
  expectContains(text,
                 "\"chat_template\": \"{% for m in messages %}\\n{{ m }}\"");
  expectContains(text, "\"name\": \"token_embd.weight\",\n      \"type\": "
                       "\"Q4_0\",\n      \"shape\": [\n        64,\n        "
                       "3\n      ],\n      \"bytes\": 108");
}

// Text of a file cannot command a terminal nor break the JSON.
TEST(Describe, HostileText) {
  GGUFBuilder b;
  b.key("general.architecture", "\x1b[2J\"\xff")
      .key("tokenizer.chat_template", "a\x1b[31m\xc2\x9b\n\xfe\tb")
      .key("nan", std::numeric_limits<float>::quiet_NaN())
      .array("long", std::vector<uint8_t>(1000, 1));
  std::vector<uint8_t> bytes = b.build();
  Result<Checkpoint> checkpoint = parseExactly(bytes);
  ASSERT_TRUE(checkpoint);
  std::string text = describeText(*checkpoint);
  expectContains(text, "architecture: \\x1b[2J\"\\xff\n");
  expectContains(text, "  a\\x1b[31m\\xc2\\x9b\n  \\xfe\tb\n");
  std::string json = describeJson(*checkpoint);
  expectContains(json, "\"architecture\": \"\\u001b[2J\\\"\xef\xbf\xbd\"");
  expectContains(json, "\"nan\": \"nan\"");
  expectContains(json, "\"long\": {\n      \"array\": \"u8\",\n      "
                       "\"length\": 1000\n    }");
}

TEST(Describe, NothingKnown) {
  std::vector<uint8_t> bytes = GGUFBuilder().build();
  Result<Checkpoint> checkpoint = parseExactly(bytes);
  ASSERT_TRUE(checkpoint);
  expectContains(describeText(*checkpoint), "architecture: unknown\n");
  expectContains(describeJson(*checkpoint), "\"chat_template\": null");
}

} // namespace
