//===- GpuMatmulTest.cpp - GPU matmul stages against their meaning --------===//
// SPDX-License-Identifier: Apache-2.0
//
// For every encoding, odd shapes, all epilogues; and planted faults, each of
// which these tests would notice.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/GGML.h"
#include "qcc/Formats/PackedLayout.h"
#include "CompiledStep.h"
#include "Encodings.h"
#include "Mutants.h"
#include "RandomWeights.h"
#include "StageCase.h"

#include <gtest/gtest.h>

using namespace qcc;
using namespace qcc::test;

namespace {

/// Runs `c` with several rows for a block and in several orders; the result
/// must be right, and the same bits each time.
void expectRight(StageCase &c, const std::string &target, ErrorTotals &totals) {
  EmulatedStage stage(c.module(), target);
  StageRows rows = c.rows();
  std::vector<std::vector<float>> first;
  for (unsigned perBlock : {stage.kernel().rowsPerBlock, 1u, 3u}) {
    rows.rowsPerBlock = std::min(perBlock, stage.kernel().rowsPerBlock);
    auto got = stage.run(rows, seeded(perBlock));
    ASSERT_EQ(compare(c, got, first.empty() ? &totals : nullptr), "")
        << rows.rowsPerBlock << " rows a block";
    if (first.empty())
      first = got;
    EXPECT_EQ(first, got);
  }
}

class GpuEncoding : public testing::TestWithParam<NamedEncoding> {};

/// Two segments whose rows are no multiple of 16.
TEST_P(GpuEncoding, Matmul) {
  const Encoding &encoding = GetParam().encoding;
  std::mt19937 random(5);
  ErrorTotals totals;
  // A float weight's units are shorter than a step; some are copied in pairs.
  bool isInPairs = encoding.spans.empty() && !encoding.isFloat() &&
                   PackedLayout(encoding).unitBytes % 16;
  size_t units = encoding.isFloat() ? 8 : isInPairs ? 2 : 1;
  std::vector<size_t> lengths = {columnsFor(encoding, 3 * units),
                                 columnsFor(encoding, 6 * units)};
  if (encoding.takesShortGroup())
    lengths.push_back(columnsFor(encoding, 2) + 32);
  for (size_t k : lengths) {
    StageCase c{k, {{encoding, 20, {}}, {encoding, 33, {}}}};
    c.fill(random, 3);
    expectRight(c, "sm_86", totals);
  }
  EXPECT_LE(totals.kernel, totals.half);
}

INSTANTIATE_TEST_SUITE_P(Encodings, GpuEncoding,
                         testing::ValuesIn(allEncodings()),
                         [](const auto &info) { return info.param.name; });

Encoding ggml(const char *name) { return *findGGMLType(name)->encoding; }

/// GPTQ's symmetric 4 bits with groups of 128.
Encoding gptq() {
  Encoding encoding = oneLevel(4, 128, ScalarType::F16);
  encoding.zero = 8;
  return encoding;
}

TEST(GpuStage, ShapesAndRows) {
  std::mt19937 random(7);
  ErrorTotals totals;
  // One step of k for four warps up to several for each; one column and more.
  for (size_t k : {32, 96, 576, 1536})
    for (size_t columns : {1, 16, 17})
      for (size_t tokens : {1, 8, 13}) {
        SCOPED_TRACE(std::to_string(k) + " -> " + std::to_string(columns) +
                     ", " + std::to_string(tokens) + " rows");
        StageCase c{k, {{ggml("Q4_1"), columns, {}}}};
        c.fill(random, tokens);
        expectRight(c, "sm_80", totals);
      }
  EXPECT_LE(totals.kernel, totals.half);
}

TEST(GpuStage, NormAndSegmentsOfSeveralEncodings) {
  std::mt19937 random(8);
  ErrorTotals totals;
  StageCase c{256,
              {{ggml("Q4_1"), 40, {}},
               {ggml("Q4_1"), 17, {}},
               {ggml("Q8_0"), 24, {}},
               {ggml("Q6_K"), 16, {}}}};
  c.hasNorm = true;
  c.fill(random, 5);
  expectRight(c, "sm_86", totals);
  EXPECT_LE(totals.kernel, totals.half);
}

TEST(GpuStage, Activations) {
  std::mt19937 random(12);
  ErrorTotals totals;
  for (const char *epilogue : {"silu", "gelu_tanh", "gelu_erf", "relu"}) {
    StageCase c{256, {{ggml("Q4_K"), 40, {}}}, epilogue};
    c.fill(random, 3);
    expectRight(c, "sm_86", totals);
  }
  EXPECT_LE(totals.kernel, totals.half);
}

TEST(GpuStage, GatedUnits) {
  std::mt19937 random(9);
  ErrorTotals totals;
  for (const char *epilogue :
       {"glu_silu", "glu_gelu_tanh", "glu_gelu_erf", "glu_relu"}) {
    StageCase c{
        512, {{ggml("Q4_K"), 40, {}}, {ggml("Q5_0"), 40, {}}}, epilogue};
    c.hasNorm = true;
    c.fill(random, 3);
    expectRight(c, "sm_86", totals);
  }
  EXPECT_LE(totals.kernel, totals.half);
}

TEST(GpuStage, Logits) {
  std::mt19937 random(13);
  ErrorTotals totals;
  StageCase c{256, {{ggml("Q6_K"), 40, {}}}, "logits"};
  c.hasNorm = true;
  c.fill(random, 3);
  expectRight(c, "sm_86", totals);
  EXPECT_LE(totals.kernel, totals.half);
}

/// Rows far from 1, where f16 would overflow or vanish.
TEST(GpuStage, LargeAndSmallRows) {
  std::mt19937 random(10);
  for (bool hasNorm : {false, true}) {
    StageCase c{256, {{ggml("Q4_0"), 32, {}}}};
    c.hasNorm = hasNorm;
    c.fill(random, 5);
    const float sizes[] = {1e6f, 1e-12f, 3e30f, 0.0f, 1.0f};
    for (size_t row = 0; row < c.x.size(); ++row)
      for (float &x : c.x[row])
        x *= sizes[row];
    if (hasNorm) // The squares of the third row are beyond f32.
      c.x[2] = c.x[0];
    EmulatedStage stage(c.module(), "sm_86");
    EXPECT_EQ(compare(c, stage.run(c.rows(), seeded(1))), "");
  }
}

/// Elements that are no normal numbers of f16 beside the largest one.
TEST(GpuStage, SmallElementsBesideALargeOne) {
  std::mt19937 random(14);
  StageCase c{256, {{gptq(), 48, randomRows(gptq(), 48, 256, random)}}};
  // That one's group adds nothing, so that the others' is seen.
  for (Fields &weights : c.segments[0].weights)
    weights.scale[1] = 0;
  c.fill(random, 2);
  for (std::vector<float> &row : c.x) {
    for (float &x : row)
      x *= 0x1p-29f;
    row[200] = 0x1p-3f;
  }
  EmulatedStage stage(c.module(), "sm_86");
  EXPECT_EQ(compare(c, stage.run(c.rows(), seeded(1))), "");
}

/// The kinds of stage that the rest is built on: with minima, with the longest
/// steps, and with sixteen warps.
std::vector<StageCase> plannedStages() {
  std::vector<StageCase> stages;
  stages.push_back({576, {{ggml("Q4_1"), 576, {}}}, "residual"});
  stages.back().hasNorm = true;
  stages.push_back({384, {{gptq(), 384, {}}}, "residual"});
  stages.push_back({2048, {{gptq(), 48, {}}}, "residual"});
  stages.back().hasNorm = true;
  return stages;
}

TEST(GpuStage, CopiesAreWideAndProductsAreTensors) {
  std::mt19937 random(11);
  for (StageCase &c : plannedStages()) {
    c.fill(random, 1);
    EmulatedStage stage(c.module(), "sm_86");
    emulator::Counters counters;
    emulator::Launch launch = seeded(0);
    launch.countPatterns = true;
    auto got = stage.run(c.rows(), launch, &counters);
    EXPECT_EQ(compare(c, got), "");
    PackedLayout layout(c.segments[0].encoding);
    EXPECT_EQ(counters.copies4 + counters.copies8, 0u);
    // Each weight is read once.
    EXPECT_EQ(counters.copiedBytes, layout.bytes(c.columns(), c.k));
    EXPECT_EQ(counters.mmas, c.columns() / 16 * c.k / 16);
    // A few for each warp in the epilogue of a block, none in the loop over k.
    EXPECT_LE(counters.sharedConflicts,
              3 * counters.blocks * (stage.kernel().threads / 32));
    std::string ptx = stage.ptx();
    EXPECT_NE(ptx.find("cp.async.cg.shared.global"), std::string::npos);
    EXPECT_NE(ptx.find("mma.sync.aligned.m16n8k16"), std::string::npos);
  }
}

bool isCaught(StageCase &c, EmulatedStage &stage) {
  for (uint32_t seed = 0; seed < 6; ++seed)
    try {
      if (!compare(c, stage.run(c.rows(), seeded(seed))).empty())
        return true;
    } catch (const std::runtime_error &) {
      return true;
    }
  return false;
}

/// On GPUs whose launches may begin before the one before has ended, the first
/// weights are on their way before a block waits for that.
TEST(GpuStage, FirstWeightsDoNotWait) {
  std::mt19937 random(11);
  for (StageCase &c : plannedStages()) {
    c.fill(random, 8);
    EmulatedStage stage(c.module(), "sm_90");
    emulator::Counters counters;
    EXPECT_EQ(compare(c, stage.run(c.rows(), seeded(0), &counters)), "");
    // The ring of each warp but for a slot.
    uint64_t all = PackedLayout(c.segments[0].encoding).bytes(c.columns(), c.k);
    EXPECT_EQ(counters.copiedBytes, all);
    EXPECT_GE(counters.earlyCopiedBytes, all / 2);
    for (auto *fault : {emulator::dropGridWait, emulator::delayGridWait}) {
      auto plant = [&](llvm::Module &module) { return fault(module, 0); };
      ASSERT_TRUE(stage.mutate(plant));
      EXPECT_TRUE(isCaught(c, stage));
    }
    EXPECT_FALSE(stage.mutate([](llvm::Module &module) {
      return emulator::dropGridWait(module, 1);
    }));
  }
}

/// The tests above would notice each of these faults.
TEST(GpuStage, MutantsAreCaught) {
  using Mutation = bool (*)(llvm::Module &, unsigned);
  const std::pair<const char *, Mutation> mutations[] = {
      {"dropped barrier", emulator::dropBarrier},
      {"dropped warp barrier", emulator::dropWarpBarrier},
      {"wrong wait count", emulator::weakenWait},
      {"swapped nibble", emulator::swapNibbles}};
  std::mt19937 random(12);
  std::vector<StageCase> stages = plannedStages();
  // Where steps have 128 elements, a warp multiplies what it has written
  // itself, and needs no barrier in between.
  Encoding g64 = gptq();
  g64.group = 64;
  stages.resize(1);
  stages.push_back({448, {{g64, 96, {}}}, "residual"});
  for (StageCase &c : stages) {
    c.fill(random, 8);
    EmulatedStage stage(c.module(), "sm_86");
    for (auto [name, mutation] : mutations) {
      unsigned count = 0;
      while (stage.mutate(
          [&](llvm::Module &module) { return mutation(module, count); })) {
        EXPECT_TRUE(isCaught(c, stage))
            << name << ' ' << count << " in a stage of "
            << encodingText(c.segments[0].encoding);
        ++count;
      }
      EXPECT_GT(count, 0u) << name;
    }
  }
}

} // namespace
