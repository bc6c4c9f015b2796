//===- GpuServeTest.cpp - Many answers in a GPU's memory ------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Asked.h"
#include "GpuFixture.h"

#include "qcc-rt/qcc_abi.h"

using namespace demo;

namespace {

class GpuServeTest : public GpuFixture {
protected:
  void SetUp() override {
    GpuFixture::SetUp();
    ASSERT_EQ(open("demo_gpu.so", 99), QCC_OK) << error;
  }

  /// Answers of one after the other, with all the memory that there is.
  std::vector<std::vector<int32_t>>
  answers(const std::vector<std::vector<int32_t>> &prompts) {
    std::vector<std::vector<int32_t>> result;
    Scheduler scheduler(model.get(), options(1));
    for (const std::vector<int32_t> &prompt : prompts) {
      AskedPointer asked = ask(scheduler, prompt, 5);
      EXPECT_EQ(asked->wait(), Finish::Length) << asked->end.error;
      result.push_back(asked->tokens);
    }
    return result;
  }

  /// Leaves memory for the state of some pages, and says of how many.
  size_t limitMemory() {
    fake->memoryBytes = 112 << 10;
    EXPECT_EQ(start(), QCC_OK) << error;
    size_t positions = 0;
    while (positions < DEMO_CONTEXT && tryEval({1}) == QCC_OK)
      ++positions;
    session.reset();
    EXPECT_LT(positions, size_t(DEMO_CONTEXT));
    return positions / QCC_PAGE_TOKENS;
  }
};

TEST_F(GpuServeTest, IdleStateGivesWay) {
  std::vector<std::vector<int32_t>> prompts;
  for (unsigned i = 0; i < 12; ++i)
    prompts.push_back(someTokens(40, i));
  std::vector<std::vector<int32_t>> expected = answers(prompts);
  size_t pages = limitMemory();
  ASSERT_GE(pages, 1u);
  ASSERT_LT(pages, prompts.size() - 1);
  Scheduler scheduler(model.get(), options(uint32_t(prompts.size())));
  for (size_t i = 0; i < prompts.size(); ++i) {
    AskedPointer asked = ask(scheduler, prompts[i], 5);
    EXPECT_EQ(asked->wait(), Finish::Length) << i << asked->end.error;
    EXPECT_EQ(asked->tokens, expected[i]);
  }
  // That of the last ones is still there.
  AskedPointer again = ask(scheduler, prompts.back(), 5);
  again->wait();
  EXPECT_EQ(again->end.reusedTokens, 39u);
  EXPECT_EQ(again->tokens, expected.back());
}

TEST_F(GpuServeTest, OfTwoThatAreTooLongTheLatterEnds) {
  size_t pages = limitMemory();
  ASSERT_GE(pages, 2u);
  fake->memoryBytes = uint64_t(64) << 20;
  size_t tokens = pages / 2 * QCC_PAGE_TOKENS + 10;
  std::vector<std::vector<int32_t>> prompts = {
      someTokens(tokens, 1), someTokens(tokens, 2), someTokens(10, 3)};
  std::vector<std::vector<int32_t>> expected = answers(prompts);
  ASSERT_EQ(limitMemory(), pages);
  Scheduler scheduler(model.get(), options(3));
  Asked first(prompts[0], 5), second(prompts[1], 5), third(prompts[2], 5);
  ASSERT_TRUE(scheduler.submit({first.job, second.job}));
  EXPECT_EQ(second.wait(), Finish::Error);
  EXPECT_EQ(second.end.error.find("out of device memory: the state"), 0u)
      << second.end.error;
  EXPECT_EQ(first.wait(), Finish::Length) << first.end.error;
  EXPECT_EQ(first.tokens, expected[0]);
  ASSERT_TRUE(scheduler.submit({third.job}));
  EXPECT_EQ(third.wait(), Finish::Length) << third.end.error;
  EXPECT_EQ(third.tokens, expected[2]);
}

} // namespace
