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

  /// Evaluates the tokens from number `from` on in prompt steps, or one by one.
  void expectTokens(const std::vector<int32_t> &tokens, uint32_t sequence,
                    size_t from, bool prompt = true) {
    std::vector<int32_t> rest(tokens.begin() + std::ptrdiff_t(from),
                              tokens.end());
    Logits all = evaluate(tokens, 1, prompt);
    Logits expected(all.begin() + std::ptrdiff_t(from * DEMO_VOCAB), all.end());
    EXPECT_EQ(eval(rest, prompt ? 40 : 1, sequence), expected)
        << "sequence " << sequence << " from " << from;
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
  // Over several pages; steps of equal counts come again, as graphs.
  for (size_t count : {1, 50, 150})
    expectTokens(someTokens(count), 0, count == 1 ? 0 : count == 50 ? 1 : 50);
  expectTokens(someTokens(70), 1, 0, /*prompt=*/false);
}

TEST_F(GpuSplitTest, SequencesShareAndPart) {
  ASSERT_EQ(start(3), QCC_OK) << error;
  std::vector<int32_t> tokens = someTokens(100);
  expectTokens(tokens, 0, 0);
  ASSERT_EQ(qcc_copy(session.get(), 0, 1, 80), QCC_OK);
  std::vector<int32_t> other(tokens.begin(), tokens.begin() + 80);
  for (int32_t token : {7, 8, 9})
    other.push_back(token);
  // Both parts of the page that was shared are copied.
  expectTokens(other, 1, 80);
  tokens.push_back(11);
  expectTokens(tokens, 0, 100);
}

TEST_F(GpuSplitTest, StateIsSavedAndRestored) {
  ASSERT_EQ(start(2), QCC_OK) << error;
  std::vector<int32_t> tokens = someTokens(70);
  expectTokens(tokens, 0, 0);
  std::vector<uint8_t> saved(1 << 20);
  size_t bytes = 0;
  ASSERT_EQ(
      qcc_state_save(session.get(), 0, saved.data(), saved.size(), &bytes),
      QCC_OK);
  ASSERT_EQ(qcc_state_restore(session.get(), 1, saved.data(), bytes), QCC_OK)
      << qcc_last_error(session.get());
  tokens.push_back(5);
  expectTokens(tokens, 1, 70);
  // Where layers run elsewhere, their pages look different.
  ASSERT_EQ(open("demo_gpu.so"), QCC_OK) << error;
  ASSERT_EQ(start(), QCC_OK) << error;
  EXPECT_EQ(qcc_state_restore(session.get(), 0, saved.data(), bytes),
            QCC_E_DATA);
}

TEST_F(GpuSplitTest, TakesWhatThereIsRoomFor) {
  // Weights, arena, state of the whole context and logits.
  const uint64_t pages = DEMO_CONTEXT / QCC_PAGE_TOKENS,
                 all =
                     DEMO_WEIGHT_BYTES + DEMO_GPU_ARENA_BYTES +
                     pages * (DEMO_GPU_PAGE_BYTES(0) + DEMO_GPU_PAGE_BYTES(1)) +
                     uint64_t(QCC_GENERATE_ROWS) * DEMO_VOCAB * 4;
  for (auto [bytes, layers] :
       {std::pair<uint64_t, uint32_t>{all, 2}, {all - 1, 1}, {6 << 10, 0}}) {
    session.reset();
    model.reset();
    renew();
    fake->memoryBytes = bytes;
    ASSERT_EQ(open("demo_gpu.so"), QCC_OK) << error;
    EXPECT_EQ(info().gpu_layers, layers) << bytes;
    ASSERT_EQ(start(), QCC_OK) << error;
    EXPECT_EQ(eval(someTokens(20), 16), evaluate(someTokens(20), 1, true));
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
