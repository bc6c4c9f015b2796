//===- GpuStepTest.cpp - Steps of a GPU in the emulator -------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Products without tensor cores, and what may stand before and behind a
// product. The other stages are tested with those of CPUs, whose tests run for
// every target.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/GGML.h"
#include "MatmulCase.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace qcc;
using namespace qcc::test;

namespace {

StepOptions onGpu() {
  StepOptions options;
  options.target = "sm_86";
  return options;
}

/// Rows have the same bits whatever the others of a step are.
void expectSameAlone(CompiledStep &step) {
  std::vector<float> all = step.run(firstTokens(6, false));
  size_t n = step.columns();
  for (size_t row = 0; row < 6; ++row) {
    StepRows one;
    one.token = {int32_t(row)};
    std::vector<float> part(all.begin() + row * n, all.begin() + (row + 1) * n);
    EXPECT_EQ(step.run(one), part) << "row " << row;
  }
}

/// Encodings that tensor cores take when activations may be f16; those that
/// they never take are seen in GpuMatmulTest.cpp.
TEST(GpuStep, EncodingsWithExactActivations) {
  std::mt19937 random(7);
  for (const char *name : {"Q4_1", "Q5_0", "Q8_0", "Q3_K", "Q4_K", "Q6_K"}) {
    SCOPED_TRACE(name);
    const Encoding &encoding = *findGGMLType(name)->encoding;
    MatmulCase c;
    c.k = columnsFor(encoding, 1) * 2;
    c.segments = {{encoding, 21, {}}, {eightBits(), 3, {}}, {encoding, 18, {}}};
    c.viaBuffer = false;
    c.fill(random);
    auto step = c.compile(onGpu());
    for (size_t rows : {1, 6})
      expectProducts(c, "f32", step->run(firstTokens(rows, rows > 1)));
  }
}

/// k of one group, of a part of a chunk, of a part of a word.
TEST(GpuStep, Lengths) {
  std::mt19937 random(8);
  for (const auto &[encoding, lengths] :
       std::vector<std::pair<Encoding, std::vector<size_t>>>{
           {floatEncoding(ScalarType::F16), {3, 4, 38, 1000}},
           {oneLevel(4, 16, ScalarType::F16), {16, 48, 144}},
           {*findGGMLType("Q3_K")->encoding, {16, 272}},
           {*findGGMLType("Q4_K")->encoding, {32, 288}}})
    for (size_t k : lengths) {
      SCOPED_TRACE(encodingText(encoding) + " k " + std::to_string(k));
      MatmulCase c;
      c.k = k;
      c.segments = {{encoding, 20, {}}};
      c.fill(random);
      auto step = c.compile(onGpu());
      expectProducts(c, "f32", step->run(firstTokens(3, false)));
      expectSameAlone(*step);
    }
}

TEST(GpuStep, BiasesOfSomeSegments) {
  std::mt19937 random(9);
  Encoding f16 = floatEncoding(ScalarType::F16);
  for (std::vector<bool> has : std::vector<std::vector<bool>>{
           {true, true, true}, {true, false, true}, {false, true, false}}) {
    MatmulCase c;
    c.k = 64;
    c.segments = {{f16, 21, {}, has[0]},
                  {eightBits(), 7, {}, has[1]},
                  {f16, 17, {}, has[2]}};
    c.fill(random);
    auto step = c.compile(onGpu());
    expectProducts(c, "f32", step->run(firstTokens(5, false)));
  }
}

TEST(GpuStep, GatedAndActivated) {
  std::mt19937 random(10);
  for (const char *epilogue : {"glu_silu", "glu_gelu_tanh", "glu_relu"}) {
    SCOPED_TRACE(epilogue);
    MatmulCase c;
    c.k = 64;
    c.segments = {{floatEncoding(ScalarType::BF16), 37, {}, true},
                  {eightBits(), 37, {}, false}};
    c.epilogue = epilogue;
    c.fill(random);
    expectGated(c, "f32", c.compile(onGpu())->run(firstTokens(3, false)));
  }
  for (const char *epilogue : {"gelu_tanh", "gelu_erf"}) {
    SCOPED_TRACE(epilogue);
    MatmulCase c;
    c.k = 64;
    c.segments = {{floatEncoding(ScalarType::F32), 37, {}, true}};
    c.epilogue = epilogue;
    c.fill(random);
    expectActivated(c, "f32", c.compile(onGpu())->run(firstTokens(3, false)));
  }
}

TEST(GpuStep, AnotherOrderAndSelectedRows) {
  std::mt19937 random(11);
  MatmulCase c;
  c.k = 96;
  c.segments = {{*findGGMLType("Q4_1")->encoding, 20, {}}};
  c.viaBuffer = false;
  c.select = true;
  c.fill(random);
  for (size_t i = 0; i < c.k; ++i)
    c.order.push_back(float(i));
  std::shuffle(c.order.begin(), c.order.end(), random);
  auto step = c.compile(onGpu());
  MatmulCase permuted = c;
  for (size_t row = 0; row < kTokens; ++row)
    for (size_t i = 0; i < c.k; ++i)
      permuted.x[row][i] = c.x[row][size_t(c.order[i])];
  for (const std::vector<uint32_t> &output :
       {std::vector<uint32_t>{6}, {0, 2, 5, 7, 8}}) {
    StepRows rows = firstTokens(9, true);
    rows.output = output;
    expectProducts(permuted, "f32", step->run(rows), output);
  }
}

/// Other blocks still read the rows that one adds to.
TEST(GpuStep, ResidualThatIsTheInput) {
  std::mt19937 random(12);
  MatmulCase c;
  c.k = 64;
  c.segments = {{eightBits(), 64, {}}};
  c.epilogue = "residual";
  c.fill(random);
  std::vector<float> got = c.compile(onGpu())->run(firstTokens(9, true));
  for (size_t row = 0; row < 9; ++row) {
    auto products = c.products(quantize(c.x[row], "f32"));
    for (size_t i = 0; i < 64; ++i)
      ASSERT_NEAR(got[row * 64 + i], c.x[row][i] + products[i].value,
                  roundingBound(products[i], "f32") +
                      1e-6 * std::fabs(c.x[row][i]))
          << "row " << row << " column " << i;
  }
}

} // namespace
