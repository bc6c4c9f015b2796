//===- HalfTiles.h - Rows of prompts as f16 in memory -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A stored form of activations `f16` or `bf16`, which prompt steps may have
// where all that multiply them take it (`prompt_blocks`). Rows are stored in
// tiles of 64, a tile as steps of 64 elements of k, so that a step of a tile is
// one piece of memory, ready to be multiplied when it is copied:
//
//   factor  [64] f32            what the sums of a row's products are to be
//                               multiplied by, the inverse of its power of two;
//                               1 of bf16
//   then of each step
//   halves  [64] rows of 128 bytes
//   sum     [64 / sumGroup][64] f32   of the row's elements of each sumGroup
//
// Of each 16 elements a row has first those with even numbers, then the others:
// so two codes stand in the halves of a word of R16K4. Pieces of 16 bytes are
// exchanged within a row, by its number, so that the same piece of eight rows
// that follow each other lies in different banks.
//===----------------------------------------------------------------------===//

#ifndef QCC_FORMATS_HALFTILES_H
#define QCC_FORMATS_HALFTILES_H

#include "qcc/Formats/PackedLayout.h"

#include <cstdint>

namespace qcc {

struct HalfTiles {
  static constexpr int64_t kRows = 64, kStep = 64, kPiece = 16;
  static constexpr int64_t kRowBytes = kStep * 2;
  static constexpr int64_t kHalvesBytes = kRows * kRowBytes;

  /// `columns` are a multiple of kStep.
  HalfTiles(int64_t columns, int64_t sumGroup)
      : columns(columns), sumGroup(sumGroup) {}

  int64_t columns, sumGroup;

  /// Within a row of a step: where piece `piece` of row `row` begins.
  static constexpr int64_t pieceOffset(int64_t row, int64_t piece) {
    return (piece ^ (row % 8)) * kPiece;
  }
  int64_t sumBytes() const { return kStep / sumGroup * kRows * 4; }
  int64_t stepBytes() const { return kHalvesBytes + sumBytes(); }
  int64_t firstStep() const { return kRows * 4; }
  int64_t tileBytes() const {
    return firstStep() + columns / kStep * stepBytes();
  }
  int64_t bytes(int64_t rows) const {
    return (rows + kRows - 1) / kRows * tileBytes();
  }
};

/// Whether codes of `encoding` are small integers, whose scales are read as
/// they are: f16 holds them, and products of f16 take them.
inline bool hasIntegerCodes(const Encoding &encoding) {
  return !encoding.isFloat() && encoding.spans.empty() &&
         encoding.table.empty() && !encoding.hasFloatCodes() &&
         !encoding.commonScale && !encoding.splitScale &&
         encoding.subValues.empty() && !encoding.hasOffset() &&
         encoding.subMinifloat == Minifloat::None && !encoding.scaledMin &&
         !PackedLayout(encoding).subHalved && encoding.group % 16 == 0;
}

/// Whether such a weight, or one of floats of 16 bits, is multiplied by stored
/// tiles: steps are whole units of it, or whole parts of its units, of which
/// each field is copied in pieces of 16 bytes.
inline bool takesHalfTiles(const Encoding &encoding, int64_t columns) {
  if (columns % HalfTiles::kStep)
    return false;
  if (!hasIntegerCodes(encoding))
    return encoding.element == ScalarType::F16 ||
           encoding.element == ScalarType::BF16;
  PackedLayout layout(encoding);
  int64_t unit = layout.unitK;
  return columns % unit == 0 &&
         (unit % HalfTiles::kStep == 0 || HalfTiles::kStep % unit == 0) &&
         layout.unitBytes % HalfTiles::kPiece == 0 &&
         layout.chunkOffset % HalfTiles::kPiece == 0 &&
         layout.chunkBytes % HalfTiles::kPiece == 0;
}

} // namespace qcc

#endif // QCC_FORMATS_HALFTILES_H
