//===- AtomicFileTest.cpp - Files that appear complete or not at all ------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Package/AtomicFile.h"

#include "Isolation.h"
#include "TestSupport.h"

#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

using qcc::AtomicFile;

/// Writes `content`; the message of the error, or "".
static std::string writeAtomically(const std::string &path,
                                   const std::string &content,
                                   bool commit = true) {
  auto file = AtomicFile::create(path, 0666);
  if (!file)
    return llvm::toString(file.takeError());
  if (llvm::Error error = (*file)->write(content.data(), content.size(), 0))
    return llvm::toString(std::move(error));
  if (commit)
    if (llvm::Error error = (*file)->commit())
      return llvm::toString(std::move(error));
  return "";
}

/// The same behaviour is asked for with unnamed and with named files.
static void checkBehaviour(std::string &message, const TempFolder &folder) {
  auto expect = [&](bool right, const char *what) {
    if (!right)
      message += std::string(what) + "\n";
  };
  using Names = std::vector<std::string>;
  std::string path = folder / "file";
  expect(writeAtomically(path, "one", /*commit=*/false).empty(), "discard");
  expect(folder.entries() == Names{}, "a discarded file leaves nothing");
  expect(writeAtomically(path, "one").empty(), "create");
  expect(readFile(path) == "one", "content");
  expect(writeAtomically(path, "two", /*commit=*/false).empty(), "discard");
  expect(readFile(path) == "one", "a discarded file changes nothing");
  expect(writeAtomically(path, "two").empty(), "replace");
  expect(readFile(path) == "two", "replaced content");

  std::filesystem::create_symlink("file", folder / "link");
  expect(writeAtomically(folder / "link", "three").empty(), "through a link");
  expect(readFile(path) == "two", "the target of a link is kept");
  expect(readFile(folder / "link") == "three" &&
             !std::filesystem::is_symlink(folder / "link"),
         "a link is replaced");
  std::filesystem::create_symlink("/nonexistent/x", folder / "broken");
  expect(writeAtomically(folder / "broken", "four").empty(), "a broken link");
  expect(readFile(folder / "broken") == "four", "a broken link is replaced");
  expect(folder.entries() == Names({"broken", "file", "link"}),
         "nothing else is there");

  std::string longName(255, 'n');
  expect(writeAtomically(folder / longName, "five").empty(), "longest name");
  expect(writeAtomically(folder / longName, "six").empty(),
         "longest name, replaced");
  expect(readFile(folder / longName) == "six", "content, longest name");
  if (::chdir(folder.path().c_str()) == 0)
    expect(writeAtomically("plain", "seven").empty() &&
               readFile(folder / "plain") == "seven",
           "a path without a folder");

  struct stat status;
  expect(::stat(path.c_str(), &status) == 0 && (status.st_mode & 0777) == 0640,
         "the mode follows the umask");
}

TEST(AtomicFile, UnnamedFiles) {
  TempFolder folder;
  Outcome outcome = inChild([&](std::string &message) {
    ::umask(0027);
    checkBehaviour(message, folder);
    return 0;
  });
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.output, "");
}

TEST(AtomicFile, NamedFiles) {
  TempFolder folder;
  Outcome outcome = inChild([&](std::string &message) {
    ::umask(0027);
    if (!forbidUnnamedFiles())
      return 2;
    checkBehaviour(message, folder);
    return 0;
  });
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.output, "");
}

TEST(AtomicFile, HolesReadAsZeros) {
  TempFolder folder;
  auto file = AtomicFile::create(folder / "file", 0666);
  ASSERT_TRUE(static_cast<bool>(file));
  ASSERT_FALSE(static_cast<bool>((*file)->resize(100)));
  ASSERT_FALSE(static_cast<bool>((*file)->write("x", 1, 50)));
  ASSERT_FALSE(static_cast<bool>((*file)->commit()));
  std::string expected(100, '\0');
  expected[50] = 'x';
  EXPECT_EQ(readFile(folder / "file"), expected);
}

TEST(AtomicFile, DestinationThatTurnsIntoAFolder) {
  TempFolder folder;
  auto file = AtomicFile::create(folder / "file", 0666);
  ASSERT_TRUE(static_cast<bool>(file));
  std::filesystem::create_directory(folder / "file");
  EXPECT_EQ(llvm::toString((*file)->commit()),
            "cannot write '" + (folder / "file") + "': is a directory");
  file->reset();
  EXPECT_EQ(folder.entries(), std::vector<std::string>{"file"});
}

TEST(AtomicFile, FolderThatGoesAway) {
  TempFolder folder;
  std::filesystem::create_directory(folder / "sub");
  auto file = AtomicFile::create(folder / "sub/file", 0666);
  ASSERT_TRUE(static_cast<bool>(file));
  std::filesystem::remove(folder / "sub");
  EXPECT_EQ(llvm::toString((*file)->commit()),
            "cannot write '" + (folder / "sub/file") +
                "': no such file or directory");
}
