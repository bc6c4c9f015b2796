//===- Bench.cpp - Speed, memory, and the share of the bandwidth ----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Bandwidth.h"
#include "BenchProfile.h"
#include "BenchSteps.h"
#include "Program.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace qcc::cli {

namespace {

/// Repeated measurements of one rate.
struct Rates {
  std::vector<double> values;
  double mean() const {
    double sum = 0;
    for (double value : values)
      sum += value;
    return values.empty() ? 0 : sum / double(values.size());
  }
  double deviation() const {
    if (values.size() < 2)
      return 0;
    double sum = 0;
    for (double value : values)
      sum += (value - mean()) * (value - mean());
    return std::sqrt(sum / double(values.size() - 1));
  }
};

} // namespace

/// Answers the prompt greedily on sequence 0.
static qcc_generated_v1 answerGreedily(Program &program,
                                       const std::vector<int32_t> &prompt,
                                       const Options &options,
                                       uint32_t draftMax) {
  qcc_session *session = program.session();
  program.check(qcc_reset(session, 0));
  qcc_sampling_v1 sampling = QCC_SAMPLING_INIT;
  sampling.temperature = 0;
  program.check(qcc_set_sampling(session, &sampling));
  qcc_generate_v1 request = {};
  request.struct_size = sizeof request;
  request.prompt = prompt.data();
  request.prompt_count = prompt.size();
  request.max_tokens = options.benchGenerate;
  request.flags = QCC_GENERATE_IGNORE_END;
  request.batch = options.batch;
  request.draft_max = draftMax;
  qcc_generated_v1 result = {};
  result.struct_size = sizeof result;
  program.check(qcc_generate(session, &request, &result));
  return result;
}

/// Tokens a second after the first one, which comes from the prompt's step.
static double speedOf(const qcc_generated_v1 &answer) {
  return double(answer.tokens - 1) / answer.generate_seconds;
}

/// The most resident memory since the start or forgetPeak(), in MiB.
static double peakMemory() {
  double peak = 0;
  if (FILE *status = fopen("/proc/self/status", "re")) {
    char line[256];
    while (fgets(line, sizeof line, status)) {
      unsigned long kilobytes;
      if (sscanf(line, "VmHWM: %lu kB", &kilobytes) == 1)
        peak = double(kilobytes) / 1024;
    }
    fclose(status);
  }
  return peak;
}

static void forgetPeak() {
  if (FILE *control = fopen("/proc/self/clear_refs", "we")) {
    fputs("5", control);
    fclose(control);
  }
}

int runBench(Program &program, const Options &options) {
  const qcc_model_info_v1 &info = program.info();
  std::vector<int32_t> prompt;
  uint32_t promptTokens = options.benchPrompt;
  if (!options.file.empty()) {
    prompt = program.tokenize(readFile(options.file),
                              QCC_TOKENIZE_SPECIAL | QCC_TOKENIZE_PARSE);
    promptTokens = uint32_t(prompt.size());
  }
  if (promptTokens == 0 && options.benchGenerate == 0)
    throw Failure{"bench needs -p or -n above 0", 2};
  if (options.draftMax && (promptTokens == 0 || options.benchGenerate < 2))
    throw Failure{"bench --lookup needs a prompt and -n above 1", 2};
  const uint32_t depth = options.benchDepth;
  if (options.draftMax && depth)
    throw Failure{"bench --lookup takes no --depth", 2};
  const uint32_t parallel = options.benchParallel;
  uint64_t longest =
      uint64_t(depth) + (options.draftMax
                             ? uint64_t(promptTokens) + options.benchGenerate
                             : std::max(promptTokens, options.benchGenerate));
  uint32_t context = options.context
                         ? options.context
                         : uint32_t(std::min<uint64_t>(longest, info.context));
  if (longest > context)
    throw Failure{format("%llu tokens do not fit into the context of %u",
                         static_cast<unsigned long long>(longest), context),
                  2};
  qcc_session *session = program.createSession(options, context, parallel);
  CancelOnInterrupt cancel(session);

  // Any tokens will do, but not equal ones; the same in each run.
  auto tokens = [&](uint32_t count) {
    std::vector<int32_t> ids(count);
    uint64_t state = 1;
    for (int32_t &id : ids) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      id = int32_t((state >> 33) % info.vocab);
    }
    if (info.add_bos && info.bos >= 0 && count)
      ids[0] = info.bos;
    return ids;
  };
  if (options.file.empty())
    prompt = tokens(promptTokens);
  std::vector<int32_t> answer = tokens(options.benchGenerate);
  BenchSteps steps(program, parallel);
  if (depth)
    steps.evalAll(tokens(depth), options.batch);
  // What was there before stays.
  auto rewind = [&] { steps.rewind(depth); };

  Rates prefill, decode, first, greedy, lookup;
  qcc_generated_v1 guessed = {};
  uint32_t threads = qcc_threads(session);
  double before = 0, after = 0, megabytes = 0;
  // Measured for a CPU; a GPU's is what it says to have at best.
  auto bandwidthNow = [&] {
    return info.device
               ? info.device_bandwidth
               : readBandwidth(info.weights, info.weight_bytes, threads);
  };
  for (uint32_t i = 0; i <= options.benchRepeat; ++i) {
    bool warm = i > 0; // the first round brings the weights in
    if (!prompt.empty()) {
      rewind();
      double seconds = steps.eval(prompt, options.batch);
      if (warm) {
        prefill.values.push_back(double(prompt.size()) / seconds);
        first.values.push_back(seconds);
      }
    }
    if (!answer.empty()) {
      rewind();
      double seconds = steps.generate(answer);
      if (warm)
        decode.values.push_back(double(answer.size()) * parallel / seconds);
    }
    if (options.draftMax) {
      qcc_generated_v1 plain = answerGreedily(program, prompt, options, 0);
      guessed = answerGreedily(program, prompt, options, options.draftMax);
      if (warm) {
        greedy.values.push_back(speedOf(plain));
        lookup.values.push_back(speedOf(guessed));
      }
    }
    // The memory of the bandwidth measurement is not the model's.
    megabytes = std::max(megabytes, peakMemory());
    if (i == 0) {
      before = bandwidthNow();
      forgetPeak();
    }
  }
  BenchProfile prefillTimes, decodeTimes;
  if (options.profile && !prompt.empty())
    prefillTimes = BenchProfile::of(program, [&] {
      for (uint32_t i = 0; i < options.benchRepeat; ++i) {
        rewind();
        steps.eval(prompt, options.batch);
      }
    });
  if (options.profile && !answer.empty()) {
    rewind();
    decodeTimes = BenchProfile::of(program, [&] { steps.generate(answer); });
  }
  after = bandwidthNow();
  double bandwidth = std::max(before, after);
  // A step reads the weights once for all sequences.
  double read =
      decode.mean() * (double(info.weight_bytes_per_token) / parallel +
                       double(depth * info.kv_bytes_per_token));
  double share = bandwidth > 0 ? read / bandwidth : 0;
  uint64_t onDevice = program.currentInfo().device_used_bytes;

  if (options.json) {
    printFormatted(
        "{\"model\": %s, \"target\": %s, \"threads\": %u, \"prompt\": %u, "
        "\"generate\": %u, \"depth\": %u, \"parallel\": %u, \"repeat\": %u, "
        "\"prefill_tokens_per_second\": %.6g, "
        "\"prefill_deviation\": %.6g, \"decode_tokens_per_second\": %.6g, "
        "\"decode_deviation\": %.6g, \"first_token_seconds\": %.6g, "
        "\"peak_rss_mib\": %.6g, \"read_bandwidth_gb_per_second\": %.6g, "
        "\"read_bandwidth_before\": %.6g, \"read_bandwidth_after\": %.6g, "
        "\"weight_bytes_per_token\": %llu, \"kv_bytes_per_token\": %llu, "
        "\"share_of_bandwidth\": %.6g",
        jsonString(info.name).c_str(), jsonString(info.target).c_str(), threads,
        promptTokens, options.benchGenerate, depth, parallel,
        options.benchRepeat, prefill.mean(), prefill.deviation(), decode.mean(),
        decode.deviation(), first.mean(), megabytes, bandwidth * 1e-9,
        before * 1e-9, after * 1e-9,
        static_cast<unsigned long long>(info.weight_bytes_per_token),
        static_cast<unsigned long long>(info.kv_bytes_per_token), share);
    if (options.draftMax)
      printFormatted(
          ", \"greedy_tokens_per_second\": %.6g, \"greedy_deviation\": %.6g, "
          "\"lookup_tokens_per_second\": %.6g, \"lookup_deviation\": %.6g, "
          "\"drafted\": %llu, \"accepted\": %llu",
          greedy.mean(), greedy.deviation(), lookup.mean(), lookup.deviation(),
          static_cast<unsigned long long>(guessed.drafted),
          static_cast<unsigned long long>(guessed.accepted));
    if (options.profile && !prompt.empty())
      printFormatted(", \"prefill_profile\": %s", prefillTimes.json().c_str());
    if (options.profile && !answer.empty())
      printFormatted(", \"decode_profile\": %s", decodeTimes.json().c_str());
    if (info.device)
      printFormatted(", \"device\": %s, \"device_used_bytes\": %llu",
                     jsonString(info.device).c_str(),
                     static_cast<unsigned long long>(onDevice));
    printFormatted("}\n");
    return 0;
  }
  if (info.device)
    printFormatted("%s, target %s, on %s\n", info.name, info.target,
                   info.device);
  else
    printFormatted("%s, target %s, %u threads\n", info.name, info.target,
                   threads);
  if (depth)
    printFormatted("depth    %6u tokens\n", depth);
  if (parallel > 1)
    printFormatted("parallel %6u sequences\n", parallel);
  if (!prompt.empty()) {
    printFormatted("prefill  %6u tokens  %9.1f +/- %.1f tokens/s\n",
                   promptTokens, prefill.mean(), prefill.deviation());
    printFormatted("first token after    %9.1f ms\n", first.mean() * 1e3);
  }
  if (!answer.empty())
    printFormatted("decode   %6u tokens  %9.1f +/- %.1f tokens/s\n",
                   options.benchGenerate, decode.mean(), decode.deviation());
  if (options.draftMax) {
    printFormatted("greedy   %6u tokens  %9.1f +/- %.1f tokens/s\n",
                   options.benchGenerate, greedy.mean(), greedy.deviation());
    printFormatted(
        "lookup   %6u tokens  %9.1f +/- %.1f tokens/s, %llu drafted, "
        "%llu accepted\n",
        options.benchGenerate, lookup.mean(), lookup.deviation(),
        static_cast<unsigned long long>(guessed.drafted),
        static_cast<unsigned long long>(guessed.accepted));
  }
  printFormatted("peak memory          %9.1f MiB\n", megabytes);
  if (info.device)
    printFormatted("device memory        %9.1f MiB\n"
                   "peak bandwidth       %9.1f GB/s\n",
                   double(onDevice) / (1 << 20), bandwidth * 1e-9);
  else
    printFormatted(
        "read bandwidth       %9.1f GB/s (before %.1f, after %.1f)\n",
        bandwidth * 1e-9, before * 1e-9, after * 1e-9);
  if (!answer.empty())
    printFormatted("decode reads weights%s at %.1f GB/s, %.0f %% of that\n",
                   depth ? " and state" : "", read * 1e-9, share * 100);
  if (options.profile && !prompt.empty())
    prefillTimes.print("prefill", uint64_t(options.benchRepeat) * prompt.size(),
                       bandwidth);
  if (options.profile && !answer.empty())
    decodeTimes.print("decode", answer.size(), bandwidth);
  return 0;
}

} // namespace qcc::cli
