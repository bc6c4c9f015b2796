//===- ToolsTest.cpp - strip and objcopy on packaged files ----------------===//
// SPDX-License-Identifier: Apache-2.0
//
// A tool must keep the weights or, where it was told to drop them, leave a file
// that knows that they are gone.
//===----------------------------------------------------------------------===//

#include "TestSupport.h"

#include <cstring>
#include <filesystem>

using qcc::PackageOptions;

static const std::string llvmTools = PACKAGE_LLVM_TOOLS "/";

/// Command lines that end in IN OUT.
static std::vector<std::vector<std::string>> keepingTools() {
  return {{"strip", "-o", "OUT", "IN"},
          {"strip", "--strip-debug", "-o", "OUT", "IN"},
          {"strip", "--strip-unneeded", "-o", "OUT", "IN"},
          {"objcopy", "IN", "OUT"},
          {"objcopy", "--strip-all", "IN", "OUT"},
          {llvmTools + "llvm-strip", "-o", "OUT", "IN"},
          {llvmTools + "llvm-strip", "--strip-all", "-o", "OUT", "IN"},
          {llvmTools + "llvm-strip", "--strip-unneeded", "-o", "OUT", "IN"},
          {llvmTools + "llvm-strip", "--strip-all-gnu", "-o", "OUT", "IN"},
          {llvmTools + "llvm-strip", "--strip-sections", "-o", "OUT", "IN"},
          {llvmTools + "llvm-objcopy", "IN", "OUT"}};
}

static Outcome runTool(std::vector<std::string> command, const std::string &in,
                       const std::string &out) {
  for (std::string &text : command) {
    if (text == "IN")
      text = in;
    if (text == "OUT")
      text = out;
  }
  return run(command);
}

static std::string joined(const std::vector<std::string> &command) {
  std::string text;
  for (const std::string &part : command)
    text += part + " ";
  return text;
}

TEST(Tools, KeepTheWeightsOfAnExecutable) {
  TempFolder folder;
  std::string weights = patternedWeights((size_t(3) << 20) + 77);
  ASSERT_EQ(packageObject(PACKAGE_OBJECT_ONE, streamOf(weights),
                          optionsFor(folder / "model")),
            "");
  for (const auto &tool : keepingTools()) {
    SCOPED_TRACE(joined(tool));
    std::filesystem::remove(folder / "out");
    Outcome made = runTool(tool, folder / "model", folder / "out");
    ASSERT_EQ(made.status, 0) << made.output;
    EXPECT_EQ(made.output, "");
    Outcome outcome = run({folder / "out"});
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.output, expectedReport(1, weights));
    // And once more on what the tool wrote.
    Outcome again = runTool(tool, folder / "out", folder / "again");
    ASSERT_EQ(again.status, 0) << again.output;
    EXPECT_EQ(run({folder / "again"}).output, expectedReport(1, weights));
  }
}

/// What packers of Python wheels do: the program headers move.
TEST(Tools, PatchelfKeepsTheWeights) {
  TempFolder folder;
  std::string weights = patternedWeights((size_t(3) << 20) + 77);
  ASSERT_EQ(packageObject(PACKAGE_OBJECT_ONE, streamOf(weights),
                          optionsFor(folder / "model")),
            "");
  Outcome made = run({"patchelf", "--set-rpath", "$ORIGIN/../some/long/folder",
                      folder / "model"});
  ASSERT_EQ(made.status, 0) << made.output;
  Outcome outcome = run({folder / "model"});
  EXPECT_EQ(outcome.output, expectedReport(1, weights));
}

TEST(Tools, DroppedWeightsAreNoticed) {
  TempFolder folder;
  std::string weights = patternedWeights((size_t(3) << 20) + 77);
  ASSERT_EQ(packageObject(PACKAGE_OBJECT_ONE, streamOf(weights),
                          optionsFor(folder / "model")),
            "");
  for (std::string tool :
       {std::string("objcopy"), llvmTools + "llvm-objcopy"}) {
    SCOPED_TRACE(tool);
    std::filesystem::remove(folder / "out");
    Outcome made = run({tool, "--remove-section=.qcc.weights", folder / "model",
                        folder / "out"});
    if (made.status != 0)
      continue; // refusing is fine too
    Outcome outcome = run({folder / "out"});
    EXPECT_EQ(outcome.status, 3) << outcome.output;
    EXPECT_NE(outcome.output.find("weights missing"), std::string::npos);
  }
}

/// Weights beyond 2 GiB: offsets that need more than 32 bits everywhere.
TEST(Tools, LargeWeights) {
  TempFolder folder;
  const uint64_t total = (uint64_t(2) << 30) + (uint64_t(130) << 20) + 5;
  std::string chunk = patternedWeights(1 << 20);
  uint64_t hash = 14695981039346656037u;
  qcc::WeightStream stream = {
      total, [&](qcc::WeightSink &sink) -> llvm::Error {
        uint64_t index = 0;
        while (sink.size() < total) {
          std::memcpy(chunk.data(), &index, sizeof index);
          ++index;
          uint64_t part = std::min<uint64_t>(chunk.size(), total - sink.size());
          for (uint64_t i = 0; i < part; ++i)
            hash =
                (hash ^ static_cast<unsigned char>(chunk[i])) * 1099511628211u;
          if (llvm::Error error = sink.append(chunk.data(), part))
            return error;
        }
        return llvm::Error::success();
      }};
  ASSERT_EQ(
      packageObject(PACKAGE_OBJECT_ONE, stream, optionsFor(folder / "model")),
      "");
  char expected[128];
  std::snprintf(expected, sizeof expected,
                "model 1\nweights %llu at 0 hash %016llx\n",
                static_cast<unsigned long long>(total),
                static_cast<unsigned long long>(hash));
  EXPECT_EQ(run({folder / "model"}).output, expected);
  for (std::vector<std::string> tool :
       {std::vector<std::string>{"strip", "-o", "OUT", "IN"},
        {llvmTools + "llvm-strip", "-o", "OUT", "IN"}}) {
    SCOPED_TRACE(joined(tool));
    Outcome made = runTool(tool, folder / "model", folder / "out");
    ASSERT_EQ(made.status, 0) << made.output;
    EXPECT_EQ(run({folder / "out"}).output, expected);
    std::filesystem::remove(folder / "out");
  }
}
