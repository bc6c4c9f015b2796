//===- AttentionCase.cpp - Attention for tests of generated code ----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "AttentionCase.h"

#include "qcc/Codegen/Common/Target.h"
#include "qcc/Formats/QuantizedState.h"
#include "RandomWeights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

using namespace qcc;
using namespace qcc::test;

static constexpr size_t kTokens = 48;

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
  // A GPU rounds where its tensor cores take heads.
  isRounding = findTarget(target)->isGpu()
                   ? shape.takesTensorCores()
                   : findTarget(target)->cpuFeatures & QCC_CPU_AVX512_BF16;
  for (size_t h = 0; h < shape.heads(); ++h)
    sinks.push_back(normal(random));
  StepOptions options;
  options.target = target;
  options.kv = shape.kvName();
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

/// mixState() of whole groups.
static void mix(std::vector<double> &row) {
  for (size_t first = 0; first + kStateGroup <= row.size();
       first += kStateGroup) {
    std::vector<float> group(row.begin() + long(first),
                             row.begin() + long(first + kStateGroup));
    mixState(std::span<float, kStateGroup>(group));
    std::copy(group.begin(), group.end(), row.begin() + long(first));
  }
}

/// The documented layout of a page of quantized elements: x86's
/// AttentionKernel.h, or AttentionStages.h of GPUs.
AttentionCase::Code AttentionCase::codeAt(const Place &place, size_t kvHead,
                                          size_t d, bool value) const {
  const size_t p = place.position % QCC_PAGE_TOKENS, size = shape.headDim;
  const size_t groups = (size + kStateGroup - 1) / kStateGroup;
  const size_t group = d / kStateGroup;
  uint8_t *head = step->page(place.sequence, place.position) +
                  kvHead * 128 * (size + 2 * groups);
  if (step->program()) {
    const size_t row = (value ? 64 : 0) + p;
    return {head + row * size + d,
            head + 128 * size + (row * groups + group) * 2};
  }
  const size_t tile = 16 * size + groups * 32;
  if (value) {
    head += 4 * tile;
    return {head + p * size + d, head + 64 * size + (group * 64 + p) * 2};
  }
  head += p / 16 * tile;
  return {head + d * 16 + p % 16, head + 16 * size + (group * 16 + p % 16) * 2};
}

/// A key as it is multiplied with a mixed query.
double AttentionCase::storedCode(const Place &place, size_t kvHead, size_t d,
                                 bool value) const {
  Code at = codeAt(place, kvHead, d, value);
  uint16_t bits;
  std::memcpy(&bits, at.scale, 2);
  const int code = step->program() ? *at.code - 128 : int8_t(*at.code);
  return float(code) * stateScale(bits);
}

/// What is stored of `row` is what the definition makes of it: bit for bit
/// where the row is known as exactly, else within the next code.
void AttentionCase::checkCodes(const Place &place, size_t kvHead,
                               std::vector<double> row, bool value) const {
  const bool isExact = value || shape.still;
  if (!value)
    mix(row);
  for (size_t first = 0; first < row.size(); first += kStateGroup) {
    std::vector<float> group(
        row.begin() + long(first),
        row.begin() + long(std::min(first + kStateGroup, row.size())));
    std::vector<int8_t> codes(group.size());
    float scale = stateScale(quantizeState(group, codes.data()));
    for (size_t i = 0; i < group.size(); ++i) {
      double got = stored(place, kvHead, first + i, value);
      if (isExact)
        ASSERT_EQ(got, float(codes[i]) * scale);
      ASSERT_NEAR(got, group[i], 0.502 * scale + 4e-6)
          << (value ? "value" : "key") << " of head " << kvHead << " element "
          << first + i;
    }
  }
}

/// The documented layout of a page: x86's AttentionKernel.h, or
/// AttentionStages.h of GPUs.
uint8_t *AttentionCase::elementAt(const Place &place, size_t kvHead, size_t d,
                                  bool value) const {
  size_t p = place.position % QCC_PAGE_TOKENS, tile = 16 * shape.headDim;
  size_t index = kvHead * 8 * tile;
  if (value)
    index += 4 * tile + p * shape.headDim + d;
  else if (step->program())
    index += p * shape.headDim + d;
  else
    index += p / 16 * tile + d * 16 + p % 16;
  return step->page(place.sequence, place.position) +
         index * (shape.kv == ScalarType::F32 ? 4 : 2);
}

double AttentionCase::stored(const Place &place, size_t kvHead, size_t d,
                             bool value) const {
  if (shape.quantized)
    return storedCode(place, kvHead, d, value);
  const uint8_t *at = elementAt(place, kvHead, d, value);
  if (shape.kv == ScalarType::F32) {
    float result;
    std::memcpy(&result, at, 4);
    return result;
  }
  uint16_t bits;
  std::memcpy(&bits, at, 2);
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
    if (shape.quantized) {
      auto value = row.begin() + long((shape.heads() + shape.kvHeads + kvHead) *
                                      shape.headDim);
      checkCodes(place, kvHead, key, false);
      checkCodes(place, kvHead, {value, value + long(shape.headDim)}, true);
      continue;
    }
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

/// A GPU's factors have the state's type, and of codes are f16.
bool AttentionCase::hasHalves() const {
  return step->program() && (shape.quantized || shape.kv == ScalarType::F16);
}

/// As products take it: a CPU's as bf16.
double AttentionCase::asFactor(double x) const {
  return hasHalves() ? double(_Float16(float(x))) : asBf16(x);
}

/// Where factors are rounded, so are those of the reference, but for the
/// probabilities; and what is near the middle of two halves may go either way.
void AttentionCase::checkRow(const Place &place, const std::vector<float> &row,
                             bool isRounded, const float *got) {
  auto factor = [&](double x) { return isRounded ? asFactor(x) : x; };
  // Of a value's products, by the type's bits.
  const double bound = hasHalves() ? 1e-3 : 6e-3;
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
      if (shape.quantized)
        mix(query);
      // Those of a prompt are multiplied by log2(e) before, on a CPU.
      bool isBefore = isRounded && shape.softcap == 0 && !step->program();
      double unit = isBefore ? M_LOG2E : 1;
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
                    isRounded ? bound * sizes[d] / total : 2e-5)
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

void AttentionCase::store(unsigned sequence, unsigned positions) {
  std::mt19937 random(sequence);
  std::normal_distribution<float> normal;
  for (unsigned p = 0; p < positions; ++p)
    for (size_t kvHead = 0; kvHead < shape.kvHeads; ++kvHead)
      for (size_t d = 0; d < shape.headDim; ++d)
        for (bool value : {false, true}) {
          if (shape.quantized) {
            Code at = codeAt({sequence, p}, kvHead, d, value);
            *at.code = uint8_t(1 + random() % 255); // Code + 128, on a GPU.
            auto scale =
                std::bit_cast<uint32_t>(0.02f * std::fabs(normal(random)));
            if (d % kStateGroup == 0)
              std::memcpy(at.scale,
                          reinterpret_cast<const uint8_t *>(&scale) + 2, 2);
            continue;
          }
          uint8_t *at = elementAt({sequence, p}, kvHead, d, value);
          float x = normal(random);
          if (shape.kv == ScalarType::F16) {
            auto half = _Float16(x);
            std::memcpy(at, &half, 2);
          } else {
            // The upper half of its bits is a bf16 near it.
            auto *bits = reinterpret_cast<const uint8_t *>(&x);
            bool isWhole = shape.kv == ScalarType::F32;
            std::memcpy(at, isWhole ? bits : bits + 2, isWhole ? 4 : 2);
          }
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
