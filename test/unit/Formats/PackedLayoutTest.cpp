//===- PackedLayoutTest.cpp - Tests of R16K4 ------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/PackedLayout.h"
#include "qcc/Formats/GGML.h"
#include <cstring>
#include <gtest/gtest.h>
#include "RandomFields.h"

using namespace qcc;

namespace {

//===----------------------------------------------------------------------===//
// Encodings: those of ggml, and others that no file format has yet
//===----------------------------------------------------------------------===//

struct Named {
  std::string name;
  Encoding encoding;
};

Encoding oneLevel(unsigned bits, unsigned group, ScalarType scale,
                  ScalarType min = ScalarType::None) {
  Encoding e;
  e.bits = bits;
  e.group = group;
  e.scale = scale;
  e.min = min;
  return e;
}

Encoding twoLevel(unsigned bits, unsigned group, unsigned superBlock,
                  unsigned subBits, unsigned subMinBits) {
  Encoding e = oneLevel(bits, group, ScalarType::F32,
                        subMinBits ? ScalarType::F32 : ScalarType::None);
  e.superBlock = superBlock;
  e.subBits = subBits;
  e.subMinBits = subMinBits;
  return e;
}

std::vector<Named> encodings() {
  std::vector<Named> list;
  for (const GGMLType &type : ggmlTypes())
    if (type.encoding)
      list.push_back({type.name, *type.encoding});
  Encoding table = oneLevel(3, 64, ScalarType::U8);
  table.table = {-9, -5, -3, -1, 1, 3, 5, 9};
  list.push_back({"Table3BitsGroup64ScaleU8", table});
  for (unsigned bits = 1; bits <= 8; ++bits)
    list.push_back({"Bits" + std::to_string(bits),
                    oneLevel(bits, 32, ScalarType::BF16, ScalarType::BF16)});
  for (unsigned group : {4u, 8u, 16u, 64u, 96u, 128u})
    list.push_back({"Group" + std::to_string(group),
                    oneLevel(4, group, ScalarType::F16, ScalarType::F32)});
  list.push_back({"ScaleE8M0", oneLevel(4, 32, ScalarType::E8M0)});
  for (auto [bits, group] : {std::pair{2u, 32u},
                             {4u, 32u},
                             {8u, 32u},
                             {2u, 64u},
                             {4u, 64u},
                             {4u, 128u}}) {
    Encoding zeros = oneLevel(bits, group, ScalarType::F16);
    zeros.zeroBits = bits;
    list.push_back(
        {"Zeros" + std::to_string(bits) + "Group" + std::to_string(group),
         zeros});
  }
  Encoding values = oneLevel(4, 64, ScalarType::F32);
  for (int i = 0; i < 16; ++i)
    values.values.push_back(float(i * i) / 7 - 9);
  list.push_back({"Values4Group64", values});
  Encoding minifloat = oneLevel(8, 576, ScalarType::BF16);
  minifloat.minifloat = Minifloat::E4M3FN;
  list.push_back({"E4M3Group576", minifloat});
  for (unsigned group : {16u, 64u}) {
    minifloat.group = group;
    minifloat.commonScale = true;
    list.push_back({"E4M3CommonScale" + std::to_string(group), minifloat});
  }
  list.push_back({"TwoLevelGroup8", twoLevel(5, 8, 64, 4, 4)});
  list.push_back({"TwoLevelGroup16", twoLevel(4, 16, 64, 8, 7)});
  list.push_back({"TwoLevelGroup64", twoLevel(4, 64, 256, 3, 5)});
  list.push_back({"TwoLevelGroup128", twoLevel(2, 128, 256, 6, 0)});
  list.push_back({"TwoLevelSuperBlock32", twoLevel(4, 32, 32, 6, 6)});
  list.push_back({"TwoLevelOneGroup", twoLevel(3, 96, 0, 8, 7)});
  Encoding common = twoLevel(4, 64, 0, 4, 0);
  common.commonScale = common.subSquared = true;
  list.push_back({"CommonScaleSquared", common});
  for (unsigned group : {4u, 16u, 32u}) {
    Encoding small = twoLevel(2, group, 0, 4, 0);
    small.commonScale = true;
    small.offset = group == 4 ? ScalarType::F16 : ScalarType::None;
    list.push_back({"CommonScaleGroup" + std::to_string(group), small});
  }
  list.push_back({"TwoLevelMinGroup8", twoLevel(4, 8, 0, 6, 6)});
  list.push_back({"HalvedSubs", twoLevel(3, 16, 128, 3, 0)});
  Encoding offset = twoLevel(4, 64, 256, 8, 0);
  offset.offset = ScalarType::F16;
  list.push_back({"Offset", offset});
  Encoding split = twoLevel(4, 64, 320, 8, 0);
  split.splitScale = true;
  list.push_back({"SplitScale", split});
  split.offset = ScalarType::F32;
  split.superBlock = 128;
  split.group = 32;
  list.push_back({"SplitScaleOffsetGroup32", split});
  split.commonScale = true;
  list.push_back({"SplitScaleCommon", split});
  Encoding subFloat = twoLevel(4, 16, 96, 8, 0);
  subFloat.commonScale = true;
  subFloat.subMinifloat = Minifloat::E4M3FN;
  list.push_back({"SubMinifloat", subFloat});
  Encoding scaledMin = oneLevel(4, 64, ScalarType::F16);
  scaledMin.min = ScalarType::F32;
  scaledMin.scaledMin = true;
  list.push_back({"ScaledMin", scaledMin});
  return list;
}

class PackedLayoutTest : public testing::TestWithParam<Named> {
protected:
  const Encoding &encoding = GetParam().encoding;
  PackedLayout layout{encoding};
  std::mt19937 random{7};

  std::vector<Fields> randomRows(unsigned count, size_t k) {
    std::vector<Fields> rows;
    for (unsigned r = 0; r < count; ++r)
      rows.push_back(randomFields(encoding, k, random));
    for (Fields &row : rows) {
      if (encoding.commonScale) {
        row.scale = rows[0].scale;
        row.secondScale = rows[0].secondScale;
      }
      row.offset = rows[0].offset;
    }
    return rows;
  }
  std::vector<uint8_t> pack(const std::vector<Fields> &rows, size_t k) {
    std::vector<uint8_t> panel(layout.panelBytes(k));
    layout.packPanel(rows.data(), unsigned(rows.size()), k, panel.data());
    return panel;
  }
};

/// k of one unit, of several, and between.
std::vector<size_t> lengths(const PackedLayout &layout) {
  size_t unit = layout.unitK;
  return {unit, 3 * unit, unit + 4, 2 * unit - 4, 4, unit + 1, 1, 33};
}

TEST_P(PackedLayoutTest, UnpacksToTheSameFields) {
  ASSERT_EQ(encoding.check(), "");
  for (size_t k : lengths(layout)) {
    for (unsigned count : {1u, 15u, 16u}) {
      std::vector<Fields> rows = randomRows(count, k);
      std::vector<uint8_t> panel = pack(rows, k);
      Fields got = randomFields(encoding, 5 * k, random);
      for (unsigned r = 0; r < count; ++r) {
        layout.unpackRow(panel.data(), r, k, got);
        ASSERT_EQ(got, rows[r])
            << "row " << r << " of " << count << ", k " << k;
      }
      // Rows that were not given are zero.
      Fields zero;
      zero.resize(encoding, k);
      if (encoding.commonScale) {
        zero.scale = rows[0].scale;
        zero.secondScale = rows[0].secondScale;
      }
      zero.offset = rows[0].offset;
      for (unsigned r = count; r < PackedLayout::kRows; ++r) {
        layout.unpackRow(panel.data(), r, k, got);
        ASSERT_EQ(got, zero);
      }
    }
  }
}

// The place of each code as the header states it, bit by bit.
TEST_P(PackedLayoutTest, CodesLieWhereTheHeaderSays) {
  if (encoding.isFloat())
    return;
  size_t k = 2 * layout.unitK;
  std::vector<Fields> rows = randomRows(PackedLayout::kRows, k);
  std::vector<uint8_t> panel = pack(rows, k);
  for (unsigned r = 0; r < PackedLayout::kRows; ++r) {
    for (size_t i = 0; i < k; ++i) {
      const uint8_t *chunk =
          panel.data() + i / layout.unitK * layout.unitBytes +
          layout.chunkOffset + i % layout.unitK / 32 * layout.chunkBytes;
      unsigned q = unsigned(i % 32 / 4), j = unsigned(i % 4), code = 0,
               bits = 0;
      for (const PackedLayout::Plane &plane : layout.planes) {
        unsigned w = plane.width;
        ASSERT_EQ(plane.shift, bits);
        ASSERT_EQ(plane.offset, bits * 64);
        uint8_t byte = chunk[plane.offset + q % w * 64 + 4 * r + j];
        code |= (byte >> w * (q / w) & ((1u << w) - 1)) << plane.shift;
        bits += w;
      }
      ASSERT_EQ(bits, encoding.bits);
      ASSERT_EQ(code, rows[r].codes[i]) << "row " << r << ", element " << i;
    }
  }
}

/// Reads a scalar of row r of 16.
uint32_t scalarAt(const uint8_t *scalars, unsigned r, ScalarType type) {
  uint32_t bits = 0;
  std::memcpy(&bits, scalars + r * scalarBytes(type), scalarBytes(type));
  return bits;
}

/// The byte of row r, or its half of a byte.
unsigned rowByte(const uint8_t *bytes, unsigned r, bool isHalved) {
  return isHalved ? bytes[r % 8] >> (r < 8 ? 0 : 4) & 15 : bytes[r];
}

TEST_P(PackedLayoutTest, ScalesLieWhereTheHeaderSays) {
  const Encoding &e = encoding;
  size_t k = 2 * layout.unitK;
  std::vector<Fields> rows = randomRows(PackedLayout::kRows, k);
  std::vector<uint8_t> panel = pack(rows, k);
  for (unsigned r = 0; r < PackedLayout::kRows; ++r) {
    const Fields &f = rows[r];
    for (size_t i = 0; i < k; ++i) {
      const uint8_t *unit = panel.data() + i / layout.unitK * layout.unitBytes;
      if (e.isFloat()) {
        ASSERT_EQ(scalarAt(panel.data() + i * 16 * scalarBytes(e.element), r,
                           e.element),
                  f.floats[i]);
        continue;
      }
      const uint8_t *chunk =
          unit + layout.chunkOffset + i % layout.unitK / 32 * layout.chunkBytes;
      size_t group = e.group < 32 ? i % 32 / e.group : 0;
      const uint8_t *record = chunk + group * layout.groupStride;
      const uint8_t *scales = layout.scaleInUnit ? unit : record;
      ASSERT_EQ(
          scalarAt(scales + layout.scaleOffset, e.commonScale ? 0 : r, e.scale),
          f.scale[i / e.scaleBlock()]);
      if (e.hasMin()) {
        ASSERT_EQ(scalarAt(scales + layout.minOffset, r, e.min),
                  f.min[i / e.scaleBlock()]);
      }
      if (e.splitScale) {
        ASSERT_EQ(scalarAt(unit + layout.secondScaleOffset,
                           e.commonScale ? 0 : r, e.scale),
                  f.secondScale[i / e.superBlock]);
        ASSERT_EQ(unit[layout.splitOffset + r], f.split[i / e.superBlock]);
      }
      if (e.hasOffset()) {
        ASSERT_EQ(scalarAt(scales + layout.offsetOffset, 0, e.offset),
                  f.offset[i / e.scaleBlock()]);
      }
      if (e.hasZeros()) {
        unsigned zeros =
            rowByte(unit + layout.zeroOffset, r, layout.zeroHalved);
        if (layout.zeroShift)
          zeros = zeros >> layout.zeroShift * (i % layout.unitK / 32) & 15;
        ASSERT_EQ(zeros, f.zeros[i / e.group]);
      }
      if (!e.isTwoLevel())
        continue;
      ASSERT_EQ(layout.subInUnit,
                e.group > 32 || (e.scaleBlock() == e.group && e.group == 32));
      const uint8_t *subs =
          layout.subInUnit
              ? unit + i % layout.unitK / e.group * layout.groupStride
              : record;
      unsigned sub = rowByte(subs + layout.subOffset, r, layout.subHalved),
               subMin = 0;
      if (layout.subPacked) {
        subMin = sub >> e.subBits;
        sub &= (1u << e.subBits) - 1;
      } else if (e.hasMin()) {
        subMin = subs[layout.subMinOffset + r];
      }
      ASSERT_EQ(sub, f.sub[i / e.group]);
      if (e.hasMin()) {
        ASSERT_EQ(subMin, f.subMin[i / e.group]);
      }
    }
  }
}

// Every byte of a unit belongs to something: all bits set in every field set
// all bytes, but for those of codes or subs narrower than a byte.
TEST_P(PackedLayoutTest, NothingIsWasted) {
  size_t k = layout.unitK;
  std::vector<Fields> rows(PackedLayout::kRows);
  for (Fields &row : rows) {
    row.resize(encoding, k);
    std::fill(row.codes.begin(), row.codes.end(),
              uint8_t((1u << encoding.bits) - 1));
    std::fill(row.floats.begin(), row.floats.end(), ~0u);
    std::fill(row.scale.begin(), row.scale.end(), ~0u);
    std::fill(row.secondScale.begin(), row.secondScale.end(), ~0u);
    std::fill(row.split.begin(), row.split.end(), uint8_t(255));
    std::fill(row.min.begin(), row.min.end(), ~0u);
    std::fill(row.offset.begin(), row.offset.end(), ~0u);
    std::fill(row.zeros.begin(), row.zeros.end(),
              uint8_t((1u << encoding.zeroBits) - 1));
    std::fill(row.sub.begin(), row.sub.end(),
              uint8_t((1u << encoding.subBits) - 1));
    std::fill(row.subMin.begin(), row.subMin.end(),
              uint8_t((1u << encoding.subMinBits) - 1));
  }
  for (uint8_t byte : pack(rows, k))
    ASSERT_NE(byte, 0);
}

INSTANTIATE_TEST_SUITE_P(All, PackedLayoutTest, testing::ValuesIn(encodings()),
                         [](const auto &info) { return info.param.name; });

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

TEST(PackedLayout, IsAtMostFourPercentLargerThanTheFile) {
  for (const GGMLType &type : ggmlTypes()) {
    if (!type.encoding)
      continue;
    SCOPED_TRACE(type.name);
    PackedLayout layout(*type.encoding);
    size_t rows = 64, k = 4096;
    // Codes instead of places in a code book, and a byte for each sub-scale.
    double most = type.isTranscoded()
                      ? double(rows * k) / 8 * (type.encoding->bits + 0.6)
                      : 1.04 * double(rows * type.rowBytes(k));
    EXPECT_LE(double(layout.bytes(rows, k)), most);
  }
}

TEST(PackedLayout, UnitsOfKnownTypes) {
  struct {
    const char *type;
    unsigned unitK, unitBytes;
  } const table[] = {
      {"Q4_0", 32, 288},   {"Q4_1", 32, 320},   {"Q5_0", 32, 352},
      {"Q5_1", 32, 384},   {"Q8_0", 32, 544},   {"Q2_K", 256, 1344},
      {"Q3_K", 256, 1824}, {"Q4_K", 256, 2368}, {"Q5_K", 256, 2880},
      {"Q6_K", 256, 3360}, {"F16", 4, 128},     {"F32", 4, 256},
  };
  for (const auto &row : table) {
    PackedLayout layout(*findGGMLType(std::string_view(row.type))->encoding);
    EXPECT_EQ(layout.unitK, row.unitK) << row.type;
    EXPECT_EQ(layout.unitBytes, row.unitBytes) << row.type;
  }
}

// What checkpoints keep in less than a byte for each row and group.
TEST(PackedLayout, ScalesOfHalfAByte) {
  Encoding zeros = oneLevel(2, 64, ScalarType::F16);
  zeros.zeroBits = 2;
  EXPECT_EQ(PackedLayout(zeros).unitBytes, 256u + 32 + 8);
  zeros.group = 96;
  EXPECT_EQ(PackedLayout(zeros).unitBytes, 384u + 32 + 16);
  Encoding sub = twoLevel(2, 16, 0, 4, 0);
  sub.scale = ScalarType::F16;
  sub.commonScale = true;
  EXPECT_EQ(PackedLayout(sub).unitBytes, 128u + 2 * (2 + 8));
  sub.group = 64;
  EXPECT_EQ(PackedLayout(sub).unitBytes, 256u + 2 + 8);
  sub.subBits = 5;
  EXPECT_EQ(PackedLayout(sub).unitBytes, 256u + 2 + 16);
}

TEST(PackedLayout, PadsRowsAndK) {
  PackedLayout layout(*findGGMLType("Q4_0")->encoding);
  EXPECT_EQ(layout.unitsFor(33), 2u);
  EXPECT_EQ(layout.panelsFor(17), 2u);
  EXPECT_EQ(layout.bytes(17, 33), 4u * 288);
  EXPECT_EQ(layout.bytes(16, 32), 288u);
}

} // namespace
