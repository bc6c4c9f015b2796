//===- ExpertsTest.cpp - Generated mixtures of experts --------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Router, gated unit, way back and sum against the same in double precision.
// With f32 activations the result must be that; coarser ones must be near it.
// The weights of experts that no row chose are NaN.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/GGML.h"
#include "MixtureCase.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace qcc;
using namespace qcc::test;

namespace {

class ExpertShapes : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (std::string why = whyNotRunnable(GetParam()); !why.empty())
      GTEST_SKIP() << why;
    options.target = GetParam();
  }

  /// Errors are at most `share` of the largest result of a row.
  void expectNear(const Mixture &m, CompiledStep &step, double share) {
    for (bool prompt : {false, true})
      for (size_t count : {size_t(1), prompt ? kTokens : size_t(3)}) {
        std::vector<float> got = step.run(firstTokens(count, prompt));
        for (size_t row = 0; row < count; ++row) {
          std::vector<double> expected = m.expected(row);
          double largest = 0;
          for (double value : expected)
            largest = std::max(largest, std::fabs(value));
          for (size_t i = 0; i < m.k; ++i)
            ASSERT_NEAR(got[row * m.k + i], expected[i], share * largest)
                << (prompt ? "prompt row " : "row ") << row << " column " << i;
        }
      }
  }

  StepOptions options;
  std::mt19937 random{17};
};

TEST_P(ExpertShapes, Floats) {
  // Rows that are no whole panels, a slot for each expert, and one for all.
  for (auto [middle, experts, slots] :
       {std::array<size_t, 3>{37, 5, 2}, {16, 3, 3}, {40, 19, 1}}) {
    SCOPED_TRACE(middle);
    Mixture m{50, middle, experts, slots, floatEncoding(ScalarType::F32)};
    m.normalize = slots != 3;
    m.hasShared = slots == 2;
    m.epilogue = slots == 1 ? "glu_clamped_swiglu" : "glu_silu";
    m.fill(random);
    auto step = m.compile(options);
    expectNear(m, *step, 3e-5);
    expectInvariant(*step, {2, 3, 7});
  }
}

TEST_P(ExpertShapes, Routes) {
  for (bool isSigmoid : {false, true})
    for (bool normalize : {false, true}) {
      SCOPED_TRACE(std::string(isSigmoid ? "sigmoid" : "softmax") +
                   (normalize ? ", normalized" : ""));
      Mixture m{40, 16, 12, 3, floatEncoding(ScalarType::F32)};
      m.normalize = normalize;
      m.isSigmoid = isSigmoid;
      m.hasShared = true;
      m.isGated = !normalize;
      m.scale = 2.5;
      m.groups = isSigmoid ? 3 : 4;
      m.topGroups = 2;
      m.fill(random);
      auto step = m.compile(options);
      expectNear(m, *step, 3e-5);
      expectInvariant(*step, {3});
    }
}

TEST_P(ExpertShapes, Codes) {
  for (const char *type : {"Q4_K", "MXFP4"})
    for (const char *form : {"a16", "a8"}) {
      SCOPED_TRACE(std::string(type) + " " + form);
      Mixture m{256, 256, 9, 4, *findGGMLType(type)->encoding};
      m.fill(random);
      options.activations = "a16";
      options.prompt = form;
      auto step = m.compile(options);
      expectNear(m, *step, form == std::string("a8") ? 0.05 : 2e-3);
      expectInvariant(*step, {3});
    }
}

TEST_P(ExpertShapes, UnusedAreNotRead) {
  Mixture m{64, 32, 8, 2, floatEncoding(ScalarType::F32)};
  m.used = 5;
  m.fill(random);
  const Fields nan = floatRow(std::vector<float>(64, std::nanf("")));
  for (size_t i = m.used * m.middle; i < m.gate.size(); ++i)
    m.gate[i] = m.up[i] = nan;
  auto step = m.compile(options);
  expectNear(m, *step, 3e-5);
}

/// In the emulator, which takes longer: each feature once.
class ExpertsOnGpu : public ExpertShapes {
protected:
  /// Rows have the same bits whatever the others are, in generating and in
  /// prompt steps alike, also in those that are listed by several turns of a
  /// block's threads.
  void expectSameRows(CompiledStep &step, size_t promptRows) {
    std::vector<float> all = step.run(firstTokens(6, false));
    StepRows rows;
    rows.prompt = true;
    for (size_t i = 0; i < promptRows; ++i)
      rows.token.push_back(int32_t(i % kTokens));
    std::vector<float> prompt = step.run(rows);
    for (size_t i = kTokens * step.columns(); i < prompt.size(); ++i)
      ASSERT_EQ(prompt[i], prompt[i - kTokens * step.columns()])
          << "row " << i / step.columns();
    for (size_t row : {0, 5}) {
      StepRows one;
      one.token = {int32_t(row)};
      std::vector<float> alone = step.run(one);
      one.prompt = true;
      std::vector<float> shortPrompt = step.run(one);
      for (size_t i = 0; i < alone.size(); ++i) {
        ASSERT_EQ(alone[i], all[row * alone.size() + i]) << row;
        ASSERT_EQ(shortPrompt[i], prompt[row * alone.size() + i]) << row;
      }
    }
  }
};

TEST_P(ExpertsOnGpu, Floats) {
  Mixture m{50, 37, 5, 2, floatEncoding(ScalarType::F32)};
  m.hasShared = true;
  m.used = 4;
  m.epilogue = "glu_clamped_swiglu";
  m.fill(random);
  const Fields nan = floatRow(std::vector<float>(50, std::nanf("")));
  for (size_t i = m.used * m.middle; i < m.gate.size(); ++i)
    m.gate[i] = m.up[i] = nan;
  auto step = m.compile(options);
  expectNear(m, *step, 3e-5);
  expectSameRows(*step, 150);
}

TEST_P(ExpertsOnGpu, Routes) {
  for (bool isSigmoid : {false, true}) {
    Mixture m{20, 16, 36, 3, floatEncoding(ScalarType::F32)};
    m.normalize = m.isSigmoid = isSigmoid;
    m.hasShared = true;
    m.isGated = false;
    m.scale = 2.5;
    m.groups = isSigmoid ? 3 : 4;
    m.topGroups = 2;
    m.fill(random);
    expectNear(m, *m.compile(options), 3e-5);
  }
}

TEST_P(ExpertsOnGpu, TensorCores) {
  Mixture m{256, 256, 6, 2, *findGGMLType("Q4_K")->encoding};
  m.fill(random);
  options.activations = "f16";
  auto step = m.compile(options);
  expectNear(m, *step, 2e-3);
  expectSameRows(*step, 11);
}

INSTANTIATE_TEST_SUITE_P(Targets, ExpertsOnGpu, testing::Values("sm_86"));
INSTANTIATE_TEST_SUITE_P(Targets, ExpertShapes, testing::ValuesIn(kTargets),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
