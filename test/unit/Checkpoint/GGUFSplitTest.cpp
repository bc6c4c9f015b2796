//===- GGUFSplitTest.cpp - Tests of models in several files ---------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>
#include "GGUFBuilder.h"

using namespace qcc;
namespace fs = std::filesystem;

namespace {

/// Part `index` of `count` with one tensor "t<index>" of index + 1 rows.
GGUFBuilder makePart(unsigned index, unsigned count, int32_t total) {
  GGUFBuilder b;
  if (index == 0)
    b.key("general.architecture", "llama");
  b.key("split.no", uint16_t(index))
      .key("split.count", uint16_t(count))
      .key("split.tensors.count", total);
  b.tensor(std::string("t") + std::to_string(index), {32, index + 1}, 0);
  return b;
}

class GGUFSplitTest : public testing::Test {
protected:
  void SetUp() override {
    folder = fs::path(testing::TempDir()) /
             ("qcc-gguf-split-" + std::to_string(::getpid()));
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  std::string write(const std::string &name, std::vector<uint8_t> bytes) {
    std::string path = folder / name;
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char *>(bytes.data()),
               std::streamsize(bytes.size()));
    return path;
  }
  std::string part(unsigned i) {
    return folder / std::string("m-0000")
                        .append(std::to_string(i + 1))
                        .append("-of-00003.gguf");
  }
  void writeAll() {
    for (unsigned i = 0; i < 3; ++i)
      write(fs::path(part(i)).filename(), makePart(i, 3, 3).build());
  }
  std::string error(const std::string &path) {
    Result<Checkpoint> result = openGGUF(path);
    return result ? "" : result.message();
  }

  fs::path folder;
};

TEST_F(GGUFSplitTest, AnyPartOpensAll) {
  writeAll();
  for (unsigned given = 0; given < 3; ++given) {
    Result<Checkpoint> checkpoint = openGGUF(part(given));
    ASSERT_TRUE(checkpoint) << checkpoint.message();
    EXPECT_EQ(checkpoint->path(), part(0));
    EXPECT_EQ(checkpoint->files().size(), 3u);
    EXPECT_EQ(*checkpoint->get<std::string>("general.architecture"), "llama");
    ASSERT_EQ(checkpoint->tensors().size(), 3u);
    for (uint32_t i = 0; i < 3; ++i) {
      const Tensor *tensor =
          checkpoint->findTensor(std::string("t") + std::to_string(i));
      ASSERT_NE(tensor, nullptr);
      EXPECT_EQ(tensor->file, i);
      EXPECT_EQ(tensor->rows(), i + 1);
      const uint8_t *data = checkpoint->data(*tensor);
      EXPECT_EQ(data[0], 3);
      EXPECT_EQ(data[tensor->bytes - 1], uint8_t((tensor->bytes - 1) * 7 + 3));
    }
  }
}

TEST_F(GGUFSplitTest, PartsMayBeLinks) {
  writeAll();
  fs::create_directory(folder / "links");
  for (unsigned i = 0; i < 3; ++i)
    fs::create_symlink(part(i),
                       folder / "links" / fs::path(part(i)).filename());
  EXPECT_EQ(error(folder / "links" / fs::path(part(1)).filename()), "");
}

TEST_F(GGUFSplitTest, MissingPart) {
  writeAll();
  fs::remove(part(2));
  EXPECT_EQ(error(part(0)),
            part(2) + ": cannot open: No such file or directory");
}

TEST_F(GGUFSplitTest, OtherName) {
  std::string path = write("renamed.gguf", makePart(1, 3, 3).build());
  EXPECT_EQ(error(path), path + ": this is part 2 of 3: expected a name that "
                                "ends in '-00002-of-00003.gguf'");
}

TEST_F(GGUFSplitTest, PartsOfAnotherModel) {
  writeAll();
  write(fs::path(part(1)).filename(), makePart(1, 4, 3).build());
  EXPECT_EQ(error(part(0)), part(1) + ": key 'split.count': expected 3, got 4");
  write(fs::path(part(1)).filename(), makePart(2, 3, 3).build());
  EXPECT_EQ(error(part(0)), part(1) + ": key 'split.no': expected 1, got 2");
  write(fs::path(part(1)).filename(),
        GGUFBuilder().key("a", uint8_t(1)).build());
  EXPECT_EQ(error(part(0)), part(1) + ": key 'split.count': expected 3, got 1");
}

TEST_F(GGUFSplitTest, TotalOfTensors) {
  writeAll();
  write(fs::path(part(0)).filename(), makePart(0, 3, 4).build());
  EXPECT_EQ(error(part(0)), part(0) + ": key 'split.tensors.count': expected "
                                      "3 (in all parts), got 4");
}

TEST_F(GGUFSplitTest, SameTensorInTwoParts) {
  writeAll();
  GGUFBuilder b;
  b.key("split.no", uint16_t(1)).key("split.count", uint16_t(3));
  b.tensor("t0", {32}, 0);
  write(fs::path(part(1)).filename(), b.build());
  EXPECT_EQ(error(part(0)), part(1) + ": tensor 't0' occurs twice");
}

TEST_F(GGUFSplitTest, Numbers) {
  auto open = [&](auto number, auto count) {
    std::string path = write("x.gguf", GGUFBuilder()
                                           .key("split.no", number)
                                           .key("split.count", count)
                                           .build());
    std::string text = error(path);
    return text.substr(std::min(text.size(), path.size()));
  };
  EXPECT_EQ(open(uint16_t(3), uint16_t(3)),
            ": keys 'split.no' and 'split.count': expected a part of at most "
            "65535, got 3 of 3");
  EXPECT_EQ(open(uint64_t(0), uint64_t(1) << 40),
            ": keys 'split.no' and 'split.count': expected a part of at most "
            "65535, got 0 of 1099511627776");
  EXPECT_EQ(open(int16_t(-1), uint16_t(3)),
            ": key 'split.no': expected u64, got -1 (i16)");
  EXPECT_EQ(open("0", uint16_t(3)),
            ": key 'split.no': expected u64, got string");
  EXPECT_EQ(open(uint16_t(0), 3.0f),
            ": key 'split.count': expected u64, got 3 (f32)");
  EXPECT_EQ(open(uint16_t(1), uint16_t(1)),
            ": key 'split.no': expected 0, got 1");
  EXPECT_EQ(open(uint16_t(0), uint16_t(1)), "");
  EXPECT_EQ(open(uint16_t(0), uint16_t(0)), "");
}

TEST_F(GGUFSplitTest, FromMemory) {
  std::vector<std::vector<uint8_t>> bytes;
  std::vector<GGUFPart> parts;
  for (unsigned i = 0; i < 3; ++i)
    bytes.push_back(makePart(i, 3, 3).build());
  for (unsigned i = 0; i < 3; ++i)
    parts.push_back({std::string("p") + std::to_string(i), bytes[i]});
  Result<Checkpoint> checkpoint = parseGGUF(parts);
  ASSERT_TRUE(checkpoint) << checkpoint.message();
  EXPECT_EQ(checkpoint->tensors().size(), 3u);

  parts.pop_back();
  EXPECT_EQ(parseGGUF(parts).message(),
            "p0: key 'split.count': expected 2, got 3");
  EXPECT_EQ(parseGGUF({}).message(), "a GGUF model has at least one part");
}

} // namespace
