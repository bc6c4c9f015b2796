//===- Generate.cpp - One answer to one prompt ----------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Answer.h"

#include <unistd.h>

namespace qcc::cli {

Answer generateAnswer(Program &program, const Options &options,
                      const std::vector<int32_t> &tokens) {
  struct State {
    Answer answer;
    PromptProgress progress;
    bool failed = false;
    Failure failure;
  } state;
  std::vector<const char *> stop;
  for (const std::string &text : options.stop)
    stop.push_back(text.c_str());

  qcc_generate_v1 request = {};
  request.struct_size = sizeof request;
  request.prompt = tokens.data();
  request.prompt_count = tokens.size();
  request.max_tokens = options.maxTokens;
  request.flags = options.special ? QCC_GENERATE_SPECIAL : 0;
  request.batch = options.batch;
  request.stop = stop.data();
  request.stop_count = stop.size();
  request.draft_max = options.draftMax;
  request.user = &state;
  request.on_token = [](void *user, const qcc_token_v1 *token) -> int32_t {
    State &state = *static_cast<State *>(user);
    std::string_view text(token->text, token->bytes);
    state.answer.text += text;
    try {
      if (!text.empty())
        print(text);
    } catch (const Failure &failure) {
      // Exceptions must not pass through the runtime.
      state.failure = failure;
      state.failed = true;
    }
    return state.failed;
  };
  request.on_progress = [](void *user, size_t done, size_t total) -> int32_t {
    static_cast<State *>(user)->progress.update(done, total);
    return 0;
  };
  state.answer.numbers.struct_size = sizeof state.answer.numbers;
  qcc_status status;
  {
    CancelOnInterrupt cancel(program.session());
    status = qcc_generate(program.session(), &request, &state.answer.numbers);
  }
  if (state.failed)
    throw state.failure;
  state.answer.cancelled = status == QCC_E_CANCELLED;
  if (!state.answer.cancelled)
    program.check(status);
  return state.answer;
}

void noteSpeed(const Program &program, const Answer &answer) {
  const qcc_generated_v1 &n = answer.numbers;
  note("prompt: %llu tokens, %.2f s, %.1f tokens/s",
       static_cast<unsigned long long>(n.prompt_tokens), n.prompt_seconds,
       n.prompt_seconds > 0 ? double(n.prompt_tokens) / n.prompt_seconds : 0.0);
  // The first token comes from the prompt's step.
  double steps = n.tokens > 1 ? double(n.tokens - 1) : 0;
  note("answer: %llu tokens, %.2f s, %.1f tokens/s, %u threads",
       static_cast<unsigned long long>(n.tokens), n.generate_seconds,
       n.generate_seconds > 0 ? steps / n.generate_seconds : 0.0,
       qcc_threads(program.session()));
  if (n.drafted)
    note("lookup: %llu tokens drafted, %llu accepted",
         static_cast<unsigned long long>(n.drafted),
         static_cast<unsigned long long>(n.accepted));
}

void noteSettings(const Program &program, const Options &options) {
  const qcc_sampling_v1 &s = options.sampling;
  const char *device = program.info().device;
  note("%s, target %s%s%s, context %u", program.info().name,
       program.info().target, device ? " on " : "", device ? device : "",
       qcc_context(program.session()));
  if (s.temperature <= 0)
    note("sampling: greedy");
  else
    note("sampling: repeat-penalty %g over %d, top-k %d, top-p %g, min-p %g, "
         "temp %g, seed %lld",
         double(s.repeat_penalty), s.repeat_last, s.top_k, double(s.top_p),
         double(s.min_p), double(s.temperature),
         static_cast<long long>(s.seed));
}

int runPrompt(Program &program, const Options &options) {
  std::vector<int32_t> tokens;
  if (options.raw || !program.info().has_chat_template) {
    const char *option = !options.system.empty()          ? "--system"
                         : !options.tools.empty()         ? "--tools"
                         : !options.chatVariables.empty() ? "--chat-variables"
                                                          : nullptr;
    if (option && options.raw)
      throw Failure{std::string(option) +
                        " needs the chat template that --raw leaves out",
                    2};
    if (option)
      throw Failure{std::string("this model has no chat template, which ") +
                        option + " needs",
                    2};
    tokens = program.tokenize(options.prompt,
                              QCC_TOKENIZE_SPECIAL | QCC_TOKENIZE_PARSE);
    if (tokens.empty())
      throw Failure{"the prompt is empty", 2};
  } else {
    std::vector<qcc_message_v1> messages;
    if (!options.system.empty())
      messages.push_back({"system", options.system.c_str()});
    messages.push_back({"user", options.prompt.c_str()});
    tokens = program.chatTokens(messages, options);
  }
  program.createSession(options);
  if (options.verbose)
    noteSettings(program, options);
  Answer answer = generateAnswer(program, options, tokens);
  if (!answer.text.empty() && answer.text.back() != '\n')
    print("\n");
  if (options.verbose)
    noteSpeed(program, answer);
  if (answer.numbers.stop == QCC_STOP_CONTEXT)
    note("note: stopped because the context of %u tokens is full",
         qcc_context(program.session()));
  return answer.cancelled ? interruptedCode : 0;
}

} // namespace qcc::cli
