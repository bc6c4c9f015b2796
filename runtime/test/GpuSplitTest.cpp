//===- GpuSplitTest.cpp - Layers on a CPU, and the rest on a GPU ----------===//
// SPDX-License-Identifier: Apache-2.0
//
// The first of the demo model's two layers runs on the CPU, the second and the
// output on the fake GPU. Rows cross once, each keeps its own layer's pages.
//===----------------------------------------------------------------------===//

#include "GpuFixture.h"

#include "qcc-rt/qcc_abi.h"

using namespace demo;

namespace {

class GpuSplitTest : public GpuFixture {
protected:
  void SetUp() override {
    GpuFixture::SetUp();
    ASSERT_EQ(open("demo_gpu.so", 1), QCC_OK) << error;
  }
};

TEST_F(GpuSplitTest, HasTheWeightsAndTheStateOfItsLayers) {
  EXPECT_STREQ(info().target, "sm_80");
  EXPECT_EQ(info().gpu_layers, 1u);
  EXPECT_EQ(info().layers, 2u);
  // The table of the embedding stays where it is. The rest keeps its place
  // modulo 256.
  constexpr unsigned half = DEMO_WEIGHT_BYTES / 2;
  EXPECT_EQ(info().device_weight_bytes, half + half % 256);
  ASSERT_EQ(start(), QCC_OK) << error;
  eval(someTokens(70));
  uint64_t split = info().device_used_bytes;
  ASSERT_EQ(open("demo_gpu.so"), QCC_OK) << error;
  EXPECT_EQ(info().gpu_layers, 2u);
  ASSERT_EQ(start(), QCC_OK) << error;
  eval(someTokens(70));
  EXPECT_GE(info().device_used_bytes - split,
            half - 256 + DEMO_GPU_PAGE_BYTES(0));
}

TEST_F(GpuSplitTest, GivesTheLogitsOfTheCpu) {
  ASSERT_EQ(start(2), QCC_OK) << error;
  expectLogitsOfTheCpu();
}

TEST_F(GpuSplitTest, SequencesShareAndPart) {
  ASSERT_EQ(start(3), QCC_OK) << error;
  expectToShareAndPart();
}

TEST_F(GpuSplitTest, StateIsSavedAndRestored) {
  ASSERT_EQ(start(2), QCC_OK) << error;
  std::vector<int32_t> tokens = someTokens(70);
  expectTokens(tokens, 0, 0);
  std::vector<uint8_t> saved = save(0);
  ASSERT_EQ(restore(1, saved), QCC_OK) << qcc_last_error(session.get());
  tokens.push_back(5);
  expectTokens(tokens, 1, 70);
  // Where layers run elsewhere, their pages look different.
  ASSERT_EQ(open("demo_gpu.so"), QCC_OK) << error;
  ASSERT_EQ(start(), QCC_OK) << error;
  EXPECT_EQ(restore(0, saved), QCC_E_DATA);
}

TEST_F(GpuSplitTest, TakesWhatThereIsRoomFor) {
  const uint64_t all = roomOf(0, 2);
  for (auto [bytes, layers] :
       {std::pair<uint64_t, uint32_t>{all, 2}, {all - 1, 1}, {6 << 10, 0}}) {
    renew();
    fake->memoryBytes = bytes;
    ASSERT_EQ(open("demo_gpu.so"), QCC_OK) << error;
    EXPECT_EQ(info().gpu_layers, layers) << bytes;
    ASSERT_EQ(start(), QCC_OK) << error;
    EXPECT_EQ(eval(someTokens(20), 16), evaluate(someTokens(20), 1, true));
  }
}

/// What a GPU hands out is whole pieces. However little more than that of one
/// layer there is, what was chosen has room for a conversation, which one whose
/// bytes alone were added would not have had.
TEST_F(GpuSplitTest, CountsWholePiecesOfMemory) {
  const uint64_t piece = 2 << 20;
  const std::vector<int32_t> tokens = someTokens(DEMO_CONTEXT);
  for (auto [bytes, layers] :
       {std::pair<uint64_t, uint32_t>{roomOf(1, 1, piece), 1},
        {roomOf(0, 2, piece) - 1, 1},
        {roomOf(0, 2, piece), 2}}) {
    renew();
    fake->granule = piece;
    fake->comesInPieces = true;
    fake->memoryBytes = bytes;
    ASSERT_EQ(open("demo_gpu.so"), QCC_OK) << error;
    EXPECT_EQ(info().gpu_layers, layers) << bytes;
    ASSERT_EQ(start(), QCC_OK) << error;
    EXPECT_EQ(tryEval(tokens), QCC_OK) << qcc_last_error(session.get());
  }
}

TEST_F(GpuSplitTest, AKernelThatFailsIsAnError) {
  ASSERT_EQ(start(), QCC_OK) << error;
  fake->failName = "cuLaunchKernel";
  EXPECT_NE(tryEval(someTokens(3)), QCC_OK);
  fake->failName = "";
  EXPECT_EQ(eval(someTokens(3)), evaluate(someTokens(3), 1, false));
}

} // namespace
