//===- Requests.cpp - What clients ask, as JSON ---------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Requests.h"

#include "Fields.h"

#include <charconv>

namespace qcc::serve {

/// Texts that go through an interface with NUL-terminated strings.
static const std::string &withoutNul(const std::string &text,
                                     const std::string &name) {
  if (text.find('\0') != std::string::npos)
    throw RequestError{400, name + " has a NUL character", name, ""};
  return text;
}

/// Refuses members that would change the answer. Those that do not (user,
/// store, metadata, service_tier, ...) are not looked at.
static void refuseUnsupported(const Fields &fields) {
  for (const char *name : {"tools",
                           "functions",
                           "grammar",
                           "json_schema",
                           "guided_json",
                           "guided_regex",
                           "guided_choice",
                           "guided_grammar",
                           "structured_outputs",
                           "audio",
                           "suffix",
                           "prediction",
                           "lora",
                           "logits_processors",
                           "web_search_options",
                           "stop_token_ids",
                           "min_tokens",
                           "mirostat",
                           "dry_multiplier",
                           "xtc_probability",
                           "bad_words",
                           "allowed_token_ids",
                           "prompt_logprobs"})
    if (const Json *value = fields.find(name))
      if (!value->empty() && *value != "" && *value != 0 && *value != false)
        throw RequestError{400, std::string(name) + " is not supported", name,
                           "unsupported_parameter"};
  if (const Json *format = fields.find("response_format")) {
    if (!format->is_object())
      refuse("response_format", kindOf(*format), "an object");
    std::string type = Fields(*format).text("type", "text");
    if (type != "text")
      throw RequestError{400,
                         "response_format is not supported: answers are text",
                         "response_format", "unsupported_parameter"};
  }
  if (const Json *modalities = fields.find("modalities"))
    if (*modalities != Json::array({"text"}))
      throw RequestError{400, "modalities other than text are not supported",
                         "modalities", "unsupported_parameter"};
  if (fields.flag("use_beam_search", false))
    throw RequestError{400, "use_beam_search is not supported",
                       "use_beam_search", "unsupported_parameter"};
}

static std::vector<std::string> parseStop(const Fields &fields) {
  std::vector<std::string> result;
  const Json *stop = fields.find("stop");
  if (!stop)
    return result;
  auto add = [&](const Json &text) {
    if (!text.is_string())
      refuse("stop", kindOf(text), "a string or an array of strings");
    const std::string &value = text.get_ref<const std::string &>();
    if (value.empty() || value.size() > maxStopBytes)
      throw RequestError{400,
                         "a stop text has " + std::to_string(value.size()) +
                             " bytes, expected 1 to " +
                             std::to_string(maxStopBytes),
                         "stop", ""};
    result.push_back(withoutNul(value, "stop"));
  };
  if (!stop->is_array()) {
    add(*stop);
    return result;
  }
  if (stop->size() > maxStopTexts)
    throw RequestError{400,
                       "stop has " + std::to_string(stop->size()) +
                           " texts, expected at most " +
                           std::to_string(maxStopTexts),
                       "stop", ""};
  for (const Json &text : *stop)
    add(text);
  return result;
}

/// {"token id": bias}, or llama-server's [[token id, bias]].
static std::vector<std::pair<int32_t, float>> parseBias(const Fields &fields,
                                                        uint32_t vocab) {
  std::vector<std::pair<int32_t, float>> result;
  const Json *given = fields.find("logit_bias");
  if (!given)
    return result;
  if (!given->is_object() && !given->is_array())
    refuse("logit_bias", kindOf(*given), "an object");
  if (given->size() > maxBiases)
    throw RequestError{400,
                       "logit_bias has more than " + std::to_string(maxBiases) +
                           " members",
                       "logit_bias", ""};
  auto add = [&](int32_t token, const Json &bias) {
    if (!bias.is_number() || !(bias.get<double>() >= -1000) ||
        !(bias.get<double>() <= 1000))
      refuse("logit_bias", kindOf(bias), "numbers from -1000 to 1000");
    result.emplace_back(token, bias.get<float>());
  };
  if (given->is_array()) {
    for (const Json &pair : *given) {
      if (!pair.is_array() || pair.size() != 2)
        refuse("logit_bias", kindOf(pair), "pairs of a token id and a number");
      add(tokenId(pair[0], "logit_bias", vocab), pair[1]);
    }
    return result;
  }
  for (const auto &[key, bias] : given->items()) {
    uint32_t token = 0;
    auto [end, error] =
        std::from_chars(key.data(), key.data() + key.size(), token);
    if (error != std::errc() || end != key.data() + key.size() ||
        token >= vocab)
      throw RequestError{400,
                         "logit_bias has a key that is no token id below " +
                             std::to_string(vocab),
                         "logit_bias", ""};
    add(int32_t(token), bias);
  }
  return result;
}

/// What both kinds of completions have.
static void parseCommon(const Fields &fields, uint32_t vocab,
                        int32_t defaultTokens, GenerateRequest &request) {
  refuseUnsupported(fields);
  JobSettings &job = request.settings;
  job.maxTokens = fields.integer("max_tokens", defaultTokens, -1, INT32_MAX);
  job.maxTokens =
      fields.integer("max_completion_tokens", job.maxTokens, -1, INT32_MAX);
  if (job.maxTokens == 0)
    refuse("max_tokens", "0", "1 or more, or -1");
  qcc_sampling_v1 &s = job.sampling;
  constexpr int32_t largest = 1 << 30;
  s.temperature = fields.number("temperature", s.temperature, 0, 100);
  s.top_p = fields.number("top_p", s.top_p, 0, 1);
  s.min_p = fields.number("min_p", s.min_p, 0, 1);
  s.top_k = int32_t(fields.integer("top_k", s.top_k, -1, largest));
  // vLLM's and Hugging Face's name for it, and llama-server's.
  s.repeat_penalty =
      fields.number("repetition_penalty", s.repeat_penalty, 0.01, 100);
  s.repeat_penalty =
      fields.number("repeat_penalty", s.repeat_penalty, 0.01, 100);
  s.repeat_last =
      int32_t(fields.integer("repeat_last_n", s.repeat_last, -1, largest));
  s.frequency_penalty =
      fields.number("frequency_penalty", s.frequency_penalty, -100, 100);
  s.presence_penalty =
      fields.number("presence_penalty", s.presence_penalty, -100, 100);
  s.seed = fields.integer("seed", s.seed, INT64_MIN, INT64_MAX);
  job.stop = parseStop(fields);
  job.bias = parseBias(fields, vocab);
  job.ignoreEnd = fields.flag("ignore_eos", false);
  request.choices = uint32_t(fields.integer("n", 1, 1, maxAnswers));
  if (fields.integer("best_of", request.choices, 1, maxAnswers) !=
      int64_t(request.choices))
    throw RequestError{400, "best_of is not supported, except if it is n",
                       "best_of", "unsupported_parameter"};
  request.stream = fields.flag("stream", false);
  if (const Json *options = fields.find("stream_options")) {
    if (!options->is_object())
      refuse("stream_options", kindOf(*options), "an object");
    request.includeUsage = Fields(*options).flag("include_usage", false);
  }
}

/// The text of a message: a string, or parts that are texts.
static std::string parseContent(const Json &message, const std::string &name) {
  auto content = message.find("content");
  if (content == message.end() || content->is_null())
    throw RequestError{400, name + " has no content", "messages", ""};
  if (content->is_string())
    return withoutNul(content->get_ref<const std::string &>(), name);
  if (!content->is_array())
    refuse(name + ".content", kindOf(*content), "a string or an array");
  std::string text;
  for (const Json &part : *content) {
    if (!part.is_object())
      refuse(name + ".content", "an array with " + kindOf(part),
             "an array of objects");
    std::string type = Fields(part).text("type", "text");
    if (type != "text")
      throw RequestError{400,
                         name + " has content that is not supported: parts "
                                "of type text are",
                         "messages", "unsupported_parameter"};
    text += Fields(part).text("text", "");
  }
  return withoutNul(text, name);
}

GenerateRequest parseChat(std::string_view body, uint32_t vocab) {
  Json root = parseObject(body);
  Fields fields(root);
  GenerateRequest request;
  request.chat = true;
  parseCommon(fields, vocab, -1, request);
  bool logprobs = fields.flag("logprobs", false);
  auto top = int(fields.integer("top_logprobs", 0, 0, maxTopLogprobs));
  if (top && !logprobs)
    throw RequestError{400, "top_logprobs needs logprobs to be true",
                       "top_logprobs", ""};
  request.settings.topLogprobs = logprobs ? top : -1;
  if (const Json *variables = fields.find("chat_template_kwargs")) {
    if (!variables->is_object())
      refuse("chat_template_kwargs", kindOf(*variables), "an object");
    // They would take the place of those that are checked below.
    if (variables->contains("messages"))
      throw RequestError{400, "chat_template_kwargs has messages",
                         "chat_template_kwargs", ""};
    request.templateVariables = variables->dump();
  }
  const Json *messages = fields.find("messages");
  if (!messages)
    throw RequestError{400, "messages is missing", "messages", ""};
  if (!messages->is_array() || messages->empty())
    refuse("messages",
           messages->is_array() ? "an empty array" : kindOf(*messages),
           "an array of messages");
  for (size_t i = 0; i < messages->size(); ++i) {
    std::string name = "messages[" + std::to_string(i) + "]";
    const Json &message = (*messages)[i];
    if (!message.is_object())
      refuse(name, kindOf(message), "an object");
    for (const char *call : {"tool_calls", "function_call", "tool_call_id"})
      if (Fields(message).find(call))
        throw RequestError{400,
                           name + " has " + call + ", which is not supported",
                           "messages", "unsupported_parameter"};
    std::string role = Fields(message).text("role", "");
    if (role.empty())
      throw RequestError{400, name + " has no role", "messages", ""};
    // OpenAI's new name of the role that templates know as "system".
    if (role == "developer")
      role = "system";
    request.messages.push_back(
        {withoutNul(role, name), parseContent(message, name)});
  }
  return request;
}

/// A string, an array of strings, token ids, or an array of such arrays.
static std::vector<Prompt> parsePrompts(const Json &prompt, uint32_t vocab) {
  if (prompt.is_string())
    return {prompt.get<std::string>()};
  if (!prompt.is_array() || prompt.empty())
    refuse("prompt", prompt.is_array() ? "an empty array" : kindOf(prompt),
           "a string, token ids or an array of these");
  auto ids = [&](const Json &array) {
    std::vector<int32_t> result;
    for (const Json &id : array)
      result.push_back(tokenId(id, "prompt", vocab));
    return result;
  };
  if (prompt.front().is_number())
    return {ids(prompt)};
  std::vector<Prompt> result;
  for (const Json &one : prompt) {
    if (one.is_string())
      result.emplace_back(one.get<std::string>());
    else if (one.is_array())
      result.emplace_back(ids(one));
    else
      refuse("prompt", "an array with " + kindOf(one),
             "strings or arrays of token ids");
  }
  return result;
}

GenerateRequest parseCompletion(std::string_view body, uint32_t vocab) {
  Json root = parseObject(body);
  Fields fields(root);
  GenerateRequest request;
  request.chat = false;
  parseCommon(fields, vocab, 16, request);
  request.settings.topLogprobs =
      int(fields.integer("logprobs", -1, 0, maxTopLogprobs));
  request.echo = fields.flag("echo", false);
  if (request.echo && request.settings.topLogprobs >= 0)
    throw RequestError{400, "logprobs of the prompt (echo) are not supported",
                       "echo", "unsupported_parameter"};
  const Json *prompt = fields.find("prompt");
  if (!prompt)
    throw RequestError{400, "prompt is missing", "prompt", ""};
  request.prompts = parsePrompts(*prompt, vocab);
  if (request.prompts.size() * request.choices > maxAnswers)
    throw RequestError{
        400,
        "prompt and n ask for " +
            std::to_string(request.prompts.size() * request.choices) +
            " answers, expected at most " + std::to_string(maxAnswers),
        "n", ""};
  return request;
}

TokenizeRequest parseTokenize(std::string_view body) {
  Json root = parseObject(body);
  Fields fields(root);
  TokenizeRequest request;
  // llama-server's names, or vLLM's.
  bool likeVllm = !fields.find("content");
  if (likeVllm && !fields.find("prompt"))
    throw RequestError{400, "content is missing", "content", ""};
  request.text = fields.text(likeVllm ? "prompt" : "content", "");
  request.addSpecial = likeVllm ? fields.flag("add_special_tokens", true)
                                : fields.flag("add_special", false);
  request.parseSpecial = fields.flag("parse_special", true);
  request.withPieces = fields.flag("with_pieces", false);
  return request;
}

std::vector<int32_t> parseDetokenize(std::string_view body, uint32_t vocab) {
  Json root = parseObject(body);
  const Json *tokens = Fields(root).find("tokens");
  if (!tokens)
    throw RequestError{400, "tokens is missing", "tokens", ""};
  if (!tokens->is_array())
    refuse("tokens", kindOf(*tokens), "an array of token ids");
  std::vector<int32_t> result;
  for (const Json &id : *tokens)
    result.push_back(tokenId(id, "tokens", vocab));
  return result;
}

} // namespace qcc::serve
