//===- SeveralRowsTest.cpp - Generating steps of several rows on a GPU ----===//
// SPDX-License-Identifier: Apache-2.0
//
// A row has the bits that it has in a step of its own, in any company, for
// every encoding that tensor cores take; what they are is tested in
// GpuMatmulTest.cpp.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/GGML.h"
#include "qcc/Formats/HalfTiles.h"
#include "qcc/Formats/PackedLayout.h"
#include "CompiledStep.h"
#include "Encodings.h"
#include "FailingCheck.h"
#include "Mutants.h"
#include "RandomWeights.h"
#include "StageCase.h"

#include <gtest/gtest.h>

using namespace qcc;
using namespace qcc::test;

namespace {

Encoding ggml(const char *name) { return *findGGMLType(name)->encoding; }

/// GPTQ's symmetric 4 bits with groups of 128.
Encoding gptq() {
  Encoding encoding = oneLevel(4, 128, ScalarType::F16);
  encoding.zero = 8;
  return encoding;
}

/// Rows of the tables of a StageCase.
constexpr size_t kTable = 4;

/// The case's module, with an exact product by the identity behind it: prompts,
/// which have tiles, do not end with such a stage.
std::string viaBuffer(const StageCase &c) {
  const std::string n = std::to_string(c.columns()),
                    rows = "tensor<?x" + n + "xf32>",
                    activation = "!qz.activation<" + n + ">",
                    identity = tensorText(c.columns(), c.columns(),
                                          floatEncoding(ScalarType::F32));
  std::string text = c.module();
  const std::string end = "return %y : " + rows + "\n}\n";
  text.resize(text.size() - end.size());
  return "qz.weight @identity : " + identity + "\n" + text +
         "%i = qz.use @identity : " + identity +
         "\n%b = qz.quantize %y : " + rows + " -> " + activation +
         "\n%l = qz.matmul %b, [%i] : " + activation + ", [" + identity +
         "] -> " + rows + "\nreturn %l : " + rows + "\n}\n";
}

std::unique_ptr<CompiledStep> compile(StageCase &c, const char *target) {
  std::mt19937 random(7);
  c.fill(random, kTable);
  StepOptions options;
  options.target = target;
  options.activations = "f16";
  auto step = std::make_unique<CompiledStep>(viaBuffer(c), options);
  step->setWeight("identity", identityRows(c.columns()));
  std::vector<Fields> table, other;
  for (size_t row = 0; row < kTable; ++row) {
    table.push_back(floatRow(c.x[row]));
    other.push_back(floatRow(c.residual[row]));
  }
  step->setWeight("table", table);
  if (c.epilogue == "residual")
    step->setWeight("other", other);
  if (c.hasNorm)
    step->setVector("norm", c.norm);
  for (size_t i = 0; i < c.segments.size(); ++i)
    step->setWeight("w" + std::to_string(i), c.segments[i].weights);
  return step;
}

/// Rows of tokens from `first` on.
std::vector<float> run(CompiledStep &step, size_t count, size_t first = 0) {
  StepRows rows;
  for (size_t i = 0; i < count; ++i)
    rows.token.push_back(int32_t((i + first) % kTable));
  return step.run(rows);
}

const emulator::Counters &countersOf(CompiledStep &step,
                                     const std::string &prefix) {
  for (const auto &[name, counters] : step.program()->counters)
    if (name.starts_with(prefix))
      return counters;
  throw std::runtime_error("no kernel " + prefix);
}

/// Compares `counts` rows in a step with steps of one.
void expectSameAlone(CompiledStep &step, std::vector<size_t> counts) {
  std::vector<float> alone;
  for (size_t token = 0; token < kTable; ++token) {
    std::vector<float> one = run(step, 1, token);
    alone.insert(alone.end(), one.begin(), one.end());
  }
  const size_t n = step.columns();
  for (size_t count : counts) {
    std::vector<float> got = run(step, count, 1);
    EXPECT_EQ(countersOf(step, "row_halves_").blocks, count);
    EXPECT_GT(countersOf(step, "several_matmul_").mmas, 0u);
    for (size_t row = 0; row < count; ++row)
      for (size_t i = 0; i < n; ++i)
        ASSERT_EQ(got[row * n + i], alone[(row + 1) % kTable * n + i])
            << "row " << row << " of " << count << ", column " << i;
  }
}

void check(StageCase c, std::vector<size_t> counts = {2, 3, 8, 9, 16},
           const char *target = "sm_86") {
  expectSameAlone(*compile(c, target), counts);
}

class SeveralRowsOnGpu : public testing::TestWithParam<NamedEncoding> {};

std::vector<NamedEncoding> encodingsOfCodes() {
  std::vector<NamedEncoding> all = allEncodings();
  std::erase_if(all, [](const NamedEncoding &named) {
    return !hasIntegerCodes(named.encoding);
  });
  return all;
}

/// Two segments whose rows are no multiple of 16, an odd count of panels.
TEST_P(SeveralRowsOnGpu, Matmul) {
  const Encoding &encoding = GetParam().encoding;
  bool isInPairs =
      encoding.spans.empty() && PackedLayout(encoding).unitBytes % 16;
  for (size_t units : {3, 6})
    check({columnsFor(encoding, units * (isInPairs ? 2 : 1)),
           {{encoding, 20, {}}, {encoding, 33, {}}}},
          {3, 16});
}

INSTANTIATE_TEST_SUITE_P(Encodings, SeveralRowsOnGpu,
                         testing::ValuesIn(encodingsOfCodes()),
                         [](const auto &info) { return info.param.name; });

TEST(SeveralRowsOnGpu, Shapes) {
  for (size_t k : {32, 576, 1536})
    for (size_t columns : {1, 16, 17})
      check({k, {{ggml("Q4_1"), columns, {}}}});
  // Sixteen warps, in launches that begin early.
  check({2048, {{gptq(), 48, {}}}, "residual", true}, {2, 9, 16}, "sm_90");
}

/// Blocks have units of one encoding each.
TEST(SeveralRowsOnGpu, SegmentsOfSeveralEncodings) {
  check({256,
         {{ggml("Q4_1"), 40, {}},
          {ggml("Q4_1"), 17, {}},
          {ggml("Q8_0"), 24, {}},
          {ggml("Q6_K"), 16, {}}},
         "residual",
         true});
}

TEST(SeveralRowsOnGpu, GatesAndLogits) {
  check({512,
         {{ggml("Q4_K"), 40, {}}, {ggml("Q5_0"), 40, {}}},
         "glu_silu",
         true});
  check({256, {{ggml("Q6_K"), 40, {}}}, "logits", true});
  check({256, {{ggml("Q4_K"), 40, {}}}, "gelu_tanh"});
}

/// Each weight is copied once for all rows, and rows are loaded as pieces that
/// lie together.
TEST(SeveralRowsOnGpu, AccessesAreWide) {
  StageCase c{512, {{gptq(), 256, {}}}, "residual", true};
  auto step = compile(c, "sm_86");
  step->program()->countPatterns = true;
  (void)run(*step, 16);
  const emulator::Counters &counters = countersOf(*step, "several_matmul_");
  EXPECT_EQ(counters.blocks, 8u);
  EXPECT_EQ(counters.copies4 + counters.copies8, 0u);
  EXPECT_EQ(counters.copiedBytes, PackedLayout(gptq()).bytes(256, 512));
  EXPECT_EQ(counters.mmas, 2u * 256 / 16 * 512 / 16);
  EXPECT_EQ(counters.sharedConflicts, 0u);
  EXPECT_LE(32 * counters.globalSectors, counters.globalBytes * 21 / 20);
  const emulator::Counters &rows = countersOf(*step, "row_halves_");
  EXPECT_LE(32 * rows.globalSectors, rows.globalBytes * 21 / 20);
}

TEST(SeveralRowsOnGpu, MutantsAreCaught) {
  using Mutation = bool (*)(llvm::Module &, unsigned);
  const std::pair<const char *, Mutation> mutations[] = {
      {"dropped barrier", emulator::dropBarrier},
      {"wrong wait count", emulator::weakenWait},
      {"swapped nibble", emulator::swapNibbles}};
  StageCase c{3072, {{ggml("Q4_1"), 32, {}}}, "residual", true};
  auto step = compile(c, "sm_86");
  const std::vector<float> right = run(*step, 11);
  const auto used = step->program()->counters;
  auto isCaught = [&] {
    for (int turn = 0; turn < 6; ++turn)
      if (fails([&] { EXPECT_EQ(run(*step, 11), right); }))
        return true;
    return false;
  };
  ASSERT_FALSE(isCaught());
  for (auto [name, mutation] : mutations) {
    unsigned count = 0;
    while (step->program()->mutate([&](llvm::Module &module) {
      // Of kernels that do not run a fault would not show.
      for (llvm::Function &function : module)
        if (!function.isDeclaration() &&
            !used.contains(function.getName().str()))
          function.deleteBody();
      return mutation(module, count);
    })) {
      EXPECT_TRUE(isCaught()) << name << ' ' << count;
      ++count;
    }
    EXPECT_GT(count, 0u) << name;
  }
}

} // namespace
