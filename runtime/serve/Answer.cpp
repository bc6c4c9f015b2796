//===- Answer.cpp - Completions as JSON and as events ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Answer.h"

#include <algorithm>
#include <ctime>
#include <sys/random.h>

namespace qcc::serve {

std::string toText(const Json &json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string serverSentEvent(const Json &data) {
  return "data: " + toText(data) + "\n\n";
}

Json errorJson(const RequestError &error) {
  auto orNull = [](const std::string &text) {
    return text.empty() ? Json() : Json(text);
  };
  return {{"error",
           {{"message", error.message},
            {"type", error.type()},
            {"param", orNull(error.parameter)},
            {"code", orNull(error.code)}}}};
}

static std::string randomHex() {
  unsigned char bytes[12] = {};
  if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) != ssize_t(sizeof bytes)) {
    double time = cli::now();
    memcpy(bytes, &time, sizeof time);
  }
  std::string text;
  for (unsigned char byte : bytes)
    text += cli::format("%02x", byte);
  return text;
}

std::vector<std::string>
echoes(const cli::Program &program, const GenerateRequest &request,
       const std::vector<std::vector<int32_t>> &prompts, size_t most) {
  std::vector<std::string> result(prompts.size());
  size_t left = most / request.choices;
  for (size_t i = 0; request.echo && i < prompts.size(); ++i) {
    if (const auto *text = std::get_if<std::string>(&request.prompts[i]))
      result[i] = *text;
    else
      for (int32_t token : prompts[i])
        result[i] += program.piece(token);
    if (result[i].size() > left)
      throw RequestError{400,
                         "echo of more than " + std::to_string(most) +
                             " bytes in all choices is not supported",
                         "echo", "unsupported_parameter"};
    left -= result[i].size();
  }
  return result;
}

Answer::Answer(const cli::Program &program, const std::string &model,
               const GenerateRequest &request,
               const std::vector<std::vector<int32_t>> &prompts)
    : program(program), model(model),
      id((request.chat ? "chatcmpl-" : "cmpl-") + randomHex()),
      created(int64_t(time(nullptr))), chat(request.chat),
      stream(request.stream), includeUsage(request.includeUsage),
      wantsLogprobs(request.settings.topLogprobs >= 0),
      parts(prompts.size() * request.choices),
      echo(echoes(program, request, prompts)), reusedTokens(prompts.size()),
      unfinished(parts.size()) {
  for (const std::vector<int32_t> &prompt : prompts)
    promptTokens.push_back(prompt.size());
  for (size_t i = 0; i < parts.size(); ++i)
    parts[i].prompt = i / request.choices;
}

Json Answer::object(bool chunk) const {
  const char *kind = !chat   ? "text_completion"
                     : chunk ? "chat.completion.chunk"
                             : "chat.completion";
  return {{"id", id},
          {"object", kind},
          {"created", created},
          {"model", model},
          {"system_fingerprint", program.info().compiler},
          {"choices", Json::array()}};
}

Json Answer::usage() const {
  uint64_t prompt = 0, reused = 0, tokens = 0;
  for (size_t n : promptTokens)
    prompt += n;
  for (size_t n : reusedTokens)
    reused += n;
  for (const Part &part : parts)
    tokens += part.tokens;
  return {{"prompt_tokens", prompt},
          {"completion_tokens", tokens},
          {"total_tokens", prompt + tokens},
          {"prompt_tokens_details", {{"cached_tokens", reused}}}};
}

Json Answer::chatLogprob(int32_t token, float logprob) const {
  std::string piece = program.piece(token);
  Json bytes = Json::array();
  for (char c : piece)
    bytes.push_back(uint8_t(c));
  return {{"token", piece}, {"logprob", logprob}, {"bytes", bytes}};
}

/// `offset`: characters of the choice's text before these tokens, then behind
/// them.
Json Answer::logprobs(const std::vector<TokenScore> &scores,
                      size_t &offset) const {
  if (!wantsLogprobs)
    return {};
  if (chat) {
    Json content = Json::array();
    for (const TokenScore &score : scores) {
      Json entry = chatLogprob(score.token, score.logprob);
      entry["top_logprobs"] = Json::array();
      for (const auto &[token, logprob] : score.top)
        entry["top_logprobs"].push_back(chatLogprob(token, logprob));
      content.push_back(std::move(entry));
    }
    return {{"content", std::move(content)}, {"refusal", nullptr}};
  }
  Json result = {{"tokens", Json::array()},
                 {"token_logprobs", Json::array()},
                 {"top_logprobs", Json::array()},
                 {"text_offset", Json::array()}};
  for (const TokenScore &score : scores) {
    std::string piece = program.piece(score.token);
    result["tokens"].push_back(piece);
    result["token_logprobs"].push_back(score.logprob);
    Json top = Json::object();
    for (const auto &[token, logprob] : score.top)
      top[program.piece(token)] = logprob;
    result["top_logprobs"].push_back(std::move(top));
    result["text_offset"].push_back(offset);
    // Continuation bytes are no characters.
    offset += size_t(std::count_if(piece.begin(), piece.end(), [](char c) {
      return (uint8_t(c) & 0xC0) != 0x80;
    }));
  }
  return result;
}

static const char *reasonText(Finish finish) {
  return finish == Finish::Length ? "length" : "stop";
}

RequestError Answer::failure(const Part &part) const {
  switch (part.finish) {
  case Finish::Timeout:
    return {408, "the request took longer than the server allows", "",
            "timeout"};
  case Finish::Cancelled:
    return {503, "the server is shutting down", "", "cancelled"};
  default:
    return {500, part.error, "", ""};
  }
}

std::string Answer::event(Json choice) const {
  Json chunk = object(true);
  chunk["choices"].push_back(std::move(choice));
  // As OpenAI does: the key is there in every chunk, if it is asked for.
  if (includeUsage)
    chunk["usage"] = nullptr;
  return serverSentEvent(chunk);
}

std::string Answer::opening() const {
  std::string events;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (chat)
      events += event({{"index", i},
                       {"delta", {{"role", "assistant"}, {"content", ""}}},
                       {"logprobs", nullptr},
                       {"finish_reason", nullptr}});
    else if (const std::string &text = echo[parts[i].prompt]; !text.empty())
      events += event({{"index", i},
                       {"text", text},
                       {"logprobs", nullptr},
                       {"finish_reason", nullptr}});
  }
  return events;
}

std::string Answer::add(size_t choice, Delta &&delta) {
  Part &part = parts[choice];
  std::string events;
  if (stream && (!delta.text.empty() || !delta.scores.empty())) {
    Json json = {{"index", choice},
                 {"logprobs", logprobs(delta.scores, part.characters)},
                 {"finish_reason", nullptr}};
    if (chat)
      json["delta"] = {{"content", delta.text}};
    else
      json["text"] = delta.text;
    events = event(std::move(json));
  }
  if (!stream) {
    part.text += delta.text;
    std::move(delta.scores.begin(), delta.scores.end(),
              std::back_inserter(part.scores));
  }
  if (!delta.last)
    return events;
  part.finish = delta.finish;
  part.error = delta.error;
  part.tokens = delta.tokens;
  reusedTokens[part.prompt] =
      std::max(reusedTokens[part.prompt], delta.reusedTokens);
  --unfinished;
  if (!stream)
    return events;
  if (part.finish != Finish::Stop && part.finish != Finish::Length)
    return events + serverSentEvent(errorJson(failure(part)));
  Json json = {{"index", choice},
               {"logprobs", nullptr},
               {"finish_reason", reasonText(part.finish)}};
  if (chat)
    json["delta"] = Json::object();
  else
    json["text"] = "";
  return events + event(std::move(json));
}

std::string Answer::closing() const {
  std::string events;
  if (includeUsage) {
    Json chunk = object(true);
    chunk["usage"] = usage();
    events = serverSentEvent(chunk);
  }
  return events + "data: [DONE]\n\n";
}

std::string Answer::whole() const {
  Json result = object(false);
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part &part = parts[i];
    if (part.finish != Finish::Stop && part.finish != Finish::Length)
      throw failure(part);
    size_t offset = 0;
    Json choice = {{"index", i},
                   {"logprobs", logprobs(part.scores, offset)},
                   {"finish_reason", reasonText(part.finish)}};
    if (chat)
      choice["message"] = {
          {"role", "assistant"}, {"content", part.text}, {"refusal", nullptr}};
    else
      choice["text"] = echo[part.prompt] + part.text;
    result["choices"].push_back(std::move(choice));
  }
  result["usage"] = usage();
  return toText(result);
}

} // namespace qcc::serve
