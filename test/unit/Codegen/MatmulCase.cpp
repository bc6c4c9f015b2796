//===- MatmulCase.cpp - Matmuls for tests of generated code ---------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "MatmulCase.h"
#include "FixedForm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

using namespace qcc;
using namespace qcc::test;

std::string MatmulCase::module() const {
  Encoding f32 = floatEncoding(ScalarType::F32);
  std::string table = tensorText(kTokens, k, f32),
              n = std::to_string(columns());
  std::string identity = tensorText(columns(), columns(), f32);
  std::string rowsX = "tensor<?x" + std::to_string(k) + "xf32>";
  std::string rowsY = "tensor<?x" + n + "xf32>";
  std::string activation = "!qz.activation<" + std::to_string(k) + ">";
  std::string declarations = "qz.weight @table : " + table + "\n", uses,
              operands, types, biases, biasTypes, biasOf;
  std::string vectorType =
      "!qz.tensor<" + std::to_string(k) + ", #qz.encoding<f32>>";
  std::string made = "qz.quantize %x", madeTypes = rowsX;
  auto addVector = [&](const std::vector<float> &values, std::string name,
                       std::string word, std::string typeWord) {
    if (values.empty())
      return;
    declarations += "qz.weight @" + name + " : " + vectorType + "\n";
    uses += "%" + name + " = qz.use @" + name + " : " + vectorType + "\n";
    made += " " + word + " %" + name;
    madeTypes += typeWord + " " + vectorType;
  };
  addVector(norm, "norm", "norm", ",");
  addVector(normBias, "norm_bias", "bias", " bias");
  addVector(order, "order", "order", " by");
  if (!norm.empty())
    made += std::string(" {") + (normBias.empty() ? "" : "centered, ") +
            "eps = 1.0e-5 : f32}";
  for (size_t i = 0; i < segments.size(); ++i) {
    std::string name = "w" + std::to_string(i);
    std::string type = tensorText(segments[i].rows, k, segments[i].encoding);
    declarations += "qz.weight @" + name + " : " + type + "\n";
    uses += "%" + name + " = qz.use @" + name + " : " + type + "\n";
    operands += (i ? ", %" : "%") + name;
    types += (i ? ", " : "") + type;
    if (!segments[i].hasBias)
      continue;
    std::string bias = "b" + std::to_string(i),
                comma = biases.empty() ? "" : ", ";
    type = "!qz.tensor<" + std::to_string(segments[i].rows) +
           ", #qz.encoding<f32>>";
    declarations += "qz.weight @" + bias + " : " + type + "\n";
    uses += "%" + bias + " = qz.use @" + bias + " : " + type + "\n";
    biases += comma + "%" + bias;
    biasTypes += comma + type;
    biasOf += comma + std::to_string(i);
  }
  bool residual = epilogue == "residual";
  std::string attributes;
  if (!biases.empty())
    attributes = "bias_of = array<i64: " + biasOf + ">";
  if (!epilogue.empty())
    attributes += (attributes.empty() ? "" : ", ") +
                  ("epilogue = #qz.epilogue<" + epilogue + ">");
  std::string matmul = "%p = qz.matmul %a, [" + operands + "]" +
                       (biases.empty() ? "" : " bias [" + biases + "]") +
                       (residual ? " residual %x" : "") +
                       (attributes.empty() ? "" : " {" + attributes + "}") +
                       " : " + activation + ", [" + types + "]" +
                       (biases.empty() ? "" : " bias [" + biasTypes + "]") +
                       (residual ? ", " + rowsX : "") + " -> " + rowsY + "\n";
  std::string body =
      "%t = qz.use @table : " + table + "\n" + uses + (select ? "%e" : "%x") +
      " = llm.embedding %batch, %t : " + table + " -> " + rowsX +
      (select ? "\n%x = llm.select_outputs %e, %batch : " + rowsX : "") +
      "\n%a = " + made + " : " + madeTypes + " -> " + activation + "\n" +
      matmul;
  if (!viaBuffer)
    return declarations + "func.func @step(%batch: !llm.batch) -> " + rowsY +
           " {\n" + body + "return %p : " + rowsY + "\n}\n";
  declarations += "qz.weight @identity : " + identity + "\n";
  body += "%i = qz.use @identity : " + identity +
          "\n%b = qz.quantize %p : " + rowsY + " -> !qz.activation<" + n +
          ">\n%l = qz.matmul %b, [%i] : " + "!qz.activation<" + n + ">, [" +
          identity + "] -> " + rowsY + "\n";
  return declarations + "func.func @step(%batch: !llm.batch) -> " + rowsY +
         " {\n" + body + "return %l : " + rowsY + "\n}\n";
}

std::unique_ptr<CompiledStep>
MatmulCase::compile(const StepOptions &options) const {
  auto step = std::make_unique<CompiledStep>(module(), options);
  std::vector<Fields> table;
  for (const std::vector<float> &row : x)
    table.push_back(floatRow(row));
  step->setWeight("table", table);
  if (!order.empty())
    step->setVector("order", order);
  if (!norm.empty())
    step->setVector("norm", norm);
  if (!normBias.empty())
    step->setVector("norm_bias", normBias);
  for (size_t i = 0; i < segments.size(); ++i)
    step->setWeight("w" + std::to_string(i), segments[i].weights);
  for (size_t i = 0; i < segments.size(); ++i)
    if (segments[i].hasBias)
      step->setVector("b" + std::to_string(i), segments[i].bias);
  if (viaBuffer)
    step->setWeight("identity", identityRows(columns()));
  return step;
}

std::vector<float> MatmulCase::entering(size_t row) const {
  std::vector<float> result = x[row];
  double mean = 0, square = 0;
  for (float value : x[row])
    mean += normBias.empty() ? 0.0 : double(value) / double(k);
  for (float value : x[row])
    square += (value - mean) * (value - mean) / double(k);
  for (size_t i = 0; i < k; ++i) {
    size_t from = order.empty() ? i : size_t(order[i]);
    double value = x[row][from];
    if (!norm.empty())
      value = (value - mean) / std::sqrt(square + 1e-5) * norm[from];
    if (!normBias.empty())
      value += normBias[from];
    result[i] = float(value);
  }
  return result;
}

/// One for each row of all segments, with its bias.
std::vector<DotProduct>
MatmulCase::products(const Activations &activations) const {
  std::vector<DotProduct> result;
  for (const Segment &segment : segments)
    for (size_t row = 0; row < segment.rows; ++row) {
      result.push_back(
          dotProduct(segment.encoding, segment.weights[row], activations));
      if (!segment.hasBias)
        continue;
      result.back().value += segment.bias[row];
      result.back().magnitude += std::fabs(segment.bias[row]);
    }
  return result;
}

std::vector<double> MatmulCase::fixedBounds(const Activations &activations,
                                            const std::string &form,
                                            const std::string &target) const {
  auto layout =
      target.empty() ? std::nullopt : fixedLayout(*this, target, form);
  std::vector<double> result;
  for (const Segment &segment : segments)
    for (const Fields &row : segment.weights)
      result.push_back(
          layout ? fixedBound(*layout, segment.encoding, row, activations) : 0);
  return result;
}

std::string qcc::test::formInUse(const MatmulCase &c, const std::string &form) {
  for (const Segment &segment : c.segments)
    if (segment.encoding.isFloat() || segment.encoding.group % 16 ||
        segment.encoding.minifloat != Minifloat::None)
      return "f32";
  return form;
}

StepRows qcc::test::firstTokens(size_t count, bool prompt, unsigned threads) {
  StepRows rows;
  for (size_t i = 0; i < count; ++i)
    rows.token.push_back(int32_t(i));
  rows.prompt = prompt;
  rows.threads = threads;
  return rows;
}

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

double qcc::test::roundingBound(const DotProduct &product,
                                const std::string &form) {
  if (form == "f32" || form == "f16")
    return product.magnitude * 4e-6 + 1e-30;
  return product.magnitude * 1e-6 + product.valueBound + 1e-30;
}

void qcc::test::expectProducts(const MatmulCase &c, const std::string &form,
                               const std::vector<float> &results,
                               const std::vector<uint32_t> &tokens,
                               const std::string &promptTarget) {
  size_t n = c.columns();
  for (size_t row = 0; row * n < results.size(); ++row) {
    const std::vector<float> &x = c.x[tokens.empty() ? row : tokens[row]];
    std::vector<DotProduct> quantized = c.products(quantize(x, form));
    std::vector<DotProduct> exact = c.products(quantize(x, "f32"));
    std::vector<double> fixed =
        c.fixedBounds(quantize(x, form), form, promptTarget);
    for (size_t i = 0; i < n; ++i) {
      float got = results[row * n + i];
      double bound = roundingBound(quantized[i], form) + fixed[i];
      ASSERT_NEAR(got, quantized[i].value, bound)
          << "row " << row << " column " << i;
      // The integer may be a rounding error away from the nearest one.
      ASSERT_NEAR(got, exact[i].value,
                  bound + quantized[i].stepBound * 1.001 +
                      1e-6 * exact[i].magnitude)
          << "row " << row << " column " << i;
    }
  }
}

static void expectSameBits(const std::vector<float> &a,
                           const std::vector<float> &b,
                           const std::string &what) {
  ASSERT_LE(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * 4), 0)
      << what << " has other bits";
}

void qcc::test::expectInvariant(CompiledStep &step,
                                std::initializer_list<unsigned> teams) {
  std::vector<float> four = step.run(firstTokens(4, false));
  std::vector<float> all = step.run(firstTokens(16, false));
  expectSameBits(four, all, "a step of 4 rows");
  size_t n = step.columns();
  for (size_t row = 0; row < 16; ++row) {
    StepRows one;
    one.token = {int32_t(row)};
    std::vector<float> part(all.begin() + row * n, all.begin() + (row + 1) * n);
    expectSameBits(step.run(one), part,
                   "row " + std::to_string(row) + " alone");
  }
  std::vector<float> prompt = step.run(firstTokens(kTokens, true));
  expectSameBits(step.run(firstTokens(13, true)), prompt, "a prompt of 13");
  for (unsigned threads : teams) {
    std::string name = std::to_string(threads) + " threads";
    expectSameBits(step.run(firstTokens(1, false, threads)), all, name);
    expectSameBits(step.run(firstTokens(16, false, threads)), all, name);
    expectSameBits(step.run(firstTokens(kTokens, true, threads)), prompt, name);
  }
}

void qcc::test::expectActivated(const MatmulCase &c, const std::string &form,
                                const std::vector<float> &results) {
  Activation *activate = activationOf(c.epilogue);
  size_t n = c.columns();
  for (size_t row = 0; row * n < results.size(); ++row) {
    std::vector<DotProduct> products = c.products(quantize(c.x[row], form));
    for (size_t i = 0; i < n; ++i) {
      double expected = activate(products[i].value);
      // All activations have slopes below 1.2.
      ASSERT_NEAR(results[row * n + i], expected,
                  1.2 * roundingBound(products[i], form) +
                      1e-6 * std::fabs(expected) + 1e-12)
          << "row " << row << " column " << i;
    }
  }
}

void qcc::test::expectGated(const MatmulCase &c, const std::string &form,
                            const std::vector<float> &results) {
  Activation *gate = activationOf(c.epilogue);
  size_t n = c.columns();
  for (size_t row = 0; row * n < results.size(); ++row) {
    std::vector<DotProduct> products = c.products(quantize(c.x[row], form));
    for (size_t i = 0; i < n; ++i) {
      const DotProduct &g = products[i], &u = products[i + n];
      // All activations have slopes below 1.2.
      double bound = 1.2 * roundingBound(g, form) * std::fabs(u.value) +
                     roundingBound(u, form) * std::fabs(g.value) +
                     2e-6 * std::fabs(gate(g.value) * u.value) + 1e-12;
      ASSERT_NEAR(results[row * n + i], gate(g.value) * u.value, bound)
          << "row " << row << " column " << i;
    }
  }
}
