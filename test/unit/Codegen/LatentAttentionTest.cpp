//===- LatentAttentionTest.cpp - Attention to latents ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// llm.latent_append and llm.attend against the same in double precision.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/QuantizedState.h"
#include "CompiledStep.h"
#include "RandomWeights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

using namespace qcc;
using namespace qcc::test;

namespace {

constexpr size_t kTokens = 48;
constexpr double kEps = 1e-3, kScale = 0.25;

struct Shape {
  size_t heads, turned, latent;
  bool adjacent;
  std::string kv = "f32";
};

struct Place {
  unsigned sequence, position;
};

class LatentCase {
public:
  LatentCase(const Shape &shape, const std::string &target);
  void check(const std::vector<Place> &places, bool prompt, unsigned threads);

private:
  std::string module() const;
  /// The first elements of `row`, as they are after rope.
  std::vector<double> rotated(const float *row, unsigned position) const;
  std::vector<double> latentOf(size_t token) const;
  std::vector<double> expected(const Place &place) const;
  static size_t tokenOf(const Place &place) {
    return (place.sequence * 13 + place.position * 7) % kTokens;
  }

  Shape shape;
  std::vector<float> frequencies, norm;
  /// Of each token: turning parts of queries, their latent parts, the key.
  std::vector<std::vector<float>> queries, latents, keys;
  std::unique_ptr<CompiledStep> step;
};

std::string LatentCase::module() const {
  const Encoding f32 = floatEncoding(ScalarType::F32);
  auto number = [](size_t value) { return std::to_string(value); };
  auto rows = [&](size_t columns) {
    return "tensor<?x" + number(columns) + "xf32>";
  };
  const size_t turned = shape.heads * shape.turned;
  const size_t out = shape.heads * shape.latent;
  const size_t key = shape.turned + shape.latent;
  const std::string tables[] = {tensorText(kTokens, turned, f32),
                                tensorText(kTokens, out, f32),
                                tensorText(kTokens, key, f32)};
  const std::string types[] = {rows(turned), rows(out), rows(key)};
  const std::string identity = tensorText(out, out, f32);
  const std::string vector =
      "!qz.tensor<" + number(shape.latent) + ", " + encodingText(f32) + ">";
  const std::string state =
      "!llm.state<1, " + number(key) + ", " + number(shape.latent) + ">";
  const std::string activation = "!qz.activation<" + number(out) + ">";
  std::string values;
  for (float frequency : frequencies)
    values += (values.empty() ? "" : ", ") + std::to_string(frequency);

  std::string text = "qz.weight @identity : " + identity +
                     "\nqz.weight @norm : " + vector +
                     "\nllm.kv_state @kv : " + state + "\n";
  for (size_t i = 0; i < 3; ++i)
    text += "qz.weight @table" + number(i) + " : " + tables[i] + "\n";
  text += "func.func @step(%batch: !llm.batch) -> " + rows(out) + " {\n";
  for (size_t i = 0; i < 3; ++i)
    text += "%t" + number(i) + " = qz.use @table" + number(i) + " : " +
            tables[i] + "\n%x" + number(i) + " = llm.embedding %batch, %t" +
            number(i) + " : " + tables[i] + " -> " + types[i] + "\n";
  text += "%i = qz.use @identity : " + identity +
          "\n%n = qz.use @norm : " + vector +
          "\n%s = llm.state @kv : " + state + "\n";
  text += "%r = llm.rotations %batch {frequencies = array<f32: " + values +
          ">} : " + rows(shape.turned) + "\n";
  const std::string appended = rows(shape.heads * key);
  text += std::string("%h = llm.latent_append %x0, %x1, %x2, %r, %batch, %s "
                      "norm %n {") +
          (shape.adjacent ? "adjacent, " : "") +
          "eps = 1.0e-3 : f32, scale = 0.25 : f32} : " + types[0] + ", " +
          types[1] + ", " + types[2] + ", " + rows(shape.turned) + ", " +
          state + ", " + vector + " -> " + appended + "\n";
  text += "%y = llm.attend %h, %batch, %s : " + appended + ", " + state + "\n";
  text += "%a = qz.quantize %y : " + rows(out) + " -> " + activation + "\n";
  return text + "%l = qz.matmul %a, [%i] : " + activation + ", [" + identity +
         "] -> " + rows(out) + "\nreturn %l : " + rows(out) + "\n}\n";
}

LatentCase::LatentCase(const Shape &s, const std::string &target) : shape(s) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  auto vector = [&](size_t size, float middle, float width) {
    std::vector<float> values(size);
    for (float &value : values)
      value = middle + width * normal(random);
    return values;
  };
  // Six decimals are what the module's text holds.
  for (size_t i = 0; i < shape.turned / 2; ++i)
    frequencies.push_back(
        std::stof(std::to_string(std::pow(0.6, double(i) / 2))));
  norm = vector(shape.latent, 1, 0.3f);
  for (size_t token = 0; token < kTokens; ++token) {
    queries.push_back(vector(shape.heads * shape.turned, 0, 1));
    latents.push_back(vector(shape.heads * shape.latent, 0, 1));
    keys.push_back(vector(shape.turned + shape.latent, 0, 0.5));
  }
  StepOptions options;
  options.target = target;
  options.kv = shape.kv;
  step = std::make_unique<CompiledStep>(module(), options);
  const char *names[] = {"table0", "table1", "table2"};
  for (size_t i = 0; i < 3; ++i) {
    std::vector<Fields> table;
    for (const auto &row : i == 0 ? queries : i == 1 ? latents : keys)
      table.push_back(floatRow(row));
    step->setWeight(names[i], table);
  }
  step->setWeight("identity", identityRows(shape.heads * shape.latent));
  step->setVector("norm", norm);
}

std::vector<double> LatentCase::rotated(const float *row,
                                        unsigned position) const {
  std::vector<double> v(row, row + shape.turned);
  const size_t pairs = shape.turned / 2;
  for (size_t i = 0; i < pairs; ++i) {
    size_t a = shape.adjacent ? 2 * i : i;
    size_t b = shape.adjacent ? 2 * i + 1 : i + pairs;
    // The angle is a number of f32.
    double angle = float(position) * frequencies[i];
    double first = v[a] * std::cos(angle) - v[b] * std::sin(angle);
    v[b] = v[b] * std::cos(angle) + v[a] * std::sin(angle);
    v[a] = first;
  }
  return v;
}

std::vector<double> LatentCase::latentOf(size_t token) const {
  std::vector<double> v(keys[token].begin() + long(shape.turned),
                        keys[token].end());
  double squares = std::inner_product(v.begin(), v.end(), v.begin(), 0.0);
  double factor = 1 / std::sqrt(squares / double(v.size()) + kEps);
  for (size_t i = 0; i < v.size(); ++i)
    v[i] *= factor * norm[i];
  return v;
}

/// What q8 keeps of a key or a value, by its definition.
static void keepCodes(std::vector<double> &row, bool isKey) {
  for (size_t first = 0; first < row.size(); first += kStateGroup) {
    size_t size = std::min(kStateGroup, row.size() - first);
    float group[kStateGroup];
    int8_t codes[kStateGroup];
    std::copy_n(row.begin() + long(first), size, group);
    const bool isMixed = isKey && size == kStateGroup;
    if (isMixed)
      mixState(group);
    float scale = stateScale(quantizeState(std::span(group, size), codes));
    for (size_t i = 0; i < size; ++i)
      group[i] = codes[i] * scale;
    if (isMixed)
      mixState(group);
    std::copy_n(group, size, row.begin() + long(first));
  }
}

std::vector<double> LatentCase::expected(const Place &place) const {
  std::vector<double> result;
  const size_t token = tokenOf(place);
  for (size_t head = 0; head < shape.heads; ++head) {
    std::vector<double> query =
        rotated(queries[token].data() + head * shape.turned, place.position);
    const float *rest = latents[token].data() + head * shape.latent;
    query.insert(query.end(), rest, rest + shape.latent);
    std::vector<double> sums(shape.latent);
    double total = 0;
    for (unsigned j = 0; j <= place.position; ++j) {
      size_t other = tokenOf({place.sequence, j});
      std::vector<double> key = rotated(keys[other].data(), j);
      std::vector<double> latent = latentOf(other);
      key.insert(key.end(), latent.begin(), latent.end());
      if (shape.kv == "q8") {
        keepCodes(key, true);
        keepCodes(latent, false);
      }
      double score =
          std::inner_product(query.begin(), query.end(), key.begin(), 0.0);
      double power = std::exp(kScale * score);
      total += power;
      for (size_t d = 0; d < shape.latent; ++d)
        sums[d] += power * latent[d];
    }
    for (double sum : sums)
      result.push_back(sum / total);
  }
  return result;
}

void LatentCase::check(const std::vector<Place> &places, bool prompt,
                       unsigned threads) {
  StepRows rows;
  rows.prompt = prompt;
  rows.threads = threads;
  for (const Place &place : places) {
    rows.token.push_back(int32_t(tokenOf(place)));
    rows.sequence.push_back(place.sequence);
    rows.position.push_back(int32_t(place.position));
  }
  std::vector<float> got = step->run(rows);
  const double error = shape.kv == "f32" ? 5e-5 : 1e-2;
  for (size_t i = 0; i < places.size(); ++i) {
    std::vector<double> want = expected(places[i]);
    for (size_t c = 0; c < want.size(); ++c)
      ASSERT_NEAR(got[i * want.size() + c], want[c], error)
          << "row " << i << " column " << c;
  }
  rows.threads = threads % 4 + 1;
  std::vector<float> again = step->run(rows);
  EXPECT_EQ(std::memcmp(got.data(), again.data(), got.size() * 4), 0)
      << "other bits with " << rows.threads << " threads";
}

class LatentAttention : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (std::string why = whyNotRunnable(GetParam()); !why.empty())
      GTEST_SKIP() << why;
  }

  /// A prompt over two pages, then rows of several sequences.
  void check(const Shape &shape) {
    SCOPED_TRACE(std::to_string(shape.heads) + " heads of " +
                 std::to_string(shape.turned) + " and " +
                 std::to_string(shape.latent) + " " + shape.kv);
    LatentCase c(shape, GetParam());
    std::vector<Place> places;
    for (unsigned p = 0; p < 70; ++p)
      places.push_back({1, p});
    c.check(places, true, 2);
    c.check({{2, 0}, {2, 1}, {1, 70}, {0, 0}}, true, 3);
    c.check({{0, 1}, {1, 71}, {2, 2}}, false, 1);
    c.check({{1, 72}}, false, 3);
  }
};

TEST_P(LatentAttention, Heads) {
  // More than go together, in whole blocks and not.
  for (size_t heads : {1, 3, 16, 17})
    check({heads, 8, 16, false});
}

TEST_P(LatentAttention, Sizes) {
  check({3, 6, 20, true});
  check({2, 34, 37, false});
  check({5, 64, 128, true});
}

TEST_P(LatentAttention, StateTypes) {
  for (const char *kv : {"f16", "bf16", "q8"})
    check({3, 8, 24, true, kv});
  check({3, 8, 60, true, "q8"});
}

/// In the emulator, which takes longer.
class LatentsOnGpu : public LatentAttention {};

TEST_P(LatentsOnGpu, Heads) {
  for (Shape shape : {Shape{3, 6, 37, true, "f16"},
                      {2, 34, 20, false},
                      {3, 8, 60, true, "q8"}}) {
    LatentCase c(shape, GetParam());
    std::vector<Place> places;
    for (unsigned p = 0; p < 35; ++p)
      places.push_back({1, p});
    c.check(places, true, 1);
    c.check({{2, 0}, {2, 1}, {1, 35}, {0, 0}}, true, 1);
    c.check({{0, 1}, {1, 36}, {2, 2}}, false, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, LatentsOnGpu, testing::Values("sm_86"));
INSTANTIATE_TEST_SUITE_P(Targets, LatentAttention,
                         testing::Values("x86-64-v3", "x86-64-v4"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
