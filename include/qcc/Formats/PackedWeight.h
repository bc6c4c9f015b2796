//===- PackedWeight.h - A weight in R16K4 ------------------------*- C++
//-*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A panel of 16 rows is a sequence of runs of k, one after another, each with
// a PackedLayout of its own. A weight has one run, or one for each span of its
// encoding.
//===----------------------------------------------------------------------===//

#ifndef QCC_FORMATS_PACKEDWEIGHT_H
#define QCC_FORMATS_PACKEDWEIGHT_H

#include "qcc/Formats/PackedLayout.h"

namespace qcc {

struct PackedWeight {
  struct Run {
    size_t columns; ///< Elements of k.
    size_t offset;  ///< In bytes, from the start of the panel.
    PackedLayout::FieldsBegin begin;
    PackedLayout layout;
  };

  /// `columns` are as many as the encoding takes, those of a row.
  PackedWeight(const Encoding &encoding, size_t columns);

  Encoding encoding;
  std::vector<Run> runs; ///< At least one.
  size_t panelBytes;

  static size_t panelsFor(size_t rows) {
    return (rows + PackedLayout::kRows - 1) / PackedLayout::kRows;
  }
  size_t bytes(size_t rows) const { return panelsFor(rows) * panelBytes; }

  /// As in PackedLayout, for whole rows.
  void packPanel(const Fields *rows, unsigned rowCount, uint8_t *out) const;
  void unpackRow(const uint8_t *panel, unsigned row, Fields &fields) const;

private:
  size_t columns;
};

} // namespace qcc

#endif // QCC_FORMATS_PACKEDWEIGHT_H
