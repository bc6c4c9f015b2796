//===- GpuModelTest.cpp - Whole models by their launch programs -----------===//
// SPDX-License-Identifier: Apache-2.0
//
// Tiny models of several families (test/architectures), step after step in the
// emulator, next to the x86 build of the same module, which other tests compare
// with transformers.
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/Checkpoint.h"
#include "qcc/Checkpoint/Quantize.h"
#include "qcc/Import/Import.h"
#include "CompiledStep.h"
#include "Mutants.h"
#include "TestContext.h"
#include "Weights.h"

#include "mlir/IR/OwningOpRef.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

using namespace qcc;
using namespace qcc::test;

namespace {

class MemorySink : public WeightSink {
public:
  llvm::Error append(const void *data, uint64_t size) override {
    auto *from = static_cast<const uint8_t *>(data);
    bytes.insert(bytes.end(), from, from + size);
    return llvm::Error::success();
  }
  uint64_t size() const override { return bytes.size(); }
  std::vector<uint8_t> bytes;
};

/// A model that is compiled and loaded with its weights.
std::unique_ptr<CompiledStep> load(const Checkpoint &checkpoint,
                                   const StepOptions &options) {
  auto imported = importCheckpoint(testContext(), checkpoint, {});
  if (!imported)
    throw std::runtime_error(imported.message());
  mlir::OwningOpRef<mlir::ModuleOp> module = std::move(*imported);
  auto step = std::make_unique<CompiledStep>(*module, options);
  WeightRegion region(checkpoint);
  require(region.add(*module));
  MemorySink sink;
  require(region.stream(1).write(sink));
  step->setWeights(sink.bytes);
  return step;
}

Checkpoint openModel(const std::string &name) {
  auto opened = openCheckpoint(std::string(QCC_ARCHITECTURES) + "/" + name);
  if (!opened)
    throw std::runtime_error(opened.message());
  return std::move(*opened);
}

StepOptions forTarget(const char *target, const char *activations,
                      const char *kv) {
  StepOptions options;
  options.target = target;
  options.activations = activations;
  options.kv = kv;
  return options;
}

constexpr const char *kCpu = "x86-64-v3";
constexpr size_t kPrompt = 7, kGenerated = 6;

int32_t largest(const std::vector<float> &logits) {
  return int32_t(std::max_element(logits.begin(), logits.end()) -
                 logits.begin());
}

/// The logits of each step of a greedy generation, and its tokens. All logits
/// of the prompt are the first.
struct Generation {
  std::vector<std::vector<float>> logits;
  std::vector<int32_t> tokens;
};

Generation generate(CompiledStep &step) {
  step.clearState();
  Generation result;
  StepRows rows;
  rows.prompt = true;
  for (size_t i = 0; i < kPrompt; ++i)
    rows.token.push_back(int32_t((i * 13 + 5) % step.columns()));
  for (size_t i = 0; i < kGenerated; ++i) {
    result.logits.push_back(step.run(rows));
    const std::vector<float> &all = result.logits.back();
    result.tokens.push_back(
        largest({all.end() - std::ptrdiff_t(step.columns()), all.end()}));
    rows = {};
    rows.token = {result.tokens.back()};
    rows.position = {int32_t(kPrompt + i)};
  }
  return result;
}

/// The largest difference of logits, in units of the largest logit.
double distance(const Generation &a, const Generation &b) {
  double difference = 0, size = 0;
  for (size_t step = 0; step < a.logits.size(); ++step)
    for (size_t i = 0; i < a.logits[step].size(); ++i) {
      double x = a.logits[step][i], y = b.logits[step][i];
      if (!std::isfinite(x) || !std::isfinite(y))
        return INFINITY;
      difference = std::max(difference, std::fabs(x - y));
      size = std::max(size, std::fabs(x));
    }
  return difference / size;
}

class GpuModel : public testing::TestWithParam<const char *> {};

/// Exact activations: the same numbers up to the order of sums.
TEST_P(GpuModel, GeneratesWhatACpuDoes) {
  if (std::string why = whyNotRunnable(kCpu); !why.empty())
    GTEST_SKIP() << why;
  Checkpoint checkpoint = openModel(GetParam());
  auto cpu = load(checkpoint, forTarget(kCpu, "f32", "f32"));
  // Its launches may begin early, which the emulator watches over.
  auto gpu = load(checkpoint, forTarget("sm_90", "f32", "f32"));
  Generation expected = generate(*cpu), got = generate(*gpu);
  EXPECT_LT(distance(expected, got), 2e-5);
  EXPECT_EQ(expected.tokens, got.tokens);
}

// Norms, windows and tied embeddings in many ways.
INSTANTIATE_TEST_SUITE_P(Families, GpuModel,
                         testing::Values("llama", "gemma3", "gemma2", "qwen3",
                                         "olmo2", "gpt2", "starcoder2",
                                         // Experts, and latents with them.
                                         "mixtral", "qwen3-moe", "gpt-oss",
                                         "granitemoe", "deepseek-v2-lite",
                                         "deepseek-v3",
                                         // Texts of models that also see.
                                         "qwen3_vl-vision",
                                         "qwen3_vl_moe-vision"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

/// Sequences that are generated together do not touch each other.
TEST(GpuModels, SeveralSequences) {
  Checkpoint checkpoint = openModel("gemma3");
  auto step = load(checkpoint, forTarget("sm_86", "f32", "f16"));
  std::vector<std::vector<float>> alone;
  for (uint32_t s = 0; s < 3; ++s) {
    step->clearState();
    for (int32_t p = 0; p < 3; ++p) {
      StepRows rows;
      rows.token = {int32_t(s * 5 + uint32_t(p))};
      rows.position = {p};
      rows.sequence = {s};
      alone.push_back(step->run(rows));
    }
  }
  step->clearState();
  for (int32_t p = 0; p < 3; ++p) {
    StepRows rows;
    for (uint32_t s = 0; s < 3; ++s) {
      rows.token.push_back(int32_t(s * 5 + uint32_t(p)));
      rows.position.push_back(p);
      rows.sequence.push_back(s);
    }
    std::vector<float> all = step->run(rows);
    for (size_t s = 0; s < 3; ++s) {
      std::vector<float> own(all.begin() + std::ptrdiff_t(s * step->columns()),
                             all.begin() +
                                 std::ptrdiff_t((s + 1) * step->columns()));
      EXPECT_EQ(own, alone[3 * s + size_t(p)])
          << "sequence " << s << " position " << p;
    }
  }
}

/// Exchanges the first two addresses of one kind that differ; false when there
/// are none.
bool exchangeTwo(std::vector<qcc_gpu_operand_v1> &operands) {
  for (size_t a = 0; a < operands.size(); ++a)
    for (size_t b = a + 1; b < operands.size(); ++b)
      if (operands[a].kind == operands[b].kind &&
          operands[a].kind <= QCC_GPU_WEIGHTS &&
          operands[a].value != operands[b].value) {
        std::swap(operands[a], operands[b]);
        return true;
      }
  return false;
}

/// `launches` of a model without one of them, or with two operands of one
/// exchanged, give something else.
void expectNoticed(std::vector<Launch> &launches,
                   llvm::function_ref<std::vector<float>()> logits) {
  auto firstLogits = [&]() -> std::vector<float> {
    try {
      return logits();
    } catch (const std::runtime_error &) {
      return {};
    }
  };
  std::vector<float> right = firstLogits();
  ASSERT_FALSE(right.empty());
  const std::vector<Launch> all = launches;
  ASSERT_FALSE(all.empty());
  for (size_t i = 0; i < all.size(); ++i) {
    launches.erase(launches.begin() + std::ptrdiff_t(i));
    EXPECT_NE(firstLogits(), right)
        << "without launch " << i << ", " << all[i].name;
    launches = all;
    if (!exchangeTwo(launches[i].operands))
      continue;
    EXPECT_NE(firstLogits(), right)
        << "exchanged operands of launch " << i << ", " << all[i].name;
    launches = all;
  }
}

TEST(GpuModels, FaultsAreNoticed) {
  Checkpoint checkpoint = openModel("gemma3");
  auto step = load(checkpoint, forTarget("sm_86", "f32", "f32"));
  expectNoticed(step->program()->severalLaunches, [&] {
    step->clearState();
    StepRows rows;
    rows.token = {3, 20, 7};
    return step->run(rows);
  });
  expectNoticed(step->program()->launches, [&] {
    step->clearState();
    std::vector<float> result;
    for (int32_t position = 0; position < 2; ++position) {
      StepRows rows;
      rows.token = {3 + 17 * position};
      rows.position = {position};
      result = step->run(rows);
    }
    return result;
  });
}

/// Launches that may begin early: no kernel of a step does without its wait, as
/// the emulator finds.
TEST(GpuModels, EachKernelWaits) {
  Checkpoint checkpoint = openModel("deepseek-v3");
  auto step = load(checkpoint, forTarget("sm_90", "f16", "f16"));
  auto useAll = [&] {
    step->clearState();
    StepRows rows;
    rows.token = {3, 20, 7};
    rows.prompt = true;
    step->run(rows);
    rows = {};
    rows.token = {9};
    rows.position = {3};
    step->run(rows);
  };
  EXPECT_NO_THROW(useAll());
  size_t count = 0;
  while (step->program()->mutate([&](llvm::Module &module) {
    return emulator::dropGridWait(module, unsigned(count));
  })) {
    EXPECT_THROW(useAll(), std::runtime_error) << "wait " << count;
    ++count;
  }
  EXPECT_EQ(count, step->program()->code().gpu->kernels.size());
}

} // namespace
