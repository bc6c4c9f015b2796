//===- HuggingFaceTest.cpp - Tests of Hugging Face folders ----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/Describe.h"
#include <gtest/gtest.h>
#include "FolderBuilder.h"

using namespace qcc;

namespace {

TEST(HuggingFace, ReadsMetadata) {
  FolderFiles files = gptqFolder();
  Result<Checkpoint> checkpoint = parseFolderExactly(files);
  ASSERT_TRUE(checkpoint) << checkpoint.message();
  EXPECT_EQ(checkpoint->format(), "safetensors, GPTQ");
  EXPECT_EQ(checkpoint->naming(), Naming::HuggingFace);
  EXPECT_EQ(checkpoint->path(), "folder");
  EXPECT_EQ(*checkpoint->architecture(), "llama");
  auto numbers = checkpoint->get<NumberArray<int32_t>>("a.b");
  ASSERT_TRUE(numbers);
  EXPECT_EQ((*numbers)[0], 1);
  EXPECT_EQ((*numbers)[1], -2);
  EXPECT_FALSE(checkpoint->has("a.c")); // null
  EXPECT_EQ(*checkpoint->get<uint32_t>("quantization_config.bits"), 4u);
  // From the file beside it.
  EXPECT_EQ(*checkpoint->get<float>("quantization_config.damp_percent"), 0.01f);
  EXPECT_TRUE(checkpoint->has("generation_config.eos_token_id"));
  EXPECT_EQ(checkpoint->get<std::string>("b").message(),
            "folder/config.json: key 'b' is missing");
}

TEST(HuggingFace, ReadsTensors) {
  FolderFiles files = gptqFolder();
  Result<Checkpoint> checkpoint = parseFolderExactly(files);
  ASSERT_TRUE(checkpoint) << checkpoint.message();
  ASSERT_EQ(checkpoint->tensors().size(), 3u);
  const Tensor *weight = checkpoint->findTensor("m.weight");
  ASSERT_TRUE(weight);
  EXPECT_EQ(weight->dims, (std::vector<uint64_t>{64, 16}));
  EXPECT_EQ(weight->typeName(), "GPTQ-4-g32");
  EXPECT_EQ(weight->encoding()->zero, 8);
  ASSERT_EQ(weight->parts.size(), 5u);
  EXPECT_EQ(weight->parts[0].name, "m.qweight");
  EXPECT_EQ(weight->parts[1].name, "m.scales");
  EXPECT_EQ(weight->bytes, 512u + 64 + 16 + 256 + 32);

  // Against the definition: bits of the file, found by hand.
  std::string codes = someBytes(512), scales = someBytes(64);
  std::vector<Fields> rows(16);
  checkpoint->unpackRows(*weight, 0, 16, rows.data());
  for (size_t n = 0; n < 16; ++n) {
    for (size_t k = 0; k < 64; ++k) {
      uint8_t byte = uint8_t(codes[(k / 8 * 16 + n) * 4 + k % 8 / 2]);
      ASSERT_EQ(rows[n].codes[k], k % 2 ? byte >> 4 : byte & 15) << n << k;
    }
    for (size_t g = 0; g < 2; ++g) {
      size_t at = (g * 16 + n) * 2;
      ASSERT_EQ(rows[n].scale[g],
                uint32_t(uint8_t(scales[at]) | uint8_t(scales[at + 1]) << 8));
    }
  }

  const Tensor *plain = checkpoint->findTensor("plain");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->dims, (std::vector<uint64_t>{5, 3}));
  EXPECT_EQ(plain->typeName(), "BF16");
}

/// The error after a change of one file.
std::string errorWith(const std::string &name, const std::string &content) {
  FolderFiles files = gptqFolder();
  files[name] = content;
  return folderError(files);
}

TEST(HuggingFace, RefusesConfigs) {
  EXPECT_EQ(errorWith("config.json", ""),
            "folder/config.json: not JSON at byte "
            "1");
  EXPECT_EQ(errorWith("config.json", "[]"),
            "folder/config.json: expected a JSON object, got array");
  EXPECT_EQ(errorWith("config.json", "{\"a\":\"\xff\"}"),
            "folder/config.json: not JSON at byte 7");
  EXPECT_EQ(errorWith("config.json", R"({"a":{"b":1,"b":1}})"),
            "folder/config.json: key 'b' occurs twice");
  // Names that are the same only after flattening.
  EXPECT_EQ(errorWith("config.json",
                      R"({"a.b":1,"a":{"b":1},)"
                      R"("quantization_config":{"group_size":32,"bits":4,)"
                      R"("quant_method":"gptq"}})"),
            "folder/config.json: key 'a.b' occurs twice");
  EXPECT_EQ(errorWith("config.json", "{}"),
            "folder/quantize_config.json: key 'group_size' is missing");
  EXPECT_EQ(errorWith("config.json", R"({"quantization_config":[]})"),
            "folder/config.json: key 'quantization_config': expected an "
            "object, got array");
  EXPECT_EQ(
      errorWith("config.json", R"({"quantization_config":{"quant_method":1}})"),
      "folder/config.json: quantization_config: key 'quant_method': "
      "expected a string, got '1'");
  EXPECT_EQ(errorWith("quantize_config.json", R"({"bits":8})"),
            "folder/quantize_config.json: key 'bits': expected 4, as "
            "config.json has, got '8'");
  std::string deep = "1";
  for (int i = 0; i < 40; ++i)
    deep = "[" + deep + "]";
  EXPECT_EQ(errorWith("config.json", "{\"a\":" + deep + "}"),
            "folder/config.json: nested deeper than 32");
}

TEST(HuggingFace, FindsWeights) {
  FolderFiles files = gptqFolder();
  std::string weights = files["model.safetensors"];
  files.erase("model.safetensors");
  EXPECT_EQ(folderError(files),
            "folder: expected weights in safetensors or torch files, got none");
  // Adapters and Mistral's second copy are no weights of the model.
  files["adapter_model.safetensors"] = weights;
  files["consolidated.safetensors"] = weights;
  EXPECT_NE(folderError(files), "");
  files["gptq_model-4bit-32g.safetensors"] = weights;
  EXPECT_EQ(folderError(files), "");
  files["second.safetensors"] = weights;
  EXPECT_EQ(folderError(files),
            "folder/second.safetensors: tensor 'm.bias' is also in "
            "folder/gptq_model-4bit-32g.safetensors");
}

TEST(HuggingFace, ReadsIndices) {
  FolderFiles files = gptqFolder();
  files["w.safetensors"] = files["model.safetensors"];
  files.erase("model.safetensors");
  auto error = [&](const std::string &map) {
    files["model.safetensors.index.json"] = "{\"weight_map\":" + map + "}";
    return folderError(files);
  };
  std::string index = "folder/model.safetensors.index.json: ";
  EXPECT_EQ(error(R"({"plain":"w.safetensors"})"), "");
  EXPECT_EQ(error(R"({"plain":"x.safetensors"})"),
            index + "file 'x.safetensors' is missing");
  EXPECT_EQ(error(R"({"other":"w.safetensors"})"),
            "folder/w.safetensors: tensor 'other' is missing, which the index "
            "has there");
  for (const char *name :
       {R"("../w.safetensors")", R"("/w.safetensors")", R"("w")", "1",
        R"("a\\w.safetensors")", R"("w\u0000.safetensors")"})
    EXPECT_TRUE(error("{\"plain\":" + std::string(name) + "}")
                    .starts_with(index + "tensor 'plain': expected the name of "
                                         "a safetensors file in this folder, "
                                         "got "))
        << name;
  for (const char *map : {"{}", "[]", "null", "1"})
    EXPECT_TRUE(error(map).starts_with(index + "key 'weight_map': expected an "
                                               "object of file names, got "))
        << map;
}

// A file cut anywhere is refused.
TEST(HuggingFaceMutation, Truncation) {
  FolderFiles seed = gptqFolder();
  ASSERT_EQ(folderError(seed), "");
  for (auto &[name, content] : seed) {
    FolderFiles files = seed;
    for (size_t length = 0; length < content.size(); ++length) {
      files[name] = content.substr(0, length);
      ASSERT_NE(folderError(files), "") << name << " of " << length << " bytes";
    }
  }
}

TEST(HuggingFaceMutation, EveryBitFlip) {
  FolderFiles files = gptqFolder();
  size_t accepted = 0, refused = 0;
  for (auto &[name, content] : files) {
    for (size_t bit = 0; bit < content.size() * 8; ++bit) {
      content[bit / 8] ^= char(1 << bit % 8);
      (folderError(files).empty() ? accepted : refused) += 1;
      content[bit / 8] ^= char(1 << bit % 8);
    }
  }
  // Flips in weights and texts are harmless, those in the structure are not.
  EXPECT_GT(accepted, 1000u);
  EXPECT_GT(refused, 1000u);
}

/// Replaces each run of digits of `text` by each value, and calls `test` with
/// the result.
template <typename Test>
size_t replaceNumbers(const std::string &text, const Test &test) {
  static const char *const values[] = {"0",
                                       "1",
                                       "2",
                                       "31",
                                       "32",
                                       "33",
                                       "63",
                                       "64",
                                       "65",
                                       "255",
                                       "256",
                                       "65535",
                                       "65536",
                                       "-1",
                                       "1.5",
                                       "1e30",
                                       "1e999",
                                       "2147483647",
                                       "2147483648",
                                       "4294967295",
                                       "null",
                                       "[]",
                                       "{}",
                                       "\"4\"",
                                       "true",
                                       "4294967296",
                                       "9223372036854775807",
                                       "9223372036854775808",
                                       "18446744073709551615",
                                       "18446744073709551616",
                                       "-9223372036854775808"};
  size_t count = 0;
  for (size_t at = 0; at < text.size();) {
    size_t length = text.find_first_not_of("0123456789", at) - at;
    // Digits of names stay.
    if (length == 0 || (at > 0 && isalpha(text[at - 1]))) {
      at += std::max<size_t>(length, 1);
      continue;
    }
    for (const char *value : values) {
      if (text.substr(at, length) == value)
        continue;
      test(text.substr(0, at) + value + text.substr(at + length));
      ++count;
    }
    at += length;
  }
  return count;
}

// Each number of a header takes each boundary value; none can be right.
TEST(HuggingFaceMutation, HeaderNumbers) {
  FolderFiles files = gptqFolder();
  std::string file = files["model.safetensors"];
  size_t length = uint8_t(file[0]) | size_t(uint8_t(file[1])) << 8;
  std::string header = file.substr(8, length), data = file.substr(8 + length);
  size_t count = replaceNumbers(header, [&](const std::string &changed) {
    files["model.safetensors"] = safetensorsFile(changed, data);
    ASSERT_NE(folderError(files), "") << changed;
  });
  EXPECT_GE(count, 700u);
}

TEST(HuggingFaceMutation, ConfigNumbers) {
  FolderFiles seed = gptqFolder();
  for (const char *name : {"config.json", "quantize_config.json"}) {
    FolderFiles files = seed;
    size_t count = replaceNumbers(seed[name], [&](const std::string &changed) {
      files[name] = changed;
      folderError(files);
    });
    EXPECT_GE(count, 60u);
  }
}

// All shapes of the arrays of a weight, however they disagree.
TEST(HuggingFaceMutation, WrongShapes) {
  FolderFiles files = gptqFolder();
  size_t accepted = 0;
  for (uint64_t a : {1, 2, 8, 16}) {
    for (uint64_t b : {1, 2, 16, 64}) {
      for (uint64_t c : {1, 2, 3}) {
        SafetensorsBuilder builder;
        builder.tensor("m.qweight", "I32", {a, b}, someBytes(a * b * 4))
            .tensor("m.scales", "F16", {c, b}, someBytes(c * b * 2))
            .tensor("m.qzeros", "I32", {c, 2}, words(0x77777777, c * 2));
        files["model.safetensors"] = builder.build();
        accepted += folderError(files).empty();
      }
    }
  }
  // [8, 16] with 2 groups, [4, 16] is not among them.
  EXPECT_EQ(accepted, 1u);
}

} // namespace
