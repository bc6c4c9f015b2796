//===- CopyTest.cpp - Asynchronous copies ---------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Mutants.h"
#include "TestModule.h"

#include <gtest/gtest.h>

#include <numeric>

using namespace qcc::emulator;

// 128 threads stream `stages` stages of 128 x 16 bytes through a ring of two.
// Each thread adds the four words that a thread of another warp has copied.
static const char *kStream = R"(
  @ring = internal addrspace(3) global [2 x [128 x <4 x i32>]] undef, align 16
  define ptx_kernel void @stream(ptr addrspace(1) noalias readonly %in,
                                 ptr addrspace(1) noalias %out, i32 %stages) {
  entry:
    %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
    %other = xor i32 %t, 64
    %from0 = getelementptr <4 x i32>, ptr addrspace(1) %in, i32 %t
    %to0 = getelementptr <4 x i32>, ptr addrspace(3) @ring, i32 %t
    call void @llvm.nvvm.cp.async.cg.shared.global.16(ptr addrspace(3) %to0, ptr addrspace(1) %from0)
    call void @llvm.nvvm.cp.async.commit.group()
    br label %loop
  loop:
    %s = phi i32 [ 0, %entry ], [ %next, %commit ]
    %acc = phi i32 [ 0, %entry ], [ %sum, %commit ]
    %next = add i32 %s, 1
    %has = icmp ult i32 %next, %stages
    br i1 %has, label %copy, label %commit
  copy:
    %i0 = mul i32 %next, 128
    %i = add i32 %i0, %t
    %from = getelementptr <4 x i32>, ptr addrspace(1) %in, i32 %i
    %slot = and i32 %next, 1
    %to = getelementptr [128 x <4 x i32>], ptr addrspace(3) @ring, i32 %slot, i32 %t
    call void @llvm.nvvm.cp.async.cg.shared.global.16(ptr addrspace(3) %to, ptr addrspace(1) %from)
    br label %commit
  commit:
    call void @llvm.nvvm.cp.async.commit.group()
    call void @llvm.nvvm.cp.async.wait.group(i32 1)
    call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
    %here = and i32 %s, 1
    %p = getelementptr [128 x <4 x i32>], ptr addrspace(3) @ring, i32 %here, i32 %other
    %v = load <4 x i32>, ptr addrspace(3) %p, align 16
    %r = call i32 @llvm.vector.reduce.add.v4i32(<4 x i32> %v)
    %sum = add i32 %acc, %r
    call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
    br i1 %has, label %loop, label %exit
  exit:
    %o = getelementptr i32, ptr addrspace(1) %out, i32 %t
    store i32 %sum, ptr addrspace(1) %o
    ret void
  })";

static bool streams(EmulatedModule &module, uint32_t seed, CopyTiming copies,
                    bool findRaces, Counters *counters = nullptr) {
  constexpr unsigned kStages = 5;
  std::vector<uint32_t> in(kStages * 512), out(128), expected(128, 0);
  std::iota(in.begin(), in.end(), 1u);
  for (unsigned i = 0; i < in.size(); ++i)
    expected[i / 4 % 128 ^ 64] += in[i];
  Launch options;
  options.blockX = 128;
  options.seed = seed;
  options.copies = copies;
  options.findRaces = findRaces;
  return launch(module, "stream", options, counters, in.data(), out.data(),
                kStages) == "" &&
         out == expected;
}

TEST(Copy, DoubleBuffering) {
  auto module = TestModule(kStream).compile();
  for (auto copies :
       {CopyTiming::AtWait, CopyTiming::AtIssue, CopyTiming::Random})
    for (uint32_t seed = 0; seed < 10; ++seed) {
      Counters counters;
      EXPECT_TRUE(streams(*module, seed, copies, true, &counters));
      EXPECT_EQ(counters.copies16, 5u * 128);
      EXPECT_EQ(counters.copiedBytes, 5u * 128 * 16);
      EXPECT_EQ(counters.barriers, 10u);
    }
}

TEST(Copy, MutantsAreCaught) {
  auto check = [](bool (*plant)(llvm::Module &, unsigned), unsigned index,
                  CopyTiming copies) {
    TestModule mutant(kStream);
    EXPECT_TRUE(plant(*mutant, index));
    auto module = mutant.compile();
    auto failuresWith = [&](bool findRaces) {
      return failures([&](uint32_t seed) {
        return streams(*module, seed, copies, findRaces);
      });
    };
    EXPECT_GT(failuresWith(/*findRaces=*/false), 0u);
    EXPECT_EQ(failuresWith(/*findRaces=*/true), 20u);
  };
  check(weakenWait, 0, CopyTiming::AtWait);
  check(weakenWait, 0, CopyTiming::Random);
  check(dropBarrier, 0, CopyTiming::AtWait);
  // Without the second barrier a stage is refilled while it is still read.
  check(dropBarrier, 1, CopyTiming::AtIssue);
  check(dropBarrier, 1, CopyTiming::Random);
  TestModule module(kStream);
  EXPECT_FALSE(weakenWait(*module, 1));
}

// Copies of each size, whole and with zeros; then a wait for all.
static const char *kSizes = R"(
  @box = internal addrspace(3) global [16 x i32] undef, align 16
  define ptx_kernel void @sizes(ptr addrspace(1) %in, ptr addrspace(1) %out, i32 %part) {
    %b1 = getelementptr i8, ptr addrspace(3) @box, i32 4
    %b2 = getelementptr i8, ptr addrspace(3) @box, i32 8
    %b4 = getelementptr i8, ptr addrspace(3) @box, i32 16
    %b8 = getelementptr i8, ptr addrspace(3) @box, i32 32
    %b12 = getelementptr i8, ptr addrspace(3) @box, i32 48
    call void @llvm.nvvm.cp.async.ca.shared.global.4(ptr addrspace(3) @box, ptr addrspace(1) %in)
    call void @llvm.nvvm.cp.async.ca.shared.global.4.s(ptr addrspace(3) %b1, ptr addrspace(1) %in, i32 0)
    call void @llvm.nvvm.cp.async.ca.shared.global.8(ptr addrspace(3) %b2, ptr addrspace(1) %in)
    call void @llvm.nvvm.cp.async.ca.shared.global.16(ptr addrspace(3) %b4, ptr addrspace(1) %in)
    call void @llvm.nvvm.cp.async.cg.shared.global.16.s(ptr addrspace(3) %b8, ptr addrspace(1) %in, i32 %part)
    call void @llvm.nvvm.cp.async.commit.group()
    call void @llvm.nvvm.cp.async.cg.shared.global.16.s(ptr addrspace(3) %b12, ptr addrspace(1) %in, i32 12)
    call void @llvm.nvvm.cp.async.$wait
    call void @llvm.memcpy.p1.p3.i64(ptr addrspace(1) %out, ptr addrspace(3) @box, i64 64, i1 false)
    ret void
  })";

static std::vector<uint32_t> runSizes(const char *wait, CopyTiming copies) {
  alignas(16) uint32_t in[4] = {11, 12, 13, 14};
  auto module = TestModule(substitute(kSizes, {{"wait", wait}})).compile();
  std::vector<uint32_t> out(16);
  Launch options;
  options.copies = copies;
  options.findRaces = false; // Shows what is not waited for.
  Counters counters;
  EXPECT_EQ(launch(*module, "sizes", options, &counters, &in[0], out.data(), 6),
            "");
  EXPECT_EQ(counters.copies4, 2u);
  EXPECT_EQ(counters.copies8, 1u);
  EXPECT_EQ(counters.copies16, 3u);
  EXPECT_EQ(counters.copiedBytes, 4u + 8 + 16 + 6 + 12);
  return out;
}

TEST(Copy, SizesZerosAndWaits) {
  // The last copy is not in a group: only a wait for all is for it.
  constexpr uint32_t kPoison = ~0u;
  std::vector<uint32_t> all = {11, 0,  11, 12, 11, 12, 13, 14,
                               11, 12, 0,  0,  11, 12, 13, 0};
  std::vector<uint32_t> group = all;
  std::fill(group.begin() + 12, group.end(), kPoison);
  std::vector<uint32_t> none(16, kPoison);
  EXPECT_EQ(runSizes("wait.all()", CopyTiming::AtWait), all);
  EXPECT_EQ(runSizes("wait.group(i32 0)", CopyTiming::AtWait), group);
  EXPECT_EQ(runSizes("wait.group(i32 1)", CopyTiming::AtWait), none);
  EXPECT_EQ(runSizes("wait.group(i32 1)", CopyTiming::AtIssue), all);
}
