//===- SafetensorsTest.cpp - Tests of the safetensors reader --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/Safetensors.h"
#include <gtest/gtest.h>
#include "FolderBuilder.h"

using namespace qcc;

namespace {

Result<std::vector<SafetensorsEntry>> read(const std::string &file) {
  return readSafetensors(
      "f", {reinterpret_cast<const uint8_t *>(file.data()), file.size()});
}

std::string errorOf(const std::string &file) {
  auto entries = read(file);
  return entries ? "" : entries.message();
}

/// The error of a header with `data` bytes of data.
std::string headerError(const std::string &header, size_t data = 0) {
  return errorOf(safetensorsFile(header, someBytes(data)));
}

TEST(Safetensors, Reads) {
  // Not in order of the data, and with metadata between.
  std::string header = "{" + headerEntry("b\\u00e4", "I64", {1, 2}, 6, 22) +
                       R"(,"__metadata__":{"x":"y"},)" +
                       headerEntry("a", "F16", {3}, 0, 6) + "," +
                       headerEntry("empty", "F32", {4, 0}, 6, 6) + "," +
                       headerEntry("four", "F4", {3}, 22, 24) + "}  ";
  auto entries = read(safetensorsFile(header, someBytes(24)));
  ASSERT_TRUE(entries) << entries.message();
  ASSERT_EQ(entries->size(), 4u);
  const SafetensorsEntry &a = (*entries)[0], &b = (*entries)[2];
  EXPECT_EQ(a.name, "a");
  EXPECT_STREQ(a.type->name, "F16");
  EXPECT_EQ(a.shape, std::vector<uint64_t>{3});
  EXPECT_EQ(a.offset, 8 + header.size());
  EXPECT_EQ(a.bytes, 6u);
  EXPECT_EQ((*entries)[1].name, "empty");
  EXPECT_EQ((*entries)[1].bytes, 0u);
  EXPECT_EQ(b.name, "b\xc3\xa4");
  EXPECT_EQ(b.offset, 8 + header.size() + 6);
  EXPECT_EQ(read(safetensorsFile("{}", ""))->size(), 0u);
}

TEST(Safetensors, RefusesHeaders) {
  EXPECT_EQ(errorOf("1234567"), "f: expected a safetensors file of at least 8 "
                                "bytes, got 7 bytes");
  EXPECT_EQ(errorOf(std::string("\x03\0\0\0\0\0\0\0{}", 10)),
            "f: header: expected 3 bytes, got 2 bytes before the end of the "
            "file");
  EXPECT_EQ(errorOf(std::string(8, '\xff') + "{}"),
            "f: header: expected at most 100000000 bytes, got "
            "18446744073709551615");
  EXPECT_EQ(headerError(""), "f: header: expected a JSON object");
  EXPECT_EQ(headerError(" {}"), "f: header: expected a JSON object");
  EXPECT_EQ(headerError("{} {}"), "f: header: not JSON at byte 11");
  EXPECT_EQ(headerError("{\"\xff\":1}"), "f: header: not JSON at byte 10");
  EXPECT_EQ(headerError(R"({"a":1})"),
            "f: tensor 'a': expected an object, got a number");
  EXPECT_EQ(headerError(R"({"":{}})"),
            "f: tensor name '': expected 1 to 1024 bytes, got 0");
  EXPECT_EQ(headerError(R"({"a\n":{}})"),
            "f: tensor name 'a\\x0a': expected no control characters");
  EXPECT_EQ(headerError(R"({"a":{}})"),
            "f: tensor 'a': expected keys dtype, shape and data_offsets");
  EXPECT_EQ(headerError(R"({"a":{"type":"F32"}})"),
            "f: tensor 'a': unknown key 'type'");
  EXPECT_EQ(headerError(R"({"a":{"dtype":"F99"}})"),
            "f: tensor 'a': unknown dtype 'F99'");
  EXPECT_EQ(headerError(R"({"a":{"dtype":null}})"),
            "f: tensor 'a' dtype: expected a string, got null");
  EXPECT_EQ(headerError(R"({"a":{"shape":[[]]}})"),
            "f: tensor 'a' shape: expected an integer of at most 64 bits, got "
            "an array");
  EXPECT_EQ(headerError(R"({"a":{"shape":[-1]}})"),
            "f: tensor 'a' shape: expected an integer of at most 64 bits, got "
            "a negative number");
  EXPECT_EQ(headerError(R"({"a":{"shape":[18446744073709551616]}})"),
            "f: tensor 'a' shape: expected an integer of at most 64 bits, got "
            "the number 18446744073709551616");
  EXPECT_EQ(headerError(R"({"a":{"shape":[1,1,1,1,1,1,1,1,1]}})"),
            "f: tensor 'a': expected at most 8 dimensions");
  EXPECT_EQ(headerError(R"({"a":{"data_offsets":[1]}})"),
            "f: tensor 'a' data_offsets: expected 2 numbers, got 1");
  EXPECT_EQ(headerError(R"({"a":{"data_offsets":[1,2,3]}})"),
            "f: tensor 'a' data_offsets: expected 2 numbers, got more");
  EXPECT_EQ(headerError(R"({"a":{"data_offsets":[2,1]}})"),
            "f: tensor 'a' data_offsets: expected an end after the begin, got "
            "[2, 1]");
  EXPECT_EQ(headerError(R"({"__metadata__":{"a":1}})"),
            "f: __metadata__: expected strings, got a number");
  EXPECT_EQ(headerError(R"({"__metadata__":{},"__metadata__":{}})"),
            "f: key '__metadata__' occurs twice");
  EXPECT_EQ(headerError(R"({"a":{"shape":[],"shape":[]}})"),
            "f: tensor 'a': key 'shape' occurs twice");
  EXPECT_NE(headerError("{\"a\":" + std::string(100000, '[')), "");
}

TEST(Safetensors, RefusesPlaces) {
  auto error = [](const std::vector<std::string> &entries, size_t data) {
    std::string header;
    for (const std::string &entry : entries)
      header += (header.empty() ? "" : ",") + entry;
    return headerError("{" + header + "}", data);
  };
  EXPECT_EQ(error({headerEntry("a", "F32", {2}, 0, 4)}, 4),
            "f: tensor 'a': expected 8 bytes for F32 [2], got 4");
  EXPECT_EQ(error({headerEntry("a", "F32", {2}, 0, 8)}, 7),
            "f: tensor 'a': expected 8 bytes at offset 0 of the data, got a "
            "file with 7 bytes of data (is it truncated?)");
  EXPECT_EQ(error({headerEntry("a", "I8", {2}, 0, 2)}, 3),
            "f: expected 2 bytes of data, by the header, got 3");
  EXPECT_EQ(error({headerEntry("a", "I8", {2}, 0, 2),
                   headerEntry("b", "I8", {2}, 1, 3)},
                  3),
            "f: tensors 'a' and 'b' overlap");
  EXPECT_EQ(error({headerEntry("a", "I8", {2}, 0, 2),
                   headerEntry("b", "I8", {2}, 3, 5)},
                  5),
            "f: tensor 'b': expected data at offset 2, where the tensor before "
            "it ends, got 3");
  EXPECT_EQ(error({headerEntry("a", "I8", {2}, 0, 2),
                   headerEntry("a", "I8", {2}, 2, 4)},
                  4),
            "f: tensor 'a' occurs twice");
  // Products and sums that wrap.
  uint64_t half = uint64_t(1) << 32;
  EXPECT_EQ(error({headerEntry("a", "I8", {half, half}, 0, 0)}, 0),
            "f: tensor 'a': expected fewer than 2^61 bytes, got I8 "
            "[4294967296, 4294967296]");
  EXPECT_EQ(error({headerEntry("a", "F64", {half, half / 16}, 0, 0)}, 0),
            "f: tensor 'a': expected fewer than 2^61 bytes, got F64 "
            "[4294967296, 268435456]");
  EXPECT_NE(error({headerEntry("a", "I8", {0, half, half, half}, 0, 1)}, 1),
            "");
  uint64_t top = ~uint64_t(0);
  EXPECT_EQ(error({headerEntry("a", "I8", {8}, top - 8, top)}, 8),
            "f: tensor 'a': expected 8 bytes at offset 18446744073709551607 of "
            "the data, got a file with 8 bytes of data (is it truncated?)");
}

} // namespace
