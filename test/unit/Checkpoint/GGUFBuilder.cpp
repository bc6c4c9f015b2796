//===- GGUFBuilder.cpp - Writes GGUF files, bad ones too ------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "GGUFBuilder.h"
#include "qcc/Checkpoint/Describe.h"
#include <cstring>
#include <gtest/gtest.h>
#include <memory>

using namespace qcc;

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

namespace {

template <typename T>
constexpr ValueType typeOf = ValueType::Array;
template <>
constexpr ValueType typeOf<uint8_t> = ValueType::U8;
template <>
constexpr ValueType typeOf<int8_t> = ValueType::I8;
template <>
constexpr ValueType typeOf<uint16_t> = ValueType::U16;
template <>
constexpr ValueType typeOf<int16_t> = ValueType::I16;
template <>
constexpr ValueType typeOf<uint32_t> = ValueType::U32;
template <>
constexpr ValueType typeOf<int32_t> = ValueType::I32;
template <>
constexpr ValueType typeOf<float> = ValueType::F32;
template <>
constexpr ValueType typeOf<bool> = ValueType::Bool;
template <>
constexpr ValueType typeOf<uint64_t> = ValueType::U64;
template <>
constexpr ValueType typeOf<int64_t> = ValueType::I64;
template <>
constexpr ValueType typeOf<double> = ValueType::F64;

} // namespace

template <typename T>
void GGUFBuilder::put(Role role, T value) {
  numbers.push_back({role, bytes.size(), sizeof(T)});
  const auto *data = reinterpret_cast<const uint8_t *>(&value);
  bytes.insert(bytes.end(), data, data + sizeof(T));
}

void GGUFBuilder::putString(std::string_view text) {
  put(Role::Length, uint64_t(text.size()));
  bytes.insert(bytes.end(), text.begin(), text.end());
}

void GGUFBuilder::putKey(std::string_view name, ValueType type) {
  ++keys;
  putString(name);
  put(Role::Type, uint32_t(type));
}

GGUFBuilder::GGUFBuilder(uint32_t version) {
  bytes = {'G', 'G', 'U', 'F'};
  put(Role::Version, version);
  put(Role::Count, uint64_t(0));
  put(Role::Count, uint64_t(0));
}

template <typename T>
GGUFBuilder &GGUFBuilder::key(std::string_view name, T value) {
  putKey(name, typeOf<T>);
  put(Role::Value, value);
  return *this;
}

GGUFBuilder &GGUFBuilder::key(std::string_view name, std::string_view value) {
  putKey(name, ValueType::String);
  putString(value);
  return *this;
}

template <typename T>
GGUFBuilder &GGUFBuilder::array(std::string_view name,
                                const std::vector<T> &values) {
  putKey(name, ValueType::Array);
  put(Role::Type, uint32_t(typeOf<T>));
  put(Role::Length, uint64_t(values.size()));
  for (T value : values)
    put(Role::Value, value);
  return *this;
}

GGUFBuilder &GGUFBuilder::array(std::string_view name,
                                const std::vector<std::string> &values) {
  putKey(name, ValueType::Array);
  put(Role::Type, uint32_t(ValueType::String));
  put(Role::Length, uint64_t(values.size()));
  for (const std::string &value : values)
    putString(value);
  return *this;
}

GGUFBuilder &GGUFBuilder::rawKey(std::string_view name, uint32_t type,
                                 const std::vector<uint8_t> &value) {
  putKey(name, ValueType(type));
  bytes.insert(bytes.end(), value.begin(), value.end());
  return *this;
}

GGUFBuilder &GGUFBuilder::tensor(std::string_view name,
                                 const std::vector<uint64_t> &dims,
                                 uint32_t type) {
  uint64_t elements = 1;
  for (uint64_t dim : dims)
    elements *= dim;
  const GGMLType *info = findGGMLType(type);
  uint64_t size = elements / info->blockElements * info->blockBytes;
  dataBytes = (dataBytes + align - 1) / align * align;
  return tensorAt(name, dims, type, dataBytes, size);
}

GGUFBuilder &GGUFBuilder::tensorAt(std::string_view name,
                                   const std::vector<uint64_t> &dims,
                                   uint32_t type, uint64_t offset,
                                   uint64_t size) {
  ++tensors;
  putString(name);
  put(Role::Length, uint32_t(dims.size()));
  for (uint64_t dim : dims)
    put(Role::Dimension, dim);
  put(Role::Type, type);
  put(Role::Offset, offset);
  dataBytes = std::max(dataBytes, offset + size);
  return *this;
}

std::vector<uint8_t> GGUFBuilder::build() {
  std::memcpy(&bytes[8], &tensors, 8);
  std::memcpy(&bytes[16], &keys, 8);
  header = bytes.size();
  std::vector<uint8_t> file = bytes;
  if (dataBytes == 0)
    return file;
  file.resize((header + align - 1) / align * align);
  for (uint64_t i = 0; i < dataBytes; ++i)
    file.push_back(uint8_t(i * 7 + 3));
  return file;
}

#define QCC_INSTANTIATE(T)                                                     \
  template GGUFBuilder &GGUFBuilder::key(std::string_view, T);                 \
  template GGUFBuilder &GGUFBuilder::array(std::string_view,                   \
                                           const std::vector<T> &);
QCC_INSTANTIATE(bool)
QCC_INSTANTIATE(uint8_t)
QCC_INSTANTIATE(int8_t)
QCC_INSTANTIATE(uint16_t)
QCC_INSTANTIATE(int16_t)
QCC_INSTANTIATE(uint32_t)
QCC_INSTANTIATE(int32_t)
QCC_INSTANTIATE(uint64_t)
QCC_INSTANTIATE(int64_t)
QCC_INSTANTIATE(float)
QCC_INSTANTIATE(double)
#undef QCC_INSTANTIATE

GGUFBuilder qcc::richFile() {
  GGUFBuilder b;
  b.key("general.architecture", "llama")
      .key("general.alignment", uint32_t(64))
      .alignment(64)
      .key("u8", uint8_t(200))
      .key("i8", int8_t(-100))
      .key("u16", uint16_t(60000))
      .key("i16", int16_t(-30000))
      .key("u32", uint32_t(4000000000))
      .key("i32", int32_t(-2000000000))
      .key("f32", 1e-5f)
      .key("bool", true)
      .key("u64", uint64_t(18000000000000000000u))
      .key("i64", int64_t(-9000000000000000000))
      .key("f64", 1e300)
      .key("empty", "")
      .array("array.u8", std::vector<uint8_t>{1, 2, 3})
      .array("array.i32", std::vector<int32_t>{-1, 0, 1})
      .array("array.f32", std::vector<float>{0.5f, -0.25f})
      .array("array.bool", std::vector<bool>{true, false})
      .array("array.u64", std::vector<uint64_t>{})
      .array("tokenizer.ggml.tokens",
             std::vector<std::string>{"<s>", "", "\xe2\x96\x81the"})
      .key("tokenizer.ggml.eos_token_id", uint32_t(2))
      .key("tokenizer.chat_template", "{% for m in messages %}\n{{ m }}");
  b.tensor("token_embd.weight", {64, 3}, 2)
      .tensor("blk.0.attn_norm.weight", {5}, 0)
      .tensor("blk.0.ffn_down.weight", {256, 2, 2}, 12)
      .tensor("scalar", {}, 0)
      .tensor("experts", {32, 2, 1, 2}, 8);
  return b;
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// Everything that the rest of the compiler relies on.
static void checkInvariants(const Checkpoint &checkpoint) {
  for (const Checkpoint::File &file : checkpoint.files()) {
    ASSERT_FALSE(file.bytes.empty());
  }
  unsigned sum = 0;
  for (const Tensor &tensor : checkpoint.tensors()) {
    ASSERT_EQ(checkpoint.findTensor(tensor.name), &tensor);
    ASSERT_NE(tensor.type, nullptr);
    ASSERT_LE(tensor.dims.size(), 4u);
    ASSERT_LT(tensor.file, checkpoint.files().size());
    size_t fileBytes = checkpoint.files()[tensor.file].bytes.size();
    ASSERT_GT(tensor.bytes, 0u);
    ASSERT_LE(tensor.bytes, fileBytes);
    ASSERT_LE(tensor.offset, fileBytes - tensor.bytes);
    ASSERT_EQ(tensor.rows() * tensor.rowBytes(), tensor.bytes);
    uint64_t product = 1;
    for (uint64_t dim : tensor.dims)
      product *= dim;
    ASSERT_EQ(tensor.elements(), product);
    const uint8_t *data = checkpoint.data(tensor);
    for (uint64_t i = 0; i < tensor.bytes; ++i)
      sum += data[i];
  }
  for (const MetadataEntry &entry : checkpoint.metadata())
    ASSERT_EQ(checkpoint.findMetadata(entry.key), &entry.value);
  ASSERT_EQ(describeText(checkpoint).back(), '\n');
  ASSERT_EQ(describeJson(checkpoint).back(), '\n');
  // The sum is used, so that the reads are not removed.
  ASSERT_LE(sum, ~0u);
}

Result<Checkpoint> qcc::parseExactly(const std::vector<uint8_t> &bytes) {
  // Outlives the checkpoint: one buffer is kept until the next call.
  static std::unique_ptr<uint8_t[]> copy;
  copy.reset(new uint8_t[bytes.size()]);
  if (!bytes.empty())
    std::memcpy(copy.get(), bytes.data(), bytes.size());
  Result<Checkpoint> result = parseGGUF({{"file", {copy.get(), bytes.size()}}});
  if (result)
    checkInvariants(*result);
  return result;
}

std::string qcc::errorOf(const std::vector<uint8_t> &bytes) {
  Result<Checkpoint> result = parseExactly(bytes);
  if (result)
    return "";
  EXPECT_TRUE(result.message().starts_with("file: ")) << result.message();
  EXPECT_FALSE(result.message().ends_with(".")) << result.message();
  EXPECT_EQ(result.message().find('\n'), std::string::npos);
  return result.message().substr(std::min<size_t>(6, result.message().size()));
}
