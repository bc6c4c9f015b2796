//===- MappedFileTest.cpp - Tests of mapped files -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Support/MappedFile.h"
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace qcc;
namespace fs = std::filesystem;

namespace {

class MappedFileTest : public testing::Test {
protected:
  void SetUp() override {
    folder = fs::path(testing::TempDir()) /
             ("qcc-mapped-file-" + std::to_string(::getpid()));
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  std::string write(const std::string &name, const std::string &text) {
    std::string path = folder / name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  fs::path folder;
};

TEST_F(MappedFileTest, MapsAllBytes) {
  std::string text(100000, 'x');
  text.back() = 'y';
  Result<MappedFile> file = MappedFile::open(write("a", text));
  ASSERT_TRUE(file) << file.message();
  ASSERT_EQ(file->bytes().size(), text.size());
  EXPECT_EQ(file->bytes().back(), 'y');

  MappedFile moved = std::move(*file);
  EXPECT_EQ(moved.bytes().size(), text.size());
  EXPECT_EQ(file->bytes().size(), 0u);

  // What was released is read again from the file.
  moved.release(0, text.size());
  moved.release(5, 20);
  moved.release(text.size() + 1, 1);
  moved.release(1, SIZE_MAX);
  EXPECT_EQ(moved.bytes()[0], 'x');
  EXPECT_EQ(moved.bytes().back(), 'y');
}

TEST_F(MappedFileTest, AssignmentReleasesTheOldMapping) {
  Result<MappedFile> a = MappedFile::open(write("a", "first"));
  Result<MappedFile> b = MappedFile::open(write("b", "second!"));
  ASSERT_TRUE(a);
  ASSERT_TRUE(b);
  *a = std::move(*b);
  EXPECT_EQ(a->path(), (folder / "b").string());
  ASSERT_EQ(a->bytes().size(), 7u);
  EXPECT_EQ(a->bytes()[0], 's');
  EXPECT_TRUE(b->bytes().empty());
}

TEST_F(MappedFileTest, FollowsLinks) {
  write("target", "data");
  fs::create_symlink("target", folder / "link");
  Result<MappedFile> file = MappedFile::open(folder / "link");
  ASSERT_TRUE(file) << file.message();
  EXPECT_EQ(file->bytes().size(), 4u);
}

TEST_F(MappedFileTest, RefusesWhatIsNoFile) {
  std::string missing = folder / "missing";
  EXPECT_EQ(MappedFile::open(missing).message(),
            missing + ": cannot open: No such file or directory");
  EXPECT_EQ(MappedFile::open(folder).message(),
            folder.string() + ": expected a regular file, got a directory");
  std::string pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(MappedFile::open(pipe).message(),
            pipe + ": expected a regular file, got a pipe");
  EXPECT_EQ(MappedFile::open("/dev/zero").message(),
            "/dev/zero: expected a regular file, got a device");
  std::string empty = write("empty", "");
  EXPECT_EQ(MappedFile::open(empty).message(), empty + ": the file is empty");
}

} // namespace
