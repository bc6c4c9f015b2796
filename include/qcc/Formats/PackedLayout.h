//===- PackedLayout.h - R16K4, the packed layout of weights -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// R16K4 stores a weight as panels of 16 rows. A panel is a run of units along
// k; a unit covers `unitK` elements of k of each of the 16 rows:
//
//   scales                                     only when they cover the unit
//   [zeros: 16 bytes]                          zero points, if there are any
//   [sub | subMin] per group of the unit       two-level, group > 32 or alone
//                                              in the unit
//   chunk 0 .. unitK/32-1, each:
//     [plane 0] [plane 1] ...                  the codes of 16 rows x 32 k
//     then, per group of the chunk:
//     scales                                   when they cover a group of the
//                                              chunk (all of it: one-level)
//     [sub | subMin]                           two-level, if not above
//
// where scales are
//
//   [scale: 16 scalars] [min: 16 scalars]
//   [second scale: 16 scalars] [split: 16 bytes]  with splitScale
//   [offset: 1 scalar]                            if there is one
//
// A scale, or second scale, that rows have in common is one scalar.
//
// Codes are cut into bit planes of 8, 4, 2 or 1 bits, low bits first
// (6 = 4 + 2). A plane of width w has w lines of 64 bytes; line byte 4*r + j
// belongs to row r and to elements k = 4*q + j; the k-group q (0..7) sits in
// line q % w at bit w * (q / w). So one 64-byte line is what `vpdpbusd` takes:
// lane r = row r, four consecutive k, no shuffle and no horizontal sum; its two
// halves serve 32-byte vectors, and it is one row of an AMX B tile.
//
// A zero point is a byte of its row. Those of groups of 32 with up to 4 bits
// share it: a unit is then two groups, the first in the low bits. Others
// are halved where bits times the group are 128 at most.
//
// sub and subMin are one byte each, or one byte together (sub low, subMin
// high) when subBits + subMinBits <= 8. A sub of up to 4 bits without subMin
// is halved.
//
// What is halved takes 8 bytes instead of 16: row r has the low half of byte r,
// row r + 8 its high half.
//
// Float weights: unitK = 4, element k of row r at byte (k * 16 + r) * size.
// Rows are padded to 16 and k to chunks, or units of floats, with zero bytes
// and zero scales: a unit that k ends in ends with that chunk.
//===----------------------------------------------------------------------===//

#ifndef QCC_FORMATS_PACKEDLAYOUT_H
#define QCC_FORMATS_PACKEDLAYOUT_H

#include "qcc/Formats/Encoding.h"
#include <cstddef>

namespace qcc {

struct PackedLayout {
  static constexpr unsigned kRows = 16;
  static constexpr unsigned kChunk = 32;

  /// Bits [shift, shift + width) of each code, `width` lines at `offset` of
  /// the chunk.
  struct Plane {
    unsigned width, shift, offset;
  };

  /// Where fields begin that are packed from, or unpacked into, a part of
  /// Fields: an element, its scale block and its group.
  struct FieldsBegin {
    size_t element = 0, block = 0, group = 0;
  };

  /// The encoding has no spans (see PackedWeight.h).
  explicit PackedLayout(const Encoding &encoding);

  Encoding encoding;
  unsigned unitK;     ///< k elements of a unit.
  unsigned unitBytes; ///< Bytes of a unit (16 rows).
  std::vector<Plane> planes;
  unsigned chunkBytes;  ///< Stride of chunks in a unit.
  unsigned chunkOffset; ///< First chunk in the unit.
  /// Offsets of scales are in the unit, otherwise in the chunk (see
  /// groupStride).
  bool scaleInUnit;
  /// sub and subMin: offsets in the unit, otherwise in the chunk (see
  /// groupStride).
  bool subInUnit;
  unsigned scaleOffset, minOffset, subOffset, subMinOffset;
  unsigned secondScaleOffset, splitOffset, offsetOffset; ///< As scaleOffset.
  unsigned zeroOffset;                                   ///< In the unit.
  unsigned zeroShift; ///< Bits between zero points of a byte; 0: one in each.
  bool zeroHalved;    ///< Two rows share a byte.
  bool subPacked;     ///< sub and subMin share a byte.
  bool subHalved;     ///< Two rows share a byte.
  unsigned groupsPerChunk; ///< 1, or 32 / group for smaller groups.
  /// Bytes between the records of two groups of a chunk, or of the unit with
  /// subInUnit: group j's scale, if it is there, is at scaleOffset + j *
  /// groupStride, its sub at subOffset + j * groupStride.
  unsigned groupStride;

  unsigned unitsFor(size_t k) const {
    return unsigned((k + unitK - 1) / unitK);
  }
  size_t panelBytes(size_t k) const {
    if (encoding.isFloat())
      return size_t(unitsFor(k)) * unitBytes;
    size_t rest = k % unitK;
    size_t last =
        rest ? chunkOffset + (rest + kChunk - 1) / kChunk * chunkBytes : 0;
    return k / unitK * unitBytes + last;
  }
  size_t panelsFor(size_t rows) const { return (rows + kRows - 1) / kRows; }
  size_t bytes(size_t rows, size_t k) const {
    return panelsFor(rows) * panelBytes(k);
  }

  /// Writes one panel. `rows` holds up to 16 rows of `k` elements each, from
  /// `begin` on; `out` has panelBytes(k) zeroed bytes. All fields keep their
  /// bits.
  void packPanel(const Fields *rows, unsigned rowCount, size_t k, uint8_t *out,
                 const FieldsBegin &begin) const;
  void packPanel(const Fields *rows, unsigned rowCount, size_t k,
                 uint8_t *out) const {
    packPanel(rows, rowCount, k, out, FieldsBegin());
  }
  /// Reads row `row` (0..15) of a panel back. Inverse of packPanel.
  void unpackRow(const uint8_t *panel, unsigned row, size_t k,
                 Fields &fields) const;
  /// The same into a part of fields that have the size of all.
  void unpackRow(const uint8_t *panel, unsigned row, size_t k, Fields &fields,
                 const FieldsBegin &begin) const;
};

} // namespace qcc

#endif // QCC_FORMATS_PACKEDLAYOUT_H
