//===- BlockRaceTest.cpp - Unordered accesses of several blocks -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Mutants.h"
#include "TestModule.h"

#include <gtest/gtest.h>

using namespace qcc::emulator;

// Each thread of four blocks stores a number; the block that counts last adds
// all of them.
static const char *kSum = R"(
  @flag = internal addrspace(3) global i32 undef
  define ptx_kernel void @sum(ptr %numbers, ptr %count, ptr %total) {
    %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
    %b = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
    %first = icmp eq i32 %t, 0
    %row = mul i32 %b, 64
    %index = add i32 %row, %t
    %own = getelementptr i32, ptr %numbers, i32 %index
    store i32 %index, ptr %own
    call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
    br i1 %first, label %come, label %meet
  come:
    fence syncscope("device") acq_rel
    %before = atomicrmw uinc_wrap ptr %count, i32 3 syncscope("device") monotonic
    fence syncscope("device") acq_rel
    store i32 %before, ptr addrspace(3) @flag
    br label %meet
  meet:
    call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
    %came = load i32, ptr addrspace(3) @flag
    %last = icmp eq i32 %came, 3
    br i1 %last, label %join, label %done
  join:
    %i = phi i32 [ %t, %meet ], [ %next, %join ]
    %p = getelementptr i32, ptr %numbers, i32 %i
    %v = load i32, ptr %p
    %old = atomicrmw add ptr %total, i32 %v syncscope("device") monotonic
    %next = add i32 %i, 64
    %more = icmp ult i32 %next, 256
    br i1 %more, label %join, label %done
  done:
    ret void
  })";

static std::string sum(TestModule &text, uint32_t seed) {
  auto module = text.compile();
  std::vector<uint32_t> numbers(256);
  uint32_t count = 0, total = 0;
  Launch options;
  options.gridX = 4;
  options.blockX = 64;
  options.seed = seed;
  std::string error =
      launch(*module, "sum", options, nullptr, numbers.data(), &count, &total);
  if (error.empty()) {
    EXPECT_EQ(total, 255u * 128);
    EXPECT_EQ(count, 0u);
  }
  return error;
}

TEST(BlockRace, FencesAndAtomicsOrderBlocks) {
  TestModule text(kSum);
  for (uint32_t seed = 0; seed < 8; ++seed)
    EXPECT_EQ(sum(text, seed), "");
}

// Without either fence, or either barrier (of which the second is also one of
// shared memory).
TEST(BlockRace, WhatIsMissingIsNoticed) {
  for (auto mutation : {dropFence, dropBarrier}) {
    for (unsigned index = 0; index < 2; ++index) {
      TestModule mutant(kSum);
      ASSERT_TRUE(mutation(*mutant, index));
      for (uint32_t seed = 0; seed < 8; ++seed)
        EXPECT_NE(sum(mutant, seed), "") << index;
    }
    TestModule mutant(kSum);
    EXPECT_FALSE(mutation(*mutant, 2));
  }
}

// The message names both. A fence of the block does not order blocks.
TEST(BlockRace, IsNamed) {
  std::string text = kSum;
  for (auto at = text.find("\"device\") acq_rel"); at != std::string::npos;
       at = text.find("\"device\") acq_rel"))
    text.replace(at, 8, "\"block\"");
  TestModule module(text);
  std::string error = sum(module, 0);
  EXPECT_EQ(error.find("load in 'sum', block ("), 0u) << error;
  EXPECT_NE(error.find("nothing orders it after thread ("), std::string::npos)
      << error;
  EXPECT_NE(error.find("in store in 'sum': 4 bytes of global memory"),
            std::string::npos)
      << error;
}

// All blocks store to one place.
TEST(BlockRace, StoresOfTwoBlocks) {
  TestModule text(R"(
    define ptx_kernel void @same(ptr %out) {
      %b = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
      store i32 %b, ptr %out
      ret void
    })");
  auto module = text.compile();
  uint32_t out = 0;
  Launch options;
  EXPECT_EQ(launch(*module, "same", options, nullptr, &out), "");
  options.gridX = 2;
  EXPECT_NE(launch(*module, "same", options, nullptr, &out), "");
  options.findRaces = false;
  EXPECT_EQ(launch(*module, "same", options, nullptr, &out), "");
}
