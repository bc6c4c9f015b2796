//===- RandomWeights.cpp - Weights, activations and their meaning ---------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "RandomWeights.h"

#include <algorithm>
#include <bit>
#include <cmath>

using namespace qcc;
using namespace qcc::test;

Encoding qcc::test::floatEncoding(ScalarType element) {
  Encoding encoding;
  encoding.element = element;
  return encoding;
}

//===----------------------------------------------------------------------===//
// Random data
//===----------------------------------------------------------------------===//

/// Bits of the value of `type` next to `value`.
static uint32_t scalarBits(ScalarType type, float value, std::mt19937 &random) {
  switch (type) {
  case ScalarType::F32:
    return std::bit_cast<uint32_t>(value);
  case ScalarType::F16:
    return std::bit_cast<uint16_t>(_Float16(value));
  case ScalarType::BF16:
    return std::bit_cast<uint32_t>(value) >> 16;
  case ScalarType::E8M0:
    return 118 + random() % 8;
  case ScalarType::U8:
    return random() % 256;
  case ScalarType::None:
    break;
  }
  return 0;
}

Fields qcc::test::randomRow(const Encoding &encoding, size_t k,
                            std::mt19937 &random) {
  std::normal_distribution<float> normal(0.0f, 0.02f);
  Fields fields;
  fields.resize(encoding, k);
  auto fill = [&](size_t begin, size_t end, unsigned bits) {
    for (size_t i = begin; i < end; ++i)
      do
        fields.codes[i] = uint8_t(random() % (1u << bits));
      while (
          encoding.minifloat != Minifloat::None &&
          !std::isfinite(minifloatValue(encoding.minifloat, fields.codes[i])));
  };
  fill(0, encoding.spans.empty() ? fields.codes.size() : 0, encoding.bits);
  size_t element = 0;
  for (const Encoding::Span &span : encoding.spans) {
    fill(element, element + span.columns, span.bits);
    element += span.columns;
  }
  for (uint32_t &bits : fields.floats)
    bits = scalarBits(encoding.element, normal(random), random);
  for (uint32_t &bits : fields.scale)
    bits =
        random() % 16 ? scalarBits(encoding.scale, normal(random), random) : 0;
  for (uint32_t &bits : fields.secondScale)
    bits = scalarBits(encoding.scale, normal(random), random);
  for (uint8_t &split : fields.split)
    split = uint8_t(random() % (encoding.superBlock / encoding.group + 1));
  for (uint8_t &zero : fields.zeros)
    zero = uint8_t(random() % (1u << encoding.zeroBits));
  for (uint32_t &bits : fields.min)
    bits = scalarBits(encoding.min, normal(random), random);
  for (uint32_t &bits : fields.offset)
    bits = scalarBits(encoding.offset, 0.03f, random);
  for (uint8_t &sub : fields.sub)
    do
      sub = uint8_t(random() % (1u << encoding.subBits));
    while (encoding.subMinifloat != Minifloat::None &&
           !std::isfinite(minifloatValue(encoding.subMinifloat, sub)));
  for (uint8_t &sub : fields.subMin)
    sub = uint8_t(random() % (1u << encoding.subMinBits));
  return fields;
}

std::vector<Fields> qcc::test::randomRows(const Encoding &encoding, size_t rows,
                                          size_t k, std::mt19937 &random) {
  std::vector<Fields> result;
  for (size_t row = 0; row < rows; ++row)
    result.push_back(randomRow(encoding, k, random));
  const bool isOfPanel = !encoding.isTwoLevel() || encoding.splitScale;
  if (encoding.commonScale)
    for (size_t row = 0; row < rows; ++row) {
      const Fields &first = result[isOfPanel ? row / 16 * 16 : 0];
      result[row].scale = first.scale;
      result[row].secondScale = first.secondScale;
    }
  return result;
}

std::vector<float> qcc::test::randomActivations(size_t k,
                                                std::mt19937 &random) {
  std::normal_distribution<float> normal;
  std::vector<float> result;
  float size = 1;
  for (size_t i = 0; i < k; ++i) {
    if (i % 16 == 0)
      size = random() % 8 == 0 ? 0.0f : random() % 8 == 0 ? 50.0f : 1.0f;
    result.push_back(size * normal(random));
  }
  return result;
}

Fields qcc::test::floatRow(const std::vector<float> &values) {
  Fields fields;
  fields.resize(floatEncoding(ScalarType::F32), values.size());
  for (size_t i = 0; i < values.size(); ++i)
    fields.floats[i] = std::bit_cast<uint32_t>(values[i]);
  return fields;
}

std::vector<Fields> qcc::test::identityRows(size_t size) {
  std::vector<Fields> rows;
  for (size_t row = 0; row < size; ++row) {
    std::vector<float> values(size);
    values[row] = 1.0f;
    rows.push_back(floatRow(values));
  }
  return rows;
}

//===----------------------------------------------------------------------===//
// Meaning
//===----------------------------------------------------------------------===//

Activations qcc::test::quantize(const std::vector<float> &x,
                                const std::string &form) {
  if (form == "f32")
    return {{x.begin(), x.end()}, std::vector<double>(x.size())};
  if (form == "bf16") {
    Activations result;
    for (float value : x) {
      uint32_t bits = std::bit_cast<uint32_t>(value);
      bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
      result.value.push_back(std::bit_cast<float>(bits));
      result.step.push_back(std::fabs(value) * 0x1p-7);
    }
    return result;
  }
  if (form == "f16") {
    // Eleven bits, in a range that the row's largest element ends: 2^14 to 2^15
    // of the smallest normal number, 2^-14.
    float peak = 0;
    for (float value : x)
      peak = std::max(peak, std::fabs(value));
    const int least = std::ilogb(peak == 0 ? 1.0f : peak) - 28;
    Activations result;
    for (float value : x) {
      int exponent = value == 0 ? least : std::max(std::ilogb(value), least);
      double step = std::ldexp(1.0, exponent - 10);
      result.value.push_back(std::nearbyint(double(value) / step) * step);
      result.step.push_back(step);
    }
    return result;
  }
  float largest = form == "a16" ? 32639.0f : 127.0f;
  size_t group = form == "a8g16" ? 16 : 32;
  Activations result;
  for (size_t first = 0; first < x.size(); first += group) {
    size_t end = std::min(first + group, x.size());
    float peak = 0;
    for (size_t i = first; i < end; ++i)
      peak = std::max(peak, std::fabs(x[i]));
    float factor = largest / (peak == 0 ? 1 : peak);
    float step = peak * (1.0f / largest);
    for (size_t i = first; i < end; ++i) {
      result.value.push_back(double(std::nearbyint(x[i] * factor)) * step);
      result.step.push_back(step);
    }
  }
  return result;
}

DotProduct qcc::test::dotProduct(const Encoding &encoding, const Fields &row,
                                 const Activations &x) {
  // M alone is what a code of zero gives without zero point and table.
  Encoding minEncoding = encoding;
  minEncoding.zero = 0;
  for (Encoding::Span &span : minEncoding.spans)
    span.zero = 0;
  minEncoding.zeroBits = 0;
  minEncoding.table.clear();
  minEncoding.values.clear();
  minEncoding.minifloat = Minifloat::None;
  Fields minRow = row;
  std::fill(minRow.codes.begin(), minRow.codes.end(), uint8_t(0));

  Fields peakRow = row;
  if (!encoding.values.empty()) {
    auto peak = std::max_element(
        encoding.values.begin(), encoding.values.end(),
        [](float a, float b) { return std::fabs(a) < std::fabs(b); });
    std::fill(peakRow.codes.begin(), peakRow.codes.end(),
              uint8_t(peak - encoding.values.begin()));
  }

  DotProduct result = {};
  for (size_t k = 0; k < x.value.size(); ++k) {
    if (!encoding.values.empty())
      result.valueBound += std::ldexp(
          std::fabs(decodeElement(encoding, peakRow, k) * x.value[k]), -14);
    double w = decodeElement(encoding, row, k);
    double min = encoding.hasMin() ? decodeElement(minEncoding, minRow, k) : 0;
    result.value += w * x.value[k];
    // Products with S and with M are summed separately.
    result.magnitude +=
        (std::fabs(w - min) + std::fabs(min)) * std::fabs(x.value[k]);
    result.stepBound += std::fabs(w) * x.step[k] / 2;
  }
  return result;
}

static double silu(double x) { return x / (1 + std::exp(-x)); }
static double geluTanh(double x) {
  return 0.5 * x *
         (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
static double geluErf(double x) { return 0.5 * x * std::erfc(-x * M_SQRT1_2); }
static double relu(double x) { return std::max(x, 0.0); }

Activation *qcc::test::activationOf(const std::string &epilogue) {
  if (epilogue.ends_with("silu"))
    return silu;
  if (epilogue.ends_with("gelu_tanh"))
    return geluTanh;
  return epilogue.ends_with("gelu_erf") ? geluErf : relu;
}
