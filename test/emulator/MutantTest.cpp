//===- MutantTest.cpp - Faults in the decoding of nibbles -----------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Faults of synchronization are tested beside what they break.
//===----------------------------------------------------------------------===//

#include "Mutants.h"
#include "TestModule.h"

#include <gtest/gtest.h>

using namespace qcc::emulator;

// Four ways to read nibbles; the masks of %index and %rest are not of nibbles.
static const char *kDecode = R"(
  define ptx_kernel void @decode(ptr %in, ptr %out) {
    %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
    %index = and i32 %t, 15
    %i = getelementptr i32, ptr %in, i32 %index
    %q = load i32, ptr %i
    %low = and i32 %q, 252645135
    %shifted = lshr i32 %q, 4
    %high = and i32 252645135, %shifted
    %pair = call i32 asm "lop3.b32 $0, $1, $2, $3, 0xea;", "=r,r,r,r"(i32 %q, i32 983055, i32 1677747200)
    %bytes = bitcast i32 %q to <4 x i8>
    %upper = and <4 x i8> %bytes, splat (i8 -16)
    %rest = and i32 %q, 16711935
    %o0 = getelementptr [5 x i32], ptr %out, i32 %index
    store i32 %low, ptr %o0
    %o1 = getelementptr i32, ptr %o0, i32 1
    store i32 %high, ptr %o1
    %o2 = getelementptr i32, ptr %o0, i32 2
    store i32 %pair, ptr %o2
    %o3 = getelementptr i32, ptr %o0, i32 3
    store <4 x i8> %upper, ptr %o3, align 4
    %o4 = getelementptr i32, ptr %o0, i32 4
    store i32 %rest, ptr %o4
    ret void
  })";

static std::vector<uint32_t> decode(TestModule &text) {
  auto module = text.compile();
  std::vector<uint32_t> in(16), out(80);
  for (uint32_t i = 0; i < 16; ++i)
    in[i] = 0x12345678 + i * 0x01010101;
  Launch options;
  options.blockX = 16;
  EXPECT_EQ(launch(*module, "decode", options, nullptr, in.data(), out.data()),
            "");
  return out;
}

TEST(Mutant, SwappedNibbles) {
  TestModule original(kDecode);
  std::vector<uint32_t> right = decode(original);
  ASSERT_EQ(right[0], 0x02040608u);
  ASSERT_EQ(right[1], 0x01030507u);
  ASSERT_EQ(right[2], 0x64046408u);
  ASSERT_EQ(right[3], 0x10305070u);
  std::vector<uint32_t> wrong = {0x01030507, 0x02040608, 0x64036407,
                                 0x20406080};
  for (unsigned index = 0; index < 4; ++index) {
    TestModule mutant(kDecode);
    ASSERT_TRUE(swapNibbles(*mutant, index));
    std::vector<uint32_t> got = decode(mutant);
    for (unsigned i = 0; i < 5; ++i)
      EXPECT_EQ(got[i], i == index ? wrong[i] : right[i]) << index;
  }
  TestModule mutant(kDecode);
  EXPECT_FALSE(swapNibbles(*mutant, 4));
}
