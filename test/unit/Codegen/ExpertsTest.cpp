//===- ExpertsTest.cpp - Generated mixtures of experts --------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Router, gated unit, way back and sum against the same in double precision.
// With f32 activations the result must be that; coarser ones must be near it.
// The weights of experts that no row chose are NaN.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/GGML.h"
#include "MatmulCase.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

using namespace qcc;
using namespace qcc::test;

namespace {

std::string dims(std::initializer_list<size_t> sizes,
                 const Encoding &encoding) {
  std::string text = "!qz.tensor<";
  for (size_t size : sizes)
    text += (text.back() == '<' ? "" : "x") + std::to_string(size);
  return text + ", " + encodingText(encoding) + ">";
}

std::string rowsText(size_t columns) {
  return "tensor<?x" + std::to_string(columns) + "xf32>";
}

/// A layer's mixture: x + sum of weight * down(glu(gate(x), up(x)) + bias).
struct Mixture {
  size_t k, middle, experts, slots;
  Encoding encoding;
  bool normalize = true, hasShared = false;
  std::string epilogue = "glu_silu";
  unsigned used = 0;      ///< Experts that rows may choose; 0: all.
  bool isGated = true;    ///< Of the shared expert.
  bool isSigmoid = false; ///< With a bias.
  double scale = 1;
  size_t groups = 1, topGroups = 1;

  std::vector<std::vector<float>> x;
  std::vector<std::vector<float>> router;
  std::vector<Fields> gate, up, down;
  std::vector<float> bias, sharedGate, routerBias;

  void fill(std::mt19937 &random);
  std::string module() const;
  std::unique_ptr<CompiledStep> compile(const StepOptions &options) const;
  std::vector<double> expected(size_t token) const;
  /// The experts of a row, best first, by what each is chosen by.
  std::vector<size_t> chosen(std::vector<double> choices) const;
  std::vector<double> times(const std::vector<Fields> &rows, size_t first,
                            size_t count, const std::vector<double> &v) const;
};

void Mixture::fill(std::mt19937 &random) {
  std::normal_distribution<float> normal;
  auto vector = [&](size_t size, float scale) {
    std::vector<float> values(size);
    for (float &value : values)
      value = scale * normal(random);
    return values;
  };
  for (size_t i = 0; i < kTokens; ++i)
    x.push_back(vector(k, 1));
  // The first column is far from 0 in all rows: it keeps some experts unused.
  for (size_t i = 0; i < experts; ++i)
    router.push_back(vector(k, 1 / std::sqrt(float(k))));
  for (auto &row : x)
    row[0] = 1;
  for (size_t i = used ? used : experts; i < experts; ++i)
    router[i][0] = -100;
  gate = randomRows(encoding, experts * middle, k, random);
  up = randomRows(encoding, experts * middle, k, random);
  down = randomRows(encoding, experts * k, middle, random);
  bias = vector(experts * k, 1);
  sharedGate = vector(k, 1 / std::sqrt(float(k)));
  routerBias = vector(experts, 0.3f);
}

std::string Mixture::module() const {
  Encoding f32 = floatEncoding(ScalarType::F32);
  std::string n = std::to_string(k), s = std::to_string(slots);
  std::string rows = rowsText(k), route = rowsText(2 * slots),
              hidden = rowsText(slots * middle), all = rowsText(slots * k);
  std::string table = dims({kTokens, k}, f32), square = dims({k, k}, f32),
              r = dims({experts, k}, f32), one = dims({1, k}, f32),
              m = dims({experts, middle, k}, encoding),
              d = dims({experts, k, middle}, encoding),
              b = dims({experts, k}, f32);
  std::string a = "!qz.activation<" + n + ">",
              in = "!qz.activation<" + n + ", " + s + ">",
              out = "!qz.activation<" + std::to_string(middle) + ", " + s + ">";
  std::string text;
  for (auto [name, type] :
       std::initializer_list<std::pair<const char *, std::string>>{
           {"table", table},
           {"identity", square},
           {"router", r},
           {"sharedGate", one},
           {"gate", m},
           {"up", m},
           {"down", d},
           {"bias", b}})
    text += std::string("qz.weight @") + name + " : " + type + "\n";
  const std::string e = dims({experts}, f32);
  if (isSigmoid)
    text += "qz.weight @routerBias : " + e + "\n";
  text += "func.func @step(%batch: !llm.batch) -> " + rows + " {\n";
  if (isSigmoid)
    text += "%routerBias = qz.use @routerBias : " + e + "\n";
  for (auto [name, type] :
       std::initializer_list<std::pair<const char *, std::string>>{
           {"table", table},
           {"identity", square},
           {"router", r},
           {"sharedGate", one},
           {"gate", m},
           {"up", m},
           {"down", d},
           {"bias", b}})
    text +=
        std::string("%") + name + " = qz.use @" + name + " : " + type + "\n";
  text += "%x = llm.embedding %batch, %table : " + table + " -> " + rows + "\n";
  text += "%ar = qz.quantize %x : " + rows + " -> " + a + "\n";
  text += "%l = qz.matmul %ar, [%router] : " + a + ", [" + r + "] -> " +
          rowsText(experts) + "\n";
  text += "%g1 = qz.matmul %ar, [%sharedGate] : " + a + ", [" + one + "] -> " +
          rowsText(1) + "\n";
  text += std::string("%r = llm.route %l ") +
          (isSigmoid ? "bias %routerBias " : "") + "{top_k = " + s + " : i64" +
          (normalize ? ", normalize" : "") + (isSigmoid ? ", sigmoid" : "") +
          ", scale = " + std::to_string(scale) +
          " : f32, groups = " + std::to_string(groups) +
          " : i64, top_groups = " + std::to_string(topGroups) +
          " : i64} : " + rowsText(experts) + (isSigmoid ? " bias " + e : "") +
          " -> " + route + "\n";
  text += "%a = qz.quantize %x experts %r : " + rows + " experts " + route +
          " -> " + in + "\n";
  text +=
      "%h = qz.matmul %a, [%gate, %up] experts %r {epilogue = #qz.epilogue<" +
      epilogue + ">} : " + in + ", [" + m + ", " + m + "] experts " + route +
      " -> " + hidden + "\n";
  text += "%b = qz.quantize %h experts %r : " + hidden + " experts " + route +
          " -> " + out + "\n";
  text += "%y = qz.matmul %b, [%down] bias[%bias] experts %r {bias_of = "
          "array<i64: 0>} : " +
          out + ", [" + d + "] bias[" + b + "] experts " + route + " -> " +
          all + "\n";
  text += std::string("%c = llm.combine %y, %r") +
          (hasShared ? " shared %x" : "") +
          (hasShared && isGated ? " gate %g1" : "") + " residual %x : " + all +
          ", " + route + (hasShared ? " shared " + rows : "") +
          (hasShared && isGated ? " gate " + rowsText(1) : "") + " residual " +
          rows + " -> " + rows + "\n";
  return text + "%q = qz.quantize %c : " + rows + " -> " + a +
         "\n%z = qz.matmul %q, [%identity] : " + a + ", [" + square + "] -> " +
         rows + "\nreturn %z : " + rows + "\n}\n";
}

std::unique_ptr<CompiledStep>
Mixture::compile(const StepOptions &options) const {
  auto step = std::make_unique<CompiledStep>(module(), options);
  auto floats = [](const std::vector<std::vector<float>> &rows) {
    std::vector<Fields> fields;
    for (const auto &row : rows)
      fields.push_back(floatRow(row));
    return fields;
  };
  step->setWeight("table", floats(x));
  step->setWeight("identity", identityRows(k));
  step->setWeight("router", floats(router));
  step->setWeight("sharedGate", {floatRow(sharedGate)});
  step->setWeight("gate", gate);
  step->setWeight("up", up);
  step->setWeight("down", down);
  step->setVector("bias", bias);
  if (isSigmoid)
    step->setVector("routerBias", routerBias);
  return step;
}

std::vector<double> Mixture::times(const std::vector<Fields> &rows,
                                   size_t first, size_t count,
                                   const std::vector<double> &v) const {
  std::vector<double> result(count);
  for (size_t i = 0; i < count; ++i)
    for (size_t j = 0; j < v.size(); ++j)
      result[i] += double(decodeElement(encoding, rows[first + i], j)) * v[j];
  return result;
}

double glu(const std::string &kind, double gate, double up) {
  if (kind == "glu_silu")
    return gate / (1 + std::exp(-gate)) * up;
  gate = std::min(gate, 7.0);
  up = std::clamp(up, -7.0, 7.0);
  return gate / (1 + std::exp(-1.702 * gate)) * (up + 1);
}

std::vector<size_t> Mixture::chosen(std::vector<double> choices) const {
  auto sorted = [](const std::vector<double> &values) {
    std::vector<size_t> order(values.size());
    std::iota(order.begin(), order.end(), size_t(0));
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return values[a] > values[b]; });
    return order;
  };
  const size_t size = experts / groups;
  std::vector<double> scores;
  for (size_t g = 0; g < groups; ++g) {
    std::vector<double> group(choices.begin() + long(g * size),
                              choices.begin() + long((g + 1) * size));
    std::sort(group.rbegin(), group.rend());
    scores.push_back(group[0] + (isSigmoid && size > 1 ? group[1] : 0));
  }
  std::vector<size_t> best = sorted(scores);
  for (size_t g = topGroups; g < groups; ++g)
    std::fill_n(choices.begin() + long(best[g] * size), size, -1e30);
  return sorted(choices);
}

std::vector<double> Mixture::expected(size_t token) const {
  std::vector<double> v(x[token].begin(), x[token].end());
  auto dot = [&](const std::vector<float> &w) {
    return std::inner_product(w.begin(), w.end(), v.begin(), 0.0);
  };
  std::vector<double> choices, scores;
  for (size_t e = 0; e < experts; ++e) {
    double logit = dot(router[e]);
    scores.push_back(isSigmoid ? 1 / (1 + std::exp(-logit)) : std::exp(logit));
    choices.push_back(isSigmoid ? scores[e] + routerBias[e] : logit);
  }
  std::vector<size_t> order = chosen(choices);
  double total = 0;
  if (normalize)
    for (size_t i = 0; i < slots; ++i)
      total += scores[order[i]];
  else
    total = isSigmoid ? 1 : std::accumulate(scores.begin(), scores.end(), 0.0);
  std::vector<double> result = v;
  for (size_t s = 0; s < slots; ++s) {
    size_t e = order[s];
    std::vector<double> g = times(gate, e * middle, middle, v),
                        u = times(up, e * middle, middle, v);
    for (size_t i = 0; i < middle; ++i)
      g[i] = glu(epilogue, g[i], u[i]);
    std::vector<double> y = times(down, e * k, k, g);
    for (size_t i = 0; i < k; ++i)
      result[i] += scale * scores[e] / total * (y[i] + bias[e * k + i]);
  }
  if (hasShared)
    for (size_t i = 0; i < k; ++i)
      result[i] += isGated ? v[i] / (1 + std::exp(-dot(sharedGate))) : v[i];
  return result;
}

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
