//===- Answer.h - Completions as JSON and as events -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_SERVE_ANSWER_H
#define QCC_RUNTIME_SERVE_ANSWER_H

#include "Fields.h"

#include "cli/Program.h"

namespace qcc::serve {

/// One completion object in the making: its choices gather deltas, and come out
/// as a whole or as server-sent events.
class Answer {
public:
  /// `program` must outlive this. `model` is the name that clients see.
  Answer(const cli::Program &program, const std::string &model,
         const GenerateRequest &request,
         const std::vector<std::vector<int32_t>> &prompts);

  bool streams() const { return stream; }
  size_t choices() const { return parts.size(); }
  bool complete() const { return unfinished == 0; }

  /// Events before any token.
  std::string opening() const;
  /// Takes a delta of a choice; gives its events, if it streams.
  std::string add(size_t choice, Delta &&delta);
  /// Events after the last choice ended.
  std::string closing() const;

  /// The whole object, when it is complete. Throws RequestError if a choice
  /// failed.
  std::string whole() const;

private:
  struct Part {
    std::string text;
    std::vector<TokenScore> scores; // with `text`, unless it streams
    size_t characters = 0;          // that were streamed with logprobs
    Finish finish = Finish::Stop;
    std::string error;
    uint64_t tokens = 0;
    size_t prompt = 0; // which one
  };

  Json object(bool chunk) const;
  Json usage() const;
  Json logprobs(const std::vector<TokenScore> &scores, size_t &offset) const;
  Json chatLogprob(int32_t token, float logprob) const;
  std::string event(Json choice) const;
  RequestError failure(const Part &part) const;

  const cli::Program &program;
  std::string model, id;
  int64_t created;
  bool chat, stream, includeUsage, wantsLogprobs;
  std::vector<Part> parts;
  std::vector<std::string> echo;                  // of each prompt
  std::vector<size_t> promptTokens, reusedTokens; // of each prompt
  size_t unfinished;
};

/// What the choices of each prompt begin with: the prompt, if the request wants
/// an echo. Throws RequestError if all choices together repeat more than `most`
/// bytes.
std::vector<std::string>
echoes(const cli::Program &program, const GenerateRequest &request,
       const std::vector<std::vector<int32_t>> &prompts,
       size_t most = size_t(16) << 20);

/// An event with this data.
std::string serverSentEvent(const Json &data);

/// {"error": {...}}, OpenAI's form.
Json errorJson(const RequestError &error);

/// JSON as text; bytes that are not UTF-8 become U+FFFD.
std::string toText(const Json &json);

} // namespace qcc::serve

#endif // QCC_RUNTIME_SERVE_ANSWER_H
