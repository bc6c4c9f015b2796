//===- GenerateTest.cpp - Generation, stop texts, allocations -------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Allocations.h"
#include "Demo.h"

#include <chrono>
#include <cstring>
#include <thread>

using namespace demo;

namespace {

struct Result {
  std::vector<int32_t> tokens;
  std::string text;
  Logits logits;
  qcc_generated_v1 numbers = {};
  qcc_status status = 0;
  size_t stopAfter = SIZE_MAX;
};

struct Request {
  std::vector<int32_t> prompt = someTokens(20);
  int64_t maxTokens = 30;
  std::vector<const char *> stop;
  uint32_t flags = QCC_GENERATE_IGNORE_END;
  uint32_t batch = 1;
  size_t stopAfter = SIZE_MAX;
};

} // namespace

static Result generate(qcc_session *session, const Request &request) {
  Result result;
  result.stopAfter = request.stopAfter;
  qcc_generate_v1 options = {};
  options.struct_size = sizeof options;
  options.prompt = request.prompt.data();
  options.prompt_count = request.prompt.size();
  options.max_tokens = request.maxTokens;
  options.flags = request.flags;
  options.batch = request.batch;
  options.stop = request.stop.data();
  options.stop_count = request.stop.size();
  options.user = &result;
  options.on_token = [](void *user, const qcc_token_v1 *token) -> int32_t {
    Result &result = *static_cast<Result *>(user);
    result.text.append(token->text, token->bytes);
    if (token->token < 0)
      return 0;
    result.tokens.push_back(token->token);
    result.logits.insert(result.logits.end(), token->logits,
                         token->logits + DEMO_VOCAB);
    return result.tokens.size() >= result.stopAfter;
  };
  result.numbers.struct_size = sizeof result.numbers;
  result.status = qcc_generate(session, &options, &result.numbers);
  return result;
}

static void setSampling(qcc_session *session, float temperature, int64_t seed) {
  qcc_sampling_v1 sampling = QCC_SAMPLING_INIT;
  sampling.temperature = temperature;
  sampling.seed = seed;
  ASSERT_EQ(qcc_set_sampling(session, &sampling), QCC_OK);
}

TEST(GenerateTest, GreedyTakesTheBestOfTheModelsLogits) {
  Model model;
  Session session(model, 2);
  setSampling(session, 0, 1);
  Request request;
  Result result = generate(session, request);
  ASSERT_EQ(result.status, QCC_OK) << qcc_last_error(session);
  ASSERT_EQ(result.tokens.size(), 30u);
  EXPECT_EQ(result.numbers.stop, QCC_STOP_LENGTH);
  EXPECT_EQ(result.numbers.tokens, 30u);
  EXPECT_EQ(result.numbers.prompt_tokens, 20u);
  // The last token is drawn but not part of the sequence.
  EXPECT_EQ(qcc_length(session, 0), 49u);
  std::vector<int32_t> all = request.prompt;
  for (int32_t token : result.tokens) {
    Logits logits = evaluate(all, 1, false);
    auto last = logits.end() - DEMO_VOCAB;
    EXPECT_EQ(token, std::max_element(last, logits.end()) - last);
    all.push_back(token);
  }
}

TEST(GenerateTest, LogitsAreThoseOfEvaluationOneByOne) {
  Model model;
  Session session(model, 2), check(model, 3);
  setSampling(session, 0.8f, 5);
  Request request;
  Result result = generate(session, request);
  std::vector<int32_t> all = request.prompt;
  all.insert(all.end(), result.tokens.begin(), result.tokens.end() - 1);
  Logits expected = check.eval(all, 1);
  expected.erase(expected.begin(), expected.begin() + 19 * DEMO_VOCAB);
  EXPECT_EQ(result.logits, expected);
}

TEST(GenerateTest, SameSeedSameTokensForAnyThreads) {
  Model model;
  Session a(model, 1), b(model, 7), c(model, 1);
  setSampling(a, 0.8f, 42);
  setSampling(b, 0.8f, 42);
  setSampling(c, 0.8f, 43);
  Request request;
  Result first = generate(a, request);
  EXPECT_EQ(first.tokens, generate(b, request).tokens);
  EXPECT_NE(first.tokens, generate(c, request).tokens);
}

/// Text of 30 greedy tokens, and what it is with a stop text.
TEST(GenerateTest, StopTextsEndTheAnswerAndAreNotPartOfIt) {
  Model model;
  Session session(model);
  setSampling(session, 0, 1);
  Request request;
  std::string text = generate(session, request).text;
  ASSERT_GT(text.size(), 20u);
  // Every substring is a stop text that crosses tokens somewhere.
  for (size_t at = 0; at + 3 <= text.size(); ++at) {
    if ((text[at] & 0xc0) == 0x80)
      continue;
    std::string stop = text.substr(at, 3);
    size_t first = text.find(stop);
    if (strlen(stop.c_str()) != 3)
      continue;
    ASSERT_EQ(qcc_reset(session, 0), QCC_OK);
    request.stop = {"no such text", stop.c_str()};
    Result result = generate(session, request);
    EXPECT_EQ(result.numbers.stop, QCC_STOP_TEXT) << at;
    EXPECT_EQ(result.text, text.substr(0, first)) << at;
  }
  // A beginning of a stop text that is never completed is not lost.
  ASSERT_EQ(qcc_reset(session, 0), QCC_OK);
  std::string never = text.substr(text.size() - 4) + "and more";
  request.stop = {never.c_str()};
  Result result = generate(session, request);
  EXPECT_EQ(result.numbers.stop, QCC_STOP_LENGTH);
  EXPECT_EQ(result.text, text);
  request.stop = {""};
  EXPECT_EQ(generate(session, request).status, QCC_E_ARGUMENT);
}

TEST(GenerateTest, EndTokensEndTheAnswer) {
  Model model;
  Session session(model);
  // Find a seed whose free run draws an end token, then see that it stops.
  for (int64_t seed = 0; seed < 200; ++seed) {
    ASSERT_EQ(qcc_reset(session, 0), QCC_OK);
    qcc_sampling_v1 sampling = QCC_SAMPLING_INIT;
    sampling.temperature = 100;
    sampling.top_k = 0;
    sampling.top_p = 1;
    sampling.min_p = 0;
    sampling.seed = seed;
    ASSERT_EQ(qcc_set_sampling(session, &sampling), QCC_OK);
    Request request;
    request.flags = 0;
    Result result = generate(session, request);
    if (result.numbers.stop != QCC_STOP_END)
      continue;
    for (int32_t token : result.tokens)
      EXPECT_FALSE(qcc_is_end(model.model, token));
    EXPECT_EQ(result.numbers.tokens, result.tokens.size() + 1);
    return;
  }
  FAIL() << "no seed draws an end token";
}

TEST(GenerateTest, FullContextEndsTheAnswer) {
  Model model;
  Session session(model, 1, 1, 40);
  setSampling(session, 0, 1);
  Request request;
  request.maxTokens = -1;
  Result result = generate(session, request);
  EXPECT_EQ(result.status, QCC_OK);
  EXPECT_EQ(result.numbers.stop, QCC_STOP_CONTEXT);
  EXPECT_EQ(result.tokens.size(), 21u);
  EXPECT_EQ(qcc_length(session, 0), 40u);
}

TEST(GenerateTest, TheCallbackCanStop) {
  Model model;
  Session session(model);
  Request request;
  request.stopAfter = 3;
  Result result = generate(session, request);
  EXPECT_EQ(result.status, QCC_OK);
  EXPECT_EQ(result.numbers.stop, QCC_STOP_CALLBACK);
  EXPECT_EQ(result.tokens.size(), 3u);
}

TEST(GenerateTest, CancelKeepsWhatWasSaid) {
  Model model;
  Session session(model, 2);
  setSampling(session, 0.8f, 3);
  Request request;
  request.maxTokens = 400;
  request.stopAfter = SIZE_MAX;
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    qcc_cancel(session, 1);
  });
  Result result = generate(session, request);
  other.join();
  qcc_cancel(session, 0);
  if (result.status == QCC_E_CANCELLED)
    EXPECT_LE(result.tokens.size(), 400u);
  else
    EXPECT_EQ(result.tokens.size(), 400u); // the machine was faster
  EXPECT_LE(qcc_length(session, 0), 20 + result.tokens.size());
}

#ifndef DEMO_SANITIZED
TEST(GenerateTest, NoAllocationPerToken) {
  Model model;
  Session session(model, 2);
  setSampling(session, 0.8f, 9);
  Request request;
  generate(session, request); // first use of buffers
  // A callback that allocates nothing, and counts at its first and last token.
  struct Counts {
    size_t calls = 0, first = 0, last = 0;
  } counts;
  qcc_generate_v1 options = {};
  options.struct_size = sizeof options;
  options.prompt = request.prompt.data();
  options.prompt_count = request.prompt.size();
  options.max_tokens = 300;
  options.flags = QCC_GENERATE_IGNORE_END;
  const char *const stop[] = {"never said"};
  options.stop = stop;
  options.stop_count = 1;
  options.user = &counts;
  options.on_token = [](void *user, const qcc_token_v1 *) -> int32_t {
    Counts &counts = *static_cast<Counts *>(user);
    counts.last = allocationCount();
    if (counts.calls++ == 0)
      counts.first = counts.last;
    return 0;
  };
  ASSERT_EQ(qcc_generate(session, &options, nullptr), QCC_OK);
  EXPECT_GE(counts.calls, 300u);
  EXPECT_EQ(counts.last, counts.first);
  size_t before = allocationCount();
  EXPECT_NE(before, 0u); // the counter is in use
  ASSERT_EQ(session.tryEval(request.prompt), QCC_OK);
  EXPECT_EQ(allocationCount(), before);
}
#endif

/// The tokens of qcc_generate() by one qcc_next() each.
TEST(GenerateTest, NextIsOneTurnOfGenerate) {
  Model model;
  Session session(model), turns(model, 1, 1, 40);
  setSampling(session, 0.8f, 5);
  setSampling(turns, 0.8f, 5);
  Request request;
  Result result = generate(session, request);
  ASSERT_EQ(result.tokens.size(), 30u);

  qcc_next_v1 next = {sizeof next, 0, -1, 0};
  EXPECT_EQ(qcc_next(turns, &next), QCC_E_ARGUMENT) << "without logits";
  ASSERT_EQ(turns.tryEval(request.prompt, 1), QCC_OK);
  for (size_t i = 0; i < 21; ++i) {
    ASSERT_EQ(qcc_next(turns, &next), QCC_OK) << qcc_last_error(turns);
    EXPECT_EQ(next.token, result.tokens[i]);
    EXPECT_EQ(next.end, qcc_is_end(model.model, next.token));
    EXPECT_EQ(qcc_length(turns, 0), 20 + i);
  }
  // Now the context of 40 is full: the token is still to be appended.
  EXPECT_EQ(qcc_next(turns, &next), QCC_E_CONTEXT);
  EXPECT_EQ(next.token, result.tokens[20]);
  next.token = DEMO_VOCAB;
  EXPECT_EQ(qcc_next(turns, &next), QCC_E_ARGUMENT);
  next.struct_size = 4;
  EXPECT_EQ(qcc_next(turns, &next), QCC_E_ARGUMENT);
  EXPECT_EQ(qcc_next(turns, nullptr), QCC_E_ARGUMENT);
}
