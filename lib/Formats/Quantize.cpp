//===- Quantize.cpp - Rounding of float weights to codes ------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic is f32 throughout and in the order of ggml's quantizers. With
// one level the codes are those of the scale before it is rounded to its type;
// for two levels see QuantizeK.cpp.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Quantize.h"
#include "qcc/Formats/Bits.h"
#include "qcc/Formats/GGML.h"
#include <algorithm>
#include <cmath>
#include <tuple>
#include "QuantizeK.h"

using namespace qcc;

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

static Encoding integers(unsigned bits, int zero, unsigned group,
                         bool hasMin = false, bool hasZeros = false) {
  Encoding e;
  e.bits = bits;
  e.zero = zero;
  e.zeroBits = hasZeros ? bits : 0;
  e.group = group;
  e.scale = ScalarType::F16;
  e.min = hasMin ? ScalarType::F16 : ScalarType::None;
  return e;
}

/// Quantiles of a normal distribution, as bitsandbytes has them.
static Encoding normalFloat() {
  Encoding e;
  e.bits = 4;
  e.group = 64;
  e.scale = ScalarType::F32;
  e.values = {-1.0f,
              -0.6961928009986877f,
              -0.5250730514526367f,
              -0.39491748809814453f,
              -0.28444138169288635f,
              -0.18477343022823334f,
              -0.09105003625154495f,
              0.0f,
              0.07958029955625534f,
              0.16093020141124725f,
              0.24611230194568634f,
              0.33791524171829224f,
              0.44070982933044434f,
              0.5626170039176941f,
              0.7229568362236023f,
              1.0f};
  return e;
}

/// A type of K-quants, whose embedding and head get Q6_K as llama-quantize has
/// it, and other rows what it makes of them.
static QuantizationType kQuant(const char *name, const char *ggmlName,
                               const char *fallback) {
  return {name, Rounding::Search, *findGGMLType(ggmlName)->encoding, "q6_k",
          fallback};
}

std::span<const QuantizationType> qcc::quantizationTypes() {
  auto simple = [](const char *name, Rounding rounding, Encoding encoding) {
    const char *sensitive = encoding.bits < 8 ? "q8_0" : name;
    return QuantizationType{name, rounding, std::move(encoding), sensitive,
                            "q8_0"};
  };
  static const QuantizationType types[] = {
      simple("q4_0", Rounding::Extreme, integers(4, 8, 32)),
      simple("q4_1", Rounding::MinMax, integers(4, 0, 32, true)),
      simple("q5_0", Rounding::Extreme, integers(5, 16, 32)),
      simple("q5_1", Rounding::MinMax, integers(5, 0, 32, true)),
      simple("q8_0", Rounding::Symmetric, integers(8, 128, 32)),
      kQuant("q2_k", "Q2_K", "q4_0"),
      kQuant("q3_k", "Q3_K", "q4_0"),
      kQuant("q4_k", "Q4_K", "q5_0"),
      kQuant("q5_k", "Q5_K", "q5_1"),
      kQuant("q6_k", "Q6_K", "q8_0"),
      simple("int4-g128", Rounding::Extreme, integers(4, 8, 128)),
      simple("int4-g128-asym", Rounding::Zeros,
             integers(4, 0, 128, false, true)),
      simple("int8", Rounding::Symmetric, integers(8, 128, 0)),
      simple("nf4", Rounding::Values, normalFloat()),
  };
  return types;
}

const QuantizationType *qcc::findQuantizationType(std::string_view name) {
  for (const QuantizationType &type : quantizationTypes())
    if (type.name == name)
      return &type;
  return nullptr;
}

bool QuantizationType::encodingFor(uint64_t columns, Encoding &out) const {
  Encoding result = encoding;
  if (result.group == 0 && columns <= 1u << 30 && columns % 32 == 0)
    result.group = unsigned(columns);
  if (columns == 0 || result.group == 0 || !result.check().empty() ||
      (result.isTwoLevel() && columns % result.scaleBlock() != 0) ||
      !result.takesColumns(columns))
    return false;
  out = std::move(result);
  return true;
}

//===----------------------------------------------------------------------===//
// Groups
//===----------------------------------------------------------------------===//

namespace {

/// One group: its numbers, and where its fields go.
struct Group {
  const float *x;
  size_t count, index;
  uint8_t *codes;
  Fields &out;
};

float inverse(float scale) { return scale == 0.0f ? 0.0f : 1.0f / scale; }

/// `value` as a code; NaN gives 0.
uint8_t code(float value, float highest) {
  return uint8_t(value > 0.0f ? std::min(value, highest) : 0.0f);
}

uint32_t scalarBits(ScalarType type, float value) {
  return type == ScalarType::F16 ? halfFromFloat(value) : bitsFromFloat(value);
}

/// The first of those that are furthest from 0.
float extremeOf(const Group &group) {
  float extreme = group.x[0];
  for (size_t i = 1; i < group.count; ++i)
    if (std::fabs(group.x[i]) > std::fabs(extreme))
      extreme = group.x[i];
  return extreme;
}

std::pair<float, float> rangeOf(const Group &group) {
  auto [low, high] = std::minmax_element(group.x, group.x + group.count);
  return {*low, *high};
}

void roundGroup(const QuantizationType &type, const Group &group) {
  const Encoding &encoding = type.encoding;
  const float highest = float((1u << encoding.bits) - 1);
  float scale = 0, least = 0, factor = 0;
  auto each = [&](auto codeOf) {
    for (size_t i = 0; i < group.count; ++i)
      group.codes[i] = codeOf(group.x[i]);
  };
  switch (type.rounding) {
  case Rounding::Extreme: {
    const float half = float(encoding.zero);
    scale = extremeOf(group) / -half;
    factor = inverse(scale);
    each([&](float x) { return code(x * factor + (half + 0.5f), highest); });
    break;
  }
  case Rounding::Symmetric: {
    const float zero = float(encoding.zero);
    scale = std::fabs(extremeOf(group)) / (zero - 1);
    factor = inverse(scale);
    each([&](float x) { return code(std::round(x * factor) + zero, highest); });
    break;
  }
  case Rounding::MinMax: {
    float high;
    std::tie(least, high) = rangeOf(group);
    scale = (high - least) / highest;
    factor = inverse(scale);
    each([&](float x) { return code((x - least) * factor + 0.5f, highest); });
    group.out.min[group.index] = scalarBits(encoding.min, least);
    break;
  }
  case Rounding::Zeros: {
    auto [low, high] = rangeOf(group);
    low = std::min(low, 0.0f);
    scale = (std::max(high, 0.0f) - low) / highest;
    factor = inverse(scale);
    const uint8_t zero = code(std::round(-low * factor), highest);
    each([&](float x) {
      return code(std::round(x * factor) + float(zero), highest);
    });
    group.out.zeros[group.index] = zero;
    break;
  }
  case Rounding::Values: {
    scale = std::fabs(extremeOf(group));
    factor = inverse(scale);
    // The number of middles between neighbours that lie below.
    const std::vector<float> &values = encoding.values;
    each([&](float x) {
      unsigned below = 0;
      for (size_t i = 1; i < values.size(); ++i)
        below += x * factor > (values[i - 1] + values[i]) * 0.5f;
      return uint8_t(below);
    });
    break;
  }
  case Rounding::Search: // Of super-blocks.
    return;
  }
  group.out.scale[group.index] = scalarBits(encoding.scale, scale);
}

void unpackRounded(const StoredWeight &weight, uint64_t firstRow,
                   unsigned count, Fields *out) {
  const GGMLType &source = *findGGMLType(uint32_t(weight.numbers[0]));
  const QuantizationType &type = roundedType(weight.numbers);
  const size_t rowBytes = source.rowBytes(weight.columns);
  std::vector<float> values(weight.columns * count);
  const bool isStrided = weight.numbers.size() > 2;
  if (isStrided)
    decodeStrided(weight.arrays[0], source, weight.numbers.subspan(2),
                  weight.columns, firstRow, count, values.data());
  for (unsigned i = 0; i < count; ++i) {
    float *row = values.data() + i * weight.columns;
    if (!isStrided)
      source.decodeRow(weight.arrays[0] + (firstRow + i) * rowBytes,
                       weight.columns, row);
    quantizeRow(type, row, weight.columns, out[i]);
  }
}

constexpr const char *kArrays[] = {"weight"};

} // namespace

void qcc::quantizeRow(const QuantizationType &type, const float *values,
                      size_t columns, Fields &out) {
  Encoding encoding = type.encoding;
  if (encoding.group == 0)
    encoding.group = unsigned(columns);
  out.resize(encoding, columns);
  if (type.rounding == Rounding::Search) {
    for (size_t k = 0; k < columns; k += encoding.superBlock)
      quantizeSuperBlock(encoding, values + k, k / encoding.superBlock, out);
    return;
  }
  for (size_t k = 0; k < columns; k += encoding.group)
    roundGroup(type, {values + k, std::min<size_t>(encoding.group, columns - k),
                      k / encoding.group, out.codes.data() + k, out});
}

const QuantizationType &qcc::roundedType(std::span<const uint64_t> numbers) {
  return quantizationTypes()[numbers[1]];
}

const StoredFormat qcc::kRoundedFormat = {"rounded", kArrays, unpackRounded};
