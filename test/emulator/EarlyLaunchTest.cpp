//===- EarlyLaunchTest.cpp - Launches before the last one has ended -------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Mutants.h"
#include "TestModule.h"

#include <gtest/gtest.h>

using namespace qcc::emulator;

/// Adds what a weight says to a row, by one warp. Copies the weight early.
static const char *kAdd = R"(
  @box = internal addrspace(3) global [4 x i32] undef, align 16
  define ptx_kernel void @k(ptr addrspace(1) %weight, ptr addrspace(1) %row) {
    call void @llvm.nvvm.griddepcontrol.launch.dependents()
    %lane = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
    %none = icmp eq i32 %lane, 31
    $last
    %first = icmp eq i32 %lane, 0
    br i1 %first, label %copy, label %then
  copy:
    call void @llvm.nvvm.cp.async.cg.shared.global.16(ptr addrspace(3) @box, ptr addrspace(1) %weight)
    br label %then
  then:
    call void @llvm.nvvm.cp.async.commit.group()
    $wait
    call void @llvm.nvvm.cp.async.wait.group(i32 0)
    call void @llvm.nvvm.bar.warp.sync(i32 -1)
    %at = getelementptr i32, ptr addrspace(1) %row, i32 %lane
    %x = load i32, ptr addrspace(1) %at
    %w = load i32, ptr addrspace(3) @box
    %sum = add i32 %x, %w
    store i32 %sum, ptr addrspace(1) %at
    ret void
  })";
static const char *kAsm = "call void asm sideeffect \"griddepcontrol.wait;\", "
                          "\"~{memory}\"()";
static const char *kIntrinsic = "call void @llvm.nvvm.griddepcontrol.wait()";

static TestModule addition(const char *wait, const char *last = "") {
  return TestModule(substitute(kAdd, {{"wait", wait}, {"last", last}}));
}

/// The error of a launch that may begin early, or an empty text and the right
/// sums.
static std::string run(const TestModule &text, Counters *counters = nullptr,
                       bool startsEarly = true) {
  alignas(16) uint32_t weight[4] = {7}, row[32] = {};
  const Buffer buffers[] = {{weight, sizeof weight, false, true},
                            {row, sizeof row, true}};
  Launch options;
  options.blockX = 32;
  options.startsEarly = startsEarly;
  options.buffers = buffers;
  auto module = text.compile();
  std::string error =
      launch(*module, "k", options, counters, &weight[0], &row[0]);
  for (uint32_t x : row)
    EXPECT_TRUE(!error.empty() || x == 7) << x;
  return error;
}

#define EXPECT_CONTAINS(text, part)                                            \
  EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(EarlyLaunch, WeightsMayBeReadBeforeTheWait) {
  for (const char *wait : {kAsm, kIntrinsic}) {
    Counters counters;
    EXPECT_EQ(run(addition(wait), &counters), "");
    EXPECT_EQ(counters.copiedBytes, 16u);
    EXPECT_EQ(counters.earlyCopiedBytes, 16u);
  }
}

TEST(EarlyLaunch, NothingElseMay) {
  for (const char *wait : {kAsm, kIntrinsic}) {
    TestModule dropped = addition(wait), delayed = addition(wait);
    ASSERT_TRUE(dropGridWait(*dropped, 0));
    ASSERT_TRUE(delayGridWait(*delayed, 0));
    for (TestModule *mutant : {&dropped, &delayed}) {
      std::string error = run(*mutant);
      EXPECT_CONTAINS(error, "load in 'k', block (0, 0, 0), thread (");
      EXPECT_CONTAINS(error, "of buffer 1 before griddepcontrol.wait");
      EXPECT_EQ(run(*mutant, nullptr, /*startsEarly=*/false), "");
    }
    EXPECT_FALSE(dropGridWait(*dropped, 0));
  }
  // A store too.
  TestModule stores = addition(kAsm, "store i32 0, ptr addrspace(1) %row");
  EXPECT_CONTAINS(run(stores), "store in 'k', block");
}

TEST(EarlyLaunch, ThreadsWithoutWorkWaitToo) {
  std::string error = run(addition(kAsm, R"(
    br i1 %none, label %end, label %work
  end:
    ret void
  work:)"));
  EXPECT_CONTAINS(error, "the end of the kernel, block (0, 0, 0), thread (31, "
                         "0, 0): no griddepcontrol.wait came before it");
}

TEST(EarlyLaunch, NeedsItsBuffers) {
  auto module = addition(kAsm).compile();
  uint32_t words[32] = {};
  Launch options;
  options.blockX = 32;
  options.startsEarly = true;
  EXPECT_EQ(launch(*module, "k", options, nullptr, &words[0], &words[0]),
            "kernel 'k' starts early, but what it may touch is not known");
}
