//===- MatmulBiasTest.cpp - Generated matmuls with biases -----------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Biases before every epilogue, of all segments and of some, with rows that are
// no multiple of 16. Behind the last element of a bias stands another vector or
// the end of the weights.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/GGML.h"
#include "MatmulCase.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

using namespace qcc;
using namespace qcc::test;

namespace {

class BiasShapes : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (std::string why = whyNotRunnable(GetParam()); !why.empty())
      GTEST_SKIP() << why;
    options.target = GetParam();
  }
  StepOptions options;
  std::mt19937 random{13};
};

TEST_P(BiasShapes, Segments) {
  for (const Encoding &encoding :
       {floatEncoding(ScalarType::F16), *findGGMLType("Q4_1")->encoding})
    for (std::vector<bool> has : std::vector<std::vector<bool>>{
             {true, true, true}, {true, false, true}, {false, true, false}})
      for (size_t rows : {21, 32}) {
        SCOPED_TRACE(encodingText(encoding) + " rows " + std::to_string(rows));
        MatmulCase c;
        c.k = 256;
        c.segments = {{encoding, rows, {}, has[0]},
                      {eightBits(), 7, {}, has[1]},
                      {encoding, rows + 1, {}, has[2]}};
        c.fill(random);
        options.activations = "a16";
        std::string form = formInUse(c, "a16");
        auto step = c.compile(options);
        expectProducts(c, form, step->run(firstTokens(3, false)));
        expectProducts(c, form, step->run(firstTokens(13, true)));
      }
}

TEST_P(BiasShapes, ToLogits) {
  for (size_t rows : {1, 15, 16, 17, 50})
    for (bool select : {false, true}) {
      SCOPED_TRACE(rows);
      MatmulCase c;
      c.k = 64;
      c.segments = {{eightBits(), rows, {}, true}};
      c.viaBuffer = false;
      c.select = select;
      c.fill(random);
      options.activations = "a16";
      auto step = c.compile(options);
      if (!select) {
        expectProducts(c, "a16", step->run(firstTokens(5, false)));
        expectProducts(c, "a16", step->run(firstTokens(25, true)));
        expectInvariant(*step, {3});
        continue;
      }
      StepRows some = firstTokens(16, true, 3);
      some.output = {0, 2, 5};
      expectProducts(c, "a16", step->run(some), some.output);
    }
}

TEST_P(BiasShapes, Residual) {
  for (size_t rows : {40, 64, 100}) {
    SCOPED_TRACE(rows);
    MatmulCase c;
    c.k = rows;
    c.segments = {{floatEncoding(ScalarType::F16), rows, {}, true}};
    c.epilogue = "residual";
    c.fill(random);
    auto step = c.compile(options);
    for (bool prompt : {false, true}) {
      size_t count = prompt ? 13 : 3;
      std::vector<float> got = step->run(firstTokens(count, prompt));
      for (size_t row = 0; row < count; ++row) {
        auto products = c.products(quantize(c.x[row], "f32"));
        for (size_t i = 0; i < rows; ++i)
          ASSERT_NEAR(got[row * rows + i], c.x[row][i] + products[i].value,
                      roundingBound(products[i], "f32") +
                          1e-6 * std::fabs(c.x[row][i]))
              << "row " << row << " column " << i;
      }
    }
    expectInvariant(*step, {3});
  }
}

TEST_P(BiasShapes, Gated) {
  for (const char *epilogue : {"glu_silu", "glu_gelu_tanh"})
    for (auto [hasGate, hasUp] :
         {std::pair{true, true}, {true, false}, {false, true}})
      for (size_t columns : {32, 37}) {
        if (std::string_view(epilogue) != "glu_silu" && !(hasGate && hasUp))
          continue; // which segments have biases does not depend on it
        SCOPED_TRACE(std::string(epilogue) + " columns " +
                     std::to_string(columns));
        MatmulCase c;
        c.k = 256;
        c.segments = {{*findGGMLType("Q4_K")->encoding, columns, {}, hasGate},
                      {eightBits(), columns, {}, hasUp}};
        c.epilogue = epilogue;
        c.fill(random);
        options.activations = "a16";
        auto step = c.compile(options);
        expectGated(c, "a16", step->run(firstTokens(3, false)));
        expectGated(c, "a16", step->run(firstTokens(13, true)));
        expectInvariant(*step, {3});
      }
}

TEST_P(BiasShapes, Activated) {
  for (const char *epilogue : {"gelu_tanh", "gelu_erf"})
    for (size_t columns : {32, 37}) {
      SCOPED_TRACE(std::string(epilogue) + " columns " +
                   std::to_string(columns));
      MatmulCase c;
      c.k = 256;
      c.segments = {{eightBits(), columns, {}, true}};
      c.epilogue = epilogue;
      c.fill(random);
      options.activations = "a16";
      auto step = c.compile(options);
      expectActivated(c, "a16", step->run(firstTokens(3, false)));
      expectActivated(c, "a16", step->run(firstTokens(13, true)));
      expectInvariant(*step, {3});
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, BiasShapes, testing::ValuesIn(kTargets),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
