//===- Api.cpp - What each path of the server does ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Api.h"

#include <ctime>

namespace qcc::serve {

Api::Api(const cli::Program &program, const Scheduler &scheduler,
         const ApiOptions &options)
    : program(program), scheduler(scheduler), options(options),
      started(int64_t(time(nullptr))) {}

static Reply jsonReply(const Json &json) {
  Reply reply;
  reply.body = toText(json);
  return reply;
}

Reply Api::errorReply(const RequestError &error) {
  Reply reply = jsonReply(errorJson(error));
  reply.status = error.status;
  if (error.status == 401)
    reply.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (error.status == 429)
    reply.headers.emplace_back("Retry-After", "1");
  return reply;
}

Reply Api::handle(const Call &call) const noexcept {
  try {
    try {
      return route(call);
    } catch (const RequestError &error) {
      return errorReply(error);
    } catch (const cli::Failure &failure) {
      return errorReply({400, failure.text, "", ""});
    } catch (const std::exception &error) {
      return errorReply({500, error.what(), "", ""});
    }
  } catch (...) { // not even the memory for an error
    Reply reply;
    reply.status = 500;
    return reply;
  }
}

/// Equal, in a time that does not tell where they differ.
static bool sameKey(std::string_view a, std::string_view b) {
  unsigned char difference = a.size() != b.size();
  for (size_t i = 0; i < a.size(); ++i)
    difference |=
        static_cast<unsigned char>(a[i] ^ (b.empty() ? '\0' : b[i % b.size()]));
  return difference == 0;
}

/// A target without query and slashes at its end.
static std::string_view pathOf(std::string_view target) {
  std::string_view path = target.substr(0, target.find('?'));
  while (path.size() > 1 && path.back() == '/')
    path.remove_suffix(1);
  return path;
}

static bool isPage(std::string_view path) {
  return path == "/" || path == "/index.html";
}

static bool isHealth(std::string_view path) {
  return path == "/health" || path == "/v1/health";
}

void Api::authorize(std::string_view target, std::string_view given) const {
  std::string_view path = pathOf(target);
  if (options.keys.empty() || isPage(path) || isHealth(path))
    return;
  constexpr std::string_view scheme = "Bearer ";
  bool found = false;
  if (given.substr(0, scheme.size()) == scheme) {
    given.remove_prefix(scheme.size());
    for (const std::string &key : options.keys)
      found |= sameKey(given, key);
  }
  if (!found)
    throw RequestError{401,
                       "the API key is missing or wrong; expected the header "
                       "Authorization: Bearer KEY",
                       "", "invalid_api_key"};
}

Reply Api::route(const Call &call) const {
  std::string path(pathOf(call.target));
  auto method = [&](const char *expected) {
    bool matches = call.method == expected ||
                   (call.method == "HEAD" && expected == std::string("GET"));
    if (!matches)
      throw RequestError{405, path + " takes " + expected, "",
                         "method_not_allowed"};
  };
  if (isPage(path)) {
    method("GET");
    Reply reply;
    reply.contentType = "text/html; charset=utf-8";
    reply.body = page;
    reply.headers.emplace_back(
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; script-src "
        "'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action "
        "'none'; frame-ancestors 'none'");
    return reply;
  }
  if (isHealth(path)) {
    method("GET");
    return jsonReply({{"status", "ok"}});
  }
  if (path == "/metrics") {
    method("GET");
    Reply reply;
    reply.contentType = "text/plain; version=0.0.4; charset=utf-8";
    reply.body = prometheusText(scheduler.counters(), options.model);
    return reply;
  }
  constexpr std::string_view models = "/v1/models";
  if (path == models || path == "/models") {
    method("GET");
    return listModels("");
  }
  if (path.starts_with(std::string(models) + "/")) {
    method("GET");
    return listModels(path.substr(models.size() + 1));
  }
  uint32_t vocab = program.info().vocab;
  if (path == "/v1/chat/completions" || path == "/chat/completions") {
    method("POST");
    return complete(call, parseChat(call.body, vocab));
  }
  if (path == "/v1/completions" || path == "/completions") {
    method("POST");
    return complete(call, parseCompletion(call.body, vocab));
  }
  if (path == "/tokenize") {
    method("POST");
    return tokenize(call.body);
  }
  if (path == "/detokenize") {
    method("POST");
    return detokenize(call.body);
  }
  throw RequestError{404, "no such path; see docs/Serving.md", "", "not_found"};
}

/// All models, or the one with this name, which may be percent-encoded.
Reply Api::listModels(const std::string &name) const {
  const qcc_model_info_v1 &info = program.info();
  Json model = {{"id", options.model},
                {"object", "model"},
                {"created", started},
                {"owned_by", "qcc"},
                {"max_model_len", scheduler.context()},
                {"meta",
                 {{"name", info.name},
                  {"architecture", info.architecture},
                  {"target", info.target},
                  {"compiler", info.compiler},
                  {"n_vocab", info.vocab},
                  {"n_ctx_train", info.context},
                  {"n_ctx", scheduler.context()},
                  {"n_embd", info.hidden},
                  {"n_params", info.parameters},
                  {"size", info.weight_bytes}}}};
  if (name.empty())
    return jsonReply({{"object", "list"}, {"data", Json::array({model})}});
  std::string decoded;
  for (size_t i = 0; i < name.size(); ++i) {
    auto hex = [](char c) {
      return c >= '0' && c <= '9'   ? c - '0'
             : c >= 'a' && c <= 'f' ? c - 'a' + 10
             : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                    : -1;
    };
    if (name[i] == '%' && i + 2 < name.size() && hex(name[i + 1]) >= 0 &&
        hex(name[i + 2]) >= 0) {
      decoded += char(hex(name[i + 1]) * 16 + hex(name[i + 2]));
      i += 2;
    } else {
      decoded += name[i];
    }
  }
  if (decoded != options.model)
    throw RequestError{404, "this server has the model " + options.model, "",
                       "model_not_found"};
  return jsonReply(model);
}

static constexpr size_t mostListedTokens = size_t(1) << 18;

Reply Api::tokenize(const std::string &body) const {
  TokenizeRequest request = parseTokenize(body);
  uint32_t flags = (request.addSpecial ? QCC_TOKENIZE_SPECIAL : 0) |
                   (request.parseSpecial ? QCC_TOKENIZE_PARSE : 0);
  std::vector<int32_t> tokens = program.tokenize(request.text, flags);
  // The reply takes far more memory than the text did.
  if (tokens.size() > mostListedTokens)
    throw RequestError{400,
                       cli::format("the text has %zu tokens, expected at most "
                                   "%zu",
                                   tokens.size(), mostListedTokens),
                       "content", ""};
  Json list = Json::array();
  for (int32_t token : tokens) {
    if (!request.withPieces) {
      list.push_back(token);
      continue;
    }
    std::string piece = program.piece(token);
    list.push_back({{"id", token}, {"piece", piece}});
  }
  return jsonReply({{"tokens", std::move(list)},
                    {"count", tokens.size()},
                    {"max_model_len", scheduler.context()}});
}

Reply Api::detokenize(const std::string &body) const {
  std::vector<int32_t> tokens = parseDetokenize(body, program.info().vocab);
  std::string text;
  size_t bytes = 0;
  qcc_status status = QCC_E_SPACE;
  while (status == QCC_E_SPACE) {
    text.resize(bytes);
    status = qcc_detokenize(program.model(), tokens.data(), tokens.size(), 0,
                            text.data(), text.size(), &bytes);
  }
  if (status != QCC_OK)
    throw RequestError{400, "cannot write these tokens as text", "tokens", ""};
  return jsonReply({{"content", text}, {"prompt", text}});
}

std::vector<int32_t> Api::promptTokens(const GenerateRequest &request,
                                       size_t prompt) const {
  if (request.chat) {
    std::vector<qcc_message_v1> messages;
    for (const ChatMessage &message : request.messages)
      messages.push_back({message.role.c_str(), message.content.c_str()});
    cli::Options variables;
    variables.chatVariables = request.templateVariables.empty()
                                  ? options.chatVariables
                                  : request.templateVariables;
    return program.chatTokens(messages, variables);
  }
  if (const auto *ids =
          std::get_if<std::vector<int32_t>>(&request.prompts[prompt]))
    return *ids;
  return program.tokenize(std::get<std::string>(request.prompts[prompt]),
                          QCC_TOKENIZE_SPECIAL | QCC_TOKENIZE_PARSE);
}

Reply Api::complete(const Call &call, GenerateRequest &&request) const {
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < (request.chat ? 1 : request.prompts.size()); ++i) {
    prompts.push_back(promptTokens(request, i));
    size_t tokens = prompts.back().size(), context = scheduler.context();
    if (tokens == 0)
      throw RequestError{400, "the prompt is empty", "prompt", ""};
    if (tokens >= context)
      throw RequestError{
          400,
          cli::format("the prompt has %zu tokens; with the answer it must fit "
                      "into the context of %zu",
                      tokens, context),
          request.chat ? "messages" : "prompt", "context_length_exceeded"};
  }
  Reply reply;
  reply.answer =
      std::make_unique<Answer>(program, options.model, request, prompts);
  double deadline = cli::now() + options.timeout;
  for (size_t i = 0; i < prompts.size(); ++i)
    for (uint32_t choice = 0; choice < request.choices; ++choice) {
      auto job = std::make_shared<Job>();
      job->settings = request.settings;
      // The choices of one seed differ, and the first is that of n = 1.
      if (request.settings.sampling.seed >= 0)
        job->settings.sampling.seed =
            int64_t((uint64_t(request.settings.sampling.seed) + choice) &
                    uint64_t(INT64_MAX));
      job->prompt = prompts[i];
      job->client = options.keys.empty() ? call.peer : call.authorization;
      job->deadline = deadline;
      reply.jobs.push_back(std::move(job));
    }
  return reply;
}

} // namespace qcc::serve
