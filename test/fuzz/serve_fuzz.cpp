//===- serve_fuzz.cpp - Fuzzes what the server reads from clients ---------===//
// SPDX-License-Identifier: Apache-2.0
//
// The input is HTTP if it begins with a capital letter, which then comes in two
// pieces; else its first byte says whose body the rest is.
//===----------------------------------------------------------------------===//

#include "serve/Fields.h"
#include "serve/HttpMessage.h"
#include "text/Utf8.h"

#include <boost/asio/buffer.hpp>

#include <algorithm>

using namespace qcc;
using namespace qcc::serve;

static constexpr uint32_t vocab = 1000;

static void require(bool condition) {
  if (!condition)
    __builtin_trap();
}

/// Clients get this text as JSON.
static void check(const RequestError &error) {
  require(error.status >= 400 && error.status < 500);
  require(!error.message.empty() && error.message.size() < 1000);
  for (const std::string *text :
       {&error.message, &error.parameter, &error.code})
    require(text::isValidUtf8(*text) && text->find('\0') == std::string::npos);
  require(!error.type().empty());
}

static void check(const JobSettings &job) {
  const qcc_sampling_v1 &s = job.sampling;
  require(s.temperature >= 0 && s.top_p >= 0 && s.top_p <= 1 && s.min_p >= 0 &&
          s.min_p <= 1 && s.repeat_penalty > 0);
  require(job.maxTokens == -1 || job.maxTokens >= 1);
  require(job.topLogprobs >= -1 && job.topLogprobs <= maxTopLogprobs);
  require(job.stop.size() <= maxStopTexts && job.bias.size() <= maxBiases);
  for (const std::string &text : job.stop)
    require(!text.empty() && text.find('\0') == std::string::npos);
  for (const auto &[token, bias] : job.bias)
    require(token >= 0 && uint32_t(token) < vocab && bias == bias);
}

static void check(const GenerateRequest &request) {
  check(request.settings);
  require(request.choices >= 1 && request.choices <= maxAnswers);
  require(request.chat ? !request.messages.empty() : !request.prompts.empty());
  require(request.prompts.size() * request.choices <= maxAnswers);
  for (const ChatMessage &message : request.messages)
    require(!message.role.empty() &&
            message.content.find('\0') == std::string::npos);
  for (const Prompt &prompt : request.prompts)
    if (const auto *ids = std::get_if<std::vector<int32_t>>(&prompt))
      for (int32_t id : *ids)
        require(id >= 0 && uint32_t(id) < vocab);
}

/// Runs code that may refuse its input.
template <typename Code>
static void guarded(const Code &code) {
  try {
    code();
  } catch (const RequestError &error) {
    check(error);
  }
}

static void readBody(char path, std::string_view body) {
  guarded([&] {
    switch (path) {
    case 'c':
      return check(parseCompletion(body, vocab));
    case 't':
      return void(parseTokenize(body));
    case 'd':
      for (int32_t id : parseDetokenize(body, vocab))
        require(id >= 0 && uint32_t(id) < vocab);
      return;
    default:
      return check(parseChat(body, vocab));
    }
  });
}

static void readHttp(std::string_view bytes, size_t cut) {
  RequestParser parser;
  setLimits(parser, 2048);
  parser.eager(true);
  boost::system::error_code error;
  // As from a socket: what the parser has not taken comes again with the rest.
  size_t taken = 0;
  for (size_t end : {cut, bytes.size()}) {
    while (taken < end && !parser.is_done()) {
      size_t used = parser.put(
          boost::asio::buffer(bytes.data() + taken, end - taken), error);
      taken += used;
      if (error == http::error::need_more)
        error = {};
      if (error)
        return check(parseFailure(error));
      if (used == 0)
        break;
    }
  }
  if (!parser.is_header_done())
    return;
  require(parser.get().body().size() <= 2048);
  OriginRules rules;
  rules.onlyLocalHosts = true;
  rules.allowed = {"https://a.example"};
  guarded([&] {
    std::string origin = checkOrigin(parser.get(), rules);
    require(origin.empty() || origin == rules.allowed.front());
  });
  if (parser.is_done())
    readBody('m', parser.get().body());
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char *>(data), size);
  if (size == 0)
    return 0;
  if (data[0] >= 'A' && data[0] <= 'Z')
    readHttp(bytes, data[size - 1] % size);
  else
    readBody(bytes[0], bytes.substr(1));
  return 0;
}
