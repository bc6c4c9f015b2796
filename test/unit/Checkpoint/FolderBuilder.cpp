//===- FolderBuilder.cpp - Writes Hugging Face folders, bad ones too ------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "FolderBuilder.h"
#include "qcc/Checkpoint/Describe.h"
#include <cstring>
#include <gtest/gtest.h>
#include <memory>

using namespace qcc;

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

std::string qcc::safetensorsFile(std::string_view header,
                                 std::string_view data) {
  uint64_t length = header.size();
  std::string file(reinterpret_cast<const char *>(&length), 8);
  file += header;
  file += data;
  return file;
}

std::string qcc::headerEntry(std::string_view name, std::string_view type,
                             const std::vector<uint64_t> &shape, uint64_t begin,
                             uint64_t end) {
  std::string text = "\"" + std::string(name) + "\":{\"dtype\":\"" +
                     std::string(type) + "\",\"shape\":[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "],\"data_offsets\":[" + std::to_string(begin) + "," +
         std::to_string(end) + "]}";
}

SafetensorsBuilder &
SafetensorsBuilder::tensor(std::string_view name, std::string_view type,
                           const std::vector<uint64_t> &shape,
                           std::string_view bytes) {
  header +=
      (header.empty() ? "" : ",") +
      headerEntry(name, type, shape, data.size(), data.size() + bytes.size());
  data += bytes;
  return *this;
}

std::string SafetensorsBuilder::build() const {
  return safetensorsFile("{" + header + "}", data);
}

std::string qcc::someBytes(size_t count) {
  std::string bytes(count, '\0');
  for (size_t i = 0; i < count; ++i)
    bytes[i] = char(uint8_t(i * 7 + 3));
  return bytes;
}

std::string qcc::words(uint32_t word, size_t count) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i)
    bytes.append(reinterpret_cast<const char *>(&word), 4);
  return bytes;
}

FolderFiles FolderModel::files() const {
  SafetensorsBuilder builder;
  for (const auto &[name, array] : arrays)
    builder.tensor(name, array.type, array.shape, array.bytes);
  return {{"config.json", R"({"model_type":"llama","quantization_config":{)" +
                              quantization + "}}"},
          {"model.safetensors", builder.build()}};
}

FolderFiles qcc::gptqFolder() {
  std::string groups;
  for (uint32_t k = 0; k < 64; ++k)
    groups += words(k / 32, 1);
  SafetensorsBuilder b;
  b.tensor("m.qweight", "I32", {8, 16}, someBytes(512))
      .tensor("m.scales", "F16", {2, 16}, someBytes(64))
      .tensor("m.qzeros", "I32", {2, 2}, words(0x77777777, 4))
      .tensor("m.g_idx", "I32", {64}, groups)
      .tensor("m.bias", "F16", {16}, std::string(32, '\0'))
      .tensor("plain", "BF16", {3, 5}, someBytes(30))
      .tensor("scalar", "F32", {}, someBytes(4));
  return {{"config.json", R"({"model_type":"llama","a":{"b":[1,-2],"c":null},)"
                          R"("quantization_config":{"bits":4,"group_size":32,)"
                          R"("quant_method":"gptq","sym":true}})"},
          {"quantize_config.json",
           R"({"bits":4,"damp_percent":0.01,"checkpoint_format":"gptq"})"},
          {"generation_config.json", R"({"eos_token_id":[1,2]})"},
          {"model.safetensors", b.build()}};
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

static void checkRange(const Checkpoint &checkpoint, uint32_t file,
                       uint64_t offset, uint64_t bytes) {
  ASSERT_LT(file, checkpoint.files().size());
  size_t fileBytes = checkpoint.files()[file].bytes.size();
  ASSERT_GT(bytes, 0u);
  ASSERT_LE(bytes, fileBytes);
  ASSERT_LE(offset, fileBytes - bytes);
}

/// Everything that the rest of the compiler relies on.
static void checkInvariants(const Checkpoint &checkpoint) {
  ASSERT_FALSE(checkpoint.files().empty());
  for (const Tensor &tensor : checkpoint.tensors()) {
    ASSERT_EQ(checkpoint.findTensor(tensor.name), &tensor);
    ASSERT_NE(tensor.type == nullptr, tensor.format == nullptr);
    ASSERT_LE(tensor.dims.size(), 4u);
    uint64_t partBytes = 0;
    for (const TensorPart &part : tensor.parts) {
      checkRange(checkpoint, part.file, part.offset, part.bytes);
      partBytes += part.bytes;
    }
    if (tensor.format || !tensor.slices.empty()) {
      ASSERT_EQ(tensor.bytes, partBytes);
      if (tensor.encoding())
        ASSERT_EQ(tensor.encoding()->check(), "");
    } else {
      checkRange(checkpoint, tensor.file, tensor.offset, tensor.bytes);
      ASSERT_EQ(tensor.rows() * tensor.rowBytes(), tensor.bytes);
    }
    // All of it, and the last row alone.
    std::vector<float> values(tensor.elements());
    checkpoint.decodeRows(tensor, 0, unsigned(tensor.rows()), values.data());
    std::vector<float> last(tensor.rowElements());
    checkpoint.decodeRows(tensor, tensor.rows() - 1, 1, last.data());
    ASSERT_EQ(std::memcmp(last.data(), &*values.end() - last.size(),
                          last.size() * sizeof(float)),
              0);
  }
  for (const MetadataEntry &entry : checkpoint.metadata())
    ASSERT_EQ(checkpoint.findMetadata(entry.key), &entry.value);
  ASSERT_EQ(describeText(checkpoint).back(), '\n');
  ASSERT_EQ(describeJson(checkpoint).back(), '\n');
}

Result<Checkpoint> qcc::parseFolderExactly(const FolderFiles &files) {
  // Outlive the checkpoint: the buffers are kept until the next call.
  static std::vector<std::unique_ptr<uint8_t[]>> copies;
  copies.clear();
  std::vector<FolderFile> views;
  for (const auto &[name, bytes] : files) {
    copies.emplace_back(new uint8_t[bytes.size()]);
    if (!bytes.empty())
      std::memcpy(copies.back().get(), bytes.data(), bytes.size());
    views.push_back({name, {copies.back().get(), bytes.size()}});
  }
  Result<Checkpoint> result = parseHuggingFace(views);
  if (result)
    checkInvariants(*result);
  return result;
}

std::string qcc::folderError(const FolderFiles &files) {
  Result<Checkpoint> result = parseFolderExactly(files);
  if (result)
    return "";
  EXPECT_TRUE(result.message().starts_with("folder")) << result.message();
  EXPECT_FALSE(result.message().ends_with(".")) << result.message();
  EXPECT_EQ(result.message().find('\n'), std::string::npos);
  return result.message();
}
