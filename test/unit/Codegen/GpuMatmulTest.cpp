//===- GpuMatmulTest.cpp - GPU matmul stages against their meaning --------===//
// SPDX-License-Identifier: Apache-2.0
//
// Every stage runs in the emulator and is compared with two things: the scalar
// meaning, within the rounding of activations to f16, and the error of an
// evaluation of the same formula in f16 (weights, activations and results
// rounded to f16, sums in f32), which it must not exceed.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/GGML.h"
#include "CompiledStep.h"
#include "EmulatedStage.h"
#include "Encodings.h"
#include "Mutants.h"
#include "RandomWeights.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace qcc;
using namespace qcc::test;

namespace {

constexpr double kEps = 1e-5;

struct Segment {
  Encoding encoding;
  size_t rows;
  std::vector<Fields> weights;
};

struct StageCase {
  size_t k;
  std::vector<Segment> segments;
  std::string epilogue = {}; ///< Of qz.epilogue; empty: none.
  bool hasNorm = false;

  std::vector<std::vector<float>> x, residual;
  std::vector<float> norm;
  std::vector<DeviceMemory> packed;

  bool isGlu() const { return epilogue.starts_with("glu"); }
  size_t columns() const {
    size_t sum = 0;
    for (const Segment &segment : segments)
      sum += segment.rows;
    return isGlu() ? sum / 2 : sum;
  }

  void fill(std::mt19937 &random, size_t tokens) {
    std::normal_distribution<float> normal;
    for (size_t row = 0; row < tokens; ++row) {
      x.push_back(randomActivations(k, random));
      residual.emplace_back();
      for (size_t i = 0; i < columns(); ++i)
        residual.back().push_back(normal(random));
    }
    for (size_t i = 0; i < k; ++i)
      norm.push_back(1 + 0.3f * normal(random));
    for (Segment &segment : segments) {
      segment.weights = randomRows(segment.encoding, segment.rows, k, random);
      packed.push_back(packWeight(segment.encoding, segment.weights, k));
    }
  }

  std::string module() const;
  StageRows rows() const {
    StageRows result;
    result.x = &x;
    result.norm = hasNorm ? &norm : nullptr;
    for (const DeviceMemory &weight : packed)
      result.weights.push_back(weight.as<void>());
    result.residual = epilogue == "residual" ? &residual : nullptr;
    result.columns = columns();
    return result;
  }
};

/// A step whose last stage is the one under test.
std::string StageCase::module() const {
  std::string n = std::to_string(columns()), kText = std::to_string(k);
  std::string table = tensorText(4, k, floatEncoding(ScalarType::F32));
  std::string normType = "!qz.tensor<" + kText + ", #qz.encoding<f32>>";
  std::string rowsX = "tensor<?x" + kText + "xf32>",
              rowsY = "tensor<?x" + n + "xf32>",
              activation = "!qz.activation<" + kText + ">";
  std::string declarations = "qz.weight @table : " + table +
                             "\nqz.weight @norm : " + normType + "\n",
              uses, operands, types;
  for (size_t i = 0; i < segments.size(); ++i) {
    std::string name = "w" + std::to_string(i);
    std::string type = tensorText(segments[i].rows, k, segments[i].encoding);
    declarations += "qz.weight @" + name + " : " + type + "\n";
    uses += "%" + name + " = qz.use @" + name + " : " + type + "\n";
    operands += (i ? ", %" : "%") + name;
    types += (i ? ", " : "") + type;
  }
  bool isResidual = epilogue == "residual";
  return declarations + "func.func @step(%batch: !llm.batch) -> " + rowsY +
         " {\n%t = qz.use @table : " + table +
         "\n%n = qz.use @norm : " + normType + "\n" + uses +
         "%x = llm.embedding %batch, %t : " + table + " -> " + rowsX +
         "\n%a = qz.quantize %x" +
         (hasNorm ? " norm %n {eps = 1.0e-5 : f32}" : "") + " : " + rowsX +
         (hasNorm ? ", " + normType : "") + " -> " + activation +
         "\n%y = qz.matmul %a, [" + operands + "]" +
         (isResidual ? " residual %x" : "") +
         (epilogue.empty() ? ""
                           : " {epilogue = #qz.epilogue<" + epilogue + ">}") +
         " : " + activation + ", [" + types + "]" +
         (isResidual ? ", " + rowsX : "") + " -> " + rowsY +
         "\nreturn %y : " + rowsY + "\n}\n";
}

double toHalf(double x) { return double(_Float16(x)); }

/// A result, the bound of its error, and what f16 makes of it.
struct Expected {
  double value, bound, inHalf;
};

/// Row `row` of the meaning, one for each row of all segments, before the
/// epilogue.
std::vector<Expected> products(const StageCase &c, size_t row) {
  const std::vector<float> &x = c.x[row];
  double inverse = 1;
  if (c.hasNorm) {
    double squares = 0;
    for (float value : x)
      squares += double(value) * value;
    inverse = 1 / std::sqrt(squares / double(c.k) + kEps);
  }
  std::vector<double> exact, half;
  double peak = 0;
  for (size_t i = 0; i < c.k; ++i) {
    exact.push_back(x[i] * inverse * (c.hasNorm ? c.norm[i] : 1.0f));
    half.push_back(toHalf(exact.back()));
    peak = std::max(peak, std::fabs(exact.back()));
  }
  std::vector<Expected> result;
  for (const Segment &segment : c.segments)
    for (const Fields &weights : segment.weights) {
      Expected sum = {};
      double magnitude = 0, weight = 0;
      for (size_t i = 0; i < c.k; ++i) {
        double w = decodeElement(segment.encoding, weights, i);
        sum.value += w * exact[i];
        sum.inHalf += toHalf(w) * half[i];
        magnitude += std::fabs(w * exact[i]);
        weight += std::fabs(w);
      }
      // Codes and minima are added apart, so they may cancel.
      DotProduct parts = dotProduct(segment.encoding, weights,
                                    {exact, std::vector<double>(exact.size())});
      magnitude = std::max(magnitude, parts.magnitude);
      // Half a step of f16, the smallest step of f16, and the rounding of sums.
      sum.bound = magnitude * (std::ldexp(1, -11) +
                               double(c.k) / 16 * std::ldexp(1, -23)) +
                  weight * peak * std::ldexp(1, -38) + 1e-12;
      sum.inHalf = toHalf(sum.inHalf);
      result.push_back(sum);
    }
  return result;
}

double silu(double x) { return x / (1 + std::exp(-x)); }
double geluTanh(double x) {
  return 0.5 * x *
         (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

std::vector<Expected> meaning(const StageCase &c, size_t row) {
  std::vector<Expected> sums = products(c, row);
  if (c.epilogue == "residual")
    for (size_t i = 0; i < sums.size(); ++i) {
      sums[i].value += c.residual[row][i];
      sums[i].inHalf = toHalf(sums[i].inHalf + toHalf(c.residual[row][i]));
      sums[i].bound += std::fabs(sums[i].value) * 1e-6;
    }
  if (!c.isGlu())
    return sums;
  auto gate = c.epilogue == "glu_silu" ? silu : geluTanh;
  std::vector<Expected> result;
  for (size_t i = 0; i < c.columns(); ++i) {
    const Expected &g = sums[i], &u = sums[i + c.columns()];
    Expected product = {gate(g.value) * u.value, 0,
                        toHalf(toHalf(gate(g.inHalf)) * u.inHalf)};
    // Both activations have slopes below 1.2.
    product.bound = 1.2 * g.bound * (std::fabs(u.value) + u.bound) +
                    u.bound * std::fabs(gate(g.value)) +
                    2e-6 * std::fabs(product.value);
    result.push_back(product);
  }
  return result;
}

/// Squared errors in units of each result's bound. Single results err by luck;
/// sums over many compare.
struct ErrorTotals {
  double kernel = 0, half = 0;
};

/// Empty when `got` is right; otherwise what is wrong.
std::string compare(const StageCase &c,
                    const std::vector<std::vector<float>> &got,
                    ErrorTotals *totals = nullptr) {
  for (size_t row = 0; row < c.x.size(); ++row) {
    std::vector<Expected> expected = meaning(c, row);
    for (size_t i = 0; i < c.columns(); ++i) {
      double difference = got[row][i] - expected[i].value;
      if (!(std::fabs(difference) <= expected[i].bound))
        return "row " + std::to_string(row) + ", column " + std::to_string(i) +
               ": expected " + std::to_string(expected[i].value) + " +- " +
               std::to_string(expected[i].bound) + ", got " +
               std::to_string(got[row][i]);
      if (!totals)
        continue;
      double half = expected[i].inHalf - expected[i].value;
      totals->kernel += std::pow(difference / expected[i].bound, 2);
      totals->half += std::pow(half / expected[i].bound, 2);
    }
  }
  return "";
}

emulator::Launch seeded(uint32_t seed) {
  emulator::Launch launch;
  launch.seed = seed;
  launch.copies = seed % 3 == 0   ? emulator::CopyTiming::AtWait
                  : seed % 3 == 1 ? emulator::CopyTiming::AtIssue
                                  : emulator::CopyTiming::Random;
  return launch;
}

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
  size_t block = std::max(encoding.isFloat() ? 1 : encoding.scaleBlock(), 32u);
  for (size_t k : {3 * block, 6 * block}) {
    StageCase c{k, {{encoding, 20, {}}, {encoding, 33, {}}}};
    c.fill(random, 3);
    bool isSupported = !encoding.isFloat() && encoding.table.empty() &&
                       encoding.group % 16 == 0;
    if (!isSupported) {
      // Said, and nothing is made.
      EmulatedStage stage(c.module(), "sm_86");
      EXPECT_TRUE(stage.lowered().kernels.empty());
      bool isNamed = false;
      for (const std::string &missing : stage.lowered().missing)
        isNamed |= missing.find("qz.matmul") != std::string::npos;
      EXPECT_TRUE(isNamed);
      return;
    }
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

TEST(GpuStage, GatedUnits) {
  std::mt19937 random(9);
  ErrorTotals totals;
  for (const char *epilogue : {"glu_silu", "glu_gelu_tanh"}) {
    StageCase c{
        512, {{ggml("Q4_K"), 40, {}}, {ggml("Q5_0"), 40, {}}}, epilogue};
    c.hasNorm = true;
    c.fill(random, 3);
    expectRight(c, "sm_86", totals);
  }
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

/// The two kinds of stage that the rest is built on.
std::vector<StageCase> plannedStages() {
  std::vector<StageCase> stages;
  stages.push_back({576, {{ggml("Q4_1"), 576, {}}}, "residual"});
  stages.back().hasNorm = true;
  stages.push_back({384, {{gptq(), 384, {}}}, "residual"});
  return stages;
}

TEST(GpuStage, CopiesAreWideAndProductsAreTensors) {
  std::mt19937 random(11);
  for (StageCase &c : plannedStages()) {
    c.fill(random, 1);
    EmulatedStage stage(c.module(), "sm_86");
    emulator::Counters counters;
    auto got = stage.run(c.rows(), seeded(0), &counters);
    EXPECT_EQ(compare(c, got), "");
    PackedLayout layout(c.segments[0].encoding);
    EXPECT_EQ(counters.copies4 + counters.copies8, 0u);
    // Each weight is read once.
    EXPECT_EQ(counters.copiedBytes, layout.bytes(c.columns(), c.k));
    EXPECT_EQ(counters.mmas, c.columns() / 16 * c.k / 16);
    std::string ptx = stage.ptx();
    EXPECT_NE(ptx.find("cp.async.cg.shared.global"), std::string::npos);
    EXPECT_NE(ptx.find("mma.sync.aligned.m16n8k16"), std::string::npos);
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
  for (StageCase &c : plannedStages()) {
    c.fill(random, 8);
    EmulatedStage stage(c.module(), "sm_86");
    for (auto [name, mutation] : mutations) {
      unsigned count = 0;
      while (stage.mutate(
          [&](llvm::Module &module) { return mutation(module, count); })) {
        bool isCaught = false;
        for (uint32_t seed = 0; seed < 6 && !isCaught; ++seed)
          try {
            isCaught = !compare(c, stage.run(c.rows(), seeded(seed))).empty();
          } catch (const std::runtime_error &) {
            isCaught = true;
          }
        EXPECT_TRUE(isCaught) << name << ' ' << count << " in a stage of "
                              << encodingText(c.segments[0].encoding);
        ++count;
      }
      EXPECT_GT(count, 0u) << name;
    }
  }
}

} // namespace
