//===- MatmulTest.cpp - Generated matmuls against the scalar meaning ------===//
// SPDX-License-Identifier: Apache-2.0
//
// For every encoding: random weights, rows that are no multiple of 16, all
// forms of activations, generating and prompt steps; for some, several
// segments. Each result is compared with the meaning of the same quantized
// activations (up to the rounding of f32 sums) and of the exact ones (up to
// half a step).
//===----------------------------------------------------------------------===//

#include "qcc/Formats/GGML.h"
#include "qcc/Formats/Quantize.h"
#include "MatmulCase.h"

#include <gtest/gtest.h>

#include "qcc/Codegen/Common/Target.h"

#include <algorithm>
#include <cmath>

using namespace qcc;
using namespace qcc::test;

namespace {

const char *const kForms[] = {"f32", "a16", "a8", "a8g16"};

class EveryEncoding
    : public testing::TestWithParam<std::tuple<const char *, NamedEncoding>> {};

TEST_P(EveryEncoding, Matmul) {
  auto [target, named] = GetParam();
  if (std::string why = whyNotRunnable(target); !why.empty())
    GTEST_SKIP() << why;
  ASSERT_EQ(named.encoding.check(), "");
  std::mt19937 random(7);
  size_t unit = columnsFor(named.encoding, 1);
  MatmulCase c;
  c.k = columnsFor(named.encoding, std::max<size_t>(2, 192 / unit));
  if (named.encoding.takesShortGroup())
    c.k += 32;
  c.segments = {{named.encoding, 21, {}}};
  c.viaBuffer = false; // Code for buffers takes as long to compile again.
  c.fill(random);
  for (const char *wanted : kForms) {
    std::string form = formInUse(c, wanted);
    if (form != wanted)
      continue; // The f32 case, which has been seen.
    SCOPED_TRACE(form);
    StepOptions options;
    options.target = target;
    options.activations = form;
    auto step = c.compile(options);
    for (size_t rows : {1, 2, 3, 5}) {
      SCOPED_TRACE("generating " + std::to_string(rows) + " rows");
      expectProducts(c, form, step->run(firstTokens(rows, false)));
    }
    // Floats of codes keep f32 in place of 8 bits.
    bool isFloat = !named.encoding.values.empty() && form.starts_with("a8");
    for (size_t rows : {1, 12, 13}) {
      SCOPED_TRACE("a prompt of " + std::to_string(rows) + " rows");
      expectProducts(c, isFloat ? "f32" : form,
                     step->run(firstTokens(rows, true)), {}, target);
    }
    expectInvariant(*step, {7});
  }
}

INSTANTIATE_TEST_SUITE_P(Encodings, EveryEncoding,
                         testing::Combine(testing::Values(kTargets[0],
                                                          kTargets[1]),
                                          testing::ValuesIn(allEncodings())),
                         [](const auto &info) {
                           std::string name =
                               std::string(std::get<0>(info.param)) + "_" +
                               std::get<1>(info.param).name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

/// Checks that do not depend on the encoding, for some that differ much.
class Shapes : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (std::string why = whyNotRunnable(GetParam()); !why.empty())
      GTEST_SKIP() << why;
    options.target = GetParam();
  }
  std::vector<Encoding> someEncodings() {
    std::vector<Encoding> list = {floatEncoding(ScalarType::F16), eightBits()};
    for (const char *name : {"Q4_1", "Q6_K", "Q4_K"})
      list.push_back(*findGGMLType(name)->encoding);
    return list;
  }
  /// Each encoding with one epilogue, and one encoding with each.
  std::vector<std::pair<Encoding, const char *>>
  withEpilogues(std::initializer_list<const char *> epilogues) {
    std::vector<std::pair<Encoding, const char *>> list;
    for (const Encoding &encoding : someEncodings())
      list.emplace_back(encoding, *epilogues.begin());
    for (const char *epilogue : epilogues)
      if (epilogue != *epilogues.begin())
        list.emplace_back(*findGGMLType("Q4_1")->encoding, epilogue);
    return list;
  }
  StepOptions options;
  std::mt19937 random{11};
};

TEST_P(Shapes, MatmulGated) {
  for (const auto &[encoding, epilogue] : withEpilogues(
           {"glu_silu", "glu_gelu_tanh", "glu_gelu_erf", "glu_relu"})) {
    SCOPED_TRACE(encodingText(encoding) + " " + epilogue);
    MatmulCase c;
    c.k = 256;
    c.segments = {{encoding, 40, {}}, {eightBits(), 40, {}}};
    c.epilogue = epilogue;
    c.fill(random);
    options.activations = "a16";
    std::string form = formInUse(c, "a16");
    auto step = c.compile(options);
    expectGated(c, form, step->run(firstTokens(3, false)));
    expectGated(c, form, step->run(firstTokens(13, true)));
    expectInvariant(*step);
  }
}

TEST_P(Shapes, MatmulActivated) {
  for (const auto &[encoding, epilogue] :
       withEpilogues({"silu", "gelu_tanh", "gelu_erf", "relu"})) {
    SCOPED_TRACE(encodingText(encoding) + " " + epilogue);
    MatmulCase c;
    c.k = 256;
    c.segments = {{encoding, 40, {}}};
    c.epilogue = epilogue;
    c.fill(random);
    options.activations = "a16";
    std::string form = formInUse(c, "a16");
    auto step = c.compile(options);
    expectActivated(c, form, step->run(firstTokens(3, false)));
    expectActivated(c, form, step->run(firstTokens(13, true)));
    expectInvariant(*step);
  }
}

TEST_P(Shapes, MatmulResidual) {
  for (const Encoding &encoding : someEncodings()) {
    SCOPED_TRACE(encodingText(encoding));
    MatmulCase c;
    c.k = 256;
    c.segments = {{encoding, 256, {}}};
    c.epilogue = "residual";
    c.fill(random);
    options.activations = "a8";
    std::string form = formInUse(c, "a8");
    auto step = c.compile(options);
    for (bool prompt : {false, true}) {
      size_t rows = prompt ? 13 : 3;
      std::vector<float> got = step->run(firstTokens(rows, prompt));
      for (size_t row = 0; row < rows; ++row) {
        Activations x = quantize(c.x[row], form);
        auto products = c.products(x);
        auto fixed = c.fixedBounds(x, form, prompt ? GetParam() : "");
        for (size_t i = 0; i < 256; ++i)
          ASSERT_NEAR(got[row * 256 + i], c.x[row][i] + products[i].value,
                      roundingBound(products[i], form) + fixed[i] +
                          1e-6 * std::fabs(c.x[row][i]))
              << "row " << row << " column " << i;
      }
    }
    expectInvariant(*step);
  }
}

/// Elements of a row enter in another order, as act-order weights want them.
TEST_P(Shapes, MatmulInAnotherOrder) {
  for (size_t k : {64, 96, 576}) {
    MatmulCase c;
    c.k = k;
    c.segments = {{*findGGMLType("Q4_1")->encoding, 20, {}}};
    c.viaBuffer = false;
    c.fill(random);
    for (size_t i = 0; i < k; ++i)
      c.order.push_back(float(i));
    std::shuffle(c.order.begin(), c.order.end(), random);
    for (const char *form : {"a16", "a8", "f32"}) {
      SCOPED_TRACE(form);
      options.activations = form;
      auto step = c.compile(options);
      MatmulCase permuted = c;
      for (size_t row = 0; row < kTokens; ++row)
        for (size_t i = 0; i < k; ++i)
          permuted.x[row][i] = c.x[row][size_t(c.order[i])];
      for (size_t rows : {1, 3})
        expectProducts(permuted, form, step->run(firstTokens(rows, false)));
      expectProducts(permuted, form, step->run(firstTokens(13, true)), {},
                     GetParam());
    }
  }
}

/// Straight to the logits, where only real rows and columns may be written.
TEST_P(Shapes, MatmulToLogits) {
  for (size_t rows : {1, 15, 16, 17, 50}) {
    SCOPED_TRACE(rows);
    MatmulCase c;
    c.k = 64;
    c.segments = {{eightBits(), rows, {}}};
    c.viaBuffer = false;
    c.fill(random);
    options.activations = "a16";
    auto step = c.compile(options);
    for (size_t count : {1, 2, 5, 16})
      expectProducts(c, "a16", step->run(firstTokens(count, false)));
    for (size_t count : {1, 11, 12, 25})
      expectProducts(c, "a16", step->run(firstTokens(count, true)));
    expectInvariant(*step);
  }
}

/// Only the rows of a step that want results.
TEST_P(Shapes, MatmulSelected) {
  MatmulCase c;
  c.k = 64;
  c.segments = {{eightBits(), 50, {}}};
  c.viaBuffer = false;
  c.select = true;
  c.fill(random);
  for (const char *form : {"a16", "f32"}) {
    options.activations = form;
    auto step = c.compile(options);
    for (bool prompt : {false, true})
      for (const std::vector<uint32_t> &output :
           {std::vector<uint32_t>{6},
            {0, 2, 5},
            {0, 1, 2, 3, 4, 5, 6, 7},
            {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}) {
        StepRows rows = firstTokens(16, prompt, 3);
        rows.output = output;
        expectProducts(c, form, step->run(rows), output);
      }
  }
}

/// One group along all of k.
Encoding oneRow(unsigned bits, unsigned k) {
  Encoding encoding = oneLevel(bits, k, ScalarType::F32);
  encoding.zero = 1 << (bits - 1);
  return encoding;
}

/// k of one group, of a part of a chunk, of a part of a super-block, and long.
TEST_P(Shapes, MatmulLengths) {
  struct {
    Encoding encoding;
    std::vector<size_t> lengths;
  } cases[] = {
      {floatEncoding(ScalarType::BF16), {4, 20, 36, 100}},
      {oneLevel(4, 16, ScalarType::F16), {16, 48, 144}},
      {eightBits(), {32, 96, 4096}},
      {oneRow(8, 16384), {16384}},
      {oneRow(4, 864), {864}},
      {*findGGMLType("Q3_K")->encoding, {16, 48, 272, 512}},
      {*findGGMLType("Q4_K")->encoding, {32, 96, 288, 2048}},
      {twoLevel(5, 64, 128, 6, ScalarType::F16), {64, 192, 256}},
  };
  for (const auto &[encoding, lengths] : cases)
    for (size_t k : lengths)
      for (const char *wanted : {"a8", "a16", "f32"}) {
        MatmulCase c;
        c.k = k;
        c.segments = {{encoding, 20, {}}};
        c.viaBuffer = false;
        std::string form = formInUse(c, wanted);
        if (form != wanted)
          continue;
        SCOPED_TRACE(encodingText(encoding) + " k " + std::to_string(k) + " " +
                     form);
        c.fill(random);
        options.activations = form;
        auto step = c.compile(options);
        expectProducts(c, form, step->run(firstTokens(3, false)));
        expectProducts(c, form, step->run(firstTokens(13, true)), {},
                       GetParam());
      }
}

/// A weight that is no number reaches the results of its row and no others.
TEST_P(Shapes, MatmulNotANumber) {
  for (Minifloat format : {Minifloat::E4M3FN, Minifloat::E5M2}) {
    SCOPED_TRACE(minifloatName(format));
    MatmulCase c;
    c.k = 128;
    c.segments = {{oneLevel(8, 64, ScalarType::F32), 20, {}}};
    c.segments[0].encoding.minifloat = format;
    c.viaBuffer = false;
    c.fill(random);
    c.segments[0].weights[3].codes[21] = 0x7f;
    c.segments[0].weights[18].codes[126] = 0xff;
    auto step = c.compile(options);
    for (bool prompt : {false, true}) {
      std::vector<float> got = step->run(firstTokens(3, prompt));
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_EQ(std::isnan(got[i]), i % 20 == 3 || i % 20 == 18) << i;
    }
  }
}

/// Where 8 bits are asked for and weights are floats that bf16 holds, prompts
/// have bf16 where the target multiplies it.
TEST_P(Shapes, MatmulHalves) {
  bool hasHalves = findTarget(GetParam())->cpuFeatures & QCC_CPU_AVX512_BF16;
  std::vector<Encoding> list = {floatEncoding(ScalarType::BF16)};
  for (Minifloat format : {Minifloat::E4M3FN, Minifloat::E5M2})
    for (unsigned group : {16, 32, 128}) {
      list.push_back(oneLevel(8, group, ScalarType::F32));
      list.back().minifloat = format;
    }
  for (const Encoding &encoding : list) {
    SCOPED_TRACE(encodingText(encoding));
    MatmulCase c;
    c.k = 384;
    c.segments = {{encoding, 21, {}}, {encoding, 40, {}}};
    c.fill(random);
    options.activations = "a16";
    options.prompt = "a8";
    auto step = c.compile(options);
    expectProducts(c, "f32", step->run(firstTokens(3, false)));
    for (size_t rows : {1, 13})
      expectProducts(c, hasHalves ? "bf16" : "f32",
                     step->run(firstTokens(rows, true)));
    expectInvariant(*step);
  }
}

/// So they have where codes stand for any floats, which are rounded to bf16.
TEST_P(Shapes, MatmulRoundedValues) {
  bool hasHalves = findTarget(GetParam())->cpuFeatures & QCC_CPU_AVX512_BF16;
  for (unsigned group : {16, 32, 64, 128}) {
    SCOPED_TRACE(group);
    MatmulCase c;
    c.k = 384;
    Encoding encoding;
    ASSERT_TRUE(findQuantizationType("nf4")->encodingFor(c.k, encoding));
    encoding.group = group;
    c.segments = {{encoding, 21, {}}, {encoding, 40, {}}};
    c.fill(random);
    options.activations = "a16";
    options.prompt = "a8";
    auto step = c.compile(options);
    expectInvariant(*step);
    if (hasHalves)
      for (Segment &segment : c.segments)
        for (float &value : segment.encoding.values)
          value = float(quantize({value}, "bf16").value[0]);
    for (size_t rows : {1, 13})
      expectProducts(c, hasHalves ? "bf16" : "f32",
                     step->run(firstTokens(rows, true)));
  }
}

/// Generating and prompt steps with forms of their own.
TEST_P(Shapes, MatmulMixedForms) {
  MatmulCase c;
  c.k = 256;
  c.segments = {{*findGGMLType("Q4_1")->encoding, 20, {}},
                {*findGGMLType("Q6_K")->encoding, 20, {}}};
  c.fill(random);
  for (const char *prompt : {"a8", "a8g16", "f32"}) {
    SCOPED_TRACE(prompt);
    options.activations = "a16";
    options.prompt = prompt;
    auto step = c.compile(options);
    expectProducts(c, "a16", step->run(firstTokens(3, false)));
    expectProducts(c, prompt, step->run(firstTokens(13, true)), {}, GetParam());
    expectInvariant(*step);
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Shapes, testing::ValuesIn(kTargets),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
