//===- RaceTest.cpp - Unordered accesses to shared memory -----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Races.h"
#include "TestModule.h"

#include <gtest/gtest.h>

using namespace qcc::emulator;

namespace {
/// Four threads and 16 bytes.
class Races : public ::testing::Test {
protected:
  Races() { detector.reset(4, 16); }

  bool reads(uint32_t thread, size_t offset, size_t bytes = 4) {
    return !detector.access(thread, offset, bytes, Access::Read, 1);
  }
  bool writes(uint32_t thread, size_t offset, size_t bytes = 4) {
    return !detector.access(thread, offset, bytes, Access::Write, 2);
  }
  bool adds(uint32_t thread, size_t offset) {
    return !detector.access(thread, offset, 4, Access::Atomic, 3);
  }
  void meet(llvm::ArrayRef<uint32_t> threads) {
    detector.synchronize(threads, threads);
  }

  RaceDetector detector;
};
} // namespace

TEST_F(Races, StoreThenLoad) {
  EXPECT_TRUE(writes(0, 0));
  EXPECT_TRUE(reads(0, 0));
  EXPECT_FALSE(reads(1, 3, 1));
  EXPECT_TRUE(reads(1, 4));
}

TEST_F(Races, LoadThenStore) {
  EXPECT_TRUE(reads(0, 0));
  EXPECT_TRUE(reads(1, 0));
  EXPECT_FALSE(writes(1, 0));
  detector.synchronizeAll();
  EXPECT_TRUE(writes(1, 0));
  EXPECT_FALSE(writes(2, 0));
}

TEST_F(Races, OrderIsTransitive) {
  EXPECT_TRUE(writes(0, 0));
  meet({0, 1});
  EXPECT_TRUE(reads(1, 0));
  EXPECT_FALSE(reads(2, 0));
  meet({1, 2});
  EXPECT_TRUE(reads(2, 0));
  EXPECT_FALSE(reads(3, 0));
}

TEST_F(Races, WhatFollowsABarrierIsNotOrderedByIt) {
  meet({0, 1});
  EXPECT_TRUE(writes(0, 0));
  EXPECT_FALSE(reads(1, 0));
}

TEST_F(Races, ArrivingOnlyReleases) {
  EXPECT_TRUE(writes(0, 0));
  EXPECT_TRUE(writes(1, 4));
  // 0 arrives, 1 waits.
  detector.synchronize({0, 1}, {1});
  EXPECT_TRUE(reads(1, 0));
  EXPECT_FALSE(reads(0, 4));
}

TEST_F(Races, AtomicsAmongThemselves) {
  EXPECT_TRUE(adds(0, 0));
  EXPECT_TRUE(adds(1, 0));
  EXPECT_FALSE(reads(2, 0));
  detector.synchronizeAll();
  EXPECT_TRUE(reads(2, 0));
  EXPECT_FALSE(adds(0, 0));
}

TEST_F(Races, PendingCopies) {
  EXPECT_FALSE(detector.beginCopy(0, 0, 8, 4));
  // Not even the copying thread may read, and no barrier helps.
  EXPECT_FALSE(reads(0, 4));
  detector.synchronizeAll();
  EXPECT_FALSE(reads(1, 4));
  detector.endCopy(0, 0, 8);
  EXPECT_TRUE(reads(0, 4));
  EXPECT_FALSE(reads(1, 4));
  detector.synchronizeAll();
  EXPECT_TRUE(reads(1, 4));
  // A refill while another thread may still read.
  EXPECT_TRUE(detector.beginCopy(0, 0, 8, 4));
}

// Two warps hand a value on; every seed shows the same error, with both calls.
TEST(RaceInKernel, IsNamed) {
  auto module = TestModule(R"(
    @pad = internal addrspace(3) global [4 x i32] undef, align 4
    @box = internal addrspace(3) global [4 x i32] undef, align 4
    define ptx_kernel void @k(ptr %out) {
      %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
      %slot = getelementptr i32, ptr addrspace(3) @box, i32 2
      %first = icmp eq i32 %t, 0
      br i1 %first, label %a, label %b
    a:
      store i32 7, ptr addrspace(3) %slot
      br label %c
    b:
      %last = icmp eq i32 %t, 40
      br i1 %last, label %d, label %c
    d:
      %v = load i32, ptr addrspace(3) %slot
      store i32 %v, ptr %out
      br label %c
    c:
      call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
      ret void
    })")
                    .compile();
  Launch options;
  options.blockX = 64;
  uint32_t out = 0;
  unsigned loadIsLate = 0;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    options.seed = seed;
    std::string error = launch(*module, "k", options, nullptr, &out);
    bool late = error == "load in 'k', block (0, 0, 0), thread (40, 0, 0): no "
                         "barrier after the access of thread (0, 0, 0) in "
                         "store in 'k': 4 bytes at offset 8 of 'box'";
    bool early = error == "store in 'k', block (0, 0, 0), thread (0, 0, 0): no "
                          "barrier after the access of thread (40, 0, 0) in "
                          "load in 'k': 4 bytes at offset 8 of 'box'";
    EXPECT_TRUE(late || early) << error;
    loadIsLate += late;
  }
  EXPECT_GT(loadIsLate, 0u);
  EXPECT_LT(loadIsLate, 20u);
}
