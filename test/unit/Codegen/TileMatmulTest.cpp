//===- TileMatmulTest.cpp - Quantized weights of prompts by tensor cores --===//
// SPDX-License-Identifier: Apache-2.0
//
// Prompt steps of a GPU against products in double precision of activations
// that are rounded to f16 with a power of two for each row. Norms are tested
// with whole models.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/GGML.h"
#include "qcc/Formats/HalfTiles.h"
#include "FailingCheck.h"
#include "MatmulCase.h"
#include "Mutants.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace qcc;
using namespace qcc::test;

namespace {

StepOptions onGpu(const char *target = "sm_86") {
  StepOptions options;
  options.target = target;
  options.activations = "f16";
  return options;
}

Encoding ggml(const char *name) { return *findGGMLType(name)->encoding; }

/// GPTQ's 4 bits with groups of 128.
Encoding gptq(bool hasZeros = false) {
  Encoding encoding = oneLevel(4, 128, ScalarType::F16);
  encoding.zero = hasZeros ? 1 : 8;
  encoding.zeroBits = hasZeros ? 4 : 0;
  return encoding;
}

StepRows prompt(size_t count) {
  StepRows rows = firstTokens(count, true);
  for (size_t i = 0; i < count; ++i)
    rows.token[i] = int32_t(i % kTokens);
  return rows;
}

/// Results of all rows, and of some alone, which have the same bits.
void check(const MatmulCase &c, CompiledStep &step) {
  const size_t count = 70; // A tile and some of another.
  StepRows rows = prompt(count);
  std::vector<float> got = step.run(rows);
  MatmulCase ordered = c;
  for (size_t row = 0; row < kTokens; ++row)
    ordered.x[row] = c.entering(row);
  const bool isBf16 = c.segments[0].encoding.element == ScalarType::BF16;
  const std::string form = isBf16 ? "bf16" : "f16";
  if (c.epilogue.starts_with("glu")) {
    got.resize(kTokens * c.columns());
    expectGated(ordered, form, got);
  } else if (c.epilogue.empty()) {
    expectProducts(ordered, form, got, {rows.token.begin(), rows.token.end()});
  } else {
    got.resize(kTokens * c.columns());
    expectActivated(ordered, form, got);
  }
  for (size_t some : {1, 17}) {
    std::vector<float> alone = step.run(prompt(some));
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), got.begin()));
  }
}

void check(MatmulCase c, const char *target = "sm_86") {
  std::mt19937 random(7);
  c.fill(random);
  auto step = c.compile(onGpu(target));
  check(c, *step);
  EXPECT_GT(step->program()->counters["row_tiles_0"].blocks, 0u);
  EXPECT_GT(step->program()->counters["tile_matmul_0"].mmas, 0u);
}

class TileMatmulOnGpu : public testing::TestWithParam<NamedEncoding> {};

std::vector<NamedEncoding> storedEncodings() {
  std::vector<NamedEncoding> all = allEncodings();
  std::erase_if(all, [](const NamedEncoding &named) {
    return !takesHalfTiles(named.encoding, 1024);
  });
  return all;
}

/// Two segments whose rows are no multiple of 16, in blocks that are not full.
TEST_P(TileMatmulOnGpu, Matmul) {
  const Encoding &encoding = GetParam().encoding;
  const size_t unit = std::max<size_t>(64, columnsFor(encoding, 1));
  for (size_t k : {unit, 4 * unit})
    check({k, {{encoding, 20, {}}, {encoding, 33, {}}}, ""});
}

INSTANTIATE_TEST_SUITE_P(Encodings, TileMatmulOnGpu,
                         testing::ValuesIn(storedEncodings()),
                         [](const auto &info) { return info.param.name; });

/// Fewer steps than there are slots, and more; segments that end in a block;
/// blocks of different encodings.
TEST(TileMatmulOnGpu, Shapes) {
  const Encoding q41 = ggml("Q4_1"), q80 = ggml("Q8_0");
  for (size_t k : {64, 128, 576}) {
    SCOPED_TRACE("k " + std::to_string(k));
    check({k, {{q41, 5, {}}}, ""});
    check({k, {{q41, 250, {}}, {q41, 20, {}}, {q41, 16, {}}}, ""});
    check({k, {{q41, 40, {}}, {q80, 300, {}}, {q41, 16, {}}}, ""}, "sm_90a");
  }
}

TEST(TileMatmulOnGpu, OrdersBiasesAndActivations) {
  MatmulCase c{256, {{gptq(), 40, {}}}, ""};
  std::mt19937 random(9);
  for (size_t i = 0; i < c.k; ++i)
    c.order.push_back(float(i));
  std::shuffle(c.order.begin(), c.order.end(), random);
  check(c);
  check({128, {{gptq(true), 40, {}, true}, {gptq(true), 33, {}, true}}, ""});
  check({64, {{ggml("Q5_1"), 40, {}}}, "gelu_tanh"});
}

/// Weights in f16 and bf16, which have no codes, and no scales.
TEST(TileMatmulOnGpu, Floats) {
  for (ScalarType element : {ScalarType::F16, ScalarType::BF16}) {
    const Encoding floats = floatEncoding(element);
    for (size_t k : {64, 576}) {
      check({k, {{floats, 5, {}}}, ""});
      check({k,
             {{floats, 250, {}}, {floats, 20, {}, true}, {floats, 16, {}}},
             ""});
    }
    check({128, {{floats, 150, {}}, {floats, 150, {}}}, "glu_gelu_erf"},
          "sm_90a");
  }
}

/// Rows enter as their norm leaves them. Its root may be off by a few units of
/// f32, which moves some elements to the next number of 16 bits.
TEST(TileMatmulOnGpu, Norms) {
  for (const Encoding &encoding : {gptq(), floatEncoding(ScalarType::F16)})
    for (bool isCentered : {false, true}) {
      MatmulCase c{256, {{encoding, 40, {}}}, ""};
      std::mt19937 random(11);
      c.norm = randomActivations(c.k, random);
      if (isCentered)
        c.normBias = randomActivations(c.k, random);
      c.fill(random);
      auto step = c.compile(onGpu());
      std::vector<float> got = step->run(firstTokens(kTokens, true));
      for (size_t row = 0; row < kTokens; ++row) {
        const std::vector<float> x = c.entering(row);
        std::vector<DotProduct> rounded = c.products(quantize(x, "f16")),
                                expected = c.products(quantize(x, "f32"));
        for (size_t i = 0; i < c.columns(); ++i)
          ASSERT_NEAR(got[row * c.columns() + i], expected[i].value,
                      1.01 * rounded[i].stepBound +
                          roundingBound(expected[i], "f16"))
              << "row " << row << " column " << i;
      }
    }
}

TEST(TileMatmulOnGpu, GatedUnits) {
  for (size_t rows : {16, 150})
    check({256,
           {{ggml("Q4_K"), rows, {}, true}, {ggml("Q5_0"), rows, {}, true}},
           "glu_silu"});
}

/// Rows and weights are copied once for each block, as pieces that lie
/// together, and no loads of matrices or of codes meet the same banks.
TEST(TileMatmulOnGpu, AccessesAreWide) {
  for (const Encoding &encoding : {gptq(), floatEncoding(ScalarType::F16)}) {
    MatmulCase c{512, {{encoding, 256, {}}}, ""};
    std::mt19937 random(7);
    c.fill(random);
    auto step = c.compile(onGpu());
    step->program()->countPatterns = true;
    (void)step->run(prompt(64));
    const emulator::Counters &counters =
        step->program()->counters.at("tile_matmul_0");
    EXPECT_EQ(counters.blocks, 1u);
    EXPECT_EQ(counters.copies4 + counters.copies8, 0u);
    EXPECT_EQ(counters.copiedBytes,
              64u * 512 * 2 + PackedLayout(encoding).bytes(256, 512));
    EXPECT_EQ(counters.mmas, 256u / 16 * 64 / 8 * 512 / 16);
    EXPECT_EQ(counters.matrixLoadConflicts, 0u);
    EXPECT_EQ(counters.sharedConflicts, 0u);
    EXPECT_LE(32 * counters.globalSectors, counters.globalBytes * 21 / 20);
  }
}

bool isCaught(const MatmulCase &c, CompiledStep &step) {
  return fails([&] { check(c, step); });
}

TEST(TileMatmulOnGpu, MutantsAreCaught) {
  using Mutation = bool (*)(llvm::Module &, unsigned);
  const std::pair<const char *, Mutation> mutations[] = {
      {"dropped barrier", emulator::dropBarrier},
      {"wrong wait count", emulator::weakenWait},
      {"swapped nibble", emulator::swapNibbles}};
  MatmulCase c{512, {{ggml("Q4_1"), 64, {}}}, ""};
  std::mt19937 random(7);
  c.fill(random);
  auto step = c.compile(onGpu());
  ASSERT_FALSE(isCaught(c, *step));
  for (auto [name, mutation] : mutations) {
    unsigned count = 0;
    // The kernels of generating steps, which do not run, have some too.
    while (step->program()->mutate([&](llvm::Module &module) {
      for (const char *unused :
           {"matmul_0", "row_halves_0", "several_matmul_0"})
        if (auto *other = module.getFunction(unused))
          other->deleteBody();
      return mutation(module, count);
    })) {
      EXPECT_TRUE(isCaught(c, *step)) << name << ' ' << count;
      ++count;
    }
    EXPECT_GT(count, 0u) << name;
  }
}

} // namespace
