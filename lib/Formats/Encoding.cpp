//===- Encoding.cpp - What the numbers of a quantized weight mean ---------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Encoding.h"
#include "qcc/Formats/Bits.h"
#include <algorithm>
#include <cmath>
#include <iterator>

using namespace qcc;

//===----------------------------------------------------------------------===//
// Scalars
//===----------------------------------------------------------------------===//

namespace {

struct ScalarInfo {
  ScalarType type;
  unsigned bytes;
  const char *name;
};

constexpr ScalarInfo kScalars[] = {
    {ScalarType::None, 0, "none"},   {ScalarType::F32, 4, "f32"},
    {ScalarType::F16, 2, "f16"},     {ScalarType::BF16, 2, "bf16"},
    {ScalarType::E8M0, 1, "e8m0"},   {ScalarType::U8, 1, "u8"},
    {ScalarType::UE4M3, 1, "ue4m3"},
};

const ScalarInfo &scalarInfo(ScalarType type) {
  return kScalars[size_t(type) < std::size(kScalars) ? size_t(type) : 0];
}

} // namespace

unsigned qcc::scalarBytes(ScalarType type) { return scalarInfo(type).bytes; }
const char *qcc::scalarName(ScalarType type) { return scalarInfo(type).name; }

bool qcc::parseScalarType(const std::string &name, ScalarType &type) {
  for (const ScalarInfo &info : kScalars) {
    if (name == info.name) {
      type = info.type;
      return true;
    }
  }
  return false;
}

float qcc::scalarValue(ScalarType type, uint32_t bits) {
  switch (type) {
  case ScalarType::F32:
    return floatFromBits(bits);
  case ScalarType::F16:
    return floatFromHalf(uint16_t(bits));
  case ScalarType::BF16:
    return floatFromBits(bits << 16);
  case ScalarType::E8M0:
    return floatFromE8M0(uint8_t(bits));
  case ScalarType::U8:
    return float(bits & 0xff);
  case ScalarType::UE4M3:
    return floatFromUE4M3(uint8_t(bits));
  case ScalarType::None:
    break;
  }
  return 0.0f;
}

//===----------------------------------------------------------------------===//
// Small floats
//===----------------------------------------------------------------------===//

static constexpr const char *kMinifloats[] = {"none", "e4m3fn", "e5m2"};

const char *qcc::minifloatName(Minifloat format) {
  return kMinifloats[size_t(format) < std::size(kMinifloats) ? size_t(format)
                                                             : 0];
}

bool qcc::parseMinifloat(const std::string &name, Minifloat &format) {
  for (size_t i = 0; i < std::size(kMinifloats); ++i) {
    if (name == kMinifloats[i]) {
      format = Minifloat(i);
      return true;
    }
  }
  return false;
}

float qcc::minifloatValue(Minifloat format, uint8_t code) {
  switch (format) {
  case Minifloat::E4M3FN:
    return floatFromE4M3FN(code);
  case Minifloat::E5M2:
    return floatFromHalf(uint16_t(code << 8));
  case Minifloat::None:
    break;
  }
  return 0.0f;
}

//===----------------------------------------------------------------------===//
// Encoding
//===----------------------------------------------------------------------===//

static std::string outOfRange(const char *what, const char *expected,
                              long long got) {
  return std::string(what) + " must be " + expected + ", got " +
         std::to_string(got);
}

/// Far above any format's; sizes of packed units stay below 2^32.
static constexpr unsigned kMaxBlock = 1u << 24;

/// Each span is code of its own in a kernel; no tool writes a tenth as many.
static constexpr size_t kMaxSpans = 64;

/// What is wrong with the spans themselves.
static std::string checkSpans(const Encoding &encoding) {
  if (encoding.bits || encoding.zero || encoding.group || encoding.superBlock)
    return "with spans, bits, zero, group and superBlock must be 0";
  if (encoding.spans.size() < 2)
    return "spans must be two or more";
  if (encoding.spans.size() > kMaxSpans)
    return outOfRange("spans", "at most 64", (long long)encoding.spans.size());
  uint64_t columns = 0;
  for (const Encoding::Span &span : encoding.spans) {
    if (std::string problem = encoding.span(span).check(); !problem.empty())
      return "in a span, " + problem;
    if (span.columns == 0 || span.columns % 32 || span.columns % span.group)
      return outOfRange("columns of a span", "a multiple of group and of 32",
                        span.columns);
    columns += span.columns;
  }
  // As many as a weight may have.
  if (columns > uint64_t(1) << 31)
    return outOfRange("columns of all spans", "at most 2^31",
                      (long long)columns);
  return "";
}

std::string Encoding::check() const {
  if (isFloat()) {
    if (element != ScalarType::F32 && element != ScalarType::F16 &&
        element != ScalarType::BF16)
      return std::string("element must be f32, f16 or bf16, got ") +
             scalarName(element);
    Encoding plain;
    plain.element = element;
    return *this == plain ? "" : "a float element allows no other field";
  }
  if (!spans.empty())
    return checkSpans(*this);

  if (bits < 1 || bits > 8)
    return outOfRange("bits", "1..8", bits);
  if (!table.empty() && table.size() != size_t(1) << bits)
    return outOfRange("table", "empty or 2^bits values",
                      (long long)table.size());
  if (!values.empty() && (bits > 4 || values.size() != size_t(1) << bits))
    return outOfRange("values", "empty or, for up to 4 bits, 2^bits of them",
                      (long long)values.size());
  for (float value : values)
    if (!std::isfinite(value))
      return "values must be finite";
  if (minifloat > Minifloat::E5M2 ||
      (minifloat != Minifloat::None && bits != 8))
    return "a minifloat must be e4m3fn or e5m2 and have 8 bits";
  int meanings =
      !table.empty() + !values.empty() + (minifloat != Minifloat::None);
  if (meanings > 1)
    return "table, values and minifloat exclude each other";
  if (meanings && zero != 0)
    return outOfRange("zero", "0 beside a table, values or a minifloat", zero);
  // A zero outside the codes would need more bits than the kernels' integers.
  if (zero < 0 || zero > 1 << bits)
    return outOfRange("zero", "0..2^bits", zero);
  if (zeroBits > 8)
    return outOfRange("zeroBits", "0..8", zeroBits);
  // As above: zero points of 1 to 2^bits are as far as formats go.
  if (hasZeros() && zero + (1 << zeroBits) - 1 > 1 << bits)
    return outOfRange("zeroBits", "so few that zero points are at most 2^bits",
                      zeroBits);
  if (hasZeros() && (meanings || isTwoLevel() || group < 32))
    return "zero points for each group need one level, no table and groups of "
           "at least 32";
  // A layout keeps four k of a row together and works in chunks of 32 k.
  if (group == 0 || group % 4 != 0 || (group % 32 != 0 && 32 % group != 0))
    return outOfRange("group", "4, 8, 16 or a multiple of 32", group);
  if (group > kMaxBlock || superBlock > kMaxBlock)
    return outOfRange(group > kMaxBlock ? "group" : "superBlock",
                      "at most 2^24", std::max(group, superBlock));
  if (scale == ScalarType::None)
    return "scale must not be none";
  if (scaleExponent < -16 || scaleExponent > 0)
    return outOfRange("scaleExponent", "-16..0", scaleExponent);

  if (!isTwoLevel()) {
    if (superBlock != 0 || subMinBits != 0 || subZero != 0 || subSigned ||
        subSquared || splitScale || !subValues.empty() ||
        subMinifloat != Minifloat::None || hasOffset())
      return "two levels need subBits";
    if (commonScale && hasMin())
      return "a scale for all rows allows no min";
    return scaledMin && !hasMin() ? "scaledMin needs a min" : "";
  }
  if (scaledMin)
    return "scaledMin needs one level";
  if (superBlock % group != 0 || superBlock % 32 != 0)
    return outOfRange("superBlock", "a multiple of group and of 32",
                      superBlock);
  if (subBits > 8)
    return outOfRange("subBits", "0..8", subBits);
  if (hasMin() && (commonScale || hasOffset()))
    return "a scale or an offset for all rows allows no min";
  if (splitScale &&
      (hasMin() || superBlock == 0 || group < 32 || superBlock / group > 256))
    return "splitScale needs scales without min, and up to 256 groups of at "
           "least 32 in a superBlock";
  if (!subValues.empty() && subValues.size() != size_t(1) << subBits)
    return outOfRange("subValues", "empty or 2^subBits values",
                      (long long)subValues.size());
  for (float value : subValues)
    if (!std::isfinite(value))
      return "subValues must be finite";
  if (subMinifloat > Minifloat::E5M2 ||
      (subMinifloat != Minifloat::None && subBits != 8))
    return "a subMinifloat must be e4m3fn or e5m2 and have 8 bits";
  int subMeanings = !subValues.empty() + (subMinifloat != Minifloat::None);
  if (subMeanings + (subZero != 0 || subSigned || subSquared) > 1)
    return "subValues or a subMinifloat allow no other meaning of sub";
  if (subSigned && subBits != 8)
    return outOfRange("subBits", "8 when signed", subBits);
  if (subSigned ? subZero != 0 : subZero < -1 || subZero > 1 << subBits)
    return outOfRange("subZero", subSigned ? "0 when signed" : "-1..2^subBits",
                      subZero);
  if (hasMin() ? subMinBits < 1 || subMinBits > 8 : subMinBits != 0)
    return outOfRange("subMinBits", hasMin() ? "1..8" : "0 without min",
                      subMinBits);
  return "";
}

Encoding Encoding::span(const Span &span) const {
  Encoding result = *this;
  result.spans.clear();
  result.bits = span.bits;
  result.zero = span.zero;
  result.group = span.group;
  return result;
}

bool Encoding::takesColumns(uint64_t columns) const {
  if (spans.empty())
    return isFloat() || columns % (takesShortGroup() ? 32 : group) == 0;
  for (const Span &span : spans) {
    if (columns < span.columns)
      return false;
    columns -= span.columns;
  }
  return columns == 0;
}

/// The factor that `bits` stand for, exponent included.
static float scaleFactor(const Encoding &encoding, uint32_t bits) {
  // The largest power of two may overflow before the exponent is applied.
  if (encoding.scale == ScalarType::E8M0)
    return std::ldexp(1.0f, int(bits & 0xff) - 127 + encoding.scaleExponent);
  return std::ldexp(scalarValue(encoding.scale, bits), encoding.scaleExponent);
}

static size_t ceilDiv(size_t a, size_t b) { return (a + b - 1) / b; }

void Fields::resize(const Encoding &encoding, size_t count) {
  if (encoding.isFloat()) {
    *this = Fields();
    floats.resize(count);
    return;
  }
  size_t scales = 0, groups = 0;
  for (const Encoding::Span &span : encoding.spans)
    scales = groups += span.columns / span.group;
  if (encoding.spans.empty()) {
    scales = ceilDiv(count, encoding.scaleBlock());
    groups = ceilDiv(count, encoding.group);
  }
  if (!encoding.isTwoLevel())
    groups = 0;
  floats.clear();
  codes.resize(count);
  scale.resize(scales);
  secondScale.resize(encoding.splitScale ? scales : 0);
  split.resize(encoding.splitScale ? scales : 0);
  min.resize(encoding.hasMin() ? scales : 0);
  offset.resize(encoding.hasOffset() ? scales : 0);
  zeros.resize(encoding.hasZeros() ? scales : 0);
  sub.resize(groups);
  subMin.resize(encoding.hasMin() ? groups : 0);
}

namespace {
/// Where an element stands in Fields, and the zero point of its span.
struct Place {
  size_t element, block, group;
  int zero;
};
} // namespace

static Place placeOf(const Encoding &encoding, size_t k) {
  if (encoding.spans.empty())
    return {k, k / encoding.scaleBlock(), k / encoding.group, encoding.zero};
  size_t first = 0, group = 0;
  const Encoding::Span *span = encoding.spans.data();
  for (; k - first >= span->columns; ++span) {
    first += span->columns;
    group += span->columns / span->group;
  }
  group += (k - first) / span->group;
  return {k, group, group, span->zero};
}

/// What the code of the element at `place` stands for.
static float number(const Encoding &encoding, const Fields &fields,
                    const Place &place) {
  uint8_t code = fields.codes[place.element];
  if (!encoding.values.empty())
    return encoding.values[code];
  if (encoding.minifloat != Minifloat::None)
    return minifloatValue(encoding.minifloat, code);
  if (!encoding.table.empty())
    return float(encoding.table[code]);
  int zero = place.zero + (encoding.hasZeros() ? fields.zeros[place.block] : 0);
  return float(int(code) - zero);
}

/// What a sub stands for.
static float second(const Encoding &encoding, uint8_t bits) {
  if (!encoding.subValues.empty())
    return encoding.subValues[bits];
  if (encoding.subMinifloat != Minifloat::None)
    return minifloatValue(encoding.subMinifloat, bits);
  int sub = encoding.subSigned ? int8_t(bits) : int(bits) - encoding.subZero;
  return float(encoding.subSquared ? sub * sub : sub);
}

float qcc::decodeElement(const Encoding &encoding, const Fields &fields,
                         size_t k) {
  if (encoding.isFloat())
    return scalarValue(encoding.element, fields.floats[k]);

  Place place = placeOf(encoding, k);
  uint32_t bits = fields.scale[place.block];
  if (encoding.splitScale &&
      k % encoding.superBlock / encoding.group >= fields.split[place.block])
    bits = fields.secondScale[place.block];
  float scale = scaleFactor(encoding, bits);
  float min = encoding.hasMin()
                  ? scalarValue(encoding.min, fields.min[place.block])
                  : 0.0f;
  if (encoding.isTwoLevel()) {
    scale = scale * second(encoding, fields.sub[place.group]);
    if (encoding.hasOffset())
      scale = scale + scalarValue(encoding.offset, fields.offset[place.block]);
    if (encoding.hasMin())
      min = -(min * float(fields.subMin[place.group]));
  } else if (encoding.scaledMin) {
    min = -(scale * min);
  }
  float value = scale * number(encoding, fields, place);
  // Without a min nothing is added, so that -0 stays -0.
  return encoding.hasMin() ? value + min : value;
}
