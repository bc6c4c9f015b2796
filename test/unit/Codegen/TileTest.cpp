//===- TileTest.cpp - Matmuls with tile registers -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Up to four rows of a prompt are left to vector instructions, so a prompt in
// parts of four must give the bits of the whole, for every encoding with
// integer activations and every number of rows; and each result what the scalar
// meaning is. Where the machine has no AMX, its instructions are emulated.
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/Common/Target.h"
#include "qcc/Formats/GGML.h"
#include "MatmulCase.h"
#include "TileEmulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

using namespace qcc;
using namespace qcc::test;

namespace {

constexpr const char *kTarget = "sapphirerapids";
constexpr size_t kVectorRows = 4;

/// Bits of prompts of the first tokens, with tiles and without.
void expectBitsOfVectors(CompiledStep &step, const std::vector<size_t> &lengths,
                         unsigned threads = 1) {
  bool isEmulated = !(*detectNativeTarget())->multipliesBlocks();
  size_t most = lengths.back(), n = step.columns();
  std::vector<float> expected;
  uint64_t before = tileProductCount();
  for (size_t first = 0; first < most; first += kVectorRows) {
    StepRows part = firstTokens(std::min(kVectorRows, most - first), true);
    for (int32_t &token : part.token)
      token += int32_t(first);
    std::vector<float> some = step.run(part);
    expected.insert(expected.end(), some.begin(), some.end());
  }
  EXPECT_EQ(tileProductCount(), before);
  for (size_t rows : lengths) {
    SCOPED_TRACE("a prompt of " + std::to_string(rows) + " rows");
    before = tileProductCount();
    std::vector<float> got = step.run(firstTokens(rows, true, threads));
    // So that this is seen to be a test of tiles.
    if (isEmulated) {
      EXPECT_EQ(tileProductCount() > before, rows > kVectorRows);
    }
    for (size_t i = 0; i < got.size(); ++i)
      ASSERT_EQ(std::memcmp(&got[i], &expected[i], 4), 0)
          << got[i] << " is not " << expected[i] << ", row " << i / n
          << " column " << i % n;
  }
}

/// That, and what the results must be.
void expectMeaning(const MatmulCase &c, const std::string &form,
                   const std::vector<size_t> &lengths, unsigned threads = 1) {
  StepOptions options;
  options.target = kTarget;
  options.activations = form;
  auto step = c.compile(options);
  expectBitsOfVectors(*step, lengths, threads);
  size_t most = lengths.back();
  expectProducts(c, form, step->run(firstTokens(most, true)));
}

class Tiles : public testing::Test {
protected:
  void SetUp() override {
    if (std::string why = whyNotRunnable(kTarget); !why.empty())
      GTEST_SKIP() << why;
  }
  std::mt19937 random{29};
};

class TilesOfEveryEncoding : public Tiles,
                             public testing::WithParamInterface<NamedEncoding> {
};

TEST_P(TilesOfEveryEncoding, MatmulMeaning) {
  const Encoding &encoding = GetParam().encoding;
  size_t unit = columnsFor(encoding, 1);
  MatmulCase c;
  c.k = columnsFor(encoding, std::max<size_t>(2, 192 / unit));
  c.segments = {{encoding, 21, {}}};
  c.viaBuffer = false;
  c.fill(random);
  for (const char *form : {"a8", "a8g16", "a16"}) {
    SCOPED_TRACE(form);
    expectMeaning(c, form, {1, 5, 21, 33});
  }
}

/// Those that prompts multiply as integers of 8 bits.
std::vector<NamedEncoding> integerEncodings() {
  std::vector<NamedEncoding> list;
  for (const NamedEncoding &named : allEncodings()) {
    MatmulCase c;
    c.segments = {{named.encoding, 1, {}}};
    if (formInUse(c, "a8") == "a8" && named.encoding.values.empty())
      list.push_back(named);
  }
  return list;
}

INSTANTIATE_TEST_SUITE_P(All, TilesOfEveryEncoding,
                         testing::ValuesIn(integerEncodings()),
                         [](const auto &info) { return info.param.name; });

/// Every number of rows, and threads that share the panels.
TEST_F(Tiles, MatmulAnyRows) {
  MatmulCase c;
  c.k = 320;
  c.segments = {{eightBits(), 40, {}},
                {*findGGMLType("Q4_1")->encoding, 21, {}}};
  c.viaBuffer = false;
  c.fill(random);
  std::vector<size_t> lengths(kTokens);
  std::iota(lengths.begin(), lengths.end(), 1);
  for (unsigned threads : {1, 3})
    expectMeaning(c, "a8", lengths, threads);
}

/// K of a part of a super-block, and long; panels that end early.
TEST_F(Tiles, MatmulAnyLength) {
  struct {
    const char *type;
    std::vector<size_t> lengths;
  } cases[] = {{"Q8_0", {32, 96, 4096}},
               {"Q4_K", {32, 96, 288, 2048}},
               {"Q6_K", {16, 48, 272, 512}},
               {"Q3_K", {16, 48, 272}},
               {"Q2_K", {16, 48, 272}}};
  for (const auto &[type, lengths] : cases)
    for (size_t k : lengths)
      for (size_t rows : {1, 16, 50}) {
        SCOPED_TRACE(std::string(type) + " k " + std::to_string(k) + ", " +
                     std::to_string(rows) + " rows of weights");
        MatmulCase c;
        c.k = k;
        c.segments = {{*findGGMLType(type)->encoding, rows, {}}};
        c.viaBuffer = false;
        c.fill(random);
        expectMeaning(c, "a8", {20});
      }
}

/// Both panels of a unit are unpacked before the first of them is multiplied.
TEST_F(Tiles, MatmulGated) {
  MatmulCase c;
  c.k = 256;
  c.segments = {{*findGGMLType("Q4_K")->encoding, 40, {}},
                {eightBits(), 40, {}}};
  c.epilogue = "glu_silu";
  c.fill(random);
  StepOptions options;
  options.target = kTarget;
  for (const char *form : {"a8", "a16"}) {
    options.activations = form;
    auto step = c.compile(options);
    expectBitsOfVectors(*step, {4, 16, 21}, 2);
    expectGated(c, form, step->run(firstTokens(21, true)));
  }
}

/// As many rows as a step has at most, which are no whole blocks: what is
/// written past them must be nothing else's.
TEST_F(Tiles, MatmulFullStep) {
  constexpr size_t capacity = 264;
  MatmulCase c;
  c.k = 64;
  c.segments = {{eightBits(), 64, {}}};
  c.epilogue = "residual";
  c.fill(random);
  StepOptions options;
  options.target = kTarget;
  options.activations = "a8";
  auto step = c.compile(options);
  StepRows rows;
  for (size_t i = 0; i < capacity; ++i)
    rows.token.push_back(int32_t(i % kTokens));
  rows.prompt = true;
  std::vector<float> one = step->run(firstTokens(kTokens, true));
  std::vector<float> got = step->run(rows);
  for (size_t row = 0; row < capacity; ++row)
    ASSERT_EQ(std::memcmp(&got[row * 64], &one[row % kTokens * 64], 64 * 4), 0)
        << "row " << row;
}

/// Weights that bf16 holds meet bf16: the same bits for any number of rows, and
/// lengths that are no whole chunk.
TEST_F(Tiles, MatmulHalves) {
  std::vector<std::pair<Encoding, size_t>> cases = {
      {floatEncoding(ScalarType::BF16), 100},
      {floatEncoding(ScalarType::BF16), 32}};
  for (Minifloat format : {Minifloat::E4M3FN, Minifloat::E5M2})
    for (unsigned group : {16, 32, 128}) {
      cases.emplace_back(oneLevel(8, group, ScalarType::F32), 256 + group);
      cases.back().first.minifloat = format;
    }
  cases.emplace_back(oneLevel(2, 32, ScalarType::F32), 288);
  cases.back().first.values = {-1.0f, -0.25f, 0.5f, 1.0f};
  for (const auto &[encoding, k] : cases) {
    SCOPED_TRACE(encodingText(encoding));
    MatmulCase c;
    c.k = k;
    c.segments = {{encoding, 21, {}}};
    c.viaBuffer = false;
    c.fill(random);
    if (encoding.minifloat == Minifloat::E4M3FN)
      c.segments[0].weights[3].codes[7] = 0x7f;
    StepOptions options;
    options.target = kTarget;
    options.activations = "f32";
    options.prompt = "a8";
    auto step = c.compile(options);
    uint64_t before = tileProductCount();
    std::vector<float> all = step->run(firstTokens(kTokens, true));
    if (!(*detectNativeTarget())->multipliesBlocks()) {
      EXPECT_GT(tileProductCount(), before);
    }
    for (size_t rows : {1, 4, 16, 20}) {
      std::vector<float> some = step->run(firstTokens(rows, true));
      EXPECT_EQ(std::memcmp(some.data(), all.data(), some.size() * 4), 0);
    }
    if (encoding.minifloat != Minifloat::E4M3FN) {
      expectProducts(c, "bf16", all);
      continue;
    }
    // What is no number is so for every token, and for no other row.
    for (size_t i = 0; i < all.size(); ++i)
      EXPECT_EQ(std::isnan(all[i]), i % 21 == 3) << i;
  }
}

} // namespace
