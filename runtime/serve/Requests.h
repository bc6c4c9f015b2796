//===- Requests.h - What clients ask, as JSON -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The bodies of OpenAI's chat and text completions with the usual additions
// (top_k, min_p, repeat_penalty, ...), and of llama-server's /tokenize and
// /detokenize. Knows no model and no socket. Values are checked here; what
// would change the answer and is not supported is an error, never ignored.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_SERVE_REQUESTS_H
#define QCC_RUNTIME_SERVE_REQUESTS_H

#include "Job.h"

#include <string_view>
#include <variant>

namespace qcc::serve {

/// An answer that is an error, as OpenAI's clients expect it.
struct RequestError {
  int status = 400;
  std::string message;   // lower case, no final period
  std::string parameter; // "": none
  std::string code;      // "": none
  std::string type() const;
};

struct ChatMessage {
  std::string role, content;
};

/// Text, or token ids.
using Prompt = std::variant<std::string, std::vector<int32_t>>;

struct GenerateRequest {
  bool chat = true;
  std::vector<ChatMessage> messages; // of a chat
  std::string templateVariables;     // of a chat: a JSON object, or empty
  std::vector<Prompt> prompts;       // of a text completion, 1 or more
  JobSettings settings;
  uint32_t choices = 1; // n, for each prompt
  bool stream = false;
  bool includeUsage = false; // in the stream
  bool echo = false;
};

struct TokenizeRequest {
  std::string text;
  bool addSpecial = false; // bos and eos as the tokenizer does
  bool parseSpecial = true;
  bool withPieces = false;
};

/// Limits of one request.
constexpr size_t maxJsonDepth = 64;
constexpr uint32_t maxAnswers = 128; // choices times prompts
constexpr size_t maxStopTexts = 16, maxStopBytes = 1024;
constexpr int maxTopLogprobs = 20;
constexpr size_t maxBiases = 1024;

/// Each throws RequestError. `vocab` is the number of tokens there are.
GenerateRequest parseChat(std::string_view body, uint32_t vocab);
GenerateRequest parseCompletion(std::string_view body, uint32_t vocab);
TokenizeRequest parseTokenize(std::string_view body);
std::vector<int32_t> parseDetokenize(std::string_view body, uint32_t vocab);

} // namespace qcc::serve

#endif // QCC_RUNTIME_SERVE_REQUESTS_H
