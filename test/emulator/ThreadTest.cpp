//===- ThreadTest.cpp - Indices, barriers, shuffles, shared memory --------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Mutants.h"
#include "TestModule.h"

#include <gtest/gtest.h>

#include <numeric>

using namespace qcc::emulator;

static const char *kIndices = R"(
  define ptx_kernel void @indices(ptr addrspace(1) noalias %out, i32 %add) {
    %tx = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
    %ty = call i32 @llvm.nvvm.read.ptx.sreg.tid.y()
    %tz = call i32 @llvm.nvvm.read.ptx.sreg.tid.z()
    %nx = call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
    %ny = call i32 @llvm.nvvm.read.ptx.sreg.ntid.y()
    %nz = call i32 @llvm.nvvm.read.ptx.sreg.ntid.z()
    %bx = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
    %by = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.y()
    %bz = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.z()
    %gx = call i32 @llvm.nvvm.read.ptx.sreg.nctaid.x()
    %gy = call i32 @llvm.nvvm.read.ptx.sreg.nctaid.y()
    %lane = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
    ; thread = (tz ny + ty) nx + tx, block likewise
    %t0 = mul i32 %tz, %ny
    %t1 = add i32 %t0, %ty
    %t2 = mul i32 %t1, %nx
    %thread = add i32 %t2, %tx
    %b0 = mul i32 %bz, %gy
    %b1 = add i32 %b0, %by
    %b2 = mul i32 %b1, %gx
    %block = add i32 %b2, %bx
    %n0 = mul i32 %nx, %ny
    %n = mul i32 %n0, %nz
    %g0 = mul i32 %block, %n
    %g = add i32 %g0, %thread
    %l0 = mul i32 %lane, 65536
    %v0 = add i32 %g, %l0
    %v = add i32 %v0, %add
    %p = getelementptr i32, ptr addrspace(1) %out, i32 %g
    store i32 %v, ptr addrspace(1) %p
    ret void
  })";

TEST(Thread, Indices) {
  auto module = TestModule(kIndices).compile();
  Launch options;
  options.gridX = 3, options.gridY = 2, options.gridZ = 2;
  options.blockX = 5, options.blockY = 3, options.blockZ = 4;
  std::vector<uint32_t> out(12 * 60, 0), expected(out.size());
  for (uint32_t i = 0; i < expected.size(); ++i)
    expected[i] = i + i % 60 % 32 * 65536 + 7;
  Counters counters;
  EXPECT_EQ(launch(*module, "indices", options, &counters, out.data(), 7), "");
  EXPECT_EQ(out, expected);
  EXPECT_EQ(counters.blocks, 12u);
  EXPECT_EQ(counters.accesses, out.size());
}

//===----------------------------------------------------------------------===//
// Shared memory and barriers
//===----------------------------------------------------------------------===//

// out[block] = sum of 64 values, in a tree over static shared memory.
static const char *kReduction = R"(
  @scratch = internal addrspace(3) global [64 x float] poison, align 16
  define ptx_kernel void @sum(ptr %in, ptr %out) {
  entry:
    %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
    %b = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
    %base = mul i32 %b, 64
    %index = add i32 %base, %t
    %from = getelementptr float, ptr %in, i32 %index
    %value = load float, ptr %from
    %mine = getelementptr [64 x float], ptr addrspace(3) @scratch, i32 0, i32 %t
    store float %value, ptr addrspace(3) %mine
    call void @llvm.nvvm.barrier0()
    br label %loop
  loop:
    %width = phi i32 [ 32, %entry ], [ %next, %end ]
    %active = icmp ult i32 %t, %width
    br i1 %active, label %add, label %end
  add:
    %other = add i32 %t, %width
    %theirs = getelementptr [64 x float], ptr addrspace(3) @scratch, i32 0, i32 %other
    %x = load float, ptr addrspace(3) %mine
    %y = load float, ptr addrspace(3) %theirs
    %sum = fadd float %x, %y
    store float %sum, ptr addrspace(3) %mine
    br label %end
  end:
    call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
    %next = lshr i32 %width, 1
    %more = icmp ne i32 %next, 0
    br i1 %more, label %loop, label %done
  done:
    %first = icmp eq i32 %t, 0
    br i1 %first, label %write, label %exit
  write:
    %total = load float, ptr addrspace(3) @scratch
    %to = getelementptr float, ptr %out, i32 %b
    store float %total, ptr %to
    br label %exit
  exit:
    ret void
  })";

static bool sums(EmulatedModule &module, uint32_t seed, bool findRaces,
                 Counters *counters = nullptr) {
  Launch options;
  options.gridX = 4;
  options.blockX = 64;
  options.seed = seed;
  options.findRaces = findRaces;
  std::vector<float> in(256), out(4);
  std::iota(in.begin(), in.end(), 1.0f);
  return launch(module, "sum", options, counters, in.data(), out.data()) ==
             "" &&
         out == std::vector<float>({2080, 6176, 10272, 14368});
}

TEST(Thread, ReductionInSharedMemory) {
  auto module = TestModule(kReduction).compile();
  for (uint32_t seed = 0; seed < 20; ++seed) {
    Counters counters;
    EXPECT_TRUE(sums(*module, seed, /*findRaces=*/true, &counters));
    EXPECT_EQ(counters.barriers, 4u * 7);
  }
}

TEST(Thread, DroppedBarriersAreCaught) {
  for (unsigned index : {0, 1}) {
    TestModule mutant(kReduction);
    ASSERT_TRUE(dropBarrier(*mutant, index));
    auto module = mutant.compile();
    auto failuresWith = [&](bool findRaces) {
      return failures(
          [&](uint32_t seed) { return sums(*module, seed, findRaces); });
    };
    EXPECT_GT(failuresWith(/*findRaces=*/false), 0u) << index;
    EXPECT_EQ(failuresWith(/*findRaces=*/true), 20u) << index;
  }
  TestModule mutant(kReduction);
  EXPECT_FALSE(dropBarrier(*mutant, 2));
}

// Each thread writes to dynamic shared memory and reads its mirror image, by
// a generic pointer and by a 32-bit address.
static const char *kDynamic = R"(
  @fixed = internal addrspace(3) global [4 x i32] undef, align 4
  @dynamic = external addrspace(3) global [0 x i32], align 16
  define ptx_kernel void @mirror(ptr %out) {
    %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
    %n = call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
    %g = getelementptr i32, ptr addrspacecast (ptr addrspace(3) @dynamic to ptr), i32 %t
    store i32 %t, ptr %g, align 4
    call void @llvm.nvvm.barrier.cta.sync.all(i32 3)
    %m0 = sub i32 %n, %t
    %m = sub i32 %m0, 1
    %offset = mul i32 %m, 4
    %base = ptrtoint ptr addrspace(3) @dynamic to i32
    %address = add i32 %base, %offset
    %p = inttoptr i32 %address to ptr addrspace(3)
    %v = load i32, ptr addrspace(3) %p, align 4
    %o = getelementptr i32, ptr %out, i32 %t
    store i32 %v, ptr %o
    ret void
  })";

TEST(Thread, DynamicSharedMemory) {
  auto module = TestModule(kDynamic).compile();
  Launch options;
  options.blockX = 96;
  options.dynamicSharedBytes = 96 * 4;
  std::vector<uint32_t> out(96), expected(96);
  for (uint32_t i = 0; i < 96; ++i)
    expected[i] = 95 - i;
  EXPECT_EQ(launch(*module, "mirror", options, nullptr, out.data()), "");
  EXPECT_EQ(out, expected);
  options.dynamicSharedBytes -= 4;
  std::string error = launch(*module, "mirror", options, nullptr, out.data());
  EXPECT_NE(error.find("4 bytes at offset"), std::string::npos) << error;
}

// Shared memory that was not written is a NaN in every block.
TEST(Thread, SharedMemoryIsPoisoned) {
  auto module = TestModule(R"(
    @scratch = internal addrspace(3) global [64 x float] undef
    define ptx_kernel void @read(ptr %out) {
      %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
      %b = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
      %p = getelementptr float, ptr addrspace(3) @scratch, i32 %t
      %v = load float, ptr addrspace(3) %p
      %bad = fcmp uno float %v, 0.0
      %w = zext i1 %bad to i32
      %o = getelementptr i32, ptr %out, i32 %b
      %old = atomicrmw add ptr %o, i32 %w syncscope("device") monotonic
      store float 1.0, ptr addrspace(3) %p
      ret void
    })")
                    .compile();
  Launch options;
  options.gridX = 3;
  options.blockX = 64;
  std::vector<uint32_t> out(3);
  EXPECT_EQ(launch(*module, "read", options, nullptr, out.data()), "");
  EXPECT_EQ(out, std::vector<uint32_t>(3, 64));
}

//===----------------------------------------------------------------------===//
// Barriers when threads have exited
//===----------------------------------------------------------------------===//

// Threads from %stay on return at once; the others meet at a barrier.
static const char *kEarlyExit = R"(
  @flag = internal addrspace(3) global i32 undef
  define ptx_kernel void @early(ptr %out, i32 %stay) {
    %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
    %go = icmp ult i32 %t, %stay
    br i1 %go, label %work, label %exit
  work:
    %first = icmp eq i32 %t, 0
    br i1 %first, label %write, label %meet
  write:
    store i32 42, ptr addrspace(3) @flag
    br label %meet
  meet:
    call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
    %v = load i32, ptr addrspace(3) @flag
    %o = getelementptr i32, ptr %out, i32 %t
    store i32 %v, ptr %o
    br label %exit
  exit:
    ret void
  })";

TEST(Thread, ExitedThreadsAreNotWaitedFor) {
  auto module = TestModule(kEarlyExit).compile();
  for (unsigned stay : {1u, 32u, 33u, 64u, 100u})
    for (uint32_t seed = 0; seed < 5; ++seed) {
      Launch options;
      options.blockX = 100;
      options.seed = seed;
      std::vector<uint32_t> out(100, 0);
      EXPECT_EQ(launch(*module, "early", options, nullptr, out.data(), stay),
                "");
      for (unsigned i = 0; i < 100; ++i)
        EXPECT_EQ(out[i], i < stay ? 42u : 0u);
    }
}

// The first warp produces, the second consumes: named barriers with counts.
TEST(Thread, NamedBarriersAndReductions) {
  auto module = TestModule(R"(
    @box = internal addrspace(3) global [32 x i32] undef
    define ptx_kernel void @hand(ptr %out) {
      %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
      %lane = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
      %slot = getelementptr i32, ptr addrspace(3) @box, i32 %lane
      %producer = icmp ult i32 %t, 32
      br i1 %producer, label %produce, label %consume
    produce:
      %v = mul i32 %t, 3
      store i32 %v, ptr addrspace(3) %slot
      call void @llvm.nvvm.barrier.cta.arrive.aligned.count(i32 1, i32 64)
      br label %meet
    consume:
      call void @llvm.nvvm.barrier.cta.sync.aligned.count(i32 1, i32 64)
      %got = load i32, ptr addrspace(3) %slot
      %o = getelementptr i32, ptr %out, i32 %lane
      store i32 %got, ptr %o
      br label %meet
    meet:
      %odd = trunc i32 %t to i1
      %count = call i32 @llvm.nvvm.barrier.cta.red.popc.aligned.all(i32 2, i1 %odd)
      %any = call i1 @llvm.nvvm.barrier.cta.red.or.aligned.all(i32 2, i1 %odd)
      %all = call i1 @llvm.nvvm.barrier.cta.red.and.aligned.all(i32 2, i1 %odd)
      %any1 = select i1 %any, i32 100, i32 0
      %all1 = select i1 %all, i32 1000, i32 0
      %s0 = add i32 %count, %any1
      %s1 = add i32 %s0, %all1
      %o1 = getelementptr i32, ptr %out, i32 32
      %o2 = getelementptr i32, ptr %o1, i32 %t
      store i32 %s1, ptr %o2
      ret void
    })")
                    .compile();
  for (uint32_t seed = 0; seed < 20; ++seed) {
    Launch options;
    options.blockX = 64;
    options.seed = seed;
    std::vector<uint32_t> out(96);
    ASSERT_EQ(launch(*module, "hand", options, nullptr, out.data()), "");
    for (uint32_t i = 0; i < 96; ++i)
      EXPECT_EQ(out[i], i < 32 ? 3 * i : 132u);
  }
}

//===----------------------------------------------------------------------===//
// Operations of a warp
//===----------------------------------------------------------------------===//

/// One warp applies `call` to its value in[lane] as %v.
static std::vector<uint32_t> runWarp(const std::string &call,
                                     const std::vector<uint32_t> &in,
                                     uint32_t seed = 0) {
  auto module = TestModule(substitute(R"(
    define ptx_kernel void @warp(ptr %in, ptr %out) {
      %lane = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
      %i = getelementptr i32, ptr %in, i32 %lane
      %v = load i32, ptr %i
      %f = bitcast i32 %v to float
      %odd = trunc i32 %lane to i1
      $call
      %o = getelementptr i32, ptr %out, i32 %lane
      store i32 %r, ptr %o
      ret void
    })",
                                      {{"call", call}}))
                    .compile();
  Launch options;
  options.blockX = 32;
  options.seed = seed;
  std::vector<uint32_t> out(32);
  EXPECT_EQ(launch(*module, "warp", options, nullptr, in.data(), out.data()),
            "");
  return out;
}

static std::vector<uint32_t> lanes(llvm::function_ref<uint32_t(uint32_t)> f) {
  std::vector<uint32_t> result;
  for (uint32_t i = 0; i < 32; ++i)
    result.push_back(f(i));
  return result;
}

TEST(Warp, Shuffles) {
  auto in = lanes([](uint32_t i) { return 100 + i; });
  const char *kText = "%r = call i32 @llvm.nvvm.shfl.sync.$mode.i32("
                      "i32 -1, i32 %v, i32 $which, i32 $clamp)";
  auto run = [&](const char *mode, const char *which, const char *clamp) {
    return runWarp(
        substitute(kText, {{"mode", mode}, {"which", which}, {"clamp", clamp}}),
        in);
  };
  EXPECT_EQ(run("bfly", "5", "31"),
            lanes([](uint32_t i) { return 100 + (i ^ 5); }));
  EXPECT_EQ(run("idx", "9", "31"), lanes([](uint32_t) { return 109; }));
  EXPECT_EQ(run("up", "3", "0"),
            lanes([](uint32_t i) { return i < 3 ? 100 + i : 97 + i; }));
  EXPECT_EQ(run("down", "3", "31"),
            lanes([](uint32_t i) { return i > 28 ? 100 + i : 103 + i; }));
  // Segments of 8 lanes: mask 0b11000 in bits 8-12.
  EXPECT_EQ(run("idx", "2", "6175"),
            lanes([](uint32_t i) { return 100 + (i & 24) + 2; }));
  EXPECT_EQ(run("down", "3", "6175"),
            lanes([](uint32_t i) { return i % 8 > 4 ? 100 + i : 103 + i; }));
}

TEST(Warp, FloatShuffleAndPredicate) {
  auto in = lanes([](uint32_t i) { return std::bit_cast<uint32_t>(float(i)); });
  EXPECT_EQ(runWarp(R"(
      %x = call float @llvm.nvvm.shfl.sync.bfly.f32(i32 -1, float %f, i32 16, i32 31)
      %s = fadd float %x, %f
      %r = bitcast float %s to i32)",
                    in),
            lanes([](uint32_t i) {
              return std::bit_cast<uint32_t>(float(i) + float(i ^ 16));
            }));
  EXPECT_EQ(runWarp(R"(
      %x = call {i32, i1} @llvm.nvvm.shfl.sync.up.i32p(i32 -1, i32 %v, i32 4, i32 0)
      %p = extractvalue {i32, i1} %x, 1
      %r = zext i1 %p to i32)",
                    in),
            lanes([](uint32_t i) { return i >= 4; }));
}

TEST(Warp, VotesAndReductions) {
  auto in = lanes([](uint32_t i) { return i * 7 - 30; });
  EXPECT_EQ(
      runWarp("%r = call i32 @llvm.nvvm.vote.ballot.sync(i32 -1, i1 %odd)", in),
      lanes([](uint32_t) { return 0xaaaaaaaa; }));
  EXPECT_EQ(runWarp(R"(
      %p = call i1 @llvm.nvvm.vote.any.sync(i32 -1, i1 %odd)
      %q = call i1 @llvm.nvvm.vote.all.sync(i32 -1, i1 %odd)
      %a = zext i1 %p to i32
      %b = select i1 %q, i32 10, i32 0
      %r = add i32 %a, %b)",
                    in),
            lanes([](uint32_t) { return 1; }));
  uint32_t sum = std::accumulate(in.begin(), in.end(), 0u);
  EXPECT_EQ(
      runWarp("%r = call i32 @llvm.nvvm.redux.sync.add(i32 %v, i32 -1)", in),
      lanes([&](uint32_t) { return sum; }));
  EXPECT_EQ(
      runWarp("%r = call i32 @llvm.nvvm.redux.sync.min(i32 %v, i32 -1)", in),
      lanes([&](uint32_t) { return uint32_t(-30); }));
  EXPECT_EQ(
      runWarp("%r = call i32 @llvm.nvvm.redux.sync.umin(i32 %v, i32 -1)", in),
      lanes([&](uint32_t) { return 5; }));
}

// The halves of a warp shuffle on their own, then all meet.
TEST(Warp, HalvesOfAWarp) {
  auto in = lanes([](uint32_t i) { return 100 + i; });
  for (uint32_t seed = 0; seed < 10; ++seed)
    EXPECT_EQ(runWarp(R"(
      %low = icmp ult i32 %lane, 16
      br i1 %low, label %l, label %h
    l:
      %a = call i32 @llvm.nvvm.shfl.sync.bfly.i32(i32 65535, i32 %v, i32 1, i32 31)
      br label %m
    h:
      %b = call i32 @llvm.nvvm.shfl.sync.bfly.i32(i32 -65536, i32 %v, i32 2, i32 31)
      br label %m
    m:
      %r = phi i32 [ %a, %l ], [ %b, %h ]
      call void @llvm.nvvm.bar.warp.sync(i32 -1))",
                      in, seed),
              lanes([](uint32_t i) { return 100 + (i ^ (i < 16 ? 1 : 2)); }));
}

// A value that goes through shared memory inside a warp.
static const char *kWarpExchange = R"(
  @box = internal addrspace(3) global [32 x i32] undef
  define ptx_kernel void @exchange(ptr %out) {
    %lane = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
    %mine = getelementptr i32, ptr addrspace(3) @box, i32 %lane
    store i32 %lane, ptr addrspace(3) %mine
    call void @llvm.nvvm.bar.warp.sync(i32 -1)
    %other = xor i32 %lane, 31
    %theirs = getelementptr i32, ptr addrspace(3) @box, i32 %other
    %v = load i32, ptr addrspace(3) %theirs
    %o = getelementptr i32, ptr %out, i32 %lane
    store i32 %v, ptr %o
    ret void
  })";

static bool exchanges(EmulatedModule &module, uint32_t seed, bool findRaces) {
  Launch options;
  options.blockX = 32;
  options.seed = seed;
  options.findRaces = findRaces;
  std::vector<uint32_t> out(32);
  return launch(module, "exchange", options, nullptr, out.data()) == "" &&
         out == lanes([](uint32_t i) { return i ^ 31; });
}

TEST(Warp, DroppedWarpBarrierIsCaught) {
  TestModule text(kWarpExchange);
  auto module = text.compile();
  EXPECT_EQ(
      failures([&](uint32_t seed) { return exchanges(*module, seed, true); }),
      0u);
  ASSERT_TRUE(dropWarpBarrier(*text, 0));
  EXPECT_FALSE(dropWarpBarrier(*text, 0));
  auto mutant = text.compile();
  EXPECT_GT(
      failures([&](uint32_t seed) { return exchanges(*mutant, seed, false); }),
      0u);
  EXPECT_EQ(
      failures([&](uint32_t seed) { return exchanges(*mutant, seed, true); }),
      20u);
}
