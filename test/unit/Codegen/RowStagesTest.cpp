//===- RowStagesTest.cpp - Stages that work on one row --------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Embedding, norms, the sum of a norm and selected outputs against references
// in double precision. Results come out through a multiplication with the
// identity in f32, which is exact.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/GGML.h"
#include "CompiledStep.h"
#include "Encodings.h"
#include "RandomWeights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

using namespace qcc;
using namespace qcc::test;

namespace {

constexpr size_t kTokens = 21;

/// A step whose result is %y, rows of `columns`, made by `body` from %batch and
/// %t, an embedding table with encoding `encoding`. `weights` declares others.
std::string rowModule(size_t columns, const Encoding &encoding,
                      const std::string &weights, const std::string &body) {
  Encoding f32 = floatEncoding(ScalarType::F32);
  std::string n = std::to_string(columns);
  std::string rows = "tensor<?x" + n + "xf32>";
  std::string table = tensorText(kTokens, columns, encoding);
  std::string identity = tensorText(columns, columns, f32);
  return "qz.weight @table : " + table + "\nqz.weight @identity : " + identity +
         "\n" + weights + "func.func @step(%batch: !llm.batch) -> " + rows +
         " {\n%t = qz.use @table : " + table +
         "\n%i = qz.use @identity : " + identity + "\n" + body +
         "%q = qz.quantize %y : " + rows + " -> !qz.activation<" + n +
         ">\n%l = qz.matmul %q, [%i] : " + "!qz.activation<" + n + ">, [" +
         identity + "] -> " + rows + "\nreturn %l : " + rows + "\n}\n";
}

class RowStages : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (std::string why = whyNotRunnable(GetParam()); !why.empty())
      GTEST_SKIP() << why;
    options.target = GetParam();
  }

  std::unique_ptr<CompiledStep> compile(const std::string &module,
                                        const std::vector<Fields> &table) {
    auto step = std::make_unique<CompiledStep>(module, options);
    step->setWeight("table", table);
    step->setWeight("identity", identityRows(step->columns()));
    return step;
  }

  std::vector<float> randomVector(size_t size) {
    std::normal_distribution<float> normal;
    std::vector<float> values(size);
    std::generate(values.begin(), values.end(), [&] { return normal(random); });
    return values;
  }

  StepOptions options;
  std::mt19937 random{5};
};

const std::vector<int32_t> kSomeTokens = {20, 0, 7, 15, 16, 20, 3};

TEST_P(RowStages, Embedding) {
  std::vector<std::pair<std::string, Encoding>> encodings;
  for (const GGMLType &type : ggmlTypes())
    if (type.encoding)
      encodings.push_back({type.name, *type.encoding});
  for (const NamedEncoding &named : allEncodings())
    if ((named.encoding.hasFloatCodes() && named.encoding.group % 96) ||
        named.encoding.commonScale || named.encoding.splitScale ||
        named.encoding.scaledMin)
      encodings.push_back({named.name, named.encoding});
  Encoding foreign;
  foreign.bits = 3;
  foreign.group = 64;
  foreign.table = {-90, -50, -25, -5, 5, 25, 50, 90};
  foreign.scale = ScalarType::U8;
  encodings.push_back({"3 bits with a table", foreign});
  for (const auto &[name, encoding] : encodings) {
    SCOPED_TRACE(name);
    size_t unit = columnsFor(encoding, 1);
    size_t columns = columnsFor(encoding, std::max<size_t>(1, 256 / unit));
    // A part of a unit, where there are such.
    if (encoding.spans.empty() && !encoding.isFloat())
      columns += encoding.takesShortGroup() ? 32 : encoding.group;
    std::vector<Fields> table = randomRows(encoding, kTokens, columns, random);
    std::string type = tensorText(kTokens, columns, encoding);
    auto step = compile(
        rowModule(
            columns, encoding, "",
            "%y = llm.embedding %batch, %t {scale = 2.5 : f32} : " + type +
                " -> tensor<?x" + std::to_string(columns) + "xf32>\n"),
        table);
    for (bool prompt : {false, true}) {
      StepRows rows;
      rows.token = kSomeTokens;
      rows.prompt = prompt;
      rows.threads = prompt ? 3 : 1;
      std::vector<float> got = step->run(rows);
      for (size_t row = 0; row < rows.token.size(); ++row)
        for (size_t k = 0; k < columns; ++k)
          ASSERT_EQ(got[row * columns + k],
                    2.5f * decodeElement(encoding, table[rows.token[row]], k))
              << "row " << row << " column " << k;
    }
  }
}

TEST_P(RowStages, Logits) {
  const size_t columns = 83;
  std::string rows = "tensor<?x83xf32>", activation = "!qz.activation<83>";
  std::string identity =
      tensorText(columns, columns, floatEncoding(ScalarType::F32));
  std::vector<std::vector<float>> x;
  std::vector<Fields> table;
  for (size_t token = 0; token < kTokens; ++token) {
    x.push_back(randomVector(columns));
    // From where tanh is its argument to where it is 1.
    for (float &value : x.back())
      value *= std::ldexp(1.0f, int(token) - 12);
    table.push_back(floatRow(x.back()));
  }
  for (double cap : {0.0, 2.5, 30.0}) {
    SCOPED_TRACE(cap);
    std::string body =
        "%x = llm.embedding %batch, %t : " +
        tensorText(kTokens, columns, floatEncoding(ScalarType::F32)) + " -> " +
        rows + "\n%a = qz.quantize %x : " + rows + " -> " + activation +
        "\n%y = qz.matmul %a, [%i] {epilogue = #qz.epilogue<logits>, scale = "
        "0.75 : f32, softcap = " +
        std::to_string(cap) + " : f32} : " + activation + ", [" + identity +
        "] -> " + rows + "\n";
    auto step = compile(
        rowModule(columns, floatEncoding(ScalarType::F32), "", body), table);
    for (bool prompt : {false, true}) {
      StepRows rowsOfStep;
      for (size_t token = 0; token < kTokens; ++token)
        rowsOfStep.token.push_back(int32_t(token));
      rowsOfStep.prompt = prompt;
      std::vector<float> got = step->run(rowsOfStep);
      for (size_t i = 0; i < got.size(); ++i) {
        double scaled = 0.75 * x[i / columns][i % columns];
        double expected = cap == 0 ? scaled : cap * std::tanh(scaled / cap);
        ASSERT_NEAR(got[i], expected, 6e-7 * std::fabs(expected)) << scaled;
      }
    }
  }
}

/// A second table, of another encoding, whose rows are those of positions.
TEST_P(RowStages, EmbeddingWithPositions) {
  for (auto [tableName, positionsName] :
       {std::pair{"Q8_0", "F32"}, {"F16", "Q4_0"}, {"Q4_K", "BF16"}}) {
    SCOPED_TRACE(std::string(tableName) + " " + positionsName);
    const Encoding &encoding = *findGGMLType(tableName)->encoding;
    const Encoding &other = *findGGMLType(positionsName)->encoding;
    size_t columns = 256, count = 40;
    std::vector<Fields> table = randomRows(encoding, kTokens, columns, random);
    std::vector<Fields> positions = randomRows(other, count, columns, random);
    std::string type = tensorText(kTokens, columns, encoding);
    std::string otherType = tensorText(count, columns, other);
    auto step = compile(
        rowModule(
            columns, encoding, "qz.weight @positions : " + otherType + "\n",
            "%p = qz.use @positions : " + otherType +
                "\n%y = llm.embedding %batch, %t positions %p {scale = "
                "2.5 : f32} : " +
                type + " positions " + otherType + " -> tensor<?x256xf32>\n"),
        table);
    step->setWeight("positions", positions);
    for (bool prompt : {false, true}) {
      StepRows rows;
      rows.token = kSomeTokens;
      rows.position = {39, 0, 17, 1, 15, 16, 32};
      rows.prompt = prompt;
      rows.threads = prompt ? 3 : 1;
      std::vector<float> got = step->run(rows);
      for (size_t row = 0; row < rows.token.size(); ++row)
        for (size_t k = 0; k < columns; ++k)
          ASSERT_EQ(got[row * columns + k],
                    2.5f * decodeElement(encoding, table[rows.token[row]], k) +
                        decodeElement(other, positions[rows.position[row]], k))
              << "row " << row << " column " << k;
    }
  }
}

/// Functions of single numbers, over all their range.
TEST_P(RowStages, Activations) {
  constexpr size_t columns = 512;
  std::vector<std::vector<float>> x(kTokens, std::vector<float>(columns));
  std::vector<Fields> fields;
  std::uniform_real_distribution<float> near(-6, 6), far(-14, 14),
      exponent(-40, 60);
  for (size_t token = 0; token < kTokens; ++token) {
    for (float &value : x[token])
      value = token % 3 == 0 ? near(random)
              : token % 3 == 1
                  ? far(random)
                  : std::copysign(std::exp2(exponent(random)), near(random));
    x[token][0] = 0;
    fields.push_back(floatRow(x[token]));
  }
  Encoding f32 = floatEncoding(ScalarType::F32);
  std::string table = tensorText(kTokens, columns, f32);
  std::string identity = tensorText(columns, columns, f32);
  for (const char *name : {"silu", "gelu_tanh", "gelu_erf", "relu"}) {
    SCOPED_TRACE(name);
    auto step =
        compile(rowModule(columns, f32, "",
                          "%x = llm.embedding %batch, %t : " + table +
                              " -> tensor<?x512xf32>\n%a = qz.quantize %x : "
                              "tensor<?x512xf32> -> !qz.activation<512>\n%y = "
                              "qz.matmul %a, [%i] {epilogue = #qz.epilogue<" +
                              name + ">} : !qz.activation<512>, [" + identity +
                              "] -> tensor<?x512xf32>\n"),
                fields);
    bool isExact = std::string(name) == "gelu_erf";
    StepRows rows;
    // More than one step generates.
    rows.prompt = true;
    for (size_t token = 0; token < kTokens; ++token)
      rows.token.push_back(int32_t(token));
    std::vector<float> got = step->run(rows);
    for (size_t row = 0; row < kTokens; ++row)
      for (size_t k = 0; k < columns; ++k) {
        double expected = activationOf(name)(x[row][k]);
        // Of the smallest numbers, what is subnormal in between is lost; so is
        // what the other functions round of 1 in their tails.
        double bound = 1e-6 * std::fabs(expected) + (isExact ? 1e-36 : 2e-6);
        ASSERT_NEAR(got[row * columns + k], expected, bound)
            << "of " << x[row][k];
      }
  }
}

double inverseRms(const float *row, size_t columns) {
  double sum = 0;
  for (size_t i = 0; i < columns; ++i)
    sum += double(row[i]) * row[i];
  return 1 / std::sqrt(sum / double(columns) + double(1e-5f));
}

/// Rows of an embedding, normed by the quantize operation and by add_norm.
TEST_P(RowStages, Norms) {
  Encoding f32 = floatEncoding(ScalarType::F32);
  for (size_t columns : {4, 20, 64, 100, 576}) {
    SCOPED_TRACE(columns);
    std::string n = std::to_string(columns),
                rowsText = "tensor<?x" + n + "xf32>";
    std::string vector = "!qz.tensor<" + n + ", " + encodingText(f32) + ">";
    std::string table = tensorText(kTokens, columns, f32);
    std::string identity = tensorText(columns, columns, f32);
    // y = x + norm(norm(x) * n) * m
    std::string body =
        "%n = qz.use @n : " + vector + "\n%m = qz.use @m : " + vector +
        "\n%x = llm.embedding %batch, %t : " + table + " -> " + rowsText +
        "\n%a = qz.quantize %x norm %n {eps = 1.0e-5 : f32} : " + rowsText +
        ", " + vector + " -> !qz.activation<" + n +
        ">\n%p = qz.matmul %a, [%i] : !qz.activation<" + n + ">, [" + identity +
        "] -> " + rowsText + "\n%y = llm.add_norm %x, %p, %m {eps = 1.0e-5 : " +
        "f32} : " + rowsText + ", " + vector + "\n";
    std::vector<std::vector<float>> x;
    std::vector<Fields> fields;
    for (size_t token = 0; token < kTokens; ++token) {
      x.push_back(randomVector(columns));
      fields.push_back(floatRow(x.back()));
    }
    std::vector<float> first = randomVector(columns),
                       second = randomVector(columns);
    auto step = compile(rowModule(columns, f32,
                                  "qz.weight @n : " + vector +
                                      "\nqz.weight @m : " + vector + "\n",
                                  body),
                        fields);
    step->setVector("n", first);
    step->setVector("m", second);
    for (bool prompt : {false, true}) {
      StepRows rows;
      rows.token = kSomeTokens;
      rows.prompt = prompt;
      rows.threads = prompt ? 4 : 2;
      std::vector<float> got = step->run(rows);
      for (size_t row = 0; row < rows.token.size(); ++row) {
        const std::vector<float> &in = x[rows.token[row]];
        double inner = inverseRms(in.data(), columns);
        std::vector<float> normed;
        for (size_t i = 0; i < columns; ++i)
          normed.push_back(float(in[i] * inner * first[i]));
        double outer = inverseRms(normed.data(), columns);
        for (size_t i = 0; i < columns; ++i) {
          double term = normed[i] * outer * second[i];
          ASSERT_NEAR(got[row * columns + i], in[i] + term,
                      2e-6 * (std::fabs(term) + std::fabs(in[i])))
              << "row " << row << " column " << i;
        }
      }
    }
  }
}

/// Rows far from a mean of 0, normed by their mean and variance.
TEST_P(RowStages, LayerNorms) {
  Encoding f32 = floatEncoding(ScalarType::F32);
  for (bool hasBias : {true, false})
    for (size_t columns : {4, 20, 64, 100, 576}) {
      SCOPED_TRACE(columns);
      std::string n = std::to_string(columns),
                  rowsText = "tensor<?x" + n + "xf32>";
      std::string vector = "!qz.tensor<" + n + ", " + encodingText(f32) + ">";
      std::string table = tensorText(kTokens, columns, f32);
      std::string identity = tensorText(columns, columns, f32);
      std::string body =
          "%n = qz.use @n : " + vector +
          (hasBias ? "\n%m = qz.use @m : " + vector : "") +
          "\n%x = llm.embedding %batch, %t : " + table + " -> " + rowsText +
          "\n%a = qz.quantize %x norm %n " + (hasBias ? "bias %m " : "") +
          "{centered, eps = 1.0e-5 : f32} : " + rowsText + ", " + vector +
          (hasBias ? " bias " + vector : "") + " -> !qz.activation<" + n +
          ">\n%y = qz.matmul %a, [%i] : !qz.activation<" + n + ">, [" +
          identity + "] -> " + rowsText + "\n";
      std::vector<std::vector<float>> x;
      std::vector<Fields> fields;
      for (size_t token = 0; token < kTokens; ++token) {
        x.push_back(randomVector(columns));
        for (float &value : x.back())
          value = 3 * value + float(token);
        fields.push_back(floatRow(x.back()));
      }
      std::vector<float> weight = randomVector(columns),
                         bias = randomVector(columns);
      auto step = compile(
          rowModule(columns, f32,
                    "qz.weight @n : " + vector + "\n" +
                        (hasBias ? "qz.weight @m : " + vector + "\n" : ""),
                    body),
          fields);
      step->setVector("n", weight);
      if (hasBias)
        step->setVector("m", bias);
      for (bool prompt : {false, true}) {
        StepRows rows;
        rows.token = kSomeTokens;
        rows.prompt = prompt;
        rows.threads = prompt ? 4 : 2;
        std::vector<float> got = step->run(rows);
        for (size_t row = 0; row < rows.token.size(); ++row) {
          std::vector<float> centered = x[rows.token[row]];
          double mean = 0;
          for (float value : centered)
            mean += double(value) / double(columns);
          double squares = 0;
          for (float value : centered)
            squares += (value - mean) * (value - mean);
          double factor =
              1 / std::sqrt(squares / double(columns) + double(1e-5f));
          for (size_t i = 0; i < columns; ++i) {
            double normed = (centered[i] - mean) * factor * weight[i];
            double expected = normed + (hasBias ? bias[i] : 0);
            // The mean is rounded like the elements are.
            double rounded =
                (std::fabs(mean) + std::fabs(centered[i])) * factor * 1e-6;
            ASSERT_NEAR(got[row * columns + i], expected,
                        2e-6 * (std::fabs(normed) + std::fabs(expected)) +
                            rounded * std::fabs(weight[i]))
                << "row " << row << " column " << i;
          }
        }
      }
    }
}

TEST_P(RowStages, SelectOutputs) {
  Encoding f32 = floatEncoding(ScalarType::F32);
  size_t columns = 36;
  std::string table = tensorText(kTokens, columns, f32);
  std::vector<std::vector<float>> x;
  std::vector<Fields> fields;
  for (size_t token = 0; token < kTokens; ++token) {
    x.push_back(randomVector(columns));
    fields.push_back(floatRow(x.back()));
  }
  auto step = compile(
      rowModule(
          columns, f32, "",
          "%x = llm.embedding %batch, %t : " + table +
              " -> tensor<?x36xf32>\n%y = llm.select_outputs %x, %batch : "
              "tensor<?x36xf32>\n"),
      fields);
  for (const std::vector<uint32_t> &output :
       {std::vector<uint32_t>{6}, {0, 2, 5}, {0, 1, 2, 3, 4, 5, 6}})
    for (bool prompt : {false, true}) {
      StepRows rows;
      rows.token = kSomeTokens;
      rows.output = output;
      rows.prompt = prompt;
      rows.threads = 2;
      std::vector<float> got = step->run(rows);
      for (size_t i = 0; i < output.size(); ++i)
        for (size_t k = 0; k < columns; ++k)
          ASSERT_EQ(got[i * columns + k], x[rows.token[output[i]]][k])
              << "output " << i << " column " << k;
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, RowStages,
                         testing::Values("x86-64-v3", "x86-64-v4", "sm_86"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
