//===- StageCase.cpp - A matmul stage, its data and its meaning -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "StageCase.h"

#include "CompiledStep.h"
#include "RandomWeights.h"

#include <cmath>

using namespace qcc;
using namespace qcc::test;

/// Of the norm in module().
static constexpr double kEps = 1e-5;

//===----------------------------------------------------------------------===//
// Data
//===----------------------------------------------------------------------===//

size_t StageCase::columns() const {
  size_t sum = 0;
  for (const StageSegment &segment : segments)
    sum += segment.rows;
  return isGlu() ? sum / 2 : sum;
}

void StageCase::fill(std::mt19937 &random, size_t tokens) {
  std::normal_distribution<float> normal;
  for (size_t row = 0; row < tokens; ++row) {
    x.push_back(randomActivations(k, random));
    residual.emplace_back();
    for (size_t i = 0; i < columns(); ++i)
      residual.back().push_back(normal(random));
  }
  for (size_t i = norm.size(); i < k; ++i)
    norm.push_back(1 + 0.3f * normal(random));
  for (StageSegment &segment : segments) {
    if (segment.weights.empty())
      segment.weights = randomRows(segment.encoding, segment.rows, k, random);
    packed.push_back(packWeight(segment.encoding, segment.weights, k));
  }
}

StageRows StageCase::rows() const {
  StageRows result;
  result.x = &x;
  result.norm = hasNorm ? &norm : nullptr;
  for (const DeviceMemory &weight : packed)
    result.weights.push_back(&weight);
  result.residual = epilogue == "residual" ? &residual : nullptr;
  result.columns = columns();
  return result;
}

std::string StageCase::module() const {
  std::string n = std::to_string(columns()), kText = std::to_string(k);
  std::string table = tensorText(4, k, floatEncoding(ScalarType::F32));
  std::string other = tensorText(4, columns(), floatEncoding(ScalarType::F32));
  std::string normType = "!qz.tensor<" + kText + ", #qz.encoding<f32>>";
  std::string rowsX = "tensor<?x" + kText + "xf32>",
              rowsY = "tensor<?x" + n + "xf32>",
              activation = "!qz.activation<" + kText + ">";
  std::string declarations = "qz.weight @table : " + table +
                             "\nqz.weight @other : " + other +
                             "\nqz.weight @norm : " + normType + "\n",
              uses, operands, types;
  for (size_t i = 0; i < segments.size(); ++i) {
    std::string name = "w" + std::to_string(i);
    std::string type = tensorText(segments[i].rows, k, segments[i].encoding);
    declarations += "qz.weight @" + name + " : " + type + "\n";
    uses += "%" + name + " = qz.use @" + name + " : " + type + "\n";
    operands += (i ? ", %" : "%") + name;
    types += (i ? ", " : "") + type;
  }
  bool isResidual = epilogue == "residual";
  return declarations + "func.func @step(%batch: !llm.batch) -> " + rowsY +
         " {\n%t = qz.use @table : " + table +
         "\n%n = qz.use @norm : " + normType + "\n" + uses +
         "%x = llm.embedding %batch, %t : " + table + " -> " + rowsX +
         "\n%o = qz.use @other : " + other +
         "\n%r = llm.embedding %batch, %o : " + other + " -> " + rowsY +
         "\n%a = qz.quantize %x" +
         (hasNorm ? " norm %n {eps = 1.0e-5 : f32}" : "") + " : " + rowsX +
         (hasNorm ? ", " + normType : "") + " -> " + activation +
         "\n%y = qz.matmul %a, [" + operands + "]" +
         (isResidual ? " residual %r" : "") +
         (epilogue.empty() ? "" : " {epilogue = #qz.epilogue<" + epilogue) +
         (epilogue.empty()       ? ""
          : epilogue == "logits" ? ">, scale = 0.25 : f32, softcap = 1.5 : f32}"
                                 : ">}") +
         " : " + activation + ", [" + types + "]" +
         (isResidual ? ", " + rowsY : "") + " -> " + rowsY +
         "\nreturn %y : " + rowsY + "\n}\n";
}

//===----------------------------------------------------------------------===//
// Meaning
//===----------------------------------------------------------------------===//

namespace {
double toHalf(double x) { return double(_Float16(x)); }

/// A result, the bound of its error, and what f16 makes of it.
struct Expected {
  double value, bound, inHalf;
};

/// Row `row` of the meaning, one for each row of all segments, before the
/// epilogue.
std::vector<Expected> products(const StageCase &c, size_t row) {
  const std::vector<float> &x = c.x[row];
  double inverse = 1;
  if (c.hasNorm) {
    double squares = 0;
    for (float value : x)
      squares += double(value) * value;
    inverse = 1 / std::sqrt(squares / double(c.k) + kEps);
  }
  std::vector<double> exact, half;
  double peak = 0;
  for (size_t i = 0; i < c.k; ++i) {
    exact.push_back(x[i] * inverse * (c.hasNorm ? c.norm[i] : 1.0f));
    half.push_back(toHalf(exact.back()));
    peak = std::max(peak, std::fabs(exact.back()));
  }
  std::vector<Expected> result;
  for (const StageSegment &segment : c.segments)
    for (const Fields &weights : segment.weights) {
      Expected sum = {};
      double magnitude = 0, weight = 0;
      for (size_t i = 0; i < c.k; ++i) {
        double w = decodeElement(segment.encoding, weights, i);
        sum.value += w * exact[i];
        sum.inHalf += toHalf(w) * half[i];
        magnitude += std::fabs(w * exact[i]);
        weight += std::fabs(w);
      }
      // Codes and minima are added apart, so they may cancel.
      DotProduct parts = dotProduct(segment.encoding, weights,
                                    {exact, std::vector<double>(exact.size())});
      magnitude = std::max(magnitude, parts.magnitude);
      // Half a step of f16, its smallest steps (of some elements divided by
      // 16), and the rounding of sums.
      sum.bound = magnitude * (std::ldexp(1, -11) +
                               double(c.k) / 16 * std::ldexp(1, -23)) +
                  weight * peak * std::ldexp(1, -35) + 1e-12;
      sum.inHalf = toHalf(sum.inHalf);
      result.push_back(sum);
    }
  return result;
}

std::vector<Expected> meaning(const StageCase &c, size_t row) {
  std::vector<Expected> sums = products(c, row);
  if (c.epilogue == "residual")
    for (size_t i = 0; i < sums.size(); ++i) {
      sums[i].value += c.residual[row][i];
      sums[i].inHalf = toHalf(sums[i].inHalf + toHalf(c.residual[row][i]));
      sums[i].bound += std::fabs(sums[i].value) * 1e-6;
    }
  if (c.epilogue == "logits")
    for (Expected &sum : sums) {
      sum.value = 1.5 * std::tanh(0.25 / 1.5 * sum.value);
      sum.inHalf = toHalf(1.5 * std::tanh(0.25 / 1.5 * sum.inHalf));
      sum.bound = 0.25 * sum.bound + 4e-7 * std::fabs(sum.value);
    }
  if (c.epilogue.empty() || c.epilogue == "residual" || c.epilogue == "logits")
    return sums;
  Activation *gate = activationOf(c.epilogue);
  std::vector<Expected> result;
  for (size_t i = 0; i < c.columns(); ++i) {
    const Expected one = {1, 0, 1};
    const Expected &g = sums[i], &u = c.isGlu() ? sums[i + c.columns()] : one;
    Expected product = {gate(g.value) * u.value, 0,
                        toHalf(toHalf(gate(g.inHalf)) * u.inHalf)};
    // All activations have slopes below 1.2.
    product.bound = 1.2 * g.bound * (std::fabs(u.value) + u.bound) +
                    u.bound * std::fabs(gate(g.value)) +
                    2e-6 * std::fabs(product.value);
    result.push_back(product);
  }
  return result;
}
} // namespace

std::string qcc::test::compare(const StageCase &c,
                               const std::vector<std::vector<float>> &got,
                               ErrorTotals *totals) {
  for (size_t row = 0; row < c.x.size(); ++row) {
    std::vector<Expected> expected = meaning(c, row);
    for (size_t i = 0; i < c.columns(); ++i) {
      double difference = got[row][i] - expected[i].value;
      if (!(std::fabs(difference) <= expected[i].bound))
        return "row " + std::to_string(row) + ", column " + std::to_string(i) +
               ": expected " + std::to_string(expected[i].value) + " +- " +
               std::to_string(expected[i].bound) + ", got " +
               std::to_string(got[row][i]);
      if (!totals)
        continue;
      double half = expected[i].inHalf - expected[i].value;
      totals->kernel += std::pow(difference / expected[i].bound, 2);
      totals->half += std::pow(half / expected[i].bound, 2);
    }
  }
  return "";
}

emulator::Launch qcc::test::seeded(uint32_t seed) {
  emulator::Launch launch;
  launch.seed = seed;
  launch.copies = seed % 3 == 0   ? emulator::CopyTiming::AtWait
                  : seed % 3 == 1 ? emulator::CopyTiming::AtIssue
                                  : emulator::CopyTiming::Random;
  return launch;
}
