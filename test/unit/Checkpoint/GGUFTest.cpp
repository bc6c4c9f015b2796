//===- GGUFTest.cpp - Tests of the GGUF reader ----------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>
#include "GGUFBuilder.h"

using namespace qcc;

namespace {

//===----------------------------------------------------------------------===//
// Good files
//===----------------------------------------------------------------------===//

TEST(GGUF, ReadsTensors) {
  std::vector<uint8_t> bytes = richFile().build();
  Result<Checkpoint> checkpoint = parseExactly(bytes);
  ASSERT_TRUE(checkpoint) << checkpoint.message();
  EXPECT_EQ(checkpoint->format(), "GGUF v3");
  EXPECT_EQ(checkpoint->path(), "file");
  ASSERT_EQ(checkpoint->tensors().size(), 5u);

  const Tensor *tensor = checkpoint->findTensor("blk.0.ffn_down.weight");
  ASSERT_NE(tensor, nullptr);
  EXPECT_STREQ(tensor->type->name, "Q4_K");
  EXPECT_EQ(tensor->dims, (std::vector<uint64_t>{256, 2, 2}));
  EXPECT_EQ(tensor->shape(), "[256, 2, 2]");
  EXPECT_EQ(tensor->bytes, 4u * 144);
  EXPECT_EQ(tensor->rows(), 4u);
  EXPECT_EQ(tensor->rowBytes(), 144u);
  EXPECT_EQ(tensor->elements(), 1024u);
  EXPECT_EQ(tensor->offset % 64, 0u);
  // 3 rows of Q4_0 (108 bytes) and 5 floats (20 bytes), each padded to 64.
  EXPECT_EQ(checkpoint->data(*tensor)[0], uint8_t((128 + 64) * 7 + 3));

  const Tensor *scalar = checkpoint->findTensor("scalar");
  ASSERT_NE(scalar, nullptr);
  EXPECT_EQ(scalar->shape(), "[]");
  EXPECT_EQ(scalar->elements(), 1u);
  EXPECT_EQ(scalar->bytes, 4u);
  EXPECT_EQ(checkpoint->findTensor("blk.0"), nullptr);
}

TEST(GGUF, ReadsVersion2) {
  Result<Checkpoint> checkpoint =
      parseExactly(GGUFBuilder(2).key("a", uint8_t(1)).build());
  ASSERT_TRUE(checkpoint) << checkpoint.message();
  EXPECT_EQ(checkpoint->format(), "GGUF v2");
}

TEST(GGUF, MayHoldNothing) {
  EXPECT_EQ(errorOf(GGUFBuilder().build()), "");
  EXPECT_EQ(errorOf(GGUFBuilder().key("a", "b").build()), "");
}

TEST(GGUF, TensorsMayLieInAnyOrder) {
  EXPECT_EQ(errorOf(GGUFBuilder()
                        .tensorAt("a", {8}, 0, 32, 32)
                        .tensorAt("b", {8}, 0, 0, 32)
                        .build()),
            "");
}

TEST(GGUF, LastTensorNeedsNoPadding) {
  std::vector<uint8_t> bytes = GGUFBuilder().tensor("a", {1}, 0).build();
  EXPECT_EQ(bytes.size() % 32, 4u);
  EXPECT_EQ(errorOf(bytes), "");
}

TEST(GGUF, EveryAlignment) {
  for (uint32_t i = 0; i < 32; ++i) {
    uint32_t value = uint32_t(1) << i;
    bool allowed = value >= 8 && value <= 65536;
    GGUFBuilder builder;
    builder.key("general.alignment", value)
        .alignment(allowed ? value : 32)
        .tensor("a", {1}, 0);
    std::string want = allowed
                           ? ""
                           : "key 'general.alignment': expected a power of two "
                             "from 8 to 65536, got " +
                                 std::to_string(value);
    EXPECT_EQ(errorOf(builder.build()), want);
  }
  for (uint32_t value : {0u, 24u, 33u, 0xffffffffu})
    EXPECT_NE(errorOf(GGUFBuilder().key("general.alignment", value).build()),
              "");
  EXPECT_EQ(
      errorOf(GGUFBuilder().key("general.alignment", uint64_t(32)).build()),
      "key 'general.alignment': expected u32, got u64");
}

//===----------------------------------------------------------------------===//
// Bad headers
//===----------------------------------------------------------------------===//

std::vector<uint8_t> patched(std::vector<uint8_t> bytes, size_t offset,
                             std::vector<uint8_t> value) {
  std::copy(value.begin(), value.end(), bytes.begin() + ptrdiff_t(offset));
  return bytes;
}

TEST(GGUF, Magic) {
  std::vector<uint8_t> good = GGUFBuilder().build();
  EXPECT_EQ(errorOf({}), "magic at byte 0: expected 4 bytes, got 0 bytes "
                         "before the end of the file");
  EXPECT_EQ(errorOf(patched(good, 0, {'g', 'g', 'm', 'l'})),
            "magic: expected 'GGUF', got 'ggml'");
  EXPECT_TRUE(isGGUF(good));
  EXPECT_FALSE(isGGUF(std::span(good).first(3)));
}

TEST(GGUF, Version) {
  auto version = [](std::vector<uint8_t> value) {
    return errorOf(patched(GGUFBuilder().build(), 4, std::move(value)));
  };
  EXPECT_EQ(version({0, 0, 0, 0}), "GGUF version: expected 2 or 3, got 0");
  EXPECT_EQ(version({1, 0, 0, 0}),
            "GGUF version 1 is obsolete; convert the model again");
  EXPECT_EQ(version({4, 0, 0, 0}), "GGUF version: expected 2 or 3, got 4");
  EXPECT_EQ(version({0, 0, 0, 3}),
            "byte order: expected a little-endian GGUF file, got a big-endian "
            "one");
}

TEST(GGUF, Counts) {
  auto count = [](size_t offset, uint64_t value) {
    std::vector<uint8_t> bytes = GGUFBuilder().key("a", "b").build();
    std::memcpy(&bytes[offset], &value, 8);
    return errorOf(bytes);
  };
  EXPECT_EQ(count(8, uint64_t(1) << 63),
            "number of tensors: expected at most 262144, got "
            "9223372036854775808");
  EXPECT_EQ(count(16, ~uint64_t(0)),
            "number of keys: expected at most 65536, got "
            "18446744073709551615");
  EXPECT_EQ(count(8, 3), "number of tensors: expected at most 0 in the rest "
                         "of the file, got 3");
  EXPECT_EQ(count(16, 3), "number of keys: expected at most 1 in the rest of "
                          "the file, got 3");
}

//===----------------------------------------------------------------------===//
// Bad keys
//===----------------------------------------------------------------------===//

TEST(GGUF, KeyNames) {
  auto key = [](std::string_view name) {
    return errorOf(GGUFBuilder().key(name, uint64_t(1)).build());
  };
  EXPECT_EQ(key(""), "key at byte 24: expected 1 to 65535 bytes, got 0 bytes");
  EXPECT_EQ(key(std::string(65535, 'x')), "");
  EXPECT_EQ(key(std::string(65536, 'x')),
            "key at byte 24: expected 1 to 65535 bytes, got 65536 bytes");
  EXPECT_EQ(key("\xff"), "key at byte 24: expected UTF-8, got '\\xff'");
  EXPECT_EQ(key("a\nb"),
            "key at byte 24: expected no control characters, got 'a\\x0ab'");
  EXPECT_EQ(key(std::string_view("a\0b", 3)),
            "key at byte 24: expected no control characters, got 'a\\x00b'");
  EXPECT_EQ(key("schl\xc3\xbcssel"), "");
  EXPECT_EQ(errorOf(GGUFBuilder()
                        .key("a", uint8_t(1))
                        .key("b", uint8_t(1))
                        .key("a", "x")
                        .build()),
            "key 'a' occurs twice");
}

TEST(GGUF, EveryValueType) {
  for (uint32_t type = 0; type < 300; ++type) {
    // Enough zero bytes for any number, string or empty array.
    std::vector<uint8_t> value(16);
    std::string error = errorOf(GGUFBuilder().rawKey("k", type, value).build());
    if (type > 12)
      EXPECT_EQ(error,
                "key 'k' type: expected 0 to 12, got " + std::to_string(type));
    else
      EXPECT_EQ(error, "");
    // The same as an array of one element.
    value = {uint8_t(type), uint8_t(type >> 8), 0, 0, 1, 0, 0, 0, 0, 0, 0, 0};
    value.resize(24);
    error = errorOf(GGUFBuilder().rawKey("k", 9, value).build());
    if (type > 12)
      EXPECT_EQ(error, "key 'k' element type: expected 0 to 12, got " +
                           std::to_string(type));
    else if (type == 9)
      EXPECT_EQ(error, "key 'k': expected an array of numbers, bools or "
                       "strings, got an array of arrays");
    else
      EXPECT_EQ(error, "");
  }
}

TEST(GGUF, Bools) {
  EXPECT_EQ(errorOf(GGUFBuilder().rawKey("k", 7, {2}).build()),
            "key 'k': expected a bool of 0 or 1, got 2");
  EXPECT_EQ(
      errorOf(GGUFBuilder()
                  .rawKey("k", 9, {7, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 255})
                  .build()),
      "key 'k': expected a bool of 0 or 1, got 255");
}

TEST(GGUF, LengthsPastTheEnd) {
  auto array = [](uint8_t type, uint64_t count) {
    std::vector<uint8_t> value = {type, 0, 0, 0};
    for (int i = 0; i < 64; i += 8)
      value.push_back(uint8_t(count >> i));
    return errorOf(GGUFBuilder().rawKey("k", 9, value).build());
  };
  EXPECT_EQ(array(10, uint64_t(1) << 61),
            "key 'k' at byte 49: expected 2305843009213693952 times 8 bytes, "
            "got 0 bytes before the end of the file");
  EXPECT_EQ(array(8, uint64_t(1) << 60),
            "key 'k': expected at most 0 strings in the rest of the file, got "
            "1152921504606846976");
  std::vector<uint8_t> length(8, 0xff);
  EXPECT_EQ(errorOf(GGUFBuilder().rawKey("k", 8, length).build()),
            "key 'k' at byte 45: expected 18446744073709551615 bytes, got 0 "
            "bytes before the end of the file");
}

//===----------------------------------------------------------------------===//
// Bad tensors
//===----------------------------------------------------------------------===//

std::string tensorError(const std::vector<uint64_t> &dims, uint32_t type) {
  return errorOf(GGUFBuilder().tensorAt("t", dims, type, 0, 4096).build());
}

TEST(GGUF, Shapes) {
  const uint64_t big = uint64_t(1) << 32;
  EXPECT_EQ(tensorError({1, 1, 1, 1, 1}, 0),
            "tensor 't': expected at most 4 dimensions, got 5");
  EXPECT_EQ(tensorError({4, 0}, 0),
            "tensor 't': expected no dimension of 0, got [4, 0]");
  EXPECT_EQ(tensorError({big, big}, 0),
            "tensor 't': expected fewer than 2^64 elements, got [4294967296, "
            "4294967296]");
  EXPECT_EQ(tensorError({big, big / 4}, 0),
            "tensor 't': expected fewer than 2^64 bytes, got [4294967296, "
            "1073741824]");
  EXPECT_EQ(tensorError({48, 2}, 2),
            "tensor 't': expected a first dimension that is a multiple of 32 "
            "(Q4_0), got [48, 2]");
  EXPECT_EQ(tensorError({}, 2), "tensor 't': expected a first dimension that "
                                "is a multiple of 32 (Q4_0), got []");
  EXPECT_EQ(tensorError({1024, 1}, 0), "");
  EXPECT_EQ(tensorError({1025, 1}, 0),
            "tensor 't': expected 4100 bytes at offset 0 of the data, got a "
            "file with 4096 bytes of data (is it truncated?)");
}

TEST(GGUF, Types) {
  EXPECT_EQ(tensorError({32}, 31),
            "tensor 't': ggml type 31 (Q4_0_4_4) was removed from ggml; "
            "quantize the model again as Q4_0");
  EXPECT_EQ(tensorError({32}, 1000),
            "tensor 't': ggml type 1000 is unknown; known are 0 to 42");
  for (const GGMLType &type : ggmlTypes())
    EXPECT_EQ(tensorError({256}, type.id), "") << type.name;
}

TEST(GGUF, Offsets) {
  auto at = [](uint64_t offset) {
    return errorOf(GGUFBuilder()
                       .tensorAt("t", {8}, 0, 0, 64)
                       .tensorAt("u", {8}, 0, offset, 0 - offset + 64)
                       .build());
  };
  EXPECT_EQ(at(33), "tensor 'u' offset: expected a multiple of 32, got 0x21");
  EXPECT_EQ(at(64), "tensor 'u': expected 32 bytes at offset 64 of the data, "
                    "got a file with 64 bytes of data (is it truncated?)");
  EXPECT_EQ(at(~uint64_t(31)),
            "tensor 'u': expected 32 bytes at offset 18446744073709551584 of "
            "the data, got a file with 64 bytes of data (is it truncated?)");
  EXPECT_EQ(at(0), "tensors 't' and 'u' overlap");
  EXPECT_EQ(at(32), "");
}

TEST(GGUF, OverlapByOneByte) {
  EXPECT_EQ(errorOf(GGUFBuilder()
                        .tensorAt("a", {33}, 24, 0, 64)
                        .tensorAt("b", {1}, 24, 32, 0)
                        .build()),
            "tensors 'a' and 'b' overlap");
}

TEST(GGUF, TensorNames) {
  auto name = [](std::string_view text) {
    return errorOf(GGUFBuilder().tensor(text, {8}, 0).build());
  };
  EXPECT_EQ(name(std::string(63, 'n')), "");
  EXPECT_EQ(name(std::string(64, 'n')),
            "tensor name at byte 24: expected 1 to 63 bytes, got 64 bytes");
  EXPECT_EQ(name(""),
            "tensor name at byte 24: expected 1 to 63 bytes, got 0 bytes");
  EXPECT_EQ(name("\xc0\x80"),
            "tensor name at byte 24: expected UTF-8, got '\\xc0\\x80'");
  EXPECT_EQ(name("\x1b[31m"), "tensor name at byte 24: expected no control "
                              "characters, got '\\x1b[31m'");
  EXPECT_EQ(errorOf(GGUFBuilder()
                        .tensor("a", {8}, 0)
                        .tensor("b", {8}, 0)
                        .tensor("a", {8}, 0)
                        .build()),
            "tensor 'a' occurs twice");
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

TEST(OpenCheckpoint, TellsOtherFilesApart) {
  std::string path = std::filesystem::path(testing::TempDir()) /
                     ("qcc-open-" + std::to_string(::getpid()));
  auto open = [&](std::string_view content) {
    std::ofstream(path, std::ios::binary) << content;
    Result<Checkpoint> result = openCheckpoint(path);
    return result ? std::string() : result.message();
  };
  std::vector<uint8_t> good = richFile().build();
  EXPECT_EQ(open({reinterpret_cast<const char *>(good.data()), good.size()}),
            "");
  std::string prefix = path + ": expected a GGUF file, a Hugging Face folder, "
                              "or a safetensors or torch "
                              "file in one, got ";
  EXPECT_EQ(open("tjgg\1\0\0\0"), prefix + "a ggml file from before GGUF "
                                           "(convert it with llama.cpp)");
  EXPECT_EQ(open("hello, world"), prefix + "a file that starts with 'hell'");
  EXPECT_EQ(open("GG"), prefix + "a file that starts with 'GG'");
  EXPECT_EQ(open("GGUF"), path + ": version at byte 4: expected 4 bytes, got "
                                 "0 bytes before the end of the file");
  EXPECT_EQ(open(""), path + ": the file is empty");
  std::filesystem::remove(path);
}

} // namespace
