//===- PackedWeight.cpp - A weight in R16K4 -------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/PackedWeight.h"

using namespace qcc;

PackedWeight::PackedWeight(const Encoding &encoding, size_t columns)
    : encoding(encoding), panelBytes(0), columns(columns) {
  auto add = [&](const Encoding &part, size_t count) {
    PackedLayout::FieldsBegin begin;
    if (!runs.empty()) {
      const Run &last = runs.back();
      size_t groups = last.columns / last.layout.encoding.group;
      begin = {last.begin.element + last.columns, last.begin.block + groups,
               last.begin.group + groups};
    }
    runs.push_back({count, panelBytes, begin, PackedLayout(part)});
    panelBytes += runs.back().layout.panelBytes(count);
  };
  for (const Encoding::Span &span : encoding.spans)
    add(encoding.span(span), span.columns);
  if (encoding.spans.empty())
    add(encoding, columns);
}

void PackedWeight::packPanel(const Fields *rows, unsigned rowCount,
                             uint8_t *out) const {
  for (const Run &run : runs)
    run.layout.packPanel(rows, rowCount, run.columns, out + run.offset,
                         run.begin);
}

void PackedWeight::unpackRow(const uint8_t *panel, unsigned row,
                             Fields &fields) const {
  fields.resize(encoding, columns);
  for (const Run &run : runs)
    run.layout.unpackRow(panel + run.offset, row, run.columns, fields,
                         run.begin);
}
