//===- PatternTest.cpp - Bank conflicts and sectors -----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "TestModule.h"

#include <gtest/gtest.h>

using namespace qcc::emulator;

// Stores and loads $type at a stride of %stride bytes in shared memory, and
// loads at the same stride from global memory; %n lanes of each warp do it.
static const char *kStrided = R"(
  @m = internal addrspace(3) global [8192 x i8] undef, align 128
  define ptx_kernel void @k(ptr addrspace(1) %in, i32 %stride, i32 %n) {
    %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
    %lane = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
    %go = icmp ult i32 %lane, %n
    br i1 %go, label %a, label %b
  a:
    %o = mul i32 %t, %stride
    %from = getelementptr i8, ptr addrspace(1) %in, i32 %o
    %v = load $type, ptr addrspace(1) %from
    %to = getelementptr i8, ptr addrspace(3) @m, i32 %o
    store $type %v, ptr addrspace(3) %to
    br label %b
  b:
    ret void
  })";

static Counters run(const char *type, unsigned stride, unsigned lanes = 32,
                    unsigned threads = 32) {
  auto module = TestModule(substitute(kStrided, {{"type", type}})).compile();
  alignas(128) static uint8_t in[8192];
  Launch options;
  options.blockX = threads;
  options.countPatterns = true;
  options.findRaces = false;
  Counters counters;
  EXPECT_EQ(launch(*module, "k", options, &counters, &in[0], stride, lanes),
            "");
  return counters;
}

TEST(Patterns, SharedConflicts) {
  EXPECT_EQ(run("i32", 4).sharedConflicts, 0u);
  EXPECT_EQ(run("i32", 8).sharedConflicts, 1u);
  EXPECT_EQ(run("i32", 128).sharedConflicts, 31u);
  EXPECT_EQ(run("i32", 132).sharedConflicts, 0u);
  EXPECT_EQ(run("i32", 0).sharedConflicts, 0u); // One word for all.
  EXPECT_EQ(run("i16", 2).sharedConflicts, 0u);
  EXPECT_EQ(run("<2 x i32>", 8).sharedConflicts, 0u);
  // Four groups of eight lanes, whose 16 bytes lie 32 or 128 apart.
  EXPECT_EQ(run("<4 x i32>", 16).sharedConflicts, 0u);
  EXPECT_EQ(run("<4 x i32>", 32).sharedConflicts, 4u);
  EXPECT_EQ(run("<4 x i32>", 128).sharedConflicts, 28u);
  EXPECT_EQ(run("<4 x i32>", 144).sharedConflicts, 0u);
  EXPECT_EQ(run("i32", 128, 5).sharedConflicts, 4u);
  EXPECT_EQ(run("i32", 128, 32, 40).sharedConflicts, 31u + 7);
}

TEST(Patterns, GlobalSectors) {
  Counters dense = run("i32", 4, 32, 64);
  EXPECT_EQ(dense.globalRequests, 2u);
  EXPECT_EQ(dense.globalBytes, 256u);
  EXPECT_EQ(dense.globalSectors, 8u);
  EXPECT_EQ(dense.sharedRequests, 2u);
  EXPECT_EQ(run("<4 x i32>", 16).globalSectors, 16u);
  EXPECT_EQ(run("i32", 128).globalSectors, 32u);
  Counters sparse = run("i32", 16, 3);
  EXPECT_EQ(sparse.globalRequests, 1u);
  EXPECT_EQ(sparse.globalBytes, 12u);
  EXPECT_EQ(sparse.globalSectors, 2u);
  // Two instructions of 16 bytes, each for every second half sector.
  Counters wide = run("<8 x i32>", 32);
  EXPECT_EQ(wide.globalRequests, 2u);
  EXPECT_EQ(wide.globalBytes, 1024u);
  EXPECT_EQ(wide.globalSectors, 64u);
}

// The lanes of a warp go on in an order of their own, and some leave a loop
// early: their n-th turns still count together.
TEST(Patterns, LoopsOfUnequalLength) {
  auto module = TestModule(R"(
    define ptx_kernel void @k(ptr addrspace(1) %in, ptr addrspace(1) %out) {
    entry:
      %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
      %half = lshr i32 %t, 4
      %turns = add i32 %half, 1
      br label %loop
    loop:
      %i = phi i32 [ 0, %entry ], [ %next, %loop ]
      %row = mul i32 %i, 64
      %at = add i32 %row, %t
      %p = getelementptr i32, ptr addrspace(1) %in, i32 %at
      %v = load volatile i32, ptr addrspace(1) %p
      %next = add i32 %i, 1
      %more = icmp ult i32 %next, %turns
      br i1 %more, label %loop, label %exit
    exit:
      ret void
    })")
                    .compile();
  alignas(128) static uint32_t in[512];
  Launch options;
  options.blockX = 64;
  options.countPatterns = true;
  for (uint32_t seed = 0; seed < 5; ++seed) {
    options.seed = seed;
    Counters counters;
    EXPECT_EQ(launch(*module, "k", options, &counters, &in[0], &in[0]), "");
    // Turns of the quarters: 1, 2 in the first warp and 3, 4 in the second.
    EXPECT_EQ(counters.globalRequests, 2u + 4);
    EXPECT_EQ(counters.globalBytes, 4u * 16 * (1 + 2 + 3 + 4));
    EXPECT_EQ(counters.globalSectors, 2u * (1 + 2 + 3 + 4));
  }
}
