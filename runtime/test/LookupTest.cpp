//===- LookupTest.cpp - Guesses change nothing but the speed --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Demo.h"

#include <cstddef>

using namespace demo;

namespace {

struct Answer {
  std::vector<int32_t> tokens;
  std::vector<size_t> lengths; // of the sequence at each token
  std::string text;
  Logits logits;
  uint32_t stop = 0;
  uint64_t count = 0;
  // What the session holds afterwards.
  std::vector<int32_t> sequence;
  uint64_t stateBytes = 0;
  Logits last;
  int32_t next = -1; // what the next draw gives

  bool operator==(const Answer &) const = default;
};

struct Request {
  std::vector<int32_t> prompt;
  int64_t maxTokens = 60;
  std::vector<const char *> stop;
  uint32_t flags = QCC_GENERATE_IGNORE_END;
  size_t stopAfter = SIZE_MAX;
  float temperature = 0;
  int64_t seed = 1;
};

struct Guesses {
  uint64_t drafted = 0, accepted = 0;
};

} // namespace

/// Rewards tokens that occurred, so that the answer consists of the prompt's
/// tokens and repeats itself.
static void repeatYourself(qcc_session *session, const Request &request) {
  qcc_sampling_v1 sampling = QCC_SAMPLING_INIT;
  sampling.temperature = request.temperature;
  sampling.seed = request.seed;
  sampling.presence_penalty = -100;
  sampling.frequency_penalty = -0.1f;
  sampling.min_p = 0;
  sampling.top_p = 1;
  ASSERT_EQ(qcc_set_sampling(session, &sampling), QCC_OK);
}

static Answer answer(qcc_session *session, const Request &request,
                     uint32_t draftMax, Guesses &guesses) {
  struct State {
    Answer answer;
    qcc_session *session;
    size_t stopAfter;
  } state = {{}, session, request.stopAfter};
  repeatYourself(session, request);
  qcc_generate_v1 options = {};
  options.struct_size = sizeof options;
  options.prompt = request.prompt.data();
  options.prompt_count = request.prompt.size();
  options.max_tokens = request.maxTokens;
  options.flags = request.flags;
  options.batch = 1;
  options.stop = request.stop.data();
  options.stop_count = request.stop.size();
  options.draft_max = draftMax;
  options.user = &state;
  options.on_token = [](void *user, const qcc_token_v1 *token) -> int32_t {
    State &state = *static_cast<State *>(user);
    Answer &answer = state.answer;
    answer.text.append(token->text, token->bytes);
    if (token->token < 0)
      return 0;
    answer.tokens.push_back(token->token);
    answer.lengths.push_back(qcc_length(state.session, 0));
    answer.logits.insert(answer.logits.end(), token->logits,
                         token->logits + DEMO_VOCAB);
    return answer.tokens.size() >= state.stopAfter;
  };
  qcc_generated_v1 numbers = {};
  numbers.struct_size = sizeof numbers;
  EXPECT_EQ(qcc_generate(session, &options, &numbers), QCC_OK)
      << qcc_last_error(session);
  Answer &result = state.answer;
  result.stop = numbers.stop;
  result.count = numbers.tokens;
  const int32_t *tokens = qcc_tokens(session, 0);
  result.sequence.assign(tokens, tokens + qcc_length(session, 0));
  result.stateBytes = qcc_state_bytes(session);
  const float *last = qcc_logits(session);
  result.last.assign(last, last + DEMO_VOCAB);
  EXPECT_EQ(qcc_sample(session, 0, nullptr, &result.next), QCC_OK);
  EXPECT_LE(numbers.accepted, numbers.drafted);
  guesses.drafted += numbers.drafted;
  guesses.accepted += numbers.accepted;
  return result;
}

/// The answer, which is the same with guesses.
static Answer sameWithGuesses(const Model &model, const Request &request,
                              Guesses &guesses, uint32_t context = 0) {
  Guesses none;
  Session plain(model, 1, 1, context);
  Answer expected = answer(plain, request, 0, none);
  EXPECT_EQ(none.drafted, 0u);
  for (uint32_t draftMax : {1u, 6u, 1000u}) {
    Session session(model, 1 + draftMax % 3, 1, context);
    EXPECT_TRUE(answer(session, request, draftMax, guesses) == expected)
        << draftMax << " drafts, temperature " << request.temperature
        << ", seed " << request.seed;
  }
  return expected;
}

static const std::vector<int32_t> few = {7, 11, 13, 7, 11, 13, 7, 11};

TEST(LookupTest, AnswersStayTheSame) {
  Model model;
  Guesses guesses;
  for (float temperature : {0.0f, 1.0f, 3.0f})
    for (int64_t seed = 0; seed < 3; ++seed) {
      Request request;
      request.prompt = few;
      request.maxTokens = 100; // more than a page
      request.temperature = temperature;
      request.seed = seed;
      Answer result = sameWithGuesses(model, request, guesses);
      EXPECT_EQ(result.tokens.size(), 100u);
    }
  EXPECT_GT(guesses.accepted, 100u);
  EXPECT_GT(guesses.drafted, guesses.accepted);
}

TEST(LookupTest, NeverPassesTheLimitOrTheContext) {
  Model model;
  Guesses guesses;
  Request request;
  request.prompt = few;
  for (int64_t most = 1; most <= 20; most += 3) {
    request.maxTokens = most;
    Answer result = sameWithGuesses(model, request, guesses);
    EXPECT_EQ(result.stop, QCC_STOP_LENGTH);
    EXPECT_EQ(result.count, uint64_t(most));
  }
  request.maxTokens = -1;
  for (uint32_t context : {9u, 40u, 64u, 65u}) {
    Answer result = sameWithGuesses(model, request, guesses, context);
    EXPECT_EQ(result.stop, QCC_STOP_CONTEXT);
    EXPECT_EQ(result.sequence.size(), context);
  }
  EXPECT_GT(guesses.accepted, 0u);
}

TEST(LookupTest, AcceptedDraftsEndWhereTheAnswerDoes) {
  Model model;
  Guesses guesses;
  int32_t end = 0;
  while (end < DEMO_VOCAB && !qcc_is_end(model.model, end))
    ++end;
  ASSERT_LT(end, DEMO_VOCAB);
  Request request;
  request.prompt = few;
  std::string text = sameWithGuesses(model, request, guesses).text;
  ASSERT_GT(text.size(), 20u);
  for (size_t size : {2, 5, 20}) {
    std::string stop = text.substr(text.size() - size);
    request.stop = {stop.c_str()};
    EXPECT_EQ(sameWithGuesses(model, request, guesses).stop, QCC_STOP_TEXT);
  }
  request.stop.clear();
  for (size_t after : {1, 6, 11}) {
    request.stopAfter = after;
    EXPECT_EQ(sameWithGuesses(model, request, guesses).stop, QCC_STOP_CALLBACK);
  }
  request.stopAfter = SIZE_MAX;
  request.prompt.insert(request.prompt.begin() + 3, end);
  request.flags = 0;
  request.temperature = 1;
  bool ended = false;
  for (request.seed = 0; request.seed < 8; ++request.seed)
    ended |= sameWithGuesses(model, request, guesses).stop == QCC_STOP_END;
  EXPECT_TRUE(ended);
  EXPECT_GT(guesses.accepted, 0u);
}

/// What was said before a step that is cancelled stays, and drafts leave
/// nothing behind.
TEST(LookupTest, CancelledStepsLeaveWhatWasSaid) {
  Model model;
  Guesses guesses;
  Request request;
  request.prompt = few;
  request.maxTokens = 100;
  Session plain(model);
  const std::vector<int32_t> expected =
      answer(plain, request, 0, guesses).tokens;
  for (size_t at : {1, 20, 21, 22, 23, 54, 55, 56, 57, 58, 59}) {
    Session session(model);
    repeatYourself(session, request);
    struct State {
      qcc_session *session;
      size_t left;
    } state = {session, at};
    qcc_generate_v1 options = {};
    options.struct_size = sizeof options;
    options.prompt = few.data();
    options.prompt_count = few.size();
    options.max_tokens = request.maxTokens;
    options.flags = request.flags;
    options.batch = 1;
    options.draft_max = 15;
    options.user = &state;
    options.on_token = [](void *user, const qcc_token_v1 *token) -> int32_t {
      State &state = *static_cast<State *>(user);
      if (token->token >= 0 && --state.left == 0)
        qcc_cancel(state.session, 1); // the next step, if there is one
      return 0;
    };
    qcc_generated_v1 numbers = {};
    numbers.struct_size = sizeof numbers;
    EXPECT_EQ(qcc_generate(session, &options, &numbers), QCC_E_CANCELLED);
    ASSERT_GE(numbers.tokens, at);
    std::vector<int32_t> said = few;
    said.insert(said.end(), expected.begin(),
                expected.begin() + long(numbers.tokens) - 1);
    const int32_t *tokens = qcc_tokens(session, 0);
    EXPECT_EQ(std::vector<int32_t>(tokens, tokens + qcc_length(session, 0)),
              said);
    Session fresh(model);
    ASSERT_EQ(fresh.tryEval(said, 1), QCC_OK);
    EXPECT_EQ(qcc_state_bytes(session), qcc_state_bytes(fresh));
    EXPECT_EQ(session.eval({5}), fresh.eval({5}));
  }
}

TEST(LookupTest, OlderCallersAreUnderstood) {
  Model model;
  Session session(model);
  qcc_generate_v1 options = {};
  options.struct_size = offsetof(qcc_generate_v1, draft_max);
  options.prompt = few.data();
  options.prompt_count = few.size();
  options.max_tokens = 20;
  options.draft_max = 15; // beyond what this caller knows
  qcc_generated_v1 numbers = {};
  numbers.struct_size = offsetof(qcc_generated_v1, drafted);
  numbers.drafted = 99;
  ASSERT_EQ(qcc_generate(session, &options, &numbers), QCC_OK);
  EXPECT_EQ(numbers.struct_size, offsetof(qcc_generated_v1, drafted));
  EXPECT_EQ(numbers.drafted, 99u);
  options.struct_size -= 8;
  EXPECT_EQ(qcc_generate(session, &options, nullptr), QCC_E_ARGUMENT);
}
