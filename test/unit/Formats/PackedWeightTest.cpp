//===- PackedWeightTest.cpp - Tests of weights in R16K4 -------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/PackedWeight.h"
#include <cstring>
#include <gtest/gtest.h>
#include "RandomFields.h"

using namespace qcc;

namespace {

Encoding spans() {
  Encoding e;
  e.scale = ScalarType::F16;
  e.min = ScalarType::BF16;
  e.subBits = 5;
  e.subMinBits = 6;
  e.spans = {{64, 8, 3, 32}, {192, 5, 16, 64}, {96, 3, 4, 96}, {32, 2, 2, 32}};
  return e;
}

std::vector<Fields> randomRows(const Encoding &encoding, size_t k) {
  std::mt19937 random(5);
  std::vector<Fields> rows;
  for (unsigned r = 0; r < PackedLayout::kRows; ++r)
    rows.push_back(randomFields(encoding, k, random));
  return rows;
}

TEST(PackedWeight, OneRunIsThePackedLayout) {
  Encoding e;
  e.bits = 4;
  e.group = 64;
  e.scale = ScalarType::F16;
  PackedLayout layout(e);
  // The last unit is not whole.
  PackedWeight packed(e, 160);
  EXPECT_EQ(packed.panelBytes, layout.panelBytes(160));
  EXPECT_EQ(packed.panelBytes, 3 * 16 * 2 + 5 * 256u);
  EXPECT_EQ(packed.bytes(33), 3 * packed.panelBytes);
  std::vector<Fields> rows = randomRows(e, 160);
  std::vector<uint8_t> panel(packed.panelBytes), expected(packed.panelBytes);
  packed.packPanel(rows.data(), 16, panel.data());
  layout.packPanel(rows.data(), 16, 160, expected.data());
  EXPECT_EQ(panel, expected);
}

TEST(PackedWeight, SpansFollowEachOther) {
  Encoding e = spans();
  ASSERT_EQ(e.check(), "");
  const size_t k = 384;
  ASSERT_TRUE(e.takesColumns(k));
  PackedWeight packed(e, k);
  std::vector<Fields> rows = randomRows(e, k);
  std::vector<uint8_t> panel(packed.panelBytes);
  packed.packPanel(rows.data(), 16, panel.data());
  Fields got;
  for (unsigned r = 0; r < 16; ++r) {
    packed.unpackRow(panel.data(), r, got);
    ASSERT_EQ(got, rows[r]) << "row " << r;
  }

  // Each span by itself: the same bytes, one after another, and values.
  ASSERT_EQ(packed.runs.size(), e.spans.size());
  size_t element = 0, group = 0, offset = 0;
  for (size_t i = 0; i < e.spans.size(); ++i) {
    const Encoding::Span &span = e.spans[i];
    Encoding alone = e.span(span);
    size_t groups = span.columns / span.group;
    std::vector<Fields> parts;
    for (const Fields &row : rows) {
      Fields part;
      auto cut = [](auto &to, const auto &from, size_t first, size_t count) {
        to.assign(from.begin() + first, from.begin() + first + count);
      };
      cut(part.codes, row.codes, element, span.columns);
      cut(part.scale, row.scale, group, groups);
      cut(part.min, row.min, group, groups);
      cut(part.sub, row.sub, group, groups);
      cut(part.subMin, row.subMin, group, groups);
      for (size_t j = 0; j < span.columns; ++j) {
        float alike = decodeElement(alone, part, j);
        float whole = decodeElement(e, row, element + j);
        ASSERT_EQ(std::memcmp(&alike, &whole, 4), 0)
            << "element " << element + j;
      }
      parts.push_back(part);
    }
    PackedLayout layout(alone);
    std::vector<uint8_t> expected(layout.panelBytes(span.columns));
    layout.packPanel(parts.data(), 16, span.columns, expected.data());
    EXPECT_EQ(packed.runs[i].offset, offset);
    EXPECT_EQ(
        std::memcmp(panel.data() + offset, expected.data(), expected.size()), 0)
        << "span " << i;
    element += span.columns;
    group += groups;
    offset += expected.size();
  }
  EXPECT_EQ(offset, panel.size());
}

} // namespace
