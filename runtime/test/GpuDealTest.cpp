//===- GpuDealTest.cpp - Layers on several GPUs ---------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The demo model's two layers on the fake driver's GPUs, which have memory for
// one each. Rows cross between them, each keeps its own layer's pages.
//===----------------------------------------------------------------------===//

#include "GpuFixture.h"

#include "qcc-rt/qcc_abi.h"

using namespace demo;

namespace {

constexpr uint64_t kFirst = roomOf(0, 1), kSecond = roomOf(1, 1),
                   kHalf = DEMO_WEIGHT_BYTES / 2;

class GpuDealTest : public GpuFixture {
protected:
  /// Opens a model on GPUs of these many bytes.
  qcc_status openOn(std::vector<uint64_t> bytes, int32_t layers = QCC_GPU_AUTO,
                    const char *file = "demo_gpu.so") {
    renew();
    fake->devices = int(bytes.size());
    std::copy(bytes.begin(), bytes.end(), fake->memoryOf);
    return open(file, layers);
  }
};

TEST_F(GpuDealTest, SaysWhichGpuHasWhichLayers) {
  ASSERT_EQ(openOn({kFirst, kSecond}), QCC_OK) << error;
  qcc_model_info_v1 told = info();
  EXPECT_STREQ(told.device, "Fake GPU (GPU 0, layers 1 to 1), "
                            "Fake GPU (GPU 1, layers 2 to 2)");
  EXPECT_EQ(told.gpu_layers, 2u);
  EXPECT_EQ(told.device_memory_bytes, kFirst + kSecond);
  EXPECT_EQ(told.device_weight_bytes, DEMO_WEIGHT_BYTES + kHalf % 256);
  EXPECT_GT(told.device_bandwidth, 0);
}

TEST_F(GpuDealTest, OpensOnlyWhatItNeeds) {
  const uint64_t all = kFirst + kSecond - DEMO_GPU_ARENA_BYTES;
  ASSERT_EQ(openOn({all, all}), QCC_OK) << error;
  EXPECT_STREQ(info().device, "Fake GPU");
  EXPECT_EQ(fake->retained, 1u);
  ASSERT_EQ(openOn({kFirst, kSecond, all}), QCC_OK) << error;
  EXPECT_EQ(fake->retained, 2u);
}

/// A GPU that has no room for a layer is passed over.
TEST_F(GpuDealTest, DealsByTheMemoryOfEach) {
  ASSERT_EQ(openOn({8 << 10, kFirst, kSecond}), QCC_OK) << error;
  EXPECT_STREQ(info().device, "Fake GPU (GPU 1, layers 1 to 1), "
                              "Fake GPU (GPU 2, layers 2 to 2)");
  EXPECT_EQ(fake->retained, 2u);
  // No room for the first layer anywhere: the CPU has it.
  ASSERT_EQ(openOn({8 << 10, kSecond}), QCC_OK) << error;
  EXPECT_EQ(info().gpu_layers, 1u);
  EXPECT_STREQ(info().device, "Fake GPU");
  ASSERT_EQ(start(), QCC_OK) << error;
  expectTokens(someTokens(20), 0, 0);
  // Asked for, all weights fit, if not with a whole conversation.
  ASSERT_EQ(openOn({12 << 10, 24 << 10}, 2), QCC_OK) << error;
  EXPECT_EQ(info().gpu_layers, 2u);
}

TEST_F(GpuDealTest, TooLittleMemoryIsAnError) {
  EXPECT_EQ(openOn({6 << 10, 4 << 10}, 2), QCC_E_NO_MEMORY);
  EXPECT_STREQ(error,
               "out of device memory: the weights and the arenas need "
               "32.00 KiB, but of the 10.00 KiB of 2 GPUs only 10.00 KiB "
               "are free");
}

TEST_F(GpuDealTest, GivesTheLogitsOfTheCpu) {
  ASSERT_EQ(openOn({1 << 16, 1 << 18}), QCC_OK) << error;
  ASSERT_EQ(info().gpu_layers, 2u);
  ASSERT_NE(std::string(info().device), "Fake GPU");
  ASSERT_EQ(start(2), QCC_OK) << error;
  expectLogitsOfTheCpu();
  EXPECT_GT(callsOf("cuMemcpyPeerAsync"), 70u);
  EXPECT_GT(callsOf("cuGraphLaunch"), 100u);
}

TEST_F(GpuDealTest, SequencesShareAndPart) {
  ASSERT_EQ(openOn({1 << 16, 1 << 18}), QCC_OK) << error;
  ASSERT_EQ(start(2), QCC_OK) << error;
  expectToShareAndPart();
}

/// What is saved does not say which GPU had it.
TEST_F(GpuDealTest, StateIsSavedAndRestored) {
  ASSERT_EQ(openOn({1 << 16, 1 << 18}), QCC_OK) << error;
  ASSERT_EQ(start(2), QCC_OK) << error;
  std::vector<int32_t> tokens = someTokens(70);
  expectTokens(tokens, 0, 0);
  std::vector<uint8_t> saved = save(0);
  ASSERT_EQ(restore(1, saved), QCC_OK) << qcc_last_error(session.get());
  tokens.push_back(5);
  expectTokens(tokens, 1, 70);
  ASSERT_EQ(openOn({1 << 20}), QCC_OK) << error;
  ASSERT_EQ(start(), QCC_OK) << error;
  ASSERT_EQ(restore(0, saved), QCC_OK) << qcc_last_error(session.get());
  expectTokens(tokens, 0, 70);
}

/// The memory of the first GPU ends: the sequences are what they were.
TEST_F(GpuDealTest, StateThatDoesNotFitIsAnError) {
  ASSERT_EQ(openOn({kFirst, 1 << 18}), QCC_OK) << error;
  ASSERT_NE(std::string(info().device), "Fake GPU");
  ASSERT_EQ(start(2), QCC_OK) << error;
  // Another program takes what pieces that are not full have left.
  fake->memoryOf[0] -= 3 * 8192;
  std::vector<int32_t> tokens = someTokens(100);
  expectTokens(tokens, 0, 0);
  EXPECT_EQ(tryEval(someTokens(450), 40, 1), QCC_E_NO_MEMORY);
  tokens.push_back(3);
  expectTokens(tokens, 0, 100);
}

} // namespace
