//===- SessionTest.cpp - Evaluation through the application interface -----===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Demo.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

using namespace demo;

TEST(SessionTest, MatchesTheModelsMeaning) {
  Model model;
  std::vector<int32_t> tokens = someTokens(200); // several pages and steps
  Session session(model);
  EXPECT_EQ(session.eval(tokens), evaluate(tokens, 1, true));
  EXPECT_EQ(qcc_length(session, 0), tokens.size());
  EXPECT_EQ(memcmp(qcc_tokens(session, 0), tokens.data(),
                   tokens.size() * sizeof(int32_t)),
            0);
  ASSERT_EQ(qcc_reset(session, 0), QCC_OK);
  EXPECT_EQ(session.eval(tokens, 1), evaluate(tokens, 1, false));
}

TEST(SessionTest, PromptSplittingDoesNotChangeBits) {
  Model model;
  std::vector<int32_t> tokens = someTokens(150);
  Logits expected = evaluate(tokens, 1, true);
  for (uint32_t batch : {2u, 7u, 47u, 48u, 1000u}) {
    Session session(model, 2, 1, 0, batch);
    EXPECT_EQ(session.eval(tokens), expected) << "batch " << batch;
  }
}

TEST(SessionTest, OneTokenIsAGeneratingStep) {
  Model model;
  Session session(model);
  EXPECT_EQ(session.eval({5}), evaluate({5}, 1, false));
}

TEST(SessionTest, AnyNumberOfThreadsGivesTheSameBits) {
  Model model;
  std::vector<int32_t> tokens = someTokens(100);
  Logits expected = evaluate(tokens, 1, true);
  for (uint32_t threads = 1; threads <= 7; ++threads) {
    Session session(model, threads);
    EXPECT_EQ(qcc_threads(session), threads);
    EXPECT_EQ(session.eval(tokens), expected) << threads << " threads";
  }
}

TEST(SessionTest, LastLogitsAreThoseOfTheLastToken) {
  Model model;
  Session session(model);
  EXPECT_EQ(qcc_logits(session), nullptr);
  std::vector<int32_t> tokens = someTokens(60);
  ASSERT_EQ(session.tryEval(tokens), QCC_OK);
  Logits all = evaluate(tokens, 1, true);
  ASSERT_TRUE(qcc_logits(session));
  EXPECT_EQ(memcmp(qcc_logits(session), &all[59 * DEMO_VOCAB],
                   DEMO_VOCAB * sizeof(float)),
            0);
}

TEST(SessionTest, SequencesInOneStepAreIndependent) {
  Model model;
  Session session(model, 2, 3);
  std::vector<int32_t> prompts[3] = {someTokens(70, 1), someTokens(3, 2),
                                     someTokens(130, 3)};
  for (uint32_t s = 0; s < 3; ++s)
    ASSERT_EQ(session.tryEval(prompts[s], 1, s), QCC_OK);
  // Five rows: two of sequence 2, one of 0, two of 1.
  const int32_t token[] = {11, 12, 13, 14, 15};
  const uint32_t sequence[] = {2, 0, 2, 1, 1};
  const uint32_t output[] = {1, 2, 3, 4};
  alignas(64) float logits[4 * DEMO_VOCAB];
  qcc_rows_v1 rows = {};
  rows.struct_size = sizeof rows;
  rows.rows = 5;
  rows.outputs = 4;
  rows.token = token;
  rows.sequence = sequence;
  rows.output = output;
  rows.logits = logits;
  ASSERT_EQ(qcc_step(session, &rows), QCC_OK) << qcc_last_error(session);
  prompts[2].insert(prompts[2].end(), {11, 13});
  prompts[0].push_back(12);
  prompts[1].insert(prompts[1].end(), {14, 15});
  auto expect = [&](int row, uint32_t s, size_t fromEnd) {
    Logits all = evaluate(prompts[s], 1, false);
    EXPECT_EQ(memcmp(logits + row * DEMO_VOCAB,
                     &all[(prompts[s].size() - 1 - fromEnd) * DEMO_VOCAB],
                     DEMO_VOCAB * sizeof(float)),
              0)
        << "output " << row;
  };
  expect(0, 0, 0);
  expect(1, 2, 0);
  expect(2, 1, 1);
  expect(3, 1, 0);
  for (uint32_t s = 0; s < 3; ++s)
    EXPECT_EQ(qcc_length(session, s), prompts[s].size());
}

TEST(SessionTest, ProfilesSteps) {
  Model model;
  Session session(model, 2);
  qcc_profile_v1 profile = {};
  profile.struct_size = sizeof profile;
  qcc_stage_time_v1 stage = {};
  stage.struct_size = sizeof stage;
  EXPECT_EQ(qcc_profile_info(session, &profile), QCC_E_ARGUMENT);
  EXPECT_EQ(qcc_stage_time(session, 0, &stage), QCC_E_ARGUMENT);
  ASSERT_EQ(qcc_profile(session, 1), QCC_OK) << qcc_last_error(session);
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(session.tryEval(someTokens(20)), QCC_OK);
  ASSERT_EQ(qcc_profile_info(session, &profile), QCC_OK);
  EXPECT_EQ(profile.stage_count, 1u);
  EXPECT_EQ(profile.steps, 3u);
  // Those of the layers, and the end of the step.
  EXPECT_EQ(profile.barriers, 3u * (2 * DEMO_LAYERS + 1));
  EXPECT_GT(profile.seconds, 0);
  ASSERT_EQ(qcc_stage_time(session, 0, &stage), QCC_OK);
  EXPECT_STREQ(stage.name, "all");
  EXPECT_EQ(stage.runs, 1u);
  // The only stage has all of the time.
  EXPECT_DOUBLE_EQ(stage.work_seconds, profile.seconds);
  EXPECT_EQ(stage.wait_seconds, 0);
  EXPECT_EQ(qcc_stage_time(session, 1, &stage), QCC_E_ARGUMENT);
  // Begins anew.
  ASSERT_EQ(qcc_profile(session, 1), QCC_OK);
  ASSERT_EQ(qcc_profile_info(session, &profile), QCC_OK);
  EXPECT_EQ(profile.steps, 0u);
  ASSERT_EQ(qcc_profile(session, 0), QCC_OK);
  EXPECT_EQ(qcc_profile_info(session, &profile), QCC_E_ARGUMENT);
}

TEST(SessionTest, StepTracesTheResidualStream) {
  Model model;
  Session session(model, 3);
  std::vector<int32_t> tokens = someTokens(10);
  std::vector<uint32_t> sequence(10, 0);
  alignas(64) float traced[(DEMO_LAYERS + 1) * 10 * DEMO_HIDDEN];
  qcc_rows_v1 rows = {};
  rows.struct_size = sizeof rows;
  rows.flags = QCC_ROWS_PROMPT;
  rows.rows = 10;
  rows.token = tokens.data();
  rows.sequence = sequence.data();
  rows.trace = traced;
  ASSERT_EQ(qcc_step(session, &rows), QCC_OK) << qcc_last_error(session);
  std::vector<float> expected = trace(tokens, 1, true);
  EXPECT_EQ(memcmp(traced, expected.data(), sizeof traced), 0);
}

TEST(SessionTest, StepGivesInputsOfMatmuls) {
  Model model;
  Session session(model, 3);
  std::vector<int32_t> tokens = someTokens(10);
  std::vector<uint32_t> sequence(10, 0), output = {2, 9};
  alignas(64) float logits[2 * DEMO_VOCAB], inputs[10 * DEMO_HIDDEN];
  qcc_rows_v1 rows = {};
  rows.struct_size = sizeof rows;
  rows.flags = QCC_ROWS_PROMPT;
  rows.rows = 10;
  rows.outputs = 2;
  rows.token = tokens.data();
  rows.sequence = sequence.data();
  rows.output = output.data();
  rows.logits = logits;
  rows.matmul_inputs = inputs;
  ASSERT_EQ(qcc_step(session, &rows), QCC_OK) << qcc_last_error(session);
  std::vector<float> expected = trace(tokens, 1, true);
  for (size_t i = 0; i < 2; ++i)
    EXPECT_EQ(memcmp(inputs + i * DEMO_HIDDEN,
                     &expected[(DEMO_LAYERS * 10 + output[i]) * DEMO_HIDDEN],
                     DEMO_HIDDEN * sizeof(float)),
              0)
        << "output " << i;

  // A caller from before there were any is understood.
  ASSERT_EQ(qcc_reset(session, 0), QCC_OK);
  memset(inputs, 0, sizeof inputs);
  rows.struct_size = offsetof(qcc_rows_v1, matmul_inputs);
  ASSERT_EQ(qcc_step(session, &rows), QCC_OK) << qcc_last_error(session);
  EXPECT_EQ(inputs[0], 0.0f);
  rows.struct_size = sizeof rows;
  rows.matmul_inputs = inputs + 1;
  EXPECT_EQ(qcc_step(session, &rows), QCC_E_ARGUMENT);
}

TEST(SessionTest, TruncationIsReuse) {
  Model model;
  Session session(model);
  std::vector<int32_t> tokens = someTokens(100), other = someTokens(90, 4);
  ASSERT_EQ(session.tryEval(tokens, 1), QCC_OK);
  ASSERT_EQ(qcc_truncate(session, 0, 65), QCC_OK);
  std::vector<int32_t> joined(tokens.begin(), tokens.begin() + 65);
  joined.insert(joined.end(), other.begin(), other.end());
  Logits expected = evaluate(joined, 1, false);
  expected.erase(expected.begin(), expected.begin() + 65 * DEMO_VOCAB);
  EXPECT_EQ(session.eval(other, 1), expected);
  EXPECT_EQ(qcc_truncate(session, 0, 1000), QCC_E_ARGUMENT);
  EXPECT_STREQ(qcc_last_error(session), "length is 1000, expected at most 155");
}

TEST(SessionTest, CopiesShareStateUntilTheyDiffer) {
  Model model;
  std::vector<int32_t> tokens = someTokens(150), left = tokens, right = tokens;
  // Within a page, at its end, and a page that both go on in after cuts.
  for (size_t length : {1u, 63u, 64u, 65u, 128u, 149u}) {
    Session session(model, 2, 3);
    session.eval(tokens, 0, 0);
    uint64_t alone = qcc_state_bytes(session);
    ASSERT_EQ(qcc_copy(session, 0, 1, length), QCC_OK);
    EXPECT_EQ(qcc_state_bytes(session), alone);
    EXPECT_EQ(qcc_length(session, 1), length);
    EXPECT_EQ(memcmp(qcc_tokens(session, 1), tokens.data(), length * 4), 0);
    ASSERT_EQ(qcc_truncate(session, 0, length), QCC_OK);
    std::vector<int32_t> common(tokens.begin(), tokens.begin() + long(length));
    for (uint32_t sequence : {0u, 1u, 0u}) {
      std::vector<int32_t> more = someTokens(80, sequence + 3), all = common;
      ASSERT_EQ(qcc_truncate(session, sequence, length), QCC_OK);
      all.insert(all.end(), more.begin(), more.end());
      Logits expected = evaluate(all, 1, true);
      expected.erase(expected.begin(),
                     expected.begin() + long(length * DEMO_VOCAB));
      EXPECT_EQ(session.eval(more, 0, sequence), expected)
          << "length " << length << ", sequence " << sequence;
    }
    // A third holder keeps the pages when the others are gone.
    ASSERT_EQ(qcc_copy(session, 1, 2, length), QCC_OK);
    ASSERT_EQ(qcc_reset(session, 0), QCC_OK);
    ASSERT_EQ(qcc_reset(session, 1), QCC_OK);
    EXPECT_EQ(qcc_length(session, 2), length);
    Logits expected = evaluate(tokens, 1, true);
    EXPECT_EQ(
        session.eval({tokens.begin() + long(length), tokens.end()}, 48, 2),
        Logits(expected.begin() + long(length * DEMO_VOCAB), expected.end()));
    ASSERT_EQ(qcc_reset(session, 2), QCC_OK);
    EXPECT_EQ(qcc_state_bytes(session), 0u);
  }
}

TEST(SessionTest, FullContextsCanBeShared) {
  Model model;
  Session session(model, 1, 2, 100);
  std::vector<int32_t> tokens = someTokens(100);
  session.eval(tokens);
  ASSERT_EQ(qcc_copy(session, 0, 1, 100), QCC_OK);
  EXPECT_EQ(session.tryEval({1}, 1, 1), QCC_E_CONTEXT);
  ASSERT_EQ(qcc_copy(session, 1, 1, 90), QCC_OK); // a copy of itself is a cut
  std::vector<int32_t> end(tokens.begin() + 90, tokens.end());
  Logits expected = evaluate(tokens, 1, true);
  EXPECT_EQ(session.eval(end, 48, 1),
            Logits(expected.begin() + 90 * DEMO_VOCAB, expected.end()));
}

TEST(SessionTest, RestoringLeavesSharedStateAlone) {
  Model model;
  Session session(model, 1, 2);
  std::vector<int32_t> tokens = someTokens(70), other = someTokens(70, 9);
  session.eval(other);
  std::vector<char> saved(1 << 20);
  size_t bytes = 0;
  ASSERT_EQ(qcc_state_save(session, 0, saved.data(), saved.size(), &bytes),
            QCC_OK);
  ASSERT_EQ(qcc_reset(session, 0), QCC_OK);
  session.eval(tokens);
  ASSERT_EQ(qcc_copy(session, 0, 1, 70), QCC_OK);
  ASSERT_EQ(qcc_state_restore(session, 0, saved.data(), bytes), QCC_OK);
  tokens.push_back(5);
  Logits expected = evaluate(tokens, 1, true);
  EXPECT_EQ(session.eval({5, 5}, 48, 1)[0], expected[70 * DEMO_VOCAB]);
}

TEST(SessionTest, SequencesDrawIndependently) {
  Model model;
  Session session(model, 1, 2);
  session.eval({1, 2, 3});
  session.eval({1, 2, 3}, 0, 1);
  qcc_sampling_v1 sampling = QCC_SAMPLING_INIT;
  sampling.seed = 7;
  sampling.temperature = 50;
  sampling.top_k = 0;
  const float *logits = qcc_logits(session);
  auto draw = [&](uint32_t sequence) {
    int32_t token = -1;
    EXPECT_EQ(qcc_sample(session, sequence, logits, &token), QCC_OK);
    return token;
  };
  ASSERT_EQ(qcc_set_sequence_sampling(session, 0, &sampling), QCC_OK);
  std::vector<int32_t> alone;
  for (int i = 0; i < 8; ++i)
    alone.push_back(draw(0));
  ASSERT_EQ(qcc_set_sequence_sampling(session, 0, &sampling), QCC_OK);
  sampling.temperature = 0;
  ASSERT_EQ(qcc_set_sequence_sampling(session, 1, &sampling), QCC_OK);
  for (int i = 0; i < 8; ++i) {
    int32_t best = draw(1);
    EXPECT_EQ(best, std::max_element(logits, logits + DEMO_VOCAB) - logits);
    EXPECT_EQ(draw(0), alone[size_t(i)]);
  }
  EXPECT_EQ(qcc_set_sequence_sampling(session, 2, &sampling), QCC_E_ARGUMENT);
  sampling.top_p = -1;
  EXPECT_EQ(qcc_set_sequence_sampling(session, 0, &sampling), QCC_E_ARGUMENT);
}

TEST(SessionTest, StateTakesMemoryAsItFills) {
  Model model;
  Session session(model, 1, 4);
  EXPECT_EQ(qcc_state_bytes(session), 0u);
  ASSERT_EQ(session.tryEval(someTokens(65), 0, 2), QCC_OK);
  EXPECT_EQ(qcc_state_bytes(session), 2u * (4096 + 8192));
  ASSERT_EQ(qcc_reset(session, 2), QCC_OK);
  EXPECT_EQ(qcc_state_bytes(session), 0u);
}

TEST(SessionTest, FullContextIsAnError) {
  Model model;
  Session session(model, 1, 1, 100);
  EXPECT_EQ(session.tryEval(someTokens(101)), QCC_E_CONTEXT);
  EXPECT_STREQ(qcc_last_error(session),
               "101 tokens do not fit into a context of 100");
  EXPECT_EQ(qcc_length(session, 0), 0u);
  EXPECT_EQ(qcc_state_bytes(session), 0u);
  ASSERT_EQ(session.tryEval(someTokens(100)), QCC_OK);
  EXPECT_EQ(session.tryEval({1}), QCC_E_CONTEXT);
  EXPECT_STREQ(qcc_last_error(session), "1 more tokens do not fit into a "
                                        "context of 100 that holds 100");
  ASSERT_EQ(qcc_truncate(session, 0, 99), QCC_OK);
  EXPECT_EQ(session.tryEval({1}), QCC_OK);
}

TEST(SessionTest, RefusesBadCopies) {
  Model model;
  Session session(model, 1, 2);
  session.eval({1, 2, 3});
  EXPECT_EQ(qcc_copy(session, 0, 1, 4), QCC_E_ARGUMENT);
  EXPECT_EQ(qcc_copy(session, 0, 2, 1), QCC_E_ARGUMENT);
  EXPECT_EQ(qcc_copy(session, 2, 0, 0), QCC_E_ARGUMENT);
  EXPECT_EQ(qcc_length(session, 0), 3u);
  EXPECT_EQ(qcc_length(session, 1), 0u);
}

TEST(SessionTest, RefusesBadArguments) {
  Model model;
  Session session(model, 1, 2);
  EXPECT_EQ(session.tryEval({1, DEMO_VOCAB}), QCC_E_ARGUMENT);
  EXPECT_STREQ(qcc_last_error(session), "token 1 is 300, expected 0 to 299");
  EXPECT_EQ(session.tryEval({-1}), QCC_E_ARGUMENT);
  EXPECT_EQ(session.tryEval({}), QCC_E_ARGUMENT);
  EXPECT_EQ(session.tryEval({1}, 0, 2), QCC_E_ARGUMENT);
  EXPECT_STREQ(qcc_last_error(session), "sequence is 2, expected less than 2");
  EXPECT_EQ(qcc_eval(session, nullptr), QCC_E_ARGUMENT);
  qcc_eval_v1 unset = {};
  EXPECT_EQ(qcc_eval(session, &unset), QCC_E_ARGUMENT);
  EXPECT_EQ(qcc_length(session, 7), 0u);
  EXPECT_EQ(qcc_tokens(session, 7), nullptr);

  qcc_rows_v1 rows = {};
  rows.struct_size = sizeof rows;
  std::vector<int32_t> token(20, 1);
  std::vector<uint32_t> sequence(20, 0);
  rows.rows = 17; // more than a generating step takes
  rows.token = token.data();
  rows.sequence = sequence.data();
  EXPECT_EQ(qcc_step(session, &rows), QCC_E_ARGUMENT);
  EXPECT_STREQ(qcc_last_error(session), "rows is 17, expected 1 to 16");
  rows.rows = 2;
  alignas(64) float logits[2 * DEMO_VOCAB];
  const uint32_t descending[] = {1, 0};
  rows.outputs = 2;
  rows.output = descending;
  rows.logits = logits;
  EXPECT_EQ(qcc_step(session, &rows), QCC_E_ARGUMENT);
  rows.outputs = 1;
  rows.logits = logits + 1;
  EXPECT_EQ(qcc_step(session, &rows), QCC_E_ARGUMENT);
  sequence[1] = 9;
  rows.logits = logits;
  EXPECT_EQ(qcc_step(session, &rows), QCC_E_ARGUMENT);
  EXPECT_EQ(qcc_length(session, 0), 0u);

  qcc_session_options_v1 options = QCC_SESSION_OPTIONS_INIT;
  qcc_session *none = nullptr;
  char error[QCC_ERROR_BYTES];
  options.context = DEMO_CONTEXT + 1;
  EXPECT_EQ(
      qcc_session_create(model.model, &options, &none, error, sizeof error),
      QCC_E_ARGUMENT);
  EXPECT_STREQ(error, "context is 513, expected at most the model's 512");
  EXPECT_EQ(none, nullptr);
  options.context = 0;
  options.threads = 100000;
  EXPECT_EQ(
      qcc_session_create(model.model, &options, &none, error, sizeof error),
      QCC_E_ARGUMENT);
  options.threads = 0;
  options.sequences = 1u << 30;
  EXPECT_EQ(
      qcc_session_create(model.model, &options, &none, error, sizeof error),
      QCC_E_ARGUMENT);
}

TEST(SessionTest, CancelEndsAStepAndLeavesTheSessionUsable) {
  Model model;
  for (uint32_t threads : {1u, 2u, 5u}) {
    Session session(model, threads);
    std::vector<int32_t> before = someTokens(5);
    ASSERT_EQ(session.tryEval(before, 1), QCC_OK);
    for (int round = 0; round < 5; ++round) {
      std::thread other([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20 + 3 * round));
        qcc_cancel(session, 1);
      });
      EXPECT_EQ(session.tryEval({1, DEMO_SLOW_TOKEN, 2}), QCC_E_CANCELLED);
      other.join();
      EXPECT_EQ(qcc_length(session, 0), before.size());
    }
    std::vector<int32_t> all = before;
    all.push_back(9);
    Logits expected = evaluate(all, 1, false);
    expected.erase(expected.begin(), expected.begin() + 5 * DEMO_VOCAB);
    EXPECT_EQ(session.eval({9}), expected);
  }
}

TEST(SessionTest, CancelBeforeACallStopsItAndCanBeTakenBack) {
  Model model;
  Session session(model, 2);
  qcc_cancel(session, 1);
  EXPECT_EQ(session.tryEval({1}), QCC_E_CANCELLED);
  EXPECT_EQ(session.tryEval({1}), QCC_OK);
  qcc_cancel(session, 1);
  qcc_cancel(session, 0);
  EXPECT_EQ(session.tryEval({1}), QCC_OK);
}

TEST(SessionTest, CallbacksCanStop) {
  Model model;
  Session session(model);
  std::vector<int32_t> tokens = someTokens(200);
  qcc_eval_v1 request = {};
  request.struct_size = sizeof request;
  request.tokens = tokens.data();
  request.count = tokens.size();
  size_t seen = 0;
  request.user = &seen;
  request.on_progress = [](void *user, size_t done, size_t total) -> int32_t {
    EXPECT_EQ(total, 200u);
    *static_cast<size_t *>(user) = done;
    return done >= 96;
  };
  EXPECT_EQ(qcc_eval(session, &request), QCC_E_CANCELLED);
  EXPECT_EQ(seen, 96u);
  EXPECT_EQ(qcc_length(session, 0), 0u);
}

TEST(SessionTest, SavedStateContinuesWithTheSameBits) {
  Model model;
  std::vector<int32_t> tokens = someTokens(100), more = someTokens(20, 7);
  Session first(model, 2);
  ASSERT_EQ(first.tryEval(tokens, 1), QCC_OK);
  size_t bytes = 0;
  EXPECT_EQ(qcc_state_save(first, 0, nullptr, 0, &bytes), QCC_E_SPACE);
  std::vector<uint8_t> saved(bytes);
  ASSERT_EQ(qcc_state_save(first, 0, saved.data(), saved.size(), &bytes),
            QCC_OK);
  Session second(model, 1, 2, 200);
  ASSERT_EQ(qcc_state_restore(second, 1, saved.data(), saved.size()), QCC_OK)
      << qcc_last_error(second);
  EXPECT_EQ(qcc_length(second, 1), 100u);
  EXPECT_EQ(second.eval(more, 1, 1), first.eval(more, 1));

  Session small(model, 1, 1, 99);
  EXPECT_EQ(qcc_state_restore(small, 0, saved.data(), saved.size()),
            QCC_E_CONTEXT);
  Model other("demo_two.so");
  Session foreign(other);
  EXPECT_EQ(qcc_state_restore(foreign, 0, saved.data(), saved.size()),
            QCC_E_DATA);
}

TEST(SessionTest, DamagedSavedStatesAreRefused) {
  Model model;
  Session session(model);
  std::vector<int32_t> tokens = someTokens(10);
  ASSERT_EQ(session.tryEval(tokens, 1), QCC_OK);
  size_t bytes = 0;
  qcc_state_save(session, 0, nullptr, 0, &bytes);
  std::vector<uint8_t> saved(bytes);
  ASSERT_EQ(qcc_state_save(session, 0, saved.data(), saved.size(), &bytes),
            QCC_OK);
  for (size_t size : {size_t(0), size_t(127), size_t(128), bytes - 1})
    EXPECT_NE(qcc_state_restore(session, 0, saved.data(), size), QCC_OK);
  // Every bit of the header and tokens, and some of the pages.
  for (size_t bit = 0; bit < bytes * 8; bit += bit < 256 * 8 ? 1 : 1001) {
    saved[bit / 8] ^= uint8_t(1 << bit % 8);
    EXPECT_NE(qcc_state_restore(session, 0, saved.data(), bytes), QCC_OK)
        << "bit " << bit;
    saved[bit / 8] ^= uint8_t(1 << bit % 8);
  }
  EXPECT_EQ(qcc_length(session, 0), 10u);
  EXPECT_EQ(memcmp(qcc_tokens(session, 0), tokens.data(), 40), 0);
}

TEST(SessionTest, ManySessionsOnManyThreads) {
  Model model;
  std::vector<int32_t> tokens = someTokens(80);
  Logits expected = evaluate(tokens, 1, true);
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 4; ++i) {
        Session session(model, uint32_t(1 + t % 3));
        EXPECT_EQ(session.eval(tokens), expected);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
}
