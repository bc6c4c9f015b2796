//===- ErrorTest.cpp - What the emulator refuses, and how it says so ------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "TestModule.h"

#include <gtest/gtest.h>

using namespace qcc::emulator;

/// A kernel @k(ptr %p, i32 %n) with this body after %t and %lane.
static std::string kernel(const std::string &body,
                          const std::string &globals = "") {
  return globals + R"(
    define ptx_kernel void @k(ptr %p, i32 %n) {
      %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
      %lane = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
      )" +
         body + "\n ret void\n}\n";
}

#define EXPECT_CONTAINS(text, part)                                            \
  EXPECT_NE((text).find(part), std::string::npos) << (text)

/// The error of a launch with one block of 64 threads, which may all do the
/// same: races are not looked for.
static std::string run(const std::string &text, unsigned n = 0,
                       unsigned threads = 64) {
  auto module = TestModule(text).compile();
  alignas(16) static uint32_t memory[256];
  Launch options;
  options.blockX = threads;
  options.findRaces = false;
  return launch(*module, "k", options, nullptr, &memory[0], n);
}

//===----------------------------------------------------------------------===//
// Synchronization
//===----------------------------------------------------------------------===//

TEST(Error, Deadlock) {
  // The barrier wants two warps, of which one has gone.
  std::string error = run(kernel(R"(
    %go = icmp ult i32 %t, 32
    br i1 %go, label %a, label %b
  a:
    call void @llvm.nvvm.barrier.cta.sync.aligned.count(i32 1, i32 64)
    br label %b
  b:)"));
  EXPECT_CONTAINS(error, "deadlock in block (0, 0, 0)");
  EXPECT_CONTAINS(error,
                  "of 64 threads, 32 wait in "
                  "llvm.nvvm.barrier.cta.sync.aligned.count in 'k', 32 have "
                  "exited");
}

TEST(Error, WarpsAtDifferentBarriers) {
  std::string error = run(kernel(R"(
    %go = icmp ult i32 %t, 32
    br i1 %go, label %a, label %b
  a:
    call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 1)
    br label %c
  b:
    call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 2)
    br label %c
  c:)"));
  EXPECT_CONTAINS(error, "deadlock");
}

TEST(Error, DivergentAlignedBarrier) {
  std::string error = run(kernel(R"(
    %go = icmp ult i32 %t, 16
    br i1 %go, label %a, label %b
  a:
    call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
    store volatile i32 1, ptr %p
    br label %c
  b:
    call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
    br label %c
  c:)"));
  EXPECT_CONTAINS(error, "divergent barrier");
}

TEST(Error, DivergentWarp) {
  // Half of the lanes shuffle with all, the other half waits for all.
  std::string error = run(kernel(R"(
    %go = icmp ult i32 %lane, 16
    br i1 %go, label %a, label %b
  a:
    %x = call i32 @llvm.nvvm.shfl.sync.bfly.i32(i32 -1, i32 %t, i32 1, i32 31)
    store volatile i32 %x, ptr %p
    br label %c
  b:
    call void @llvm.nvvm.bar.warp.sync(i32 -1)
    br label %c
  c:)"));
  EXPECT_CONTAINS(error, "divergent warp: other lanes wait in llvm.nvvm.");
}

TEST(Error, LaneOutsideItsMask) {
  EXPECT_CONTAINS(run(kernel("call void @llvm.nvvm.bar.warp.sync(i32 %n)"), 5),
                  "is not in its own mask 0x5");
}

TEST(Error, MatrixLoadOfAPartialWarp) {
  EXPECT_CONTAINS(
      run(kernel(
              "%x = call i32 @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x1.b16."
              "p3(ptr addrspace(3) @m)",
              "@m = internal addrspace(3) global [64 x half] undef, align 16"),
          0, 40),
      "the warp has 8 of the 32 lanes");
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

static const char *kCopyText = R"(
  %s = getelementptr i8, ptr addrspace(3) @m, i32 $to
  %g = addrspacecast ptr %p to ptr addrspace(1)
  %f = getelementptr i8, ptr addrspace(1) %g, i32 $from
  call void @llvm.nvvm.cp.async.cg.shared.global.16(ptr addrspace(3) %s, ptr addrspace(1) %f))";

static std::string runCopy(const char *to, const char *from) {
  return run(
      kernel(substitute(kCopyText, {{"to", to}, {"from", from}}),
             "@m = internal addrspace(3) global [64 x half] undef, align 16"));
}

TEST(Error, Copies) {
  EXPECT_EQ(runCopy("112", "16"), "");
  EXPECT_CONTAINS(runCopy("8", "0"), "misaligned access of 16 bytes");
  EXPECT_CONTAINS(runCopy("0", "4"), "misaligned access of 16 bytes");
  std::string error = runCopy("128", "0");
  EXPECT_CONTAINS(error, "16 bytes at offset 128 of 'm', which has 128 bytes");
  EXPECT_CONTAINS(error,
                  "llvm.nvvm.cp.async.cg.shared.global.16 in 'k', block (0, 0, "
                  "0), thread (");
  EXPECT_CONTAINS(runCopy("-16", "0"), "in no variable");
  EXPECT_CONTAINS(runCopy("-1048576", "0"), "is not in shared memory");
}

TEST(Error, Accesses) {
  auto access = [](const char *text) {
    return run(kernel(
        text, "@m = internal addrspace(3) global [4 x i32] undef, align 16"));
  };
  EXPECT_CONTAINS(access("%a = getelementptr i32, ptr addrspace(3) @m, i32 %t\n"
                         "store i32 1, ptr addrspace(3) %a"),
                  "4 bytes at offset");
  EXPECT_CONTAINS(access("%a = getelementptr i8, ptr %p, i32 4\n"
                         "%v = load volatile <2 x i32>, ptr %a, align 8"),
                  "misaligned access of 8 bytes");
  EXPECT_CONTAINS(
      access("%a = getelementptr i8, ptr addrspace(3) @m, i32 8\n"
             "%v = load volatile <4 x i32>, ptr addrspace(3) %a, align 8"),
      "16 bytes at offset 8 of 'm', which has 16 bytes");
  // A misaligned or foreign row of ldmatrix.
  EXPECT_CONTAINS(
      run(kernel(R"(
        %o = mul i32 %lane, 8
        %a = getelementptr i8, ptr addrspace(3) @m, i32 %o
        %x = call i32 @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x1.b16.p3(ptr addrspace(3) %a))",
                 "@m = internal addrspace(3) global [64 x half] undef, align "
                 "16")),
      "misaligned row");
}

// A variable that is aligned to its elements only, as a device may place it.
TEST(Error, CopyToAVariableOfTooLittleAlignment) {
  EXPECT_CONTAINS(
      run(kernel(substitute(kCopyText, {{"to", "0"}, {"from", "0"}}),
                 "@m = internal addrspace(3) global [64 x half] undef")),
      "misaligned access of 16 bytes");
}

TEST(Error, Buffers) {
  auto module = TestModule(R"(
    @table = internal addrspace(4) constant [2 x i32] [i32 5, i32 6]
    @m = internal addrspace(3) global [4 x i32] undef, align 16
    define ptx_kernel void @k(ptr %from, ptr %to, i32 %read, i32 %write, i32 %copy) {
      %own = alloca i32
      store volatile i32 4, ptr %own
      %c = getelementptr i32, ptr addrspace(4) @table, i32 %read
      %cv = load volatile i32, ptr addrspace(4) @table
      %f = getelementptr i32, ptr %from, i32 %read
      %v = load i32, ptr %f
      %t = getelementptr i32, ptr %to, i32 %write
      store i32 %v, ptr %t
      %g = addrspacecast ptr %from to ptr addrspace(1)
      call void @llvm.nvvm.cp.async.cg.shared.global.16.s(ptr addrspace(3) @m, ptr addrspace(1) %g, i32 %copy)
      ret void
    })")
                    .compile();
  alignas(16) uint32_t from[3] = {1, 2, 3}, to[2] = {};
  Buffer buffers[] = {{&from[0], 12, /*writable=*/false}, {&to[0], 8}};
  Launch options;
  options.buffers = buffers;
  auto run = [&](uint32_t *target, unsigned read, unsigned write,
                 unsigned copy) {
    return launch(*module, "k", options, nullptr, &from[0], target, read, write,
                  copy);
  };
  EXPECT_EQ(run(to, 2, 1, 12), "");
  EXPECT_EQ(to[1], 3u);
  EXPECT_CONTAINS(run(to, 3, 1, 0), "load in 'k', block (0, 0, 0)");
  EXPECT_CONTAINS(run(to, 3, 1, 0), "in no buffer");
  EXPECT_CONTAINS(run(to, 0, 2, 0), "store in 'k'");
  EXPECT_CONTAINS(run(from, 0, 0, 0),
                  "a store at offset 0 of buffer 0, which is not writable");
  EXPECT_CONTAINS(run(to, 0, 0, 16),
                  "16 bytes at offset 0 of buffer 0, which has 12 bytes");
}

// A fill or copy is checked as a whole.
TEST(Error, MemoryIntrinsics) {
  std::string text =
      kernel("call void @llvm.memset.p3.i32(ptr addrspace(3) @m, i8 0, i32 %n, "
             "i1 false)",
             "@m = internal addrspace(3) global [4 x i32] undef");
  EXPECT_EQ(run(text, 16), "");
  EXPECT_EQ(run(text, 0), "");
  EXPECT_CONTAINS(run(text, 17),
                  "17 bytes at offset 0 of 'm', which has 16 bytes");
}

//===----------------------------------------------------------------------===//
// Modules and launches
//===----------------------------------------------------------------------===//

TEST(Error, UnknownConstructs) {
  EXPECT_EQ(
      TestModule(kernel("call void @llvm.nvvm.wgmma.fence.sync.aligned()"))
          .compileError(),
      "intrinsic 'llvm.nvvm.wgmma.fence.sync.aligned' in 'k' is not known "
      "to the emulator");
  EXPECT_EQ(
      TestModule(
          kernel(R"(%x = call i32 asm "popc.b32 $0, $1;", "=r,r"(i32 %t))"))
          .compileError(),
      "inline assembly \"popc.b32 $0, $1;\" in 'k' is not known to the "
      "emulator");
  EXPECT_EQ(
      TestModule(
          kernel(R"(%x = call i32 asm "lop3.b32 $0, $1, 7;", "=r,r"(i32 %t))"))
          .compileError(),
      "inline assembly \"lop3.b32 $0, $1, 7;\" in 'k' is not known to the "
      "emulator");
  EXPECT_EQ(
      TestModule(kernel("%x = call float @__nv_expf(float 1.0)",
                        "declare float @__nv_expf(float)"))
          .compileError(),
      "function '__nv_expf', called in 'k', is not defined in the module");
  EXPECT_EQ(TestModule("define void @f() { ret void }").compileError(),
            "the module has no function of the ptx_kernel calling convention");
}

TEST(Error, SharedVariables) {
  EXPECT_CONTAINS(
      TestModule(kernel("", "@d = internal addrspace(3) global [0 x i8] undef"))
          .compileError(),
      "'d' has no size and is not external");
  EXPECT_CONTAINS(
      TestModule(kernel("", "@d = internal addrspace(3) global i32 7"))
          .compileError(),
      "'d' has an initializer");
  EXPECT_CONTAINS(
      TestModule(
          kernel("", "@d = internal addrspace(3) global [49153 x i8] undef"))
          .compileError(),
      "more than 49152 bytes of static shared memory");
}

TEST(Error, Launches) {
  auto module = TestModule("define ptx_kernel void @k(i32 %n) #0 { ret void }\n"
                           "define ptx_kernel void @exact() #1 { ret void }\n"
                           "attributes #0 = { \"nvvm.maxntid\"=\"64,2,1\" }\n"
                           "attributes #1 = { \"nvvm.reqntid\"=\"32\" }")
                    .compile();
  Launch options;
  EXPECT_EQ(launch(*module, "other", options, nullptr),
            "there is no kernel 'other'");
  EXPECT_EQ(launch(*module, "k", options, nullptr),
            "kernel 'k' takes 1 arguments, found 0");
  options.gridY = 0;
  EXPECT_EQ(launch(*module, "k", options, nullptr, 1),
            "grid (1, 0, 1) of kernel 'k' is not possible");
  options.gridX = 1u << 20, options.gridY = 32;
  EXPECT_CONTAINS(launch(*module, "k", options, nullptr, 1),
                  "more than 16777216 blocks");
  options.gridX = options.gridY = 1;
  options.blockX = 1025;
  EXPECT_EQ(launch(*module, "k", options, nullptr, 1),
            "block (1025, 1, 1) of kernel 'k' is not possible");
  options.blockX = 129;
  EXPECT_EQ(launch(*module, "k", options, nullptr, 1),
            "kernel 'k' was compiled for at most 128 threads, found 129");
  options.blockX = 128;
  EXPECT_EQ(launch(*module, "k", options, nullptr, 1), "");
  EXPECT_EQ(launch(*module, "exact", options, nullptr),
            "kernel 'exact' was compiled for 32 threads, found 128");
  options.dynamicSharedBytes = 233000;
  EXPECT_EQ(launch(*module, "k", options, nullptr, 1),
            "kernel 'k' with 0 static and 233000 dynamic bytes of shared "
            "memory, more than 232448");
}

// An error leaves the module usable.
TEST(Error, LaunchAfterAnError) {
  auto module = TestModule(kernel(R"(
    %bad = icmp ne i32 %n, 0
    br i1 %bad, label %a, label %b
  a:
    call void @llvm.nvvm.barrier.cta.sync.aligned.count(i32 0, i32 96)
    br label %b
  b:
    call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0))"))
                    .compile();
  uint32_t memory[1] = {};
  Launch options;
  options.blockX = 64;
  for (unsigned round = 0; round < 3; ++round) {
    EXPECT_CONTAINS(launch(*module, "k", options, nullptr, &memory[0], 1),
                    "deadlock");
    EXPECT_EQ(launch(*module, "k", options, nullptr, &memory[0], 0), "");
  }
}
