//===- Asked.h - Jobs of the scheduler in tests -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_TEST_ASKED_H
#define QCC_RUNTIME_TEST_ASKED_H

#include "cli/Program.h"
#include "serve/Scheduler.h"

#include "gtest/gtest.h"

#include <condition_variable>
#include <memory>
#include <mutex>

namespace demo {

using namespace qcc::serve;

/// A job with what it was given.
struct Asked {
  JobPointer job = std::make_shared<Job>();
  std::mutex mutex;
  std::condition_variable changed;
  std::string text;
  std::vector<int32_t> tokens;
  size_t deltas = 0;
  Delta end;

  Asked(std::vector<int32_t> prompt, int64_t maxTokens) {
    job->prompt = std::move(prompt);
    job->deadline = qcc::cli::now() + 60;
    job->settings.maxTokens = maxTokens;
    job->settings.sampling.temperature = 0;
    job->settings.ignoreEnd = true;
    job->settings.topLogprobs = 0; // tells the tokens
    job->deliver = [this](Delta &&delta) {
      std::lock_guard<std::mutex> lock(mutex);
      ++deltas;
      text += delta.text;
      for (const TokenScore &score : delta.scores)
        tokens.push_back(score.token);
      if (delta.last)
        end = std::move(delta);
      changed.notify_all();
    };
  }
  Finish wait() {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return end.last; });
    return end.finish;
  }
  void waitForText() {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return deltas > 0; });
  }
};

using AskedPointer = std::unique_ptr<Asked>;

inline AskedPointer ask(Scheduler &scheduler,
                        const std::vector<int32_t> &prompt, int64_t maxTokens) {
  auto asked = std::make_unique<Asked>(prompt, maxTokens);
  EXPECT_TRUE(scheduler.submit({asked->job}));
  return asked;
}

inline SchedulerOptions options(uint32_t parallel, uint32_t queue = 64) {
  SchedulerOptions result;
  result.threads = 2;
  result.parallel = parallel;
  result.queue = queue;
  return result;
}

} // namespace demo

#endif // QCC_RUNTIME_TEST_ASKED_H
