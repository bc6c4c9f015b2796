//===- SchedulerTest.cpp - Many answers from one model --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Asked.h"
#include "Demo.h"

#include "demo_model.h"

using namespace demo;

namespace {

/// What qcc_generate() answers.
std::vector<int32_t> generated(const Model &model,
                               const std::vector<int32_t> &prompt,
                               int64_t maxTokens) {
  Session session(model);
  qcc_sampling_v1 greedy = QCC_SAMPLING_INIT;
  greedy.temperature = 0;
  EXPECT_EQ(qcc_set_sampling(session, &greedy), QCC_OK);
  std::vector<int32_t> tokens;
  qcc_generate_v1 request = {};
  request.struct_size = sizeof request;
  request.prompt = prompt.data();
  request.prompt_count = prompt.size();
  request.max_tokens = maxTokens;
  request.flags = QCC_GENERATE_IGNORE_END;
  request.user = &tokens;
  request.on_token = [](void *user, const qcc_token_v1 *token) -> int32_t {
    if (token->token >= 0)
      static_cast<std::vector<int32_t> *>(user)->push_back(token->token);
    return 0;
  };
  EXPECT_EQ(qcc_generate(session, &request, nullptr), QCC_OK);
  return tokens;
}

} // namespace

TEST(SchedulerTest, AnswersInCompanyAreThoseOfOneAlone) {
  Model model;
  Scheduler scheduler(model.model, options(20));
  std::vector<AskedPointer> asked;
  std::vector<std::vector<int32_t>> prompts;
  // Short prompts, long ones, ones with a common start, more than sequences.
  for (unsigned i = 0; i < 50; ++i) {
    std::vector<int32_t> prompt = someTokens(i % 3 ? 120 : 0);
    std::vector<int32_t> own = someTokens(1 + i * 7 % 40, i);
    prompt.insert(prompt.end(), own.begin(), own.end());
    asked.push_back(ask(scheduler, prompt, 5 + i % 30));
    prompts.push_back(prompt);
  }
  for (size_t i = 0; i < asked.size(); ++i) {
    EXPECT_EQ(asked[i]->wait(), Finish::Length);
    EXPECT_EQ(asked[i]->tokens,
              generated(model, prompts[i], 5 + int64_t(i % 30)))
        << i;
    EXPECT_EQ(asked[i]->end.tokens, 5 + i % 30);
  }
  Counters counters = scheduler.counters();
  EXPECT_GT(counters.reusedTokens, 120u * 20);
  EXPECT_GT(counters.generatingRows, counters.generatingSteps * 4);
  EXPECT_EQ(counters.finished[size_t(Finish::Length)], asked.size());
}

TEST(SchedulerTest, ReusesPromptsButNotAnswers) {
  Model model;
  Scheduler scheduler(model.model, options(2));
  std::vector<int32_t> prompt = someTokens(100);
  AskedPointer first = ask(scheduler, prompt, 40);
  first->wait();
  EXPECT_EQ(first->end.reusedTokens, 0u);
  // The conversation goes on: the answer was generated, and is evaluated anew
  // as the part of a prompt that it is now.
  prompt.insert(prompt.end(), first->tokens.begin(), first->tokens.end());
  AskedPointer second = ask(scheduler, prompt, 10);
  second->wait();
  EXPECT_EQ(second->end.reusedTokens, 100u);
  EXPECT_EQ(second->tokens, generated(model, prompt, 10));
  AskedPointer again = ask(scheduler, prompt, 10);
  again->wait();
  EXPECT_EQ(again->end.reusedTokens, prompt.size() - 1);
  EXPECT_EQ(again->tokens, second->tokens);
}

TEST(SchedulerTest, ChoicesShareOnePrompt) {
  Model model;
  Scheduler scheduler(model.model, options(8));
  std::vector<AskedPointer> asked;
  std::vector<JobPointer> jobs;
  for (int i = 0; i < 8; ++i) {
    asked.push_back(std::make_unique<Asked>(someTokens(400), 5));
    jobs.push_back(asked.back()->job);
  }
  ASSERT_TRUE(scheduler.submit(jobs));
  size_t reused = 0;
  for (const AskedPointer &one : asked) {
    one->wait();
    EXPECT_EQ(one->tokens, asked[0]->tokens);
    reused += one->end.reusedTokens;
  }
  EXPECT_GE(reused, 7u * 360); // the end is not worth waiting for
}

TEST(SchedulerTest, SamplesWithItsOwnSeed) {
  Model model;
  Scheduler scheduler(model.model, options(4));
  std::vector<AskedPointer> asked;
  for (int i = 0; i < 12; ++i) {
    auto one = std::make_unique<Asked>(someTokens(30), 20);
    one->job->settings.sampling.temperature = 2;
    one->job->settings.sampling.top_k = 0;
    one->job->settings.sampling.seed = i % 3;
    one->job->settings.sampling.repeat_penalty = 1.3f;
    ASSERT_TRUE(scheduler.submit({one->job}));
    asked.push_back(std::move(one));
  }
  for (const AskedPointer &one : asked)
    one->wait();
  for (size_t i = 3; i < asked.size(); ++i)
    EXPECT_EQ(asked[i]->tokens, asked[i % 3]->tokens);
  EXPECT_NE(asked[0]->tokens, asked[1]->tokens);
}

TEST(SchedulerTest, BiasChangesTheChoiceAndNotTheScore) {
  Model model;
  Scheduler scheduler(model.model, options(1));
  AskedPointer plain = ask(scheduler, someTokens(20), 1);
  plain->wait();
  auto biased = std::make_unique<Asked>(someTokens(20), 1);
  biased->job->settings.bias = {{77, 500.0f}};
  biased->job->settings.topLogprobs = 3;
  std::vector<TokenScore> scores;
  biased->job->deliver = [inner = biased->job->deliver,
                          &scores](Delta &&delta) {
    scores.insert(scores.end(), delta.scores.begin(), delta.scores.end());
    inner(std::move(delta));
  };
  ASSERT_TRUE(scheduler.submit({biased->job}));
  biased->wait();
  ASSERT_EQ(scores.size(), 1u);
  EXPECT_EQ(scores[0].token, 77);
  ASSERT_EQ(scores[0].top.size(), 3u);
  EXPECT_EQ(scores[0].top[0].first, plain->tokens[0]);
  EXPECT_GE(scores[0].top[0].second, scores[0].top[1].second);
  EXPECT_LT(scores[0].logprob, 0);
}

TEST(SchedulerTest, StopTextsAndTheContextEndAnswers) {
  Model model;
  SchedulerOptions small = options(2);
  small.context = 64;
  Scheduler scheduler(model.model, small);
  AskedPointer full = ask(scheduler, someTokens(50), -1);
  EXPECT_EQ(full->wait(), Finish::Length);
  EXPECT_EQ(full->end.tokens, 15u); // the last one is not evaluated
  ASSERT_GT(full->text.size(), 4u);
  auto stopped = std::make_unique<Asked>(someTokens(50), -1);
  std::string stop = full->text.substr(full->text.size() / 2);
  stopped->job->settings.stop = {"never in there", stop};
  ASSERT_TRUE(scheduler.submit({stopped->job}));
  EXPECT_EQ(stopped->wait(), Finish::Stop);
  EXPECT_EQ(stopped->text, full->text.substr(0, full->text.find(stop)));
}

TEST(SchedulerTest, CancelledAndLateJobsEnd) {
  Model model;
  Scheduler scheduler(model.model, options(1));
  AskedPointer running = ask(scheduler, someTokens(20), 480);
  AskedPointer waiting = ask(scheduler, someTokens(20), 5);
  auto late = std::make_unique<Asked>(someTokens(20), 5);
  late->job->deadline = 0;
  ASSERT_TRUE(scheduler.submit({late->job}));
  running->waitForText();
  waiting->job->cancelled = true;
  EXPECT_EQ(waiting->wait(), Finish::Cancelled);
  EXPECT_EQ(late->wait(), Finish::Timeout);
  running->job->cancelled = true;
  running->wait(); // it may just have ended
  AskedPointer next = ask(scheduler, someTokens(20), 5);
  EXPECT_EQ(next->wait(), Finish::Length);
}

TEST(SchedulerTest, TheQueueIsFairAndHasALimit) {
  Model model;
  Scheduler scheduler(model.model, options(1, 6));
  // A step with this token takes long: the queue fills behind it.
  AskedPointer slow = ask(scheduler, {DEMO_SLOW_TOKEN}, 1);
  std::mutex mutex;
  std::string order;
  std::vector<AskedPointer> asked;
  auto add = [&](const char *client) {
    auto one = std::make_unique<Asked>(someTokens(5), 1);
    one->job->client = client;
    one->job->deliver = [inner = one->job->deliver, client, &order,
                         &mutex](Delta &&delta) {
      if (delta.last) {
        std::lock_guard<std::mutex> lock(mutex);
        order += client;
      }
      inner(std::move(delta));
    };
    bool taken = scheduler.submit({one->job});
    asked.push_back(std::move(one));
    return taken;
  };
  while (scheduler.counters().running == 0)
    std::this_thread::yield();
  auto refuses = [&](const char *client) {
    bool taken = add(client);
    asked.pop_back();
    return !taken;
  };
  for (const char *client : {"a", "a", "a"})
    EXPECT_TRUE(add(client));
  EXPECT_TRUE(refuses("a")); // half of the places
  for (const char *client : {"b", "b", "c"})
    EXPECT_TRUE(add(client));
  EXPECT_TRUE(refuses("d")); // none is left
  EXPECT_EQ(slow->wait(), Finish::Length);
  for (const AskedPointer &one : asked)
    EXPECT_EQ(one->wait(), Finish::Length);
  EXPECT_EQ(order, "abcaba");
  EXPECT_EQ(scheduler.counters().refused, 2u);
}

TEST(SchedulerTest, StoppingEndsAllJobs) {
  Model model;
  std::vector<AskedPointer> asked;
  {
    Scheduler scheduler(model.model, options(2));
    for (int i = 0; i < 6; ++i)
      asked.push_back(ask(scheduler, {DEMO_SLOW_TOKEN}, 100));
  }
  for (const AskedPointer &one : asked)
    EXPECT_EQ(one->wait(), Finish::Cancelled);
}
