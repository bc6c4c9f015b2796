//===- KernelBenchmark.cpp - Generated kernels beside the issue peak ------===//
// SPDX-License-Identifier: Apache-2.0
//
// For every ggml type that has an encoding, and for encodings of folders: the
// kernels of generating steps, for one row and for several, and that of prompt
// steps, on one core, with weights that stay in the L2 cache. Counters:
//
//   bytes    packed weights that are read, a second
//   MAC      products of weights and activations, a second
//   of_peak  MAC as a share of what the dot product instruction gave when this
//            process started
//===----------------------------------------------------------------------===//

#include "qcc/Formats/GGML.h"
#include "qcc/Formats/PackedLayout.h"
#include "qcc/Support/Peak.h"
#include "lib/KernelBench/CompiledKernel.h"

#include <benchmark/benchmark.h>

#include <cstdio>
#include <ctime>

using namespace qcc;
using namespace qcc::bench;

namespace {

/// Bytes of weights: half of the L2 cache of the smallest core of interest.
constexpr size_t kWeightBytes = 256 << 10;
constexpr size_t kColumns = 1024;
/// Rows of activations of a prompt: a multiple of every tile.
constexpr size_t kPromptRows = 48;
/// Rows of a generating step for several sequences.
constexpr size_t kBatchRows = 16;

/// Encodings of Hugging Face folders, with the groups that their tools make.
std::vector<std::pair<std::string, Encoding>> folderEncodings() {
  std::vector<std::pair<std::string, Encoding>> result;
  Encoding symmetric;
  symmetric.bits = 4;
  symmetric.zero = 8;
  symmetric.scale = ScalarType::F16;
  Encoding asymmetric = symmetric;
  asymmetric.zero = 1;
  asymmetric.zeroBits = 4;
  Encoding floats;
  floats.bits = 4;
  for (int i = 0; i < 16; ++i)
    floats.values.push_back(float(i - 8) / 8);
  floats.scale = ScalarType::F32;
  for (unsigned group : {32, 64, 128}) {
    std::string suffix = "_g" + std::to_string(group);
    symmetric.group = asymmetric.group = floats.group = group;
    result.push_back({"int4" + suffix, symmetric});
    result.push_back({"int4_zeros" + suffix, asymmetric});
    if (group == 64)
      result.push_back({"float4" + suffix, floats});
  }
  Encoding minifloat;
  minifloat.bits = 8;
  minifloat.minifloat = Minifloat::E4M3FN;
  minifloat.scale = ScalarType::F32;
  minifloat.group = 64;
  result.push_back({"fp8_g64", minifloat});
  return result;
}

struct Case {
  Encoding encoding;
  qz::Activations activations;
  bool prompt;
  size_t rows;
};

double issuePeak = 0;
const TargetSpec *target = nullptr;

double threadTime() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

void runCase(benchmark::State &state, const Case &which) {
  PackedLayout layout(which.encoding);
  size_t panels = kWeightBytes / layout.panelBytes(kColumns);
  CompiledKernel::Shape shape{panels * PackedLayout::kRows, kColumns,
                              which.rows};
  auto made = CompiledKernel::create(which.encoding, shape,
                                     {which.activations, which.prompt, target});
  if (!made) {
    state.SkipWithError(llvm::toString(made.takeError()).c_str());
    return;
  }
  CompiledKernel &kernel = **made;
  double start = threadTime();
  for (auto unused : state) {
    (void)unused;
    kernel.multiply();
    benchmark::ClobberMemory();
  }
  double seconds = threadTime() - start;
  auto perSecond = [&](size_t amount) {
    return benchmark::Counter(double(amount),
                              benchmark::Counter::kIsIterationInvariantRate);
  };
  state.counters["bytes"] = perSecond(kernel.weightBytes());
  state.counters["MAC"] = perSecond(kernel.macs());
  state.counters["of_peak"] =
      double(kernel.macs()) * double(state.iterations()) / seconds / issuePeak;
}

void registerCases() {
  std::vector<std::pair<std::string, Encoding>> encodings;
  for (const GGMLType &type : ggmlTypes())
    if (type.encoding)
      encodings.push_back({type.name, *type.encoding});
  for (auto &named : folderEncodings())
    encodings.push_back(named);
  for (const auto &[name, encoding] : encodings) {
    auto add = [&](const char *kernel, const char *activations, bool prompt,
                   size_t rows) {
      Case which{encoding, *qz::symbolizeActivations(activations), prompt,
                 rows};
      benchmark::RegisterBenchmark(
          (std::string(kernel) + "/" + name + "/" + activations).c_str(),
          [which](benchmark::State &state) { runCase(state, which); });
    };
    if (encoding.isFloat() || encoding.minifloat != Minifloat::None) {
      add("gemv", "f32", false, 1);
      add("gemm", "f32", true, kPromptRows);
      continue;
    }
    add("gemv", "a8", false, 1);
    add("gemv", "a16", false, 1);
    add("batch", "a16", false, kBatchRows);
    if (encoding.hasFloatCodes()) {
      add("gemm", "f32", true, kPromptRows);
      continue;
    }
    add("gemm", "a8", true, kPromptRows);
    add("gemm", "a8g16", true, kPromptRows);
  }
}

} // namespace

int main(int argc, char **argv) {
  benchmark::Initialize(&argc, argv);
  // What is left is the target: the machine's own unless named.
  if (argc > 2) {
    std::fprintf(stderr, "usage: %s [BENCHMARK OPTIONS] [TARGET]\n", argv[0]);
    return 2;
  }
  if (argc == 2) {
    target = findTarget(argv[1]);
  } else if (auto native = detectNativeTarget()) {
    target = *native;
  } else {
    llvm::consumeError(native.takeError());
  }
  if (!target || target->isReference()) {
    std::fprintf(stderr, "error: no x86 target %s\n",
                 argc == 2 ? argv[1] : "for this machine");
    return 2;
  }
  DotPeak peak = dotPeak(1);
  issuePeak = peak.macsPerSecond;
  benchmark::AddCustomContext("target", target->name);
  benchmark::AddCustomContext("peak", std::string(peak.instructions) + ", " +
                                          std::to_string(issuePeak * 1e-9) +
                                          " GMAC/s");
  registerCases();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
