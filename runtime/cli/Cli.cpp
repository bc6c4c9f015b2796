//===- Cli.cpp - Options and commands of a compiled model -----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Cli.h"

#include "Program.h"
#include "Suggest.h"

#include <CLI/CLI.hpp>

#include <cstring>
#include <unistd.h>

using namespace qcc::cli;

/// What llama.cpp's users write, whose -ngl is one to be spelled out first.
static const char *const gpuLayersOption = "--gpu-layers";

static void addGpuOption(CLI::App &app, Options &options) {
  app.add_option_function<std::string>(
         std::string(gpuLayersOption) + ",--n-gpu-layers",
         [&options](const std::string &text) {
           options.hasGpuLayers = true;
           if (text != "auto")
             options.gpuLayers = std::stoi(text);
         },
         "Layers to run on a GPU, the last of the model, also -ngl; 0 for "
         "none, auto for what it has memory for (default auto)")
      ->check([](const std::string &text) {
        bool number = !text.empty() && text.size() <= 9 &&
                      text.find_first_not_of("0123456789") == std::string::npos;
        return number || text == "auto"
                   ? std::string()
                   : "expected a number or auto, found `" + text + "`";
      })
      ->type_name("N|auto");
}

static void addModelOptions(CLI::App &app, Options &options) {
  addGpuOption(app, options);
  app.add_option("--threads,-t", options.threads,
                 "Threads (default: the physical cores)")
      ->check(CLI::Range(1, 512));
  app.add_option("--ctx,-c", options.context,
                 "Most tokens of a conversation (default: the model's)")
      ->check(CLI::Range(1, 1 << 30));
  app.add_option("--batch,-b", options.batch,
                 "Prompt tokens at a time; 1: as if they were generated")
      ->check(CLI::Range(1, 1 << 20));
  app.add_flag("--verbose,-v", options.verbose, "Show settings and speed");
}

/// --draft-max is llama.cpp's name of it.
static void addLookupOption(CLI::App &app, Options &options, const char *help) {
  app.add_option("--lookup,--draft-max", options.draftMax, help)
      ->check(CLI::Range(0, 1 << 20));
}

static void addGenerationOptions(CLI::App &app, Options &options) {
  qcc_sampling_v1 &s = options.sampling;
  app.add_option("-n,--predict", options.maxTokens,
                 "Most tokens to generate (-1: until the model ends)")
      ->check(CLI::Range(int64_t(-1), int64_t(1) << 40));
  app.add_option("--temp", s.temperature,
                 "Temperature; 0 is greedy (default 0.8)");
  app.add_option("--top-k", s.top_k,
                 "Keep the K most likely tokens; 0: all (default 40)");
  app.add_option("--top-p", s.top_p,
                 "Keep tokens up to this total probability (default 0.95)");
  app.add_option("--min-p", s.min_p,
                 "Drop tokens below this share of the best (default 0.05)");
  app.add_option("--repeat-penalty", s.repeat_penalty,
                 "Penalty of recent tokens; 1: none (default 1)");
  app.add_option("--repeat-last-n", s.repeat_last,
                 "Tokens that penalties look at; -1: all (default 64)");
  app.add_option("--frequency-penalty", s.frequency_penalty,
                 "Penalty for each occurrence (default 0)");
  app.add_option("--presence-penalty", s.presence_penalty,
                 "Penalty for having occurred (default 0)");
  app.add_option("--seed,-s", s.seed, "Seed of the draw; -1: random");
  app.add_flag("--greedy", options.greedy, "Always the most likely token");
  app.add_option("--system", options.system, "System message");
  app.add_option("--tools", options.tools,
                 "File with a JSON array of functions that the model may call; "
                 "-: stdin");
  app.add_option(
      "--chat-variables", options.chatVariables,
      "Variables of the chat template: {\"enable_thinking\": false}");
  app.add_option("--stop", options.stop,
                 "End the answer at this text (may be repeated)")
      ->expected(1)
      ->take_all();
  app.add_flag("--special", options.special,
               "Show control tokens in the answer");
  addLookupOption(app, options,
                  "Guess up to N tokens (of at most 15) from repetitions and "
                  "check them at once: the same answer, faster where it "
                  "repeats the context; 0: off (default)");
}

static void addServeOptions(CLI::App &app, ServeOptions &options) {
  app.add_option("--host", options.host, "Address to listen at")
      ->capture_default_str();
  app.add_option("--port", options.port, "Port; 0: any that is free")
      ->capture_default_str();
  app.add_option("--parallel,--np", options.parallel,
                 "Answers that are generated at once")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--queue", options.queue,
                 "Answers that may wait; half of them of one client")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--timeout", options.timeout, "Seconds of a request")
      ->check(CLI::Range(0.001, 1e9))
      ->capture_default_str();
  app.add_option("--drain", options.drain,
                 "Seconds that running answers get when the server is to end")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  app.add_option("--max-body", options.maxBodyMegabytes,
                 "Megabytes of a request")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--api-key-file", options.apiKeyFile,
                 "File of the keys that requests need, one in each line");
  app.add_option("--alias,-a", options.alias,
                 "The model's name for clients (default: its own)");
  app.add_option("--allow-origin", options.allowedOrigins,
                 "Web pages that may call: https://host, or * (may be "
                 "repeated)")
      ->expected(1)
      ->take_all();
}

namespace {

/// A command's name, function and whether it was given.
struct Command {
  CLI::App *app;
  int (*run)(Program &, const Options &);
};

} // namespace

static std::vector<Command> addCommands(CLI::App &app, Options &options) {
  std::vector<Command> commands;
  auto add = [&](const char *name, const char *help,
                 int (*run)(Program &, const Options &)) -> CLI::App & {
    CLI::App *command = app.add_subcommand(name, help);
    command->allow_extras();
    commands.push_back({command, run});
    return *command;
  };

  CLI::App &chat = add("chat", "Hold a conversation", runChat);
  addGenerationOptions(chat, options);
  addModelOptions(chat, options);

  CLI::App &serve =
      add("serve", "Answer OpenAI's API and a chat page over HTTP", runServe);
  addServeOptions(serve, options.serve);
  serve.add_option("--chat-variables", options.chatVariables,
                   "Variables of the chat template for requests without "
                   "chat_template_kwargs");
  addModelOptions(serve, options);

  CLI::App &info = add("info", "Show what was compiled", runInfo);
  info.add_flag("--json", options.json, "As JSON");
  addGpuOption(info, options);

  CLI::App &tokenize =
      add("tokenize", "Show the tokens of a text", runTokenize);
  tokenize.add_option("text", options.text, "The text")->required();
  tokenize.add_flag("--json", options.json, "As JSON");
  tokenize.add_flag("--no-special", options.noSpecial,
                    "Plain text: no bos, names of control tokens as text");

  CLI::App &logits =
      add("logits", "Write the logits of every position", runLogits);
  auto *ids = logits.add_option("--ids", options.ids, "Token ids: 1,2,3");
  auto *prompt = logits.add_option("--prompt,-p", options.text, "Text");
  ids->excludes(prompt);
  logits
      .add_option("-o,--output", options.output,
                  "NPY file, float32 [positions, vocabulary]; -: stdout")
      ->required();
  logits.add_option("--matmul-inputs", options.matmulInputs,
                    "Also what enters each matmul: a new folder of WEIGHT.npy, "
                    "float32 [positions, in features] (target reference)");
  addModelOptions(logits, options);

  CLI::App &perplexity =
      add("perplexity", "Measure perplexity on a text", runPerplexity);
  perplexity.add_option("file", options.file, "Text file; -: stdin");
  perplexity.add_option("--chunks", options.chunks, "Chunks (default: all)");
  // The chunk's length, as in llama-perplexity; not the session's context.
  perplexity.add_option("--ctx,-c", options.chunkContext,
                        "Tokens of a chunk (default 512)");
  perplexity.add_option("--save-base", options.saveBase,
                        "Write log-probabilities for --kl-base");
  perplexity.add_option("--kl-base", options.klBase,
                        "Compare with such a file: KL divergence");
  perplexity.add_option("--threads,-t", options.threads, "Threads")
      ->check(CLI::Range(1, 512));
  perplexity.add_option("--batch,-b", options.batch, "Tokens at a time")
      ->check(CLI::Range(1, 1 << 20));
  perplexity.add_flag("--json", options.json, "As JSON");
  addGpuOption(perplexity, options);

  CLI::App &bench = add("bench", "Measure speed", runBench);
  bench
      .add_option("-p,--prompt", options.benchPrompt,
                  "Tokens of the prompt; 0: none (default 512)")
      ->check(CLI::Range(0, 1 << 24));
  bench
      .add_option("-n,--predict", options.benchGenerate,
                  "Tokens to generate; 0: none (default 128)")
      ->check(CLI::Range(0, 1 << 24));
  bench
      .add_option("-d,--depth", options.benchDepth,
                  "Tokens that are in the context before (default 0); rates "
                  "count the state of all, also where layers look less far")
      ->check(CLI::Range(0, 1 << 24));
  bench
      .add_option("--parallel", options.benchParallel,
                  "Sequences that generate in the same steps; rates count the "
                  "tokens of all (default 1)")
      ->check(CLI::Range(1, 16));
  bench
      .add_option("-r,--repeat", options.benchRepeat, "Repetitions (default 5)")
      ->check(CLI::Range(1, 10000));
  bench.add_option("-f,--file", options.file,
                   "Text of the prompt, in place of -p arbitrary tokens");
  addLookupOption(bench, options,
                  "Also the speed of a greedy answer to the prompt, without "
                  "and with guesses of up to N tokens");
  bench.add_flag("--profile", options.profile,
                 "Also where the time goes, stage by stage");
  bench.add_flag("--json", options.json, "As JSON");
  addModelOptions(bench, options);
  return commands;
}

/// Throws for an argument that no option or command takes.
static void rejectExtras(const CLI::App &app, bool isRoot) {
  for (const std::string &extra : app.remaining()) {
    if (extra == "--")
      continue;
    if (extra.size() < 2 || extra[0] != '-')
      throw Failure{
          format("unexpected argument `%s`%s", extra.c_str(),
                 isRoot ? "; put a prompt of several words in quotes" : ""),
          2};
    std::vector<std::string> known;
    for (const CLI::Option *option : app.get_options()) {
      for (const std::string &name : option->get_lnames())
        known.push_back("--" + name);
      for (const std::string &name : option->get_snames())
        known.push_back("-" + name);
    }
    std::string name = extra.substr(0, extra.find('='));
    std::string hint = nearest(name, known);
    throw Failure{format("unknown option `%s`%s%s%s", name.c_str(),
                         hint.empty() ? "; see --help" : "; did you mean `",
                         hint.c_str(), hint.empty() ? "" : "`?"),
                  2};
  }
}

/// Spells out -ngl, but not where it is the value of the option before it.
static void spellOut(std::vector<const char *> &arguments, const CLI::App &app,
                     const std::vector<Command> &commands) {
  auto needsValue = [](const CLI::App &app, const char *argument) {
    const CLI::Option *option = app.get_option_no_throw(argument);
    return option && option->get_items_expected_min() > 0;
  };
  for (size_t i = 1; i < arguments.size(); ++i) {
    if (strcmp(arguments[i], "--") == 0)
      return;
    if (strcmp(arguments[i], "-ngl") == 0)
      arguments[i] = gpuLayersOption;
    bool isFollowed = arguments[i][0] == '-' && needsValue(app, arguments[i]);
    for (const Command &command : commands)
      isFollowed |=
          arguments[i][0] == '-' && needsValue(*command.app, arguments[i]);
    i += isFollowed;
  }
}

/// An error of the template engine about what an option gave names the option.
static std::string withOption(const std::string &text) {
  static constexpr std::pair<std::string_view, const char *> given[] = {
      {"chat template: variables: ", "--chat-variables: "},
      {"chat template: tools: ", "--tools: "}};
  for (auto [name, option] : given)
    if (text.starts_with(name))
      return option + text.substr(name.size());
  return text;
}

/// CLI11's texts in this project's style.
static std::string errorText(const CLI::ParseError &error) {
  std::string text = error.what();
  while (!text.empty() && (text.back() == '.' || text.back() == '\n'))
    text.pop_back();
  if (size_t line = text.find('\n'); line != std::string::npos)
    text.resize(line);
  if (text.size() > 1 && isupper(uint8_t(text[0])) && islower(uint8_t(text[1])))
    text[0] = char(tolower(text[0]));
  return text;
}

static int runCommand(const qcc_api_v1 *api, const std::string &name, int argc,
                      char **argv) {
  Options options;
  bool version = false;
  CLI::App app("A language model compiled by qcc. Without a command it answers "
               "the prompt.");
  app.name(name);
  app.set_help_flag("--help,-h", "Show this help");
  app.allow_extras();
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  auto *prompt =
      app.add_option("prompt", options.prompt, "The prompt; -: from stdin");
  app.add_flag("--raw", options.raw,
               "Continue the prompt as it is, without the chat template");
  addGenerationOptions(app, options);
  addModelOptions(app, options);
  app.add_flag("--version", version, "Show the version");
  std::vector<Command> commands = addCommands(app, options);

  std::vector<const char *> arguments(argv, argv + argc);
  spellOut(arguments, app, commands);
  try {
    app.parse(argc, arguments.data());
  } catch (const CLI::CallForHelp &) {
    print(app.help());
    return 0;
  } catch (const CLI::ParseError &error) {
    throw Failure{errorText(error), 2};
  }
  rejectExtras(app, true);
  int (*run)(Program &, const Options &) = nullptr;
  for (const Command &command : commands)
    if (command.app->parsed()) {
      rejectExtras(*command.app, false);
      run = command.run;
    }
  if (options.greedy)
    options.sampling.temperature = 0;
  if (!options.tools.empty())
    options.tools = readFile(options.tools);

  if (run == runLogits && options.ids.empty() && options.text.empty())
    throw Failure{"logits needs --ids or --prompt", 2};
  if (run == runPerplexity && options.file.empty() == options.klBase.empty())
    throw Failure{"perplexity needs a text file, or --kl-base alone", 2};
  if (!run && !version) {
    options.hasPrompt = prompt->count() > 0;
    if (options.hasPrompt && options.prompt != "-")
      run = runPrompt;
    else if (options.hasPrompt || !isatty(STDIN_FILENO)) {
      options.prompt = readFile("-");
      run = runPrompt;
    } else
      run = runChat;
  }

  options.textOnly = version || run == runTokenize;
  Program program(api, name, options);
  if (version) {
    printFormatted("%s (%s)\n", program.info().compiler, program.info().name);
    return 0;
  }
  return run(program, options);
}

int qcc_cli_main(const qcc_api_v1 *api, int argc, char **argv) {
  SignalScope signals;
  std::string name = argc > 0 && argv[0] ? argv[0] : "model";
  int code = 1;
  try {
    if (!api)
      throw Failure{"the model's interface is of another version"};
    code = runCommand(api, name, argc, argv);
  } catch (const Failure &failure) {
    code = failure.code;
    if (!failure.text.empty())
      note("error: %s", withOption(failure.text).c_str());
  } catch (const std::bad_alloc &) {
    note("error: out of memory");
  } catch (const std::exception &error) {
    note("error: %s", error.what());
  }
  return code;
}
