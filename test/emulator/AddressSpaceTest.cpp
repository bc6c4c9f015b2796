//===- AddressSpaceTest.cpp - Modules with pointers of many kinds ---------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "TestModule.h"

#include <gtest/gtest.h>

using namespace qcc::emulator;

/// out[0..n) of a kernel @k(ptr %out) with one block.
static std::vector<uint32_t> run(const std::string &text, unsigned threads = 1,
                                 size_t n = 1) {
  auto module = TestModule(text).compile();
  std::vector<uint32_t> out(n);
  Launch options;
  options.blockX = threads;
  EXPECT_EQ(launch(*module, "k", options, nullptr, out.data()), "");
  return out;
}

TEST(AddressSpace, TablesAndTheirAddresses) {
  EXPECT_EQ(run(R"(
    @table = internal addrspace(4) constant [4 x i32] [i32 3, i32 5, i32 7, i32 9]
    @state = internal addrspace(1) global i32 100
    @place = internal addrspace(1) global ptr addrspace(4) getelementptr (i32, ptr addrspace(4) @table, i32 2)
    define ptx_kernel void @k(ptr %out) {
      %p = load ptr addrspace(4), ptr addrspace(1) @place
      %a = load i32, ptr addrspace(4) %p
      %b = load i32, ptr addrspacecast (ptr addrspace(4) getelementptr (i32, ptr addrspace(4) @table, i32 3) to ptr)
      %c = load i32, ptr addrspace(1) @state
      %s0 = add i32 %a, %b
      %s1 = add i32 %s0, %c
      store i32 %s1, ptr %out
      ret void
    })"),
            std::vector<uint32_t>({116}));
}

TEST(AddressSpace, LocalVariablesAndFunctions) {
  EXPECT_EQ(run(R"(
    %pair = type { ptr addrspace(3), i64 }
    @box = internal addrspace(3) global [8 x i32] undef, align 4
    define internal i32 @get(%pair %p) noinline {
      %base = extractvalue %pair %p, 0
      %at = extractvalue %pair %p, 1
      %q = getelementptr i32, ptr addrspace(3) %base, i64 %at
      %v = load i32, ptr addrspace(3) %q
      ret i32 %v
    }
    define ptx_kernel void @k(ptr %out) {
    entry:
      %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
      %own = alloca [2 x i32], align 4, addrspace(5)
      store i32 %t, ptr addrspace(5) %own
      %generic = addrspacecast ptr addrspace(5) %own to ptr
      %mine = load i32, ptr %generic
      %slot = getelementptr i32, ptr addrspace(3) @box, i32 %mine
      %odd = trunc i32 %t to i1
      br i1 %odd, label %a, label %b
    a:
      %x = getelementptr i8, ptr addrspace(3) %slot, i32 0
      br label %b
    b:
      %to = phi ptr addrspace(3) [ %x, %a ], [ %slot, %entry ]
      %square = mul i32 %t, %t
      store i32 %square, ptr addrspace(3) %to
      call void @llvm.nvvm.barrier0()
      %next = add i32 %t, 1
      %wrapped = and i32 %next, 7
      %wide = zext i32 %wrapped to i64
      %p0 = insertvalue %pair poison, ptr addrspace(3) @box, 0
      %p1 = insertvalue %pair %p0, i64 %wide, 1
      %v = call i32 @get(%pair %p1)
      %o = getelementptr i32, ptr %out, i32 %t
      store i32 %v, ptr %o
      ret void
    })",
                8, 8),
            std::vector<uint32_t>({1, 4, 9, 16, 25, 36, 49, 0}));
}

TEST(AddressSpace, AtomicsInSharedMemory) {
  EXPECT_EQ(run(R"(
    @sum = internal addrspace(3) global float undef, align 4
    @count = internal addrspace(3) global i32 undef, align 4
    define ptx_kernel void @k(ptr %out) {
      %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
      %first = icmp eq i32 %t, 0
      br i1 %first, label %clear, label %meet
    clear:
      store float 0.0, ptr addrspace(3) @sum
      store i32 0, ptr addrspace(3) @count
      br label %meet
    meet:
      call void @llvm.nvvm.barrier0()
      %f = uitofp i32 %t to float
      %old = atomicrmw fadd ptr addrspace(3) @sum, float %f syncscope("block") monotonic
      %i = atomicrmw uinc_wrap ptr addrspace(3) @count, i32 1000 monotonic
      call void @llvm.nvvm.membar.gl()
      fence syncscope("device") acq_rel
      call void @llvm.nvvm.barrier0()
      br i1 %first, label %write, label %exit
    write:
      %s = load float, ptr addrspace(3) @sum
      %n = load i32, ptr addrspace(3) @count
      %si = fptoui float %s to i32
      store i32 %si, ptr %out
      %o = getelementptr i32, ptr %out, i32 1
      store i32 %n, ptr %o
      ret void
    exit:
      call void @llvm.nvvm.exit()
      unreachable
    })",
                96, 2),
            std::vector<uint32_t>({4560, 96}));
}

// Arguments of every size, and a structure by value of which each thread has a
// copy of its own.
TEST(AddressSpace, Arguments) {
  auto module = TestModule(R"(
    %params = type { i32, [3 x i16], double }
    define ptx_kernel void @k(ptr byval(%params) align 8 %p, i8 signext %small, i64 %large, half %h, ptr %out) {
      %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
      %a = load i32, ptr %p
      %a1 = add i32 %a, %t
      store i32 %a1, ptr %p
      %a2 = load i32, ptr %p
      %q = getelementptr %params, ptr %p, i32 0, i32 2
      %d = load double, ptr %q
      %di = fptosi double %d to i32
      %s = sext i8 %small to i32
      %l = lshr i64 %large, 40
      %l32 = trunc i64 %l to i32
      %hi = fptosi half %h to i32
      %s0 = add i32 %a2, %di
      %s1 = add i32 %s0, %s
      %s2 = add i32 %s1, %l32
      %s3 = add i32 %s2, %hi
      %o = getelementptr i32, ptr %out, i32 %t
      store i32 %s3, ptr %o
      ret void
    })")
                    .compile();
  struct {
    int32_t a = 1000;
    int16_t b[3] = {};
    double c = 200;
  } params;
  std::vector<uint32_t> out(3);
  Launch options;
  options.blockX = 3;
  EXPECT_EQ(launch(*module, "k", options, nullptr, params, int8_t(-3),
                   int64_t(7) << 40, uint16_t(0x4d00) /* 20 */, out.data()),
            "");
  EXPECT_EQ(out, std::vector<uint32_t>({1224, 1225, 1226}));
}

TEST(AddressSpace, AKernelThatGivesUp) {
  auto module = TestModule(R"(
    define ptx_kernel void @k(i32 %n) {
      %bad = icmp ugt i32 %n, 3
      br i1 %bad, label %a, label %b
    a:
      call void @llvm.trap()
      unreachable
    b:
      ret void
    })")
                    .compile();
  EXPECT_EQ(launch(*module, "k", {}, nullptr, 3), "");
  EXPECT_EQ(launch(*module, "k", {}, nullptr, 4),
            "llvm.trap in 'k', block (0, 0, 0), thread (0, 0, 0): the kernel "
            "gave up");
}

TEST(AddressSpace, Refused) {
  EXPECT_EQ(
      TestModule("define ptx_kernel void @k() {\n"
                 "%x = alloca [140000 x i8]\n store i8 0, ptr %x\n ret void }")
          .compileError(),
      "more than 131072 bytes of local variables in 'k'");
  EXPECT_EQ(TestModule("@x = external addrspace(1) global i32\n"
                       "define ptx_kernel void @k() { ret void }")
                .compileError(),
            "variable 'x' is not defined in the module");
  EXPECT_EQ(TestModule("define ptx_kernel void @k(ptr %f) {\n"
                       "call void %f()\n ret void }")
                .compileError(),
            "an indirect call in 'k'");
}
