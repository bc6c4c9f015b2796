//===- Api.h - What each path of the server does ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Between HTTP and the scheduler, and without sockets: a call comes in, a reply
// goes out, which is text or an answer in the making.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_SERVE_API_H
#define QCC_RUNTIME_SERVE_API_H

#include "Answer.h"
#include "Scheduler.h"

namespace qcc::serve {

/// A request as far as the API cares.
struct Call {
  std::string method, target, body;
  std::string authorization; // that header: who the client is, with keys
  std::string peer;          // address of the client
};

struct Reply {
  int status = 200;
  std::string contentType = "application/json", body;
  std::vector<std::pair<std::string, std::string>> headers;
  // Or an answer, with the jobs that make it, one for each choice. Their
  // `deliver` is the caller's to set before it submits them.
  std::unique_ptr<Answer> answer;
  std::vector<JobPointer> jobs;
};

struct ApiOptions {
  std::string model;             // the name that clients see
  std::vector<std::string> keys; // accepted API keys; none: all may call
  double timeout = 600;          // seconds of a request
  std::string chatVariables;     // of the template, where a request has none
};

class Api {
public:
  /// Both must outlive this.
  Api(const cli::Program &program, const Scheduler &scheduler,
      const ApiOptions &options);

  /// Throws a RequestError unless who sends this header may call `target`.
  void authorize(std::string_view target, std::string_view header) const;

  /// Of a call that is authorized. Any thread, several at once. Never throws.
  Reply handle(const Call &call) const noexcept;

  static Reply errorReply(const RequestError &error);

private:
  Reply route(const Call &call) const;
  Reply complete(const Call &call, GenerateRequest &&request) const;
  Reply listModels(const std::string &name) const;
  Reply tokenize(const std::string &body) const;
  Reply detokenize(const std::string &body) const;
  std::vector<int32_t> promptTokens(const GenerateRequest &request,
                                    size_t prompt) const;

  const cli::Program &program;
  const Scheduler &scheduler;
  ApiOptions options;
  int64_t started;
};

/// The page at `/`.
extern const char page[];

} // namespace qcc::serve

#endif // QCC_RUNTIME_SERVE_API_H
