//===- Options.h - What the command line says -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CLI_OPTIONS_H
#define QCC_RUNTIME_CLI_OPTIONS_H

#include "qcc-rt/qcc.h"

#include <cstdint>
#include <string>
#include <vector>

namespace qcc::cli {

struct ServeOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;
  uint32_t parallel = 16;
  std::string apiKeyFile;
  std::string alias; // the model's name; empty: its own
  uint32_t queue = 512;
  double timeout = 600;
  uint32_t drain = 10; // seconds
  uint32_t maxBodyMegabytes = 8;
  std::vector<std::string> allowedOrigins;
};

struct Options {
  // Every command that runs the model.
  uint32_t threads = 0;
  uint32_t context = 0;
  uint32_t batch = 0;
  bool verbose = false;
  // Layers on a GPU; as the library has it by default.
  bool hasGpuLayers = false;
  int32_t gpuLayers = QCC_GPU_AUTO;
  bool textOnly = false; // no session will be created

  // Generation.
  std::string prompt;
  bool hasPrompt = false;
  bool raw = false;
  bool greedy = false;
  bool special = false;
  int64_t maxTokens = -1;
  qcc_sampling_v1 sampling = QCC_SAMPLING_INIT;
  std::string system;
  std::string tools;         // JSON, or empty
  std::string chatVariables; // JSON, or empty
  std::vector<std::string> stop;
  uint32_t draftMax = 0;

  bool json = false;

  // tokenize, logits
  std::string text;
  bool noSpecial = false;
  std::string ids;
  std::string output;
  std::string matmulInputs; // a folder to write; empty: none

  // perplexity
  std::string file;
  uint32_t chunks = 0; // 0: all
  uint32_t chunkContext = 512;
  std::string saveBase, klBase;

  // bench
  uint32_t benchPrompt = 512;
  uint32_t benchGenerate = 128;
  uint32_t benchDepth = 0;
  uint32_t benchParallel = 1; // sequences that generate in one step
  uint32_t benchRepeat = 5;

  ServeOptions serve;
  bool profile = false;
};

/// The commands. Each returns an exit code or throws Failure.
class Program;
int runPrompt(Program &program, const Options &options);
int runChat(Program &program, const Options &options);
int runInfo(Program &program, const Options &options);
int runTokenize(Program &program, const Options &options);
int runLogits(Program &program, const Options &options);
int runPerplexity(Program &program, const Options &options);
int runBench(Program &program, const Options &options);
int runServe(Program &program, const Options &options);

} // namespace qcc::cli

#endif // QCC_RUNTIME_CLI_OPTIONS_H
