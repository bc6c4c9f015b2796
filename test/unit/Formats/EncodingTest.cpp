//===- EncodingTest.cpp - Tests of encodings and their scalar meaning -----===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Encoding.h"
#include "qcc/Formats/Bits.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace qcc;

namespace {

TEST(ScalarType, NamesAndBytes) {
  struct {
    ScalarType type;
    const char *name;
    unsigned bytes;
  } const table[] = {
      {ScalarType::None, "none", 0}, {ScalarType::F32, "f32", 4},
      {ScalarType::F16, "f16", 2},   {ScalarType::BF16, "bf16", 2},
      {ScalarType::E8M0, "e8m0", 1}, {ScalarType::U8, "u8", 1}};
  for (const auto &row : table) {
    EXPECT_STREQ(scalarName(row.type), row.name);
    EXPECT_EQ(scalarBytes(row.type), row.bytes);
    ScalarType parsed;
    ASSERT_TRUE(parseScalarType(row.name, parsed));
    EXPECT_EQ(parsed, row.type);
  }
  ScalarType parsed = ScalarType::U8;
  EXPECT_FALSE(parseScalarType("f8", parsed));
  EXPECT_EQ(parsed, ScalarType::U8);
}

TEST(ScalarType, Values) {
  EXPECT_EQ(scalarValue(ScalarType::F32, 0x3fc00000), 1.5f);
  EXPECT_EQ(scalarValue(ScalarType::F16, 0x3800), 0.5f);
  EXPECT_EQ(scalarValue(ScalarType::F16, 0x0001), 0x1p-24f);
  EXPECT_EQ(scalarValue(ScalarType::BF16, 0xc040), -3.0f);
  EXPECT_EQ(scalarValue(ScalarType::E8M0, 128), 2.0f);
  EXPECT_EQ(scalarValue(ScalarType::U8, 200), 200.0f);
}

Encoding oneLevel() {
  Encoding e;
  e.bits = 4;
  e.zero = 8;
  e.group = 32;
  e.scale = ScalarType::F16;
  return e;
}

Encoding twoLevel() {
  Encoding e = oneLevel();
  e.zero = 0;
  e.min = ScalarType::F16;
  e.superBlock = 256;
  e.subBits = 6;
  e.subMinBits = 6;
  return e;
}

TEST(Encoding, ChecksEachField) {
  EXPECT_EQ(oneLevel().check(), "");
  EXPECT_EQ(twoLevel().check(), "");

  auto oneLevelWith = [](auto change) {
    Encoding e = oneLevel();
    change(e);
    return e.check();
  };
  auto twoLevelWith = [](auto change) {
    Encoding e = twoLevel();
    change(e);
    return e.check();
  };
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.bits = 9; }),
            "bits must be 1..8, got 9");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.bits = 0; }),
            "bits must be 1..8, got 0");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.zero = -1; }),
            "zero must be 0..2^bits, got -1");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.zeroBits = 9; }),
            "zeroBits must be 0..8, got 9");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.zeroBits = 4; }),
            "zeroBits must be so few that zero points are at most 2^bits, "
            "got 4");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.zero = 1, e.zeroBits = 4; }), "");
  EXPECT_EQ(oneLevelWith(
                [](Encoding &e) { e.zero = 0, e.zeroBits = 4, e.group = 16; }),
            "zero points for each group need one level, no table and groups of "
            "at least 32");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.zero = 17; }),
            "zero must be 0..2^bits, got 17");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.table.resize(16); }),
            "zero must be 0 beside a table, values or a minifloat, got 8");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.table.resize(8); }),
            "table must be empty or 2^bits values, got 8");
  for (unsigned group : {0u, 1u, 2u, 12u, 24u, 48u})
    EXPECT_EQ(oneLevelWith([&](Encoding &e) { e.group = group; }),
              "group must be 4, 8, 16 or a multiple of 32, got " +
                  std::to_string(group));
  for (unsigned group : {4u, 8u, 16u, 32u, 64u, 96u, 4096u})
    EXPECT_EQ(oneLevelWith([&](Encoding &e) { e.group = group; }), "");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.group = 1 << 24; }), "");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.group = (1 << 24) + 32; }),
            "group must be at most 2^24, got 16777248");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.scale = ScalarType::None; }),
            "scale must not be none");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.subBits = 4; }), "");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.superBlock = 256; }),
            "two levels need subBits");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.commonScale = true; }), "");
  EXPECT_EQ(oneLevelWith([](Encoding &e) {
              e.commonScale = true;
              e.min = ScalarType::F16;
            }),
            "a scale for all rows allows no min");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.subSquared = true; }),
            "two levels need subBits");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.offset = ScalarType::F32; }),
            "two levels need subBits");
  for (unsigned group : {4u, 16u, 64u})
    EXPECT_EQ(
        oneLevelWith([&](Encoding &e) { e.subBits = 4, e.group = group; }), "");

  EXPECT_EQ(twoLevelWith([](Encoding &e) { e.superBlock = 16; }),
            "superBlock must be a multiple of group and of 32, got 16");
  EXPECT_EQ(twoLevelWith([](Encoding &e) { e.superBlock = 80; }),
            "superBlock must be a multiple of group and of 32, got 80");
  EXPECT_EQ(twoLevelWith([](Encoding &e) { e.superBlock = (1 << 24) + 32; }),
            "superBlock must be at most 2^24, got 16777248");
  EXPECT_EQ(twoLevelWith([](Encoding &e) { e.subBits = 0; }),
            "two levels need subBits");
  EXPECT_EQ(twoLevelWith([](Encoding &e) { e.subBits = 9; }),
            "subBits must be 0..8, got 9");
  EXPECT_EQ(twoLevelWith([](Encoding &e) { e.subZero = -1; }), "");
  EXPECT_EQ(twoLevelWith([](Encoding &e) { e.subZero = -2; }),
            "subZero must be -1..2^subBits, got -2");
  EXPECT_EQ(twoLevelWith([](Encoding &e) { e.commonScale = true; }),
            "a scale or an offset for all rows allows no min");
  EXPECT_EQ(twoLevelWith([](Encoding &e) { e.offset = ScalarType::F32; }),
            "a scale or an offset for all rows allows no min");
  EXPECT_EQ(twoLevelWith([](Encoding &e) { e.subValues.resize(16); }),
            "subValues must be empty or 2^subBits values, got 16");
  EXPECT_EQ(twoLevelWith([](Encoding &e) {
              e.subValues.assign(64, std::numeric_limits<float>::infinity());
            }),
            "subValues must be finite");
  EXPECT_EQ(twoLevelWith([](Encoding &e) {
              e.subValues.resize(64);
              e.subZero = 1;
            }),
            "subValues or a subMinifloat allow no other meaning of sub");
  EXPECT_EQ(twoLevelWith([](Encoding &e) {
              e.subBits = 8;
              e.subValues.resize(256);
              e.subMinifloat = Minifloat::E4M3FN;
            }),
            "subValues or a subMinifloat allow no other meaning of sub");
  EXPECT_EQ(twoLevelWith([](Encoding &e) { e.subMinifloat = Minifloat::E5M2; }),
            "a subMinifloat must be e4m3fn or e5m2 and have 8 bits");
  EXPECT_EQ(
      oneLevelWith([](Encoding &e) { e.subMinifloat = Minifloat::E4M3FN; }),
      "two levels need subBits");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.scaledMin = true; }),
            "scaledMin needs a min");
  EXPECT_EQ(twoLevelWith([](Encoding &e) { e.scaledMin = true; }),
            "scaledMin needs one level");
  EXPECT_EQ(oneLevelWith([](Encoding &e) { e.splitScale = true; }),
            "two levels need subBits");
  for (unsigned superBlock : {0u, 256u * 64, 257u * 64})
    for (unsigned group : {16u, 64u})
      for (bool hasMin : {false, true}) {
        Encoding e = oneLevel();
        e.group = group;
        e.superBlock = superBlock;
        e.subBits = 4;
        e.splitScale = true;
        e.min = hasMin ? ScalarType::F16 : ScalarType::None;
        e.subMinBits = hasMin ? 4 : 0;
        EXPECT_EQ(e.check().empty(),
                  superBlock == 256 * 64 && group == 64 && !hasMin)
            << e.check();
        e.commonScale = true;
        EXPECT_EQ(e.check().empty(),
                  superBlock == 256 * 64 && group == 64 && !hasMin)
            << e.check();
      }
  EXPECT_EQ(twoLevelWith([](Encoding &e) { e.subSigned = true; }),
            "subBits must be 8 when signed, got 6");
  EXPECT_EQ(twoLevelWith([](Encoding &e) { e.subZero = 65; }),
            "subZero must be -1..2^subBits, got 65");
  EXPECT_EQ(twoLevelWith([](Encoding &e) { e.subMinBits = 0; }),
            "subMinBits must be 1..8, got 0");
  EXPECT_EQ(twoLevelWith([](Encoding &e) { e.min = ScalarType::None; }),
            "subMinBits must be 0 without min, got 6");
}

TEST(Encoding, ChecksSpans) {
  auto with = [](auto change) {
    Encoding e;
    e.scale = ScalarType::F16;
    e.spans = {{64, 5, 16, 32}, {96, 4, 8, 96}};
    change(e);
    return e.check();
  };
  EXPECT_EQ(with([](Encoding &) {}), "");
  const std::string empty =
      "with spans, bits, zero, group and superBlock must be 0";
  EXPECT_EQ(with([](Encoding &e) { e.bits = 4; }), empty);
  EXPECT_EQ(with([](Encoding &e) { e.zero = 8; }), empty);
  EXPECT_EQ(with([](Encoding &e) { e.group = 32; }), empty);
  EXPECT_EQ(with([](Encoding &e) { e.superBlock = 64; }), empty);
  EXPECT_EQ(with([](Encoding &e) { e.zeroBits = 4; }),
            "in a span, zeroBits must be so few that zero points are at most "
            "2^bits, got 4");
  EXPECT_EQ(with([](Encoding &e) {
              e.zeroBits = 4;
              e.spans[0].zero = e.spans[1].zero = 1;
            }),
            "");
  EXPECT_EQ(with([](Encoding &e) { e.spans.pop_back(); }),
            "spans must be two or more");
  EXPECT_EQ(with([](Encoding &e) { e.spans.resize(65, e.spans[0]); }),
            "spans must be at most 64, got 65");
  EXPECT_EQ(with([](Encoding &e) { e.spans[1].bits = 9; }),
            "in a span, bits must be 1..8, got 9");
  EXPECT_EQ(with([](Encoding &e) { e.spans[1].zero = 17; }),
            "in a span, zero must be 0..2^bits, got 17");
  EXPECT_EQ(with([](Encoding &e) { e.spans[0].columns = 0; }),
            "columns of a span must be a multiple of group and of 32, got 0");
  EXPECT_EQ(with([](Encoding &e) { e.spans[1].columns = 64; }),
            "columns of a span must be a multiple of group and of 32, got 64");
  EXPECT_EQ(with([](Encoding &e) { e.spans[0].columns = 1u << 31; }),
            "columns of all spans must be at most 2^31, got 2147483744");
}

TEST(Encoding, TakesColumns) {
  Encoding e = oneLevel();
  EXPECT_TRUE(e.takesColumns(e.group * 3));
  EXPECT_FALSE(e.takesColumns(e.group * 3 + 4));
  // The last of large groups may be shorter, not where there are two levels.
  e.group = 128;
  EXPECT_TRUE(e.takesShortGroup());
  EXPECT_TRUE(e.takesColumns(32));
  EXPECT_TRUE(e.takesColumns(160));
  EXPECT_FALSE(e.takesColumns(144));
  e.subBits = 4;
  EXPECT_FALSE(e.takesShortGroup());
  EXPECT_FALSE(e.takesColumns(160));
  e.subBits = 0;
  e.bits = 0;
  e.zero = 0;
  e.group = 0;
  e.spans = {{64, 5, 16, 32}, {96, 4, 8, 96}};
  EXPECT_TRUE(e.takesColumns(160));
  EXPECT_FALSE(e.takesColumns(64));
  EXPECT_FALSE(e.takesColumns(96));
  EXPECT_FALSE(e.takesColumns(192));
}

TEST(Encoding, SquaresTheSub) {
  Encoding e = oneLevel();
  e.subBits = 4;
  e.subZero = -1;
  e.subSquared = true;
  e.scaleExponent = -8;
  e.commonScale = true;
  ASSERT_EQ(e.check(), "");
  Fields fields;
  fields.resize(e, e.group);
  fields.scale[0] = 0x3c00; // 1
  fields.sub[0] = 14;
  fields.codes[3] = 13;
  EXPECT_EQ(decodeElement(e, fields, 3), float(13 - e.zero) * 225 / 256);
}

TEST(Encoding, LooksUpTheSub) {
  Encoding e = oneLevel();
  e.scale = ScalarType::F32;
  e.subBits = 1;
  e.subValues = {0.25f, -3.0f};
  e.offset = ScalarType::F32;
  ASSERT_EQ(e.check(), "");
  Fields fields;
  fields.resize(e, 2 * e.group);
  ASSERT_EQ(fields.offset.size(), 2u);
  fields.scale = {bitsFromFloat(2.0f), bitsFromFloat(0.5f)};
  fields.offset = {bitsFromFloat(10.0f), bitsFromFloat(100.0f)};
  fields.sub = {1, 0};
  fields.codes[3] = fields.codes[e.group] = uint8_t(e.zero + 2);
  EXPECT_EQ(decodeElement(e, fields, 3), (-3.0f * 2 + 10) * 2);
  EXPECT_EQ(decodeElement(e, fields, e.group), (0.25f * 0.5f + 100) * 2);
}

TEST(Encoding, SplitsTheScale) {
  Encoding e = oneLevel();
  e.group = 32;
  e.superBlock = 96;
  e.subBits = 4;
  e.splitScale = true;
  ASSERT_EQ(e.check(), "");
  Fields fields;
  fields.resize(e, 160);
  fields.scale = {0x3c00, 0x4400};       // 1, 4
  fields.secondScale = {0x4000, 0x4800}; // 2, 8
  fields.split = {2, 0};
  fields.sub.assign(5, 3);
  fields.codes.assign(160, uint8_t(e.zero + 1));
  const float expected[] = {3, 3, 6, 24, 24};
  for (size_t k = 0; k < 160; ++k)
    EXPECT_EQ(decodeElement(e, fields, k), expected[k / 32]) << k;
}

TEST(Encoding, ReadsTheSubAsAFloat) {
  Encoding e = oneLevel();
  e.subBits = 8;
  e.subMinifloat = Minifloat::E4M3FN;
  Fields fields;
  fields.resize(e, e.group);
  fields.scale[0] = 0x4000; // 2
  fields.codes[5] = uint8_t(e.zero + 3);
  for (auto [bits, value] : {std::pair{0x38, 1.0f},
                             {0xfe, -448.0f},
                             {0x01, 0x1p-9f},
                             {0x00, 0.0f}}) {
    fields.sub[0] = uint8_t(bits);
    EXPECT_EQ(decodeElement(e, fields, 5), 6 * value);
  }
  fields.sub[0] = 0x7f;
  EXPECT_TRUE(std::isnan(decodeElement(e, fields, 5)));
}

TEST(Encoding, ScalesTheMin) {
  Encoding e = oneLevel();
  e.zero = 0;
  e.min = ScalarType::F16;
  e.scaledMin = true;
  ASSERT_EQ(e.check(), "");
  Fields fields;
  fields.resize(e, e.group);
  fields.scale[0] = 0x4000; // 2
  fields.min[0] = 0x4700;   // 7
  fields.codes[1] = 9;
  EXPECT_EQ(decodeElement(e, fields, 0), -14.0f);
  EXPECT_EQ(decodeElement(e, fields, 1), 4.0f);
}

TEST(Encoding, ChecksFloatCodes) {
  auto with = [](auto change) {
    Encoding e = oneLevel();
    e.zero = 0;
    change(e);
    return e.check();
  };
  auto minifloat = [&](auto change) {
    return with([&](Encoding &e) {
      e.bits = 8;
      e.minifloat = Minifloat::E4M3FN;
      change(e);
    });
  };
  auto values = [&](auto change) {
    return with([&](Encoding &e) {
      e.values.assign(16, 0.5f);
      change(e);
    });
  };
  EXPECT_EQ(values([](Encoding &) {}), "");
  EXPECT_EQ(minifloat([](Encoding &) {}), "");
  EXPECT_EQ(
      values([](Encoding &e) { e.values.pop_back(); }),
      "values must be empty or, for up to 4 bits, 2^bits of them, got 15");
  EXPECT_EQ(
      values([](Encoding &e) { e.bits = 5, e.values.resize(32); }),
      "values must be empty or, for up to 4 bits, 2^bits of them, got 32");
  for (float bad : {INFINITY, -INFINITY, NAN})
    EXPECT_EQ(values([&](Encoding &e) { e.values[3] = bad; }),
              "values must be finite");
  EXPECT_EQ(values([](Encoding &e) { e.zero = 8; }),
            "zero must be 0 beside a table, values or a minifloat, got 8");
  EXPECT_EQ(values([](Encoding &e) { e.zeroBits = 4; }),
            "zero points for each group need one level, no table and groups of "
            "at least 32");
  EXPECT_EQ(values([](Encoding &e) { e.table.resize(16); }),
            "table, values and minifloat exclude each other");
  EXPECT_EQ(minifloat([](Encoding &e) { e.table.resize(256); }),
            "table, values and minifloat exclude each other");
  EXPECT_EQ(minifloat([](Encoding &e) { e.zero = 1; }),
            "zero must be 0 beside a table, values or a minifloat, got 1");
  EXPECT_EQ(minifloat([](Encoding &e) { e.bits = 7; }),
            "a minifloat must be e4m3fn or e5m2 and have 8 bits");
  EXPECT_EQ(minifloat([](Encoding &e) { e.minifloat = Minifloat(3); }),
            "a minifloat must be e4m3fn or e5m2 and have 8 bits");
}

TEST(Minifloat, NamesAndValues) {
  Minifloat parsed = Minifloat::None;
  for (Minifloat format : {Minifloat::E4M3FN, Minifloat::E5M2}) {
    ASSERT_TRUE(parseMinifloat(minifloatName(format), parsed));
    EXPECT_EQ(parsed, format);
  }
  EXPECT_FALSE(parseMinifloat("e4m3", parsed));
  EXPECT_EQ(parsed, Minifloat::E5M2);

  // From the definition: (-1)^s 2^(e - bias) 1.m, without the 1 where e is 0.
  auto define = [](unsigned code, int mantissaBits, int bias) {
    int exponent = int(code & 0x7f) >> mantissaBits;
    double mantissa = code & ((1u << mantissaBits) - 1);
    mantissa = std::ldexp(mantissa, -mantissaBits) + (exponent ? 1 : 0);
    double magnitude = std::ldexp(mantissa, (exponent ? exponent : 1) - bias);
    return float(code & 0x80 ? -magnitude : magnitude);
  };
  for (unsigned code = 0; code < 256; ++code) {
    SCOPED_TRACE(code);
    float e4m3 = minifloatValue(Minifloat::E4M3FN, uint8_t(code));
    float e5m2 = minifloatValue(Minifloat::E5M2, uint8_t(code));
    if ((code & 0x7f) == 0x7f)
      EXPECT_TRUE(std::isnan(e4m3));
    else
      EXPECT_EQ(bitsFromFloat(e4m3), bitsFromFloat(define(code, 3, 7)));
    if ((code & 0x7c) == 0x7c)
      EXPECT_EQ(std::isinf(e5m2), (code & 3) == 0);
    else
      EXPECT_EQ(bitsFromFloat(e5m2), bitsFromFloat(define(code, 2, 15)));
  }
  EXPECT_EQ(minifloatValue(Minifloat::E4M3FN, 0x7e), 448.0f);
  EXPECT_EQ(minifloatValue(Minifloat::E5M2, 0x7b), 57344.0f);
  EXPECT_EQ(minifloatValue(Minifloat::None, 0x7b), 0.0f);
}

TEST(Encoding, FloatsHaveNothingElse) {
  Encoding e;
  e.element = ScalarType::BF16;
  EXPECT_EQ(e.check(), "");
  e.bits = 4;
  EXPECT_EQ(e.check(), "a float element allows no other field");
  e.element = ScalarType::E8M0;
  EXPECT_EQ(e.check(), "element must be f32, f16 or bf16, got e8m0");
}

TEST(Fields, SizesFollowTheEncoding) {
  Fields fields;
  fields.resize(twoLevel(), 512);
  EXPECT_EQ(fields.codes.size(), 512u);
  EXPECT_EQ(fields.scale.size(), 2u);
  EXPECT_EQ(fields.min.size(), 2u);
  EXPECT_EQ(fields.sub.size(), 16u);
  EXPECT_EQ(fields.subMin.size(), 16u);
  EXPECT_TRUE(fields.floats.empty());

  fields.resize(oneLevel(), 64);
  EXPECT_EQ(fields.scale.size(), 2u);
  EXPECT_TRUE(fields.min.empty());
  EXPECT_TRUE(fields.sub.empty());
  EXPECT_TRUE(fields.subMin.empty());

  Encoding f32;
  f32.element = ScalarType::F32;
  fields.resize(f32, 7);
  EXPECT_EQ(fields.floats.size(), 7u);
  EXPECT_TRUE(fields.codes.empty());
  EXPECT_TRUE(fields.scale.empty());
}

TEST(DecodeElement, OneLevel) {
  Encoding e = oneLevel();
  Fields fields;
  fields.resize(e, 64);
  fields.scale = {0x3800, 0x3c00}; // 0.5, 1
  fields.codes[3] = 15;
  fields.codes[40] = 1;
  EXPECT_EQ(decodeElement(e, fields, 3), 3.5f);
  EXPECT_EQ(decodeElement(e, fields, 40), -7.0f);

  e.zero = 0;
  e.min = ScalarType::F16;
  fields.min = {0x3400, 0xbc00}; // 0.25, -1
  EXPECT_EQ(decodeElement(e, fields, 3), 7.75f);
  EXPECT_EQ(decodeElement(e, fields, 40), 0.0f);
}

TEST(DecodeElement, TwoLevels) {
  Encoding e = twoLevel();
  Fields fields;
  fields.resize(e, 256);
  fields.scale = {0x3800};
  fields.min = {0x3400};
  fields.sub[1] = 63;
  fields.subMin[1] = 10;
  fields.codes[32] = 15;
  EXPECT_EQ(decodeElement(e, fields, 32), 0.5f * 63 * 15 - 0.25f * 10);

  e.min = ScalarType::None;
  e.subMinBits = 0;
  e.subZero = 32;
  EXPECT_EQ(decodeElement(e, fields, 32), 0.5f * 31 * 15);

  e.subZero = 0;
  e.subBits = 8;
  e.subSigned = true;
  fields.sub[1] = 0x80;
  EXPECT_EQ(decodeElement(e, fields, 32), 0.5f * -128 * 15);
}

TEST(DecodeElement, Table) {
  Encoding e = oneLevel();
  e.bits = 3;
  e.zero = 0;
  e.table = {-9, -5, -3, -1, 1, 3, 5, 9};
  e.scale = ScalarType::U8;
  Fields fields;
  fields.resize(e, 32);
  fields.scale = {200};
  fields.codes[31] = 7;
  EXPECT_EQ(e.check(), "");
  EXPECT_EQ(decodeElement(e, fields, 0), -1800.0f);
  EXPECT_EQ(decodeElement(e, fields, 31), 1800.0f);
}

TEST(DecodeElement, FloatCodes) {
  Encoding e = oneLevel();
  e.zero = 0;
  e.scale = ScalarType::F32;
  e.values.assign(16, 0.0f);
  e.values[9] = 0.1f;
  Fields fields;
  fields.resize(e, 64);
  fields.scale = {bitsFromFloat(3.0f), bitsFromFloat(0.7f)};
  fields.codes[1] = fields.codes[40] = 9;
  EXPECT_EQ(decodeElement(e, fields, 0), 0.0f);
  EXPECT_EQ(decodeElement(e, fields, 1), 3.0f * 0.1f);
  EXPECT_EQ(decodeElement(e, fields, 40), 0.7f * 0.1f);
  e.min = ScalarType::F32;
  fields.min = {bitsFromFloat(-2.0f), bitsFromFloat(1.0f)};
  float product = 0.7f * 0.1f;
  EXPECT_EQ(decodeElement(e, fields, 40), product + 1.0f);

  e = oneLevel();
  e.bits = 8;
  e.zero = 0;
  e.minifloat = Minifloat::E5M2;
  fields.scale = {0x3800, 0x4000}; // 0.5, 2
  fields.codes[1] = 0xc4;          // -4
  fields.codes[40] = 0x01;         // 2^-16
  EXPECT_EQ(decodeElement(e, fields, 1), -2.0f);
  EXPECT_EQ(decodeElement(e, fields, 40), 0x1p-15f);
}

// Without a min nothing is added: a negative scale times 0 stays -0.
TEST(DecodeElement, KeepsNegativeZero) {
  Encoding e = oneLevel();
  Fields fields;
  fields.resize(e, 32);
  fields.scale = {0xbc00};
  fields.codes[0] = 8;
  EXPECT_TRUE(std::signbit(decodeElement(e, fields, 0)));
}

TEST(DecodeElement, Floats) {
  Encoding e;
  e.element = ScalarType::BF16;
  Fields fields;
  fields.resize(e, 2);
  fields.floats = {0x3f80, 0x4049};
  EXPECT_EQ(decodeElement(e, fields, 0), 1.0f);
  EXPECT_EQ(decodeElement(e, fields, 1), 3.140625f);
}

} // namespace
