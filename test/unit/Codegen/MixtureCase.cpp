//===- MixtureCase.cpp - A mixture of experts, its data, its meaning
//-------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "MixtureCase.h"

#include <algorithm>
#include <numeric>

using namespace qcc;
using namespace qcc::test;

static std::string dims(std::initializer_list<size_t> sizes,
                        const Encoding &encoding) {
  std::string text = "!qz.tensor<";
  for (size_t size : sizes)
    text += (text.back() == '<' ? "" : "x") + std::to_string(size);
  return text + ", " + encodingText(encoding) + ">";
}

static std::string rowsText(size_t columns) {
  return "tensor<?x" + std::to_string(columns) + "xf32>";
}

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

void Mixture::route(const std::vector<std::vector<size_t>> &choices) {
  // Column 1 + e of a row is how much it wants expert e.
  for (auto &row : router)
    std::fill(row.begin(), row.end(), 0.0f);
  for (size_t e = 0; e < experts; ++e)
    router[e][1 + e] = 1;
  for (size_t r = 0; r < x.size(); ++r) {
    std::fill_n(x[r].begin() + 1, experts, -3.0f);
    for (size_t i = 0; i < choices[r].size(); ++i)
      x[r][1 + choices[r][i]] = 1 - 0.1f * float(i);
  }
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

static double glu(const std::string &kind, double gate, double up) {
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
