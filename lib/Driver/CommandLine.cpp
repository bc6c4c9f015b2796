//===- CommandLine.cpp - The commands of qcc ------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The parser throws; this file is the only one built with exceptions, and none
// leave it.
//===----------------------------------------------------------------------===//

#include "qcc/Driver/CommandLine.h"

#include "qcc/Checkpoint/Checkpoint.h"
#include "qcc/Checkpoint/Describe.h"
#include "qcc/Driver/Compiler.h"
#include "qcc/Driver/Registry.h"
#include "qcc/Driver/Verify.h"
#include "qcc/Formats/Quantize.h"
#include "qcc/KernelBench/KernelBench.h"

#include "cli/Cli.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/raw_ostream.h"

#include <CLI/CLI.hpp>
#include <unistd.h>

using namespace qcc;

namespace {
enum ExitCode { Success = 0, Failure = 1, Usage = 2 };
} // namespace

static int fail(llvm::StringRef message, ExitCode code = Failure) {
  llvm::errs() << "qcc: error: " << message << '\n';
  return code;
}

static int fail(llvm::Error error) {
  return fail(llvm::toString(std::move(error)));
}

static const char kCommands[] = R"(Commands:
  qcc MODEL -o OUT           compile: an executable, or a library if OUT ends in .so
  qcc run LIBRARY ARGS...    use a compiled library as if it were an executable
  qcc serve LIBRARY ARGS...  the same as qcc run LIBRARY serve ARGS...
  qcc inspect MODEL          show what a checkpoint holds
  qcc verify MODEL           compare a target with the reference, layer by layer
  qcc bench-kernel FORMAT MxNxK
                             measure one matmul alone, also beside others'

'qcc COMMAND --help' says more.)";

/// Parses; a misspelled option is an error that names the likely one. Returns
/// true to go on, else the program ends with `code`.
static bool parse(CLI::App &app, llvm::ArrayRef<char *> arguments, int &code) {
  // The parser wants the last argument first.
  std::vector<std::string> words(arguments.rbegin(), arguments.rend());
  app.allow_extras();
  try {
    app.parse(words);
  } catch (const CLI::Success &exit) {
    app.exit(exit);
    code = Success;
    return false;
  } catch (const CLI::ParseError &error) {
    std::string text = error.what();
    code = fail(text.substr(0, text.find('\n')) + " (see " + app.get_name() +
                    " --help)",
                Usage);
    return false;
  }
  std::vector<std::string> extras = app.remaining();
  if (extras.empty())
    return true;
  llvm::SmallVector<std::string> names;
  for (const CLI::Option *option : app.get_options())
    for (const std::string &name : option->get_lnames())
      names.push_back("--" + name);
  llvm::SmallVector<llvm::StringRef> known(names.begin(), names.end());
  llvm::StringRef word = extras.front();
  std::string hint;
  if (word.starts_with("-"))
    hint = closestWord(word.split('=').first, known);
  else if (app.get_name() == "qcc")
    hint = closestWord(arguments.front(),
                       {"run", "serve", "inspect", "verify", "bench-kernel"});
  code = fail(
      (word.starts_with("-") ? "unknown option '" : "unexpected argument '") +
          word.str() + "'" +
          (hint.empty() ? "" : "; did you mean '" + hint + "'?") + " (see " +
          app.get_name() + " --help)",
      Usage);
  return false;
}

/// Options that compile and verify share.
static void addTargetOptions(CLI::App &app, CompileOptions &options,
                             std::string &targets) {
  app.add_option("--target", targets,
                 "What to make code for: one or several, separated by commas "
                 "(default: native)");
  app.add_option("--activations", options.activations,
                 "How activations enter matmuls (default: chosen for each "
                 "matmul and target)")
      ->check(CLI::IsMember({"a8", "a8g16", "a16", "f16", "f32"}));
  app.add_option("--kv", options.kv,
                 "Type of keys and values (default: f16; f32 with "
                 "--activations=f32); q8: 8 bits and a scale for each 32")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8"}));
  std::vector<std::string> roundings;
  for (const QuantizationType &type : quantizationTypes())
    roundings.push_back(type.name);
  app.add_option("--quantize", options.quantize,
                 "Round the matrices of a float checkpoint to a type of fewer "
                 "bits, embedding and head to one that is finer (default: all "
                 "weights stay as they are)")
      ->check(CLI::IsMember(roundings));
  app.add_option("--context", options.context,
                 "Most positions of a conversation (default: the model's own)")
      ->check(CLI::Range(1u, 1u << 30));
}

/// The one target that `name` says, of `kind` ("target") for messages and for
/// which `fits` holds.
static llvm::Expected<const TargetSpec *>
parseOneTarget(const std::string &name, llvm::StringRef kind,
               bool (*fits)(const TargetSpec &)) {
  auto parsed = parseTargets(name);
  if (!parsed)
    return parsed.takeError();
  if (parsed->size() != 1 || !fits(*parsed->front()))
    return llvm::createStringError("expected one " + kind + ", got '" + name +
                                   "'");
  return parsed->front();
}

static void listTargets() {
  for (const TargetSpec &target : targetTable())
    llvm::outs() << llvm::left_justify(target.name, 16) << target.summary
                 << '\n';
  llvm::outs() << llvm::left_justify("native", 16);
  if (auto native = detectNativeTarget())
    llvm::outs() << "this machine: " << (*native)->name << '\n';
  else
    llvm::outs() << "none: " << llvm::toString(native.takeError()) << '\n';
}

/// Draws "packing weights 45 %" on a terminal.
static std::function<void(uint64_t, uint64_t)> terminalProgress() {
  if (!isatty(STDERR_FILENO))
    return {};
  return [shown = -1](uint64_t done, uint64_t total) mutable {
    int percent = total ? int(done * 100 / total) : 100;
    if (percent == shown)
      return;
    shown = percent;
    llvm::errs() << "\rpacking weights " << percent << " %";
    if (percent == 100)
      llvm::errs() << "\r\033[K";
  };
}

//===-- Commands ----------------------------------------------------------===//

static int runCompile(llvm::ArrayRef<char *> arguments) {
  CLI::App app("An ahead-of-time compiler for quantized language models: one "
               "file in, one file out.",
               "qcc");
  app.footer(kCommands);
  CompileOptions options;
  std::string targets, emit, weights = "embed", ptxas = "none";
  bool list = false;
  app.set_version_flag("--version", std::string("qcc ") + compilerVersion());
  app.add_option("MODEL", options.input,
                 "The checkpoint: a GGUF file or a Hugging Face folder");
  app.add_option("-o,--output", options.output,
                 "Where the result goes; the suffix .so makes a library");
  addTargetOptions(app, options, targets);
  app.add_flag("--list-targets", list, "List the targets");
  app.add_option("--weights", weights,
                 "Weights in the result, or in a file beside it")
      ->check(CLI::IsMember({"embed", "external"}));
  app.add_option("--ptxas", ptxas,
                 "NVIDIA's assembler, which adds machine code to the PTX of "
                 "GPUs' targets: its path, auto (from the PATH or a CUDA "
                 "toolkit) or none")
      ->capture_default_str();
  app.add_option("--emit", emit, "Write a stage instead of the model")
      ->check(CLI::IsMember({"import", "fused", "layout", "schedule", "llvm",
                             "asm", "ptx", "obj"}));
  app.add_option("--symbol-prefix", options.symbolPrefix,
                 "A library exports <prefix>_query");
  app.add_option("--print-ir-after", options.printAfter,
                 "Print the module after this pass (repeatable)")
      ->allow_extra_args(false);
  app.add_flag("--save-temps", options.saveTemps,
               "Keep every stage beside the result");
  app.add_flag("-v,--verbose", options.verbose, "Say what is done");
  app.add_flag("--time", options.time, "Print the time of each stage");
  int code;
  if (!parse(app, arguments, code))
    return code;
  if (list)
    return listTargets(), Success;
  if (options.input.empty())
    return fail("no model given (see qcc --help)", Usage);

  if (!targets.empty()) {
    auto parsed = parseTargets(targets);
    if (!parsed)
      return fail(llvm::toString(parsed.takeError()), Usage);
    options.targets = *parsed;
  }
  for (auto [name, kind] : {std::pair{"import", EmitKind::Import},
                            {"fused", EmitKind::Fused},
                            {"layout", EmitKind::Layout},
                            {"schedule", EmitKind::Schedule},
                            {"llvm", EmitKind::LLVM},
                            {"asm", EmitKind::Asm},
                            {"ptx", EmitKind::Ptx},
                            {"obj", EmitKind::Obj}})
    if (emit == name)
      options.emit = kind;
  if (options.output.empty()) {
    bool isText = !emit.empty() && options.emit != EmitKind::Obj;
    if (!isText)
      return fail("no output given: expected -o OUT", Usage);
    options.output = "-";
  }
  if (options.saveTemps && options.output == "-")
    return fail("--save-temps needs -o OUT", Usage);
  for (const std::string &pass : options.printAfter)
    if (!isPass(pass))
      return fail("unknown pass '" + pass + "' (qcc-opt --help lists all)",
                  Usage);
  options.externalWeights = weights == "external";
  options.ptxas = ptxas == "none" ? "" : ptxas;
  options.log = &llvm::errs();
  options.progress = terminalProgress();
  if (llvm::Error error = compile(options))
    return fail(std::move(error));
  return Success;
}

/// `command` is put in front of what the model gets, unless it is empty.
static int runLibrary(llvm::ArrayRef<char *> arguments, std::string command) {
  CLI::App app(command.empty()
                   ? "Use a compiled library as if it were an executable: "
                     "everything after LIBRARY is for the model."
                   : "Serve a compiled library over HTTP; qcc serve LIBRARY "
                     "--help shows the options.",
               command.empty() ? "qcc run" : "qcc serve");
  std::string library;
  app.add_option("LIBRARY", library, "What 'qcc MODEL -o NAME.so' made")
      ->required();
  // Options after the library are not ours, help included.
  int code;
  if (!parse(app, arguments.take_front(1), code))
    return code;
  // dlopen() looks for a bare name elsewhere.
  if (library.find('/') == std::string::npos)
    library = "./" + library;
  char why[QCC_ERROR_BYTES];
  const qcc_api_v1 *api = qcc_load(library.c_str(), nullptr, why, sizeof why);
  if (!api)
    return fail(why);
  std::string name = std::string("qcc run ") + arguments.front();
  std::vector<char *> forwarded(arguments.begin(), arguments.end());
  forwarded.front() = name.data();
  if (!command.empty())
    forwarded.insert(forwarded.begin() + 1, command.data());
  auto count = int(forwarded.size());
  forwarded.push_back(nullptr);
  return qcc_cli_main(api, count, forwarded.data());
}

static int runInspect(llvm::ArrayRef<char *> arguments) {
  CLI::App app("Show what a checkpoint holds: architecture, configuration, "
               "tokenizer, chat template, and every tensor.",
               "qcc inspect");
  std::string model;
  bool json = false;
  app.add_option("MODEL", model,
                 "The checkpoint: a GGUF file or a Hugging Face folder")
      ->required();
  app.add_flag("--json", json, "As JSON");
  int code;
  if (!parse(app, arguments, code))
    return code;
  Result<Checkpoint> checkpoint = openCheckpoint(model);
  if (!checkpoint)
    return fail(checkpoint.message());
  llvm::outs() << (json ? describeJson(*checkpoint)
                        : describeText(*checkpoint));
  return Success;
}

static int runVerify(llvm::ArrayRef<char *> arguments) {
  CLI::App app("Compile a model for a target and for the reference, run both "
               "on the same tokens and compare each layer and the logits.",
               "qcc verify");
  VerifyOptions options;
  std::string targets = "native";
  double bound = 0.02;
  app.add_option("MODEL", options.compile.input,
                 "The checkpoint: a GGUF file or a Hugging Face folder")
      ->required();
  addTargetOptions(app, options.compile, targets);
  app.add_option("--prompt", options.prompt, "The text to run");
  app.add_option("--threads", options.threads, "Threads to run with");
  app.add_option("--bound", bound,
                 "Largest mean KL divergence that passes, in nats")
      ->capture_default_str();
  int code;
  if (!parse(app, arguments, code))
    return code;
  auto target = parseOneTarget(targets, "target",
                               [](const TargetSpec &) { return true; });
  if (!target)
    return fail(llvm::toString(target.takeError()), Usage);
  options.compile.targets = {*target};
  options.compile.progress = terminalProgress();
  auto runs = verify(options);
  if (!runs)
    return fail(runs.takeError());
  llvm::outs() << options.compile.input << " for " << (*target)->name << '\n';
  printVerification(*runs, llvm::outs());
  for (const VerifyRun &run : *runs)
    if (!(run.meanKL <= bound)) {
      llvm::outs().flush();
      return fail("mean KL divergence of " + run.name + " is above " +
                  std::to_string(bound));
    }
  return Success;
}

static int runBenchKernel(llvm::ArrayRef<char *> arguments) {
  CLI::App app("Measure one matmul alone, on one thread and random data: time, "
               "share of what the machine can do, and error against the scalar "
               "meaning of the weights. Weights of 4 MB and more come from "
               "memory, as in a model; smaller ones stay in caches.",
               "qcc bench-kernel");
  KernelBenchOptions options;
  std::string targets = "native";
  bool json = false;
  app.add_option("FORMAT", options.format,
                 "A type of ggml or of --quantize, such as Q4_K or nf4")
      ->required();
  app.add_option("MxNxK", options.shape,
                 "M rows of activations of K elements, times N rows of weights")
      ->required();
  app.add_option("--target", targets, "What to make code for")
      ->capture_default_str();
  app.add_option("--activations", options.activations,
                 "How activations enter (default: as in a model, a16 for up to "
                 "16 rows and a8 for more)")
      ->check(CLI::IsMember({"a8", "a8g16", "a16", "f32"}));
  app.add_option(
      "--ggml", options.ggml,
      "libggml.so of a llama.cpp, which multiplies the same in turn");
  app.add_option("--bitsandbytes", options.bitsandbytes,
                 "libbitsandbytes_cpu.so of bitsandbytes, the same for nf4");
  app.add_option("-r,--rounds", options.rounds, "Measurements")
      ->check(CLI::Range(1u, 1000u))
      ->capture_default_str();
  app.add_flag("--json", json, "As JSON");
  int code;
  if (!parse(app, arguments, code))
    return code;
  auto target = parseOneTarget(
      targets, "target that is a CPU other than the reference",
      [](const TargetSpec &spec) { return spec.kind == TargetKind::X86; });
  if (!target)
    return fail(llvm::toString(target.takeError()), Usage);
  options.target = *target;
  auto report = benchKernel(options);
  if (!report)
    return fail(report.takeError());
  printKernelBench(*report, json, llvm::outs());
  return Success;
}

/// `code`, unless standard output could not take what was written to it. A
/// reader that has seen enough (`qcc inspect | head`) deserves no message.
static int finishOutput(int code) {
  llvm::outs().flush();
  std::error_code error = llvm::outs().error();
  if (!error)
    return code;
  llvm::outs().clear_error();
  if (error == std::errc::broken_pipe)
    return code == Success ? Failure : code;
  return fail("standard output: " + error.message());
}

static int runCommand(llvm::ArrayRef<char *> arguments) {
  if (arguments.empty())
    return fail("no model given (see qcc --help)", Usage);
  llvm::StringRef command = arguments.front();
  if (command == "run")
    return runLibrary(arguments.drop_front(), "");
  if (command == "serve")
    return runLibrary(arguments.drop_front(), "serve");
  if (command == "inspect")
    return runInspect(arguments.drop_front());
  if (command == "verify")
    return runVerify(arguments.drop_front());
  if (command == "bench-kernel")
    return runBenchKernel(arguments.drop_front());
  return runCompile(arguments);
}

int qcc::runCommandLine(int argc, char **argv) {
  return finishOutput(
      runCommand(llvm::ArrayRef<char *>(argv + 1, argv + std::max(argc, 1))));
}
