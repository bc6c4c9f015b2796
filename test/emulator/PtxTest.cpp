//===- PtxTest.cpp - PTX in the emulator ----------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// What instructions mean at their edges, and what is refused. That all those
// that qcc writes are known is shown by whole models (test/EndToEnd).
//===----------------------------------------------------------------------===//

#include "Ptx.h"
#include "TestModule.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

using namespace qcc::emulator;

#define EXPECT_CONTAINS(text, part)                                            \
  EXPECT_NE((text).find(part), std::string::npos) << (text)

/// A file with one kernel k(u64 out, u32 a, u32 b), whose operands are in
/// %rd1, %r1 and %r2, and which stores the %r9 that `body` makes.
static std::string file(const std::string &body) {
  return R"(
//
// A comment; with a semicolon
.version 7.1
.target sm_86
.address_size 64
.global .align 4 .b8 table[8] = {1, 2, 3, 4, 255};
.extern .shared .align 16 .b8 dynamic[];
.visible .entry k(
	.param .u64 .ptr .global .align 16 k_param_0,
	.param .u32 k_param_1, .param .u32 k_param_2
)
.maxntid 64, 1, 1
{
	.reg .pred %p<9>;
	.reg .b16 %rs<9>;
	.reg .b32 %r<19>;
	.reg .b64 %rd<9>;
	ld.param.b64 %rd1, [k_param_0];
	ld.param.b32 %r1, [k_param_1];
	ld.param.b32 %r2, [k_param_2];
)" + body +
         R"(
	st.global.b32 [%rd1], %r9;
	ret;
}
)";
}

static std::string errorOf(const std::string &text) {
  llvm::LLVMContext context;
  auto module = readPtx(text, context);
  return module ? "" : textOf(module.takeError());
}

/// What one thread stores; its warp's other lanes store the same.
static uint32_t run(const std::string &body, uint32_t a, uint32_t b) {
  llvm::LLVMContext context;
  auto ptx = readPtx(file(body), context);
  if (!ptx)
    throw std::runtime_error(textOf(ptx.takeError()));
  auto module = EmulatedModule::create(*ptx->module);
  if (!module)
    throw std::runtime_error(textOf(module.takeError()));
  alignas(16) uint32_t out[4] = {};
  Buffer buffers[] = {{out, sizeof out}};
  Launch options;
  options.blockX = 32;
  options.dynamicSharedBytes = 512;
  options.buffers = buffers;
  options.findRaces = false;
  std::string error = launch(**module, "k", options, nullptr, &out[0], a, b);
  if (!error.empty())
    throw std::runtime_error(error);
  return out[0];
}

static uint32_t bits(float value) { return std::bit_cast<uint32_t>(value); }
static float real(uint32_t pattern) { return std::bit_cast<float>(pattern); }

TEST(Ptx, DescribesKernels) {
  llvm::LLVMContext context;
  auto ptx = readPtx(file("mov.b32 %r9, 0;"), context);
  ASSERT_TRUE(bool(ptx)) << textOf(ptx.takeError());
  EXPECT_EQ(ptx->target, "sm_86");
  ASSERT_EQ(ptx->kernels.size(), 1u);
  EXPECT_EQ(ptx->kernels[0].name, "k");
  EXPECT_EQ(ptx->kernels[0].threads, 64u);
  EXPECT_EQ(ptx->kernels[0].parameterBytes, (std::vector<size_t>{8, 4, 4}));
}

TEST(Ptx, Integers) {
  EXPECT_EQ(run("sub.s32 %r9, %r1, %r2;", 3, 5), uint32_t(-2));
  EXPECT_EQ(run("mad.lo.s32 %r9, %r1, %r2, -7;", 3, 5), 8u);
  EXPECT_EQ(run("mul.hi.u32 %r9, %r1, %r2;", 0x80000000u, 6), 3u);
  EXPECT_EQ(run("mul.wide.s32 %rd2, %r1, %r2; shr.u64 %rd2, %rd2, 32;"
                "cvt.u32.u64 %r9, %rd2;",
                uint32_t(-1), 5),
            ~0u);
  EXPECT_EQ(run("min.s32 %r9, %r1, %r2;", uint32_t(-1), 5), ~0u);
  EXPECT_EQ(run("min.u32 %r9, %r1, %r2;", uint32_t(-1), 5), 5u);
  EXPECT_EQ(run("div.s32 %r9, %r1, %r2;", uint32_t(-9), 2), uint32_t(-4));
}

/// All lanes of a warp count in one word; the bound comes before the 0.
TEST(Ptx, AtomicCount) {
  EXPECT_EQ(run("mov.b64 %rd2, %rd1; add.s64 %rd2, %rd2, 4; fence.acq_rel.gpu;"
                "atom.global.inc.u32 %r3, [%rd2], %r1; bar.sync 0;"
                "ld.global.b32 %r9, [%rd2];",
                6, 0),
            32u % 7);
}

TEST(Ptx, Bits) {
  EXPECT_EQ(run("shl.b32 %r9, %r1, %r2;", 5, 31), 0x80000000u);
  EXPECT_EQ(run("shl.b32 %r9, %r1, %r2;", 5, 32), 0u);
  EXPECT_EQ(run("shr.u32 %r9, %r1, %r2;", ~0u, 40), 0u);
  EXPECT_EQ(run("shr.s32 %r9, %r1, %r2;", ~0u, 40), ~0u);
  EXPECT_EQ(run("bfe.u32 %r9, %r1, 4, 8;", 0xabcd, 0), 0xbcu);
  EXPECT_EQ(run("bfe.s32 %r9, %r1, 4, 8;", 0xabcd, 0), 0xffffffbcu);
  EXPECT_EQ(run("popc.b32 %r9, %r1;", 0xf00f1, 0), 9u);
  EXPECT_EQ(run("lop3.b32 %r9, %r1, %r2, 1, 0xea;", 0xff00, 0x0ff0), 0x0f01u);
  EXPECT_EQ(run("mov.b32 {%rs1, %rs2}, %r1; mov.b32 %r9, {%rs2, %rs1};",
                0x12345678, 0),
            0x56781234u);
  EXPECT_EQ(run("cvt.u16.u32 %rs1, %r1; cvt.s64.s16 %rd2, %rs1;"
                "shr.u64 %rd2, %rd2, 8; cvt.u32.u64 %r9, %rd2;",
                0x18000, 0),
            0xffffff80u);
}

TEST(Ptx, Floats) {
  EXPECT_EQ(run("fma.rn.f32 %r9, %r1, %r2, 0f3F800000;", bits(1 + 0x1p-23f),
                bits(1 - 0x1p-23f)),
            bits(std::fma(1 + 0x1p-23f, 1 - 0x1p-23f, 1.0f)));
  EXPECT_EQ(run("max.f32 %r9, %r1, %r2;", bits(NAN), bits(2)), bits(2));
  EXPECT_EQ(run("rcp.rn.f32 %r9, %r1;", bits(3), 0), bits(1.0f / 3));
  EXPECT_EQ(run("neg.f32 %r9, %r1;", bits(3), 0), bits(-3));
  EXPECT_EQ(run("copysign.f32 %r9, %r1, %r2;", bits(-3), bits(2)), bits(-2));
  EXPECT_EQ(run("mov.b32 %r9, 0f40400000;", 0, 0), bits(3));
  EXPECT_EQ(run("cvt.rni.f32.f32 %r9, %r1;", bits(2.5f), 0), bits(2));
  EXPECT_EQ(run("cvt.rzi.s32.f32 %r9, %r1;", bits(-2.75f), 0), uint32_t(-2));
  EXPECT_EQ(run("cvt.rzi.s32.f32 %r9, %r1;", bits(1e20f), 0), 0x7fffffffu);
  EXPECT_EQ(run("cvt.rzi.s32.f32 %r9, %r1;", bits(NAN), 0), 0u);
  EXPECT_EQ(run("cvt.rn.f16x2.f32 %r9, %r1, %r2;", bits(1), bits(2)),
            0x3c004000u);
  EXPECT_EQ(run("fma.rn.f16x2 %r9, %r1, %r2, %r2;", 0x3c004000, 0x40003c00),
            0x44004200u);
  EXPECT_EQ(run("cvt.f64.f32 %rd2, %r1; mul.rn.f64 %rd2, %rd2, "
                "0d3FE0000000000000; cvt.rn.f32.f64 %r9, %rd2;",
                bits(3), 0),
            bits(1.5f));
  EXPECT_EQ(real(run("cvt.rn.f32.s32 %r9, %r1;", uint32_t(-7), 0)), -7);
}

TEST(Ptx, Comparisons) {
  const char *less = "setp.lt.f32 %p1, %r1, %r2; selp.b32 %r9, 1, 0, %p1;";
  EXPECT_EQ(run(less, bits(1), bits(2)), 1u);
  EXPECT_EQ(run(less, bits(NAN), bits(2)), 0u);
  EXPECT_EQ(run("setp.ltu.f32 %p1, %r1, %r2; selp.b32 %r9, 1, 0, %p1;",
                bits(NAN), bits(2)),
            1u);
  EXPECT_EQ(run("setp.gt.s32 %p1, %r1, %r2; selp.b32 %r9, 1, 0, %p1;", ~0u, 2),
            0u);
  EXPECT_EQ(run("setp.gt.u32 %p1, %r1, %r2; selp.b32 %r9, 1, 0, %p1;", ~0u, 2),
            1u);
}

TEST(Ptx, ControlFlow) {
  // A loop, a guarded instruction, and one that is guarded the other way.
  const char *body = R"(
	mov.b32 %r9, 0;
$L_1:
	.pragma "nounroll";
	add.s32 %r9, %r9, %r1;
	setp.lt.u32 %p1, %r9, %r2;
	@%p1 bra $L_1;
	setp.eq.b32 %p2, %r9, %r2;
	@%p2 add.s32 %r9, %r9, 1000;
	@!%p2 add.s32 %r9, %r9, 2000;
	bra.uni $L_2;
	mov.b32 %r9, 5;
$L_2:)";
  EXPECT_EQ(run(body, 3, 12), 1012u);
  EXPECT_EQ(run(body, 5, 12), 2015u);
}

TEST(Ptx, Memory) {
  EXPECT_EQ(run("mov.b64 %rd2, table; ld.global.nc.s8 %r9, [%rd2+4];", 0, 0),
            ~0u);
  EXPECT_EQ(run("ld.global.b32 %r9, [table];", 0, 0), 0x04030201u);
  EXPECT_EQ(run(R"(
	mov.u32 %r3, %tid.x;
	mov.b64 %rd2, dynamic;
	mul.wide.u32 %rd3, %r3, 16;
	add.s64 %rd4, %rd2, %rd3;
	add.s32 %r4, %r3, %r1;
	st.shared.v4.b32 [%rd4], {%r4, %r4, %r4, %r2};
	bar.sync 0;
	ld.shared.v2.b32 {%r5, %r6}, [dynamic+40];
	add.s32 %r9, %r5, %r6;)",
                100, 7),
            109u);
  EXPECT_EQ(run("mov.u32 %r3, %tid.x;"
                "shfl.sync.idx.b32 %r9, %r3, 5, 31, -1;",
                0, 0),
            5u);
  EXPECT_EQ(run("mov.u32 %r3, %tid.x; setp.lt.u32 %p1, %r3, %r1;"
                "vote.sync.ballot.b32 %r9, %p1, -1;",
                5, 0),
            31u);
}

/// Row l of shared memory is eight halves of l; products of two ones.
TEST(Ptx, Matrices) {
  const std::string load = R"(
	mov.u32 %r3, %tid.x;
	mov.b64 %rd2, dynamic;
	mul.wide.u32 %rd3, %r3, 16;
	add.s64 %rd4, %rd2, %rd3;
	mul.lo.s32 %r4, %r3, 65537;
	st.shared.v4.b32 [%rd4], {%r4, %r4, %r4, %r4};
	bar.warp.sync -1;
	ldmatrix.sync.aligned.m8n8.)";
  // Of lane 5: columns 2 and 3 of row 1, or rows 2 and 3 of column 1.
  EXPECT_EQ(run(load + R"(x4.shared.b16 {%r5, %r6, %r7, %r8}, [%rd4];
	shfl.sync.idx.b32 %r9, %r7, 5, 31, -1;)",
                0, 0),
            0x00110011u);
  EXPECT_EQ(run(load + R"(x2.trans.shared.b16 {%r5, %r6}, [%rd4];
	shfl.sync.idx.b32 %r9, %r6, 5, 31, -1;)",
                0, 0),
            0x000b000au);
  EXPECT_CONTAINS(
      errorOf(file(load + "x2.shared.b16 {%r5, %r6, %r7, %r8}, [%rd4];")),
      "an unknown load of matrices");
  EXPECT_EQ(run(R"(
	mov.b32 %r3, 1065369472;
	mov.b32 %r4, 0f00000000;
	mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
	{%r9, %r5, %r6, %r7}, {%r3, %r3, %r3, %r3}, {%r3, %r3},
	{%r4, %r4, %r4, %r4};)",
                0, 0),
            0x41800000u); // 16
  EXPECT_EQ(run("mov.b32 %r3, 0f40400000; ex2.approx.ftz.f32 %r9, %r3;", 0, 0),
            0x41000000u); // 2^3
  EXPECT_EQ(run("prmt.b32 %r9, %r1, %r2, 0x5410U;", 0x11112222, 0x33334444),
            0x44442222u);
}

TEST(Ptx, ParametersByAddress) {
  const char *either = R"(
	setp.eq.b32 %p1, %r1, 3;
	mov.b64 %rd2, k_param_1;
	mov.b64 %rd3, k_param_2;
	selp.b64 %rd4, %rd2, %rd3, %p1;
	ld.param.b32 %r9, [%rd4];)";
  EXPECT_EQ(run(either, 3, 7), 3u);
  EXPECT_EQ(run(either, 4, 7), 7u);
}

TEST(Ptx, AccessesAreChecked) {
  EXPECT_THROW(run("ld.global.b32 %r9, [%rd1+16];", 0, 0), std::runtime_error);
  EXPECT_THROW(run("ld.global.b32 %r9, [table+8];", 0, 0), std::runtime_error);
  EXPECT_THROW(run("ld.shared.b32 %r9, [dynamic+512];", 0, 0),
               std::runtime_error);
}

TEST(Ptx, RefusesWhatItDoesNotKnow) {
  EXPECT_CONTAINS(errorOf(file("brev.b32 %r9, %r1;")),
                  "an unknown instruction in 'k': brev.b32 %r9, %r1");
  EXPECT_CONTAINS(errorOf(file("fma.rn.ftz.f32 %r9, %r1, %r1, %r1;")),
                  "an unknown modifier ftz");
  EXPECT_CONTAINS(errorOf(file("add.f32 %r9, %r1, %r1;")), "no rounding");
  EXPECT_CONTAINS(errorOf(file("add.s32 %r9, %r1;")), "an unexpected form");
  EXPECT_CONTAINS(errorOf(file("add.s32 %r9, %q1, %r1;")), "no register %q1");
  EXPECT_CONTAINS(errorOf(file("add.s64 %rd2, %r1, %r1;")), "too narrow");
  EXPECT_CONTAINS(errorOf(file("bra $L_9;")), "no label $L_9");
  EXPECT_CONTAINS(errorOf(file("mov.b32 %r9, nothing;")),
                  "an unknown operand nothing");
  EXPECT_CONTAINS(errorOf(file("ld.local.b32 %r9, [%rd1];")),
                  "an unknown modifier local");
  EXPECT_CONTAINS(errorOf(".version 7.1\n.visible .func f() {}"),
                  "unknown text");
  EXPECT_CONTAINS(errorOf(".visible .entry k() {"), "a kernel without an end");
}
