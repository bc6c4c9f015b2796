//===- GpuSessionTest.cpp - Steps on a fake GPU ---------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "GpuFixture.h"

#include "qcc-rt/qcc_abi.h"

#include <thread>

using namespace demo;

namespace {

class GpuSessionTest : public GpuFixture {
protected:
  void SetUp() override {
    GpuFixture::SetUp();
    ASSERT_EQ(open("demo_gpu.so", 99), QCC_OK) << error;
  }
};

TEST_F(GpuSessionTest, GivesTheLogitsOfTheCpu) {
  ASSERT_EQ(start(), QCC_OK) << error;
  std::vector<int32_t> tokens = someTokens(150);
  // Generating steps across pages, a few tokens at once, and one by one.
  Logits expected = evaluate(tokens, 1, false), found;
  for (size_t at = 0; at < tokens.size();) {
    size_t count = std::min<size_t>(1 + at % 13, tokens.size() - at);
    Logits some = eval(part(tokens, at, at + count));
    found.insert(found.end(), some.begin(), some.end());
    at += count;
  }
  EXPECT_EQ(found, expected);
  // Prompt steps: 48 rows at a time, then what is left.
  ASSERT_EQ(qcc_reset(session.get(), 0), QCC_OK);
  EXPECT_EQ(eval(tokens), evaluate(tokens, 1, true));
  // Logits of the last token alone.
  ASSERT_EQ(qcc_reset(session.get(), 0), QCC_OK);
  ASSERT_EQ(tryEval(tokens), QCC_OK);
  Logits all = evaluate(tokens, 1, true);
  EXPECT_TRUE(
      std::equal(all.end() - DEMO_VOCAB, all.end(), qcc_logits(session.get())));
}

TEST_F(GpuSessionTest, RowsOfSeveralSequencesInOneStep) {
  ASSERT_EQ(start(3), QCC_OK) << error;
  std::vector<int32_t> a = someTokens(70, 1), b = someTokens(65, 2);
  eval(part(a, 0, 69), 1, 0);
  eval(part(b, 0, 63), 1, 2);
  int32_t token[] = {a[69], b[63], b[64]};
  uint32_t sequence[] = {0, 2, 2}, output[] = {0, 2};
  alignas(64) float logits[2 * DEMO_VOCAB];
  qcc_rows_v1 rows = {};
  rows.struct_size = sizeof rows;
  rows.rows = 3;
  rows.outputs = 2;
  rows.token = token;
  rows.sequence = sequence;
  rows.output = output;
  rows.logits = logits;
  ASSERT_EQ(qcc_step(session.get(), &rows), QCC_OK)
      << qcc_last_error(session.get());
  Logits found(logits, logits + 2 * DEMO_VOCAB);
  EXPECT_EQ(part(found, 0, 1), part(evaluate(a, 1, false), 69, 70));
  EXPECT_EQ(part(found, 1, 2), part(evaluate(b, 1, false), 64, 65));
  rows.trace = logits;
  EXPECT_EQ(qcc_step(session.get(), &rows), QCC_E_ARGUMENT);
  EXPECT_STREQ(qcc_last_error(session.get()),
               "target sm_80 does not give the residual stream");
  EXPECT_EQ(qcc_profile(session.get(), 1), QCC_E_ARGUMENT);
}

/// Copies share pages; the one that both go on in is copied on the device.
TEST_F(GpuSessionTest, SequencesShareAndPart) {
  ASSERT_EQ(start(3), QCC_OK) << error;
  std::vector<int32_t> common = someTokens(100);
  eval(common, 1, 0);
  ASSERT_EQ(qcc_copy(session.get(), 0, 1, 90), QCC_OK);
  ASSERT_EQ(qcc_copy(session.get(), 1, 2, 64), QCC_OK);
  EXPECT_EQ(callsOf("cuMemcpyDtoDAsync_v2"), 0u);
  for (uint32_t s : {1u, 0u, 2u}) {
    size_t length = qcc_length(session.get(), s);
    std::vector<int32_t> more = someTokens(5, 10 + s),
                         whole = part(common, 0, length);
    whole.insert(whole.end(), more.begin(), more.end());
    EXPECT_EQ(eval(more, 1, s),
              part(evaluate(whole, 1, false), length, length + 5));
  }
  // Sequences 0 and 1 shared a page that was part full, 2 begins a new one.
  EXPECT_EQ(callsOf("cuMemcpyDtoDAsync_v2"), unsigned(DEMO_LAYERS));
  ASSERT_EQ(qcc_truncate(session.get(), 0, 80), QCC_OK);
  std::vector<int32_t> more = someTokens(40, 20), whole = part(common, 0, 80);
  whole.insert(whole.end(), more.begin(), more.end());
  EXPECT_EQ(eval(more, 1, 0), part(evaluate(whole, 1, false), 80, 120));
}

TEST_F(GpuSessionTest, StateIsSavedAndRestored) {
  ASSERT_EQ(start(2), QCC_OK) << error;
  std::vector<int32_t> tokens = someTokens(140);
  eval(part(tokens, 0, 130), 1);
  std::vector<uint8_t> saved = save(0);
  ASSERT_EQ(restore(1, saved), QCC_OK) << qcc_last_error(session.get());
  Logits expected = part(evaluate(tokens, 1, false), 130, 140);
  EXPECT_EQ(eval(part(tokens, 130, 140), 1, 1), expected);
  // Another session of the GPU takes it; the CPU has pages of its own.
  ASSERT_EQ(start(), QCC_OK) << error;
  ASSERT_EQ(restore(0, saved), QCC_OK);
  EXPECT_EQ(eval(part(tokens, 130, 140), 1), expected);
  ASSERT_EQ(open("demo_gpu.so", 0), QCC_OK) << error;
  ASSERT_EQ(start(), QCC_OK) << error;
  EXPECT_EQ(restore(0, saved), QCC_E_DATA);
}

TEST_F(GpuSessionTest, StepsThatComeAgainAreGraphs) {
  ASSERT_EQ(start(), QCC_OK) << error;
  std::vector<int32_t> tokens = someTokens(20);
  Logits expected = evaluate(tokens, 1, false), found;
  for (int32_t token : tokens) {
    Logits one = eval({token});
    found.insert(found.end(), one.begin(), one.end());
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(callsOf("cuGraphInstantiateWithFlags"), 1u);
  EXPECT_EQ(callsOf("cuGraphLaunch"), 19u);
  EXPECT_EQ(callsOf("cuLaunchKernel"), 12u); // once, and into the graph
  EXPECT_EQ(fake->graphs, 1u);
  // Other numbers of rows have graphs of their own, up to a limit.
  std::vector<int32_t> more = someTokens(48);
  for (uint32_t count = 1; count <= 40; ++count)
    for (int again = 0; again < 2; ++again) {
      ASSERT_EQ(qcc_reset(session.get(), 0), QCC_OK);
      bool prompt = count > QCC_GENERATE_ROWS;
      EXPECT_EQ(eval(part(more, 0, count)),
                evaluate(part(more, 0, count), 1, prompt))
          << count;
    }
  EXPECT_EQ(callsOf("cuGraphInstantiateWithFlags"), 40u);
  EXPECT_EQ(fake->graphs, 24u);
}

TEST_F(GpuSessionTest, GoesOnWithoutGraphsThatFail) {
  fake->hasGraphs = false;
  ASSERT_EQ(start(), QCC_OK) << error;
  std::vector<int32_t> tokens = someTokens(6);
  Logits expected = evaluate(tokens, 1, false), found;
  for (int32_t token : tokens) {
    Logits one = eval({token});
    found.insert(found.end(), one.begin(), one.end());
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(callsOf("cuStreamBeginCapture_v2"), 1u);
  EXPECT_EQ(callsOf("cuGraphLaunch"), 0u);
}

class EarlyLaunchTest : public GpuSessionTest {
protected:
  void SetUp() override {
    GpuSessionTest::SetUp();
    renew();
    fake->major = 9;
  }
  void TearDown() override {
    unsetenv("QCC_GPU_DEPENDENT_LAUNCH");
    GpuSessionTest::TearDown();
  }

  /// Generates three tokens, the first without a graph; then the launches of
  /// both kinds.
  std::pair<size_t, size_t> launches() {
    EXPECT_EQ(open("demo_gpu_only.so"), QCC_OK) << error;
    EXPECT_EQ(start(), QCC_OK) << error;
    std::vector<int32_t> tokens = someTokens(3);
    Logits found;
    for (int32_t token : tokens) {
      Logits one = eval({token});
      found.insert(found.end(), one.begin(), one.end());
    }
    EXPECT_EQ(found, evaluate(tokens, 1, false));
    return {callsOf("cuLaunchKernel"), callsOf("cuLaunchKernelEx")};
  }
};

/// All but the first launch of a step, which the fake would refuse to start
/// before a copy has ended.
TEST_F(EarlyLaunchTest, AllButTheFirst) {
  EXPECT_EQ(launches(), std::pair(size_t(2), size_t(10)));
  EXPECT_EQ(callsOf("cuGraphLaunch"), 2u);
}

TEST_F(EarlyLaunchTest, IsNotTriedWithoutAllThatItNeeds) {
  const std::pair<size_t, size_t> none = {12, 0};
  fake->major = 8;
  EXPECT_EQ(launches(), none);
  renew();
  fake->major = 9;
  fake->version = 12020;
  EXPECT_EQ(launches(), none);
  renew();
  fake->major = 9;
  setenv("QCC_GPU_DEPENDENT_LAUNCH", "0", 1);
  EXPECT_EQ(launches(), none);
  setenv("QCC_GPU_DEPENDENT_LAUNCH", "no", 1);
  EXPECT_EQ(open("demo_gpu_only.so"), QCC_E_ARGUMENT);
  EXPECT_STREQ(error, "QCC_GPU_DEPENDENT_LAUNCH is `no`, expected 0 or 1");
}

TEST_F(EarlyLaunchTest, GoesOnWhereTheDriverRefuses) {
  fake->hasEarlyLaunches = false;
  EXPECT_EQ(launches(), std::pair(size_t(12), size_t(10)));
  EXPECT_EQ(callsOf("cuGraphLaunch"), 2u);
}

/// The first graph fails; one of plain launches is made.
TEST_F(EarlyLaunchTest, GoesOnWithoutEarlyGraphs) {
  fake->hasEarlyGraphs = false;
  EXPECT_EQ(launches(), std::pair(size_t(8), size_t(10)));
  EXPECT_EQ(callsOf("cuGraphInstantiateWithFlags"), 2u);
  EXPECT_EQ(callsOf("cuGraphLaunch"), 2u);
  renew();
  fake->major = 9;
  fake->hasGraphs = false;
  EXPECT_EQ(launches().first, 13u);
  EXPECT_EQ(callsOf("cuGraphLaunch"), 0u);
}

/// Memory is taken as sequences grow. Where there is no more, the step fails
/// and the sequence is what it was.
TEST_F(GpuSessionTest, StateThatDoesNotFitIsAnError) {
  // For the model, and state of 64 of 512 positions or little more.
  fake->memoryBytes = 96 << 10;
  ASSERT_EQ(start(2), QCC_OK) << error;
  std::vector<int32_t> tokens = someTokens(512);
  size_t fit = 0;
  while (fit < tokens.size() && tryEval({tokens[fit]}) == QCC_OK)
    ++fit;
  ASSERT_GE(fit, 64u);
  ASSERT_LT(fit, tokens.size());
  EXPECT_EQ(fit % 64, 0u);
  std::string text = qcc_last_error(session.get());
  EXPECT_EQ(text.find("out of device memory: the state of the sequences needs"),
            0u)
      << text;
  EXPECT_EQ(qcc_length(session.get(), 0), fit);
  EXPECT_EQ(tryEval({1}, 0, 1), QCC_E_NO_MEMORY);
  // Pages that were given up serve again.
  ASSERT_EQ(qcc_truncate(session.get(), 0, fit - 2), QCC_OK);
  EXPECT_EQ(eval(part(tokens, fit - 2, fit)),
            part(evaluate(part(tokens, 0, fit), 1, false), fit - 2, fit));
  ASSERT_EQ(qcc_reset(session.get(), 0), QCC_OK);
  EXPECT_EQ(eval(part(tokens, 0, 3), 0, 1),
            evaluate(part(tokens, 0, 3), 1, false));
  // A copy of a shared page needs one too, and saved state all of its own.
  ASSERT_EQ(qcc_reset(session.get(), 1), QCC_OK);
  eval(part(tokens, 0, fit - 1), 1, 0);
  ASSERT_EQ(qcc_copy(session.get(), 0, 1, fit - 1), QCC_OK);
  EXPECT_EQ(tryEval({1}, 0, 1), QCC_E_NO_MEMORY);
  ASSERT_EQ(qcc_reset(session.get(), 1), QCC_OK);
  EXPECT_EQ(tryEval({tokens[fit - 1]}, 0, 0), QCC_OK);
  std::vector<uint8_t> saved = save(0);
  EXPECT_EQ(restore(1, saved), QCC_E_NO_MEMORY);
  EXPECT_EQ(qcc_length(session.get(), 1), 0u);
}

/// Guesses that do not fit end no answer.
TEST_F(GpuSessionTest, DraftsNeedNoMemoryThatTheAnswerDoesNot) {
  fake->memoryBytes = 96 << 10;
  std::vector<int32_t> prompt = {7, 11, 13, 7, 11, 13, 7, 11};
  uint64_t accepted = 0;
  for (uint32_t draftMax : {0u, 15u}) {
    ASSERT_EQ(start(), QCC_OK) << error;
    qcc_sampling_v1 sampling = QCC_SAMPLING_INIT;
    sampling.temperature = 0;
    sampling.presence_penalty = -100; // repeats itself
    ASSERT_EQ(qcc_set_sampling(session.get(), &sampling), QCC_OK);
    qcc_generate_v1 options = {};
    options.struct_size = sizeof options;
    options.prompt = prompt.data();
    options.prompt_count = prompt.size();
    options.max_tokens = -1;
    options.flags = QCC_GENERATE_IGNORE_END;
    options.batch = 1;
    options.draft_max = draftMax;
    qcc_generated_v1 numbers = {};
    numbers.struct_size = sizeof numbers;
    EXPECT_EQ(qcc_generate(session.get(), &options, &numbers), QCC_E_NO_MEMORY);
    // To the end of a page. (Steps of several rows need memory themselves.)
    EXPECT_EQ(qcc_length(session.get(), 0) % QCC_PAGE_TOKENS, 0u);
    EXPECT_EQ(qcc_length(session.get(), 0) + 1, prompt.size() + numbers.tokens);
    accepted = numbers.accepted;
  }
  EXPECT_GT(accepted, 10u);
}

TEST_F(GpuSessionTest, AKernelThatFailsIsAnError) {
  ASSERT_EQ(start(), QCC_OK) << error;
  eval({1, 2, 3});
  fake->kernels.back().run = [](auto...) { return 700; };
  EXPECT_EQ(tryEval({4}), QCC_E_DEVICE);
  EXPECT_STREQ(
      qcc_last_error(session.get()),
      "cannot finish the work (Fake GPU): an illegal memory access was "
      "encountered (CUDA_ERROR_ILLEGAL_ADDRESS)");
  EXPECT_EQ(qcc_length(session.get(), 0), 3u);
  // The context is lost for all that follows.
  EXPECT_EQ(tryEval({4}), QCC_E_DEVICE);
  fake->misuse.clear(); // what cannot be let go of any more
  orphansAllowed = 100;
}

TEST_F(GpuSessionTest, CanBeCancelled) {
  ASSERT_EQ(start(), QCC_OK) << error;
  qcc_cancel(session.get(), 1);
  EXPECT_EQ(tryEval(someTokens(100)), QCC_E_CANCELLED);
  EXPECT_EQ(qcc_length(session.get(), 0), 0u);
  EXPECT_EQ(eval(someTokens(3)), evaluate(someTokens(3), 1, false));
}

TEST_F(GpuSessionTest, SessionsOfSeveralThreads) {
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      qcc_session *mine = nullptr;
      char why[QCC_ERROR_BYTES];
      ASSERT_EQ(
          qcc_session_create(model.get(), nullptr, &mine, why, sizeof why),
          QCC_OK)
          << why;
      std::vector<int32_t> tokens = someTokens(40, t);
      for (int32_t token : tokens) {
        qcc_eval_v1 request = {};
        request.struct_size = sizeof request;
        request.tokens = &token;
        request.count = 1;
        request.want = QCC_LOGITS_LAST;
        ASSERT_EQ(qcc_eval(mine, &request), QCC_OK) << qcc_last_error(mine);
      }
      Logits all = evaluate(tokens, 1, false);
      EXPECT_TRUE(
          std::equal(all.end() - DEMO_VOCAB, all.end(), qcc_logits(mine)));
      qcc_session_destroy(mine);
    });
  for (std::thread &thread : threads)
    thread.join();
}

} // namespace
