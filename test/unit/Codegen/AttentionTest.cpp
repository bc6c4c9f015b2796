//===- AttentionTest.cpp - Rope, KV state and attention -------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// llm.rope_append and llm.attend against a reference in double precision: what
// is stored in the pages, and then attention over exactly what is stored.
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/Common/Target.h"
#include "CompiledStep.h"
#include "RandomWeights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

using namespace qcc;
using namespace qcc::test;

namespace {

constexpr size_t kTokens = 48;

struct Shape {
  size_t kvHeads, group, headDim;
  size_t pairs; ///< Frequencies.
  bool adjacent = false, norms = false;
  size_t window = 0;
  ScalarType kv = ScalarType::F32;
  bool still = false; ///< All frequencies are 0.
  double softcap = 0;
  bool rowNorms = false; ///< Norms are of all heads of a row.
  bool centered = false; ///< Of each head, by mean and variance.
  bool halves = false;   ///< Prompts may multiply bf16.
  bool sinks = false;
  unsigned pages = 4; ///< Of a sequence.

  size_t heads() const { return kvHeads * group; }
  size_t queryColumns() const { return heads() * headDim; }
  size_t queryNormColumns() const {
    return rowNorms || centered ? queryColumns() : headDim;
  }
  size_t keyNormColumns() const {
    return rowNorms || centered ? kvHeads * headDim : headDim;
  }
  size_t columns() const { return (heads() + 2 * kvHeads) * headDim; }
};

struct Place {
  unsigned sequence, position;
};

class AttentionCase {
public:
  AttentionCase(const Shape &shape, const std::string &target);

  /// Runs one step of `places` and checks state and results.
  void check(const std::vector<Place> &places, bool prompt, unsigned threads);
  /// Runs prompts of a sequence up to a position, and checks nothing.
  void fill(unsigned sequence, unsigned positions);

private:
  std::string module(const std::string &scale) const;
  std::vector<double> rotated(const std::vector<float> &row, size_t head,
                              unsigned position, const float *norm,
                              double scale) const;
  double stored(const Place &place, size_t kvHead, size_t d, bool value) const;
  void checkState(const Place &place, const std::vector<float> &row);
  void checkRow(const Place &place, const std::vector<float> &row,
                bool isRounded, const float *got);
  StepRows rowsOf(const std::vector<Place> &places, bool prompt) const;

  static constexpr float kEps = 1e-5f;
  Shape shape;
  double scale;
  std::vector<float> frequencies, queryNorm, keyNorm, sinks;
  std::vector<std::vector<float>> x;
  std::unique_ptr<CompiledStep> step;
  bool isRounding; ///< The target multiplies bf16.
};

std::string AttentionCase::module(const std::string &scaleText) const {
  Encoding f32 = floatEncoding(ScalarType::F32);
  auto number = [](size_t value) { return std::to_string(value); };
  auto rows = [&](size_t columns) {
    return "tensor<?x" + number(columns) + "xf32>";
  };
  std::string table = tensorText(kTokens, shape.columns(), f32);
  size_t out = shape.queryColumns();
  std::string identity = tensorText(out, out, f32);
  auto vector = [&](size_t size) {
    std::string dims = number(size);
    if (shape.centered)
      dims = number(size / shape.headDim) + "x" + number(shape.headDim);
    return "!qz.tensor<" + dims + ", " + encodingText(f32) + ">";
  };
  std::string queryNormType = vector(shape.queryNormColumns());
  std::string keyNormType = vector(shape.keyNormColumns());
  std::string state = "!llm.state<" + number(shape.kvHeads) + ", " +
                      number(shape.headDim) + ">";
  std::string window = number(shape.window) + " : i64";
  std::string values;
  for (float frequency : frequencies)
    values += (values.empty() ? "" : ", ") + std::to_string(frequency);
  std::string activation = "!qz.activation<" + number(out) + ">";

  std::string text =
      "qz.weight @table : " + table + "\nqz.weight @identity : " + identity +
      "\nllm.kv_state @kv : " + state + " {window = " + window + "}\n";
  if (shape.norms)
    text += "qz.weight @qn : " + queryNormType +
            "\nqz.weight @kn : " + keyNormType + "\n";
  std::string sinksType = vector(shape.heads());
  if (shape.sinks)
    text += "qz.weight @sinks : " + sinksType + "\n";
  text += "func.func @step(%batch: !llm.batch) -> " + rows(out) + " {\n";
  if (shape.sinks)
    text += "%k = qz.use @sinks : " + sinksType + "\n";
  text += "%t = qz.use @table : " + table +
          "\n%i = qz.use @identity : " + identity +
          "\n%s = llm.state @kv : " + state + "\n";
  if (shape.norms)
    text += "%qn = qz.use @qn : " + queryNormType +
            "\n%kn = qz.use @kn : " + keyNormType + "\n";
  text += "%x = llm.embedding %batch, %t : " + table + " -> " +
          rows(shape.columns()) + "\n";
  text += "%r = llm.rotations %batch {frequencies = array<f32: " + values +
          ">} : " + rows(2 * shape.pairs) + "\n";
  text += std::string("%h = llm.rope_append %x, %r, %batch, %s ") +
          (shape.norms ? "query_norm %qn key_norm %kn " : "") + "{" +
          (shape.adjacent ? "adjacent, " : "") +
          (shape.centered ? "centered, " : "") +
          "eps = 1.0e-5 : f32, scale = " + scaleText +
          " : f32} : " + rows(shape.columns()) + ", " + rows(2 * shape.pairs) +
          ", " + state +
          (shape.norms ? ", " + queryNormType + ", " + keyNormType : "") +
          " -> " + rows(out) + "\n";
  text += std::string("%y = llm.attend %h, %batch, %s ") +
          (shape.sinks ? "sinks %k " : "") + "{window = " + window +
          ", softcap = " + std::to_string(shape.softcap) + " : f32" +
          (shape.halves ? ", prompt_halves" : "") + "} : " + rows(out) + ", " +
          state + (shape.sinks ? " sinks " + sinksType : "") + "\n";
  text += "%a = qz.quantize %y : " + rows(out) + " -> " + activation + "\n";
  text += "%l = qz.matmul %a, [%i] : " + activation + ", [" + identity +
          "] -> " + rows(out) + "\nreturn %l : " + rows(out) + "\n}\n";
  return text;
}

AttentionCase::AttentionCase(const Shape &s, const std::string &target)
    : shape(s), scale(std::ldexp(1.0, -3)) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  // Six decimals are what the module's text holds.
  for (size_t i = 0; i < shape.pairs; ++i)
    frequencies.push_back(
        shape.still ? 0.0f
                    : std::stof(std::to_string(std::pow(0.6, double(i) / 2))));
  for (size_t token = 0; token < kTokens; ++token) {
    std::vector<float> row;
    for (size_t i = 0; i < shape.columns(); ++i)
      row.push_back(normal(random));
    x.push_back(row);
  }
  for (size_t d = 0; d < shape.queryNormColumns(); ++d)
    queryNorm.push_back(1 + 0.3f * normal(random));
  for (size_t d = 0; d < shape.keyNormColumns(); ++d)
    keyNorm.push_back(1 + 0.3f * normal(random));
  isRounding = findTarget(target)->cpuFeatures & QCC_CPU_AVX512_BF16;
  for (size_t h = 0; h < shape.heads(); ++h)
    sinks.push_back(normal(random));
  StepOptions options;
  options.target = target;
  options.kv = scalarName(shape.kv);
  options.pages = shape.pages;
  step = std::make_unique<CompiledStep>(module("0.125"), options);
  std::vector<Fields> table;
  for (const std::vector<float> &row : x)
    table.push_back(floatRow(row));
  step->setWeight("table", table);
  step->setWeight("identity", identityRows(shape.queryColumns()));
  if (shape.norms) {
    step->setVector("qn", queryNorm);
    step->setVector("kn", keyNorm);
  }
  if (shape.sinks)
    step->setVector("sinks", sinks);
}

//===----------------------------------------------------------------------===//
// Reference
//===----------------------------------------------------------------------===//

std::vector<double> AttentionCase::rotated(const std::vector<float> &row,
                                           size_t head, unsigned position,
                                           const float *norm,
                                           double factor) const {
  std::vector<double> v(row.begin() + head * shape.headDim,
                        row.begin() + (head + 1) * shape.headDim);
  if (norm) {
    // The heads that are normed together, and this one's place among them.
    bool isKey = head >= shape.heads();
    size_t first = shape.rowNorms ? (isKey ? shape.heads() : 0) : head;
    size_t size = isKey ? shape.keyNormColumns() : shape.queryNormColumns();
    if (shape.centered) {
      size = shape.headDim;
      norm += (isKey ? head - shape.heads() : head) * size;
      double mean = std::accumulate(v.begin(), v.end(), 0.0) / double(size);
      for (double &value : v)
        value -= mean;
    }
    double sum = 0;
    for (size_t i = 0; i < size; ++i) {
      double x = shape.centered ? v[i] : row[first * shape.headDim + i];
      sum += x * x;
    }
    double inverse = 1 / std::sqrt(sum / double(size) + kEps);
    for (size_t d = 0; d < v.size(); ++d)
      v[d] *= inverse * norm[(head - first) * shape.headDim + d];
  }
  for (size_t i = 0; i < shape.pairs; ++i) {
    size_t a = shape.adjacent ? 2 * i : i;
    size_t b = shape.adjacent ? 2 * i + 1 : i + shape.pairs;
    // The angle is a number of f32.
    double angle = float(position) * frequencies[i];
    double first = v[a] * std::cos(angle) - v[b] * std::sin(angle);
    v[b] = v[b] * std::cos(angle) + v[a] * std::sin(angle);
    v[a] = first;
  }
  for (double &value : v)
    value *= factor;
  return v;
}

/// Reads the documented layout of a page: x86's AttentionKernel.h, or
/// AttentionStages.h of GPUs.
double AttentionCase::stored(const Place &place, size_t kvHead, size_t d,
                             bool value) const {
  size_t p = place.position % QCC_PAGE_TOKENS, tile = 16 * shape.headDim;
  size_t index = kvHead * 8 * tile;
  if (value)
    index += 4 * tile + p * shape.headDim + d;
  else if (step->program())
    index += p * shape.headDim + d;
  else
    index += p / 16 * tile + d * 16 + p % 16;
  const uint8_t *page = step->page(place.sequence, place.position);
  if (shape.kv == ScalarType::F32) {
    float result;
    std::memcpy(&result, page + index * 4, 4);
    return result;
  }
  uint16_t bits;
  std::memcpy(&bits, page + index * 2, 2);
  return shape.kv == ScalarType::F16
             ? float(std::bit_cast<_Float16>(bits))
             : std::bit_cast<float>(uint32_t(bits) << 16);
}

void AttentionCase::checkState(const Place &place,
                               const std::vector<float> &row) {
  double half = shape.kv == ScalarType::F32   ? 0
                : shape.kv == ScalarType::F16 ? 0x1p-11
                                              : 0x1p-8;
  for (size_t kvHead = 0; kvHead < shape.kvHeads; ++kvHead) {
    std::vector<double> key =
        rotated(row, shape.heads() + kvHead, place.position,
                shape.norms ? keyNorm.data() : nullptr, 1);
    for (size_t d = 0; d < shape.headDim; ++d) {
      // Heads that do not turn keep each bit.
      if (shape.still)
        ASSERT_EQ(stored(place, kvHead, d, false), key[d]);
      ASSERT_NEAR(stored(place, kvHead, d, false), key[d],
                  half * std::fabs(key[d]) + 4e-6)
          << "key of head " << kvHead << " element " << d;
      double value =
          row[(shape.heads() + shape.kvHeads + kvHead) * shape.headDim + d];
      ASSERT_NEAR(stored(place, kvHead, d, true), value,
                  half * std::fabs(value) + (half ? 1e-7 : 0))
          << "value of head " << kvHead << " element " << d;
    }
  }
}

static double asBf16(double x) {
  uint32_t bits = std::bit_cast<uint32_t>(float(x));
  bits += 0x7fff + (bits >> 16 & 1);
  return std::bit_cast<float>(bits & 0xffff0000);
}

/// Where factors are rounded, so are those of the reference, but for the
/// probabilities; and what is near the middle of two bf16 may go either way.
void AttentionCase::checkRow(const Place &place, const std::vector<float> &row,
                             bool isRounded, const float *got) {
  auto factor = [&](double x) { return isRounded ? asBf16(x) : x; };
  unsigned first = shape.window && place.position >= shape.window
                       ? unsigned(place.position - shape.window + 1)
                       : 0;
  size_t count = place.position + 1 - first, size = shape.headDim;
  for (size_t kvHead = 0; kvHead < shape.kvHeads; ++kvHead) {
    std::vector<double> keys, values;
    for (unsigned j = first; j <= place.position; ++j)
      for (size_t d = 0; d < size; ++d) {
        keys.push_back(factor(stored({place.sequence, j}, kvHead, d, false)));
        values.push_back(factor(stored({place.sequence, j}, kvHead, d, true)));
      }
    for (size_t g = 0; g < shape.group; ++g) {
      size_t head = kvHead * shape.group + g;
      std::vector<double> query =
          rotated(row, head, place.position,
                  shape.norms ? queryNorm.data() : nullptr, scale);
      // Those of a prompt are multiplied by log2(e) before.
      double unit = isRounded && shape.softcap == 0 ? M_LOG2E : 1;
      for (double &q : query)
        q = factor(q * unit) / unit;
      std::vector<double> scores(count), sums(size), sizes(size);
      for (size_t j = 0; j < count; ++j) {
        scores[j] = std::inner_product(query.begin(), query.end(),
                                       keys.begin() + j * size, 0.0);
        if (shape.softcap != 0)
          scores[j] = shape.softcap * std::tanh(scores[j] / shape.softcap);
      }
      double max = *std::max_element(scores.begin(), scores.end());
      double total = shape.sinks ? std::exp(sinks[head] - max) : 0;
      for (size_t j = 0; j < count; ++j) {
        double p = std::exp(scores[j] - max);
        total += p;
        for (size_t d = 0; d < size; ++d) {
          sums[d] += p * values[j * size + d];
          sizes[d] += p * std::fabs(values[j * size + d]);
        }
      }
      for (size_t d = 0; d < size; ++d)
        ASSERT_NEAR(got[head * size + d], sums[d] / total,
                    isRounded ? 6e-3 * sizes[d] / total : 2e-5)
            << "sequence " << place.sequence << " position " << place.position
            << " head " << head << " element " << d;
    }
  }
}

StepRows AttentionCase::rowsOf(const std::vector<Place> &places,
                               bool prompt) const {
  StepRows rows;
  rows.prompt = prompt;
  for (const Place &place : places) {
    rows.token.push_back(
        int32_t((place.sequence * 13 + place.position * 7) % kTokens));
    rows.sequence.push_back(place.sequence);
    rows.position.push_back(int32_t(place.position));
  }
  return rows;
}

void AttentionCase::check(const std::vector<Place> &places, bool prompt,
                          unsigned threads) {
  StepRows rows = rowsOf(places, prompt);
  rows.threads = threads;
  std::vector<float> got = step->run(rows);
  for (size_t i = 0; i < places.size(); ++i) {
    SCOPED_TRACE("row " + std::to_string(i));
    checkState(places[i], x[size_t(rows.token[i])]);
    if (testing::Test::HasFatalFailure())
      return;
  }
  for (size_t i = 0; i < places.size(); ++i) {
    checkRow(places[i], x[size_t(rows.token[i])],
             prompt && shape.halves && isRounding,
             got.data() + i * shape.queryColumns());
    if (testing::Test::HasFatalFailure())
      return;
  }
  // Running the step again stores the same and gives the same.
  rows.threads = threads % 4 + 1;
  std::vector<float> again = step->run(rows);
  EXPECT_EQ(std::memcmp(got.data(), again.data(), got.size() * 4), 0)
      << "other bits with " << rows.threads << " threads";
  // And so does a row alone.
  for (size_t i = 0; i < places.size(); i += prompt ? 7 : 1) {
    std::vector<float> alone = step->run(rowsOf({places[i]}, prompt));
    EXPECT_EQ(std::memcmp(got.data() + i * alone.size(), alone.data(),
                          alone.size() * 4),
              0)
        << "row " << i << " has other bits alone";
  }
}

void AttentionCase::fill(unsigned sequence, unsigned positions) {
  for (unsigned first = 0; first < positions; first += 256) {
    std::vector<Place> places;
    for (unsigned p = first; p < std::min(first + 256, positions); ++p)
      places.push_back({sequence, p});
    step->run(rowsOf(places, true));
  }
}

//===----------------------------------------------------------------------===//
// Tests
//===----------------------------------------------------------------------===//

class Attention : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (std::string why = whyNotRunnable(GetParam()); !why.empty())
      GTEST_SKIP() << why;
  }

  /// A prompt over two pages, then steps with rows of several sequences.
  void check(const Shape &shape) {
    SCOPED_TRACE("group " + std::to_string(shape.group) + " head " +
                 std::to_string(shape.headDim) + " pairs " +
                 std::to_string(shape.pairs) +
                 (shape.adjacent ? " adjacent" : "") + " window " +
                 std::to_string(shape.window) + " " + scalarName(shape.kv));
    AttentionCase c(shape, GetParam());
    std::vector<Place> places;
    for (unsigned p = 0; p < 70; ++p)
      places.push_back({1, p});
    c.check(places, true, 2);
    places.clear();
    for (unsigned p = 0; p < 5; ++p)
      places.push_back({2, p});
    places.push_back({1, 70});
    places.push_back({1, 71});
    places.push_back({0, 0});
    c.check(places, true, 3);
    c.check({{0, 1}, {1, 72}, {2, 5}, {2, 6}, {3, 0}}, false, 1);
    for (unsigned p = 73; p < 78; ++p)
      c.check({{1, p}}, false, p % 7 + 1);
  }
};

TEST_P(Attention, Groups) {
  for (size_t group : {1, 3, 4, 8, 9})
    check({.kvHeads = 2, .group = group, .headDim = 64, .pairs = 32});
}

class HalvesAttention : public Attention {};

TEST_P(HalvesAttention, Shapes) {
  for (size_t group : {1, 3, 9})
    check({.kvHeads = 2,
           .group = group,
           .headDim = 64,
           .pairs = 32,
           .halves = true});
  for (ScalarType kv : {ScalarType::F16, ScalarType::BF16})
    check({.kvHeads = 1,
           .group = 2,
           .headDim = 20,
           .pairs = 10,
           .kv = kv,
           .halves = true});
  for (size_t window : {5, 64})
    check({.kvHeads = 1,
           .group = 4,
           .headDim = 80,
           .pairs = 40,
           .window = window,
           .softcap = 5,
           .halves = true});
}

TEST_P(Attention, HeadDimensions) {
  for (size_t headDim : {16, 20, 64, 80, 128, 256})
    check({.kvHeads = 1, .group = 2, .headDim = headDim, .pairs = headDim / 2});
}

TEST_P(Attention, Rotation) {
  for (bool adjacent : {false, true})
    for (bool norms : {false, true})
      for (size_t pairs : {10, 16, 36, 40})
        check({.kvHeads = 2,
               .group = 2,
               .headDim = 80,
               .pairs = pairs,
               .adjacent = adjacent,
               .norms = norms});
}

TEST_P(Attention, WithoutRotation) {
  for (size_t pairs : {1, 40})
    check({.kvHeads = 2,
           .group = 2,
           .headDim = 80,
           .pairs = pairs,
           .still = true});
}

TEST_P(Attention, Windows) {
  for (size_t window : {1, 5, 16, 17, 64, 100})
    check({.kvHeads = 1,
           .group = 4,
           .headDim = 64,
           .pairs = 32,
           .window = window});
}

TEST_P(Attention, NormsOfRows) {
  for (size_t kvHeads : {1, 3})
    check({.kvHeads = kvHeads,
           .group = 2,
           .headDim = 20,
           .pairs = 8,
           .norms = true,
           .rowNorms = true});
}

TEST_P(Attention, CenteredNorms) {
  for (size_t headDim : {20, 64})
    check({.kvHeads = 3,
           .group = 2,
           .headDim = headDim,
           .pairs = 8,
           .norms = true,
           .centered = true});
}

TEST_P(Attention, Softcaps) {
  for (double softcap : {0.5, 2.0, 50.0})
    for (size_t window : {0, 30})
      check({.kvHeads = 2,
             .group = 2,
             .headDim = 80,
             .pairs = 40,
             .window = window,
             .softcap = softcap});
}

TEST_P(Attention, Sinks) {
  for (size_t window : {0, 30})
    check({.kvHeads = 2,
           .group = 3,
           .headDim = 20,
           .pairs = 10,
           .window = window,
           .sinks = true});
}

TEST_P(Attention, StateTypes) {
  for (ScalarType kv : {ScalarType::F16, ScalarType::BF16, ScalarType::F32})
    for (size_t window : {0, 30})
      check({.kvHeads = 2,
             .group = 3,
             .headDim = 80,
             .pairs = 40,
             .norms = true,
             .window = window,
             .kv = kv});
}

/// Positions that generating steps cut into parts, a few and as many as there
/// can be, of two pages and of more.
TEST_P(Attention, Parts) {
  for (size_t window : {0, 200})
    for (bool sinks : {false, true}) {
      SCOPED_TRACE("window " + std::to_string(window));
      AttentionCase c({.kvHeads = 2,
                       .group = 9,
                       .headDim = 20,
                       .pairs = 10,
                       .window = window,
                       .sinks = sinks,
                       .pages = 36},
                      GetParam());
      c.fill(1, 127);
      c.check({{1, 127}}, false, 2);
      c.check({{1, 128}}, false, 3);
      c.fill(2, 2047);
      c.check({{2, 2047}}, false, 1);
      c.check({{1, 129}, {2, 2048}, {0, 0}, {2, 2049}}, false, 5);
      c.fill(3, 2299);
      c.check({{3, 2299}}, false, 4);
    }
}

/// In the emulator, which takes longer: each feature once.
class AttentionOnGpu : public Attention {};

TEST_P(AttentionOnGpu, Shapes) {
  check({.kvHeads = 2,
         .group = 3,
         .headDim = 80,
         .pairs = 40,
         .norms = true,
         .window = 30,
         .kv = ScalarType::F16});
  check({.kvHeads = 3,
         .group = 2,
         .headDim = 20,
         .pairs = 8,
         .adjacent = true,
         .norms = true,
         .rowNorms = true});
  check({.kvHeads = 2,
         .group = 2,
         .headDim = 20,
         .pairs = 6,
         .norms = true,
         .centered = true});
  check({.kvHeads = 2,
         .group = 1,
         .headDim = 64,
         .pairs = 32,
         .kv = ScalarType::BF16,
         .softcap = 2.0,
         .sinks = true});
  check({.kvHeads = 1,
         .group = 1,
         .headDim = 256,
         .pairs = 1,
         .window = 5,
         .still = true});
}

INSTANTIATE_TEST_SUITE_P(Targets, AttentionOnGpu, testing::Values("sm_86"));

INSTANTIATE_TEST_SUITE_P(Targets, HalvesAttention, testing::Values("znver4"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });
INSTANTIATE_TEST_SUITE_P(Targets, Attention,
                         testing::Values("x86-64-v3", "x86-64-v4"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
