//===- Job.h - One answer to generate ---------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_SERVE_JOB_H
#define QCC_RUNTIME_SERVE_JOB_H

#include "qcc-rt/qcc.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace qcc::serve {

/// A generated token with the logarithm of its probability, before sampling
/// changed it, and the likeliest tokens beside it, best first.
struct TokenScore {
  int32_t token = -1;
  float logprob = 0;
  std::vector<std::pair<int32_t, float>> top;
};

enum class Finish {
  Stop,      // the model's end token, or a stop text
  Length,    // max_tokens, or the context is full
  Cancelled, // nobody wants it any more, or the server ends
  Timeout,   // it took longer than a request may
  Error,     // the model failed: see Delta::error
};

/// What was added to an answer. The text is whole UTF-8 characters.
struct Delta {
  std::string text;
  std::vector<TokenScore> scores; // of the tokens that `text` came from
  bool last = false;
  // Of the last one.
  Finish finish = Finish::Stop;
  std::string error;
  size_t reusedTokens = 0; // of the prompt, whose state was there
  uint64_t tokens = 0;     // generated
};

/// What is asked of the model.
struct JobSettings {
  int64_t maxTokens = -1; // -1: until the model ends or the context is full
  qcc_sampling_v1 sampling = QCC_SAMPLING_INIT;
  std::vector<std::string> stop;               // no NUL, not empty
  std::vector<std::pair<int32_t, float>> bias; // added to logits
  bool ignoreEnd = false;
  int topLogprobs = -1; // -1: no logprobs
};

struct Job {
  JobSettings settings;
  std::vector<int32_t> prompt; // 1 .. context - 1 tokens
  std::string client;          // whom the queue is fair to
  double deadline = 0;         // in seconds of cli::now()
  /// Called on the scheduler's thread; must not block or throw.
  std::function<void(Delta &&)> deliver;
  /// Any thread may set it. The job then ends soon.
  std::atomic<bool> cancelled{false};
  double submitted = 0; // set by the scheduler
};

using JobPointer = std::shared_ptr<Job>;

} // namespace qcc::serve

#endif // QCC_RUNTIME_SERVE_JOB_H
