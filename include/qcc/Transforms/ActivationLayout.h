//===- ActivationLayout.h - Quantized activations in memory -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Rows of activations are stored in tiles of `tile` rows, a tile as chunks of
// 32 elements of k, so that a kernel reads everything it needs of a chunk from
// one place with small displacements. A chunk of an integer form holds
//
//   dots   [planes][8][tile] four bytes   k-group q of row r; planes: one for
//                                         8 bits, high then low byte for 16
//   scale  [32 / actGroup][tile] f32
//   nsum   [32 / dotGroup][tile] i32      minus the sum of the integers, times
//                                         zeroFactor
//   fsum   [32 / sumGroup][tile] f32      scale times the sum
//
// with dotGroup the smaller of actGroup and sumGroup, for an integer dot
// product covers elements of one scale on either side.
//
// A tile whose rows are multiplied as one block has what is of a row next to
// each other: dots [planes][tile][8], or [tile][16] pairs.
//
// The fixed form of 8 bits has integers in place of most f32. A tile is cut
// into slabs of `slabBlocks` blocks of two chunks (the last may have one).
// First the slabs of a tile,
//
//   unit   [slabs][tile] f32       32768 / inverse
//
// then blocks, of which each holds
//
//   dots   [16][tile] four bytes   k-group q of row r
//   scale  [scalePairs][tile]      scale * inverse, of each dotGroup
//   start  [2 * scalePairs][tile]  i32, -kFixedZero times the sum of the
//                                  integers of each dotGroup; where no weight
//                                  that the rows meet has terms
//   sum    [sumPairs][tile]        scale times the sum, times inverse / (128 *
//                                  sumGroup), of each sumGroup; where one has
//
// of which scale and sum are pairs of 16-bit integers that follow each other
// in k, rounded. What is not there of a last block is 0 in pairs and anything
// elsewhere. The inverse is as large as words and kFixedSum allow: no scale
// becomes more than 32767, and all of a slab, those of each dotGroup and the
// means of each sumGroup, no more than kFixedSum.
//
// 16-bit integers are x = 256 * high + low with both bytes signed, |x| <=
// 32639. The f32 form holds [32][tile] f32, the bf16 form [16][tile] pairs of
// bf16 that follow each other in a row. The f16 form is not stored like this:
// whoever multiplies makes it where it is needed, as rows of f16 with a power
// of two for each row, or prompts have tiles of their own (HalfTiles.h).
// Elements past the row's end are 0.
//===----------------------------------------------------------------------===//

#ifndef QCC_TRANSFORMS_ACTIVATIONLAYOUT_H
#define QCC_TRANSFORMS_ACTIVATIONLAYOUT_H

#include "dialects/QZ/QZDialect.h"

namespace qcc {

struct ActivationLayout {
  static constexpr int64_t kChunk = 32;
  /// The tile whose rows are multiplied as one block.
  static constexpr int64_t kBlock = 16;
  /// The largest tile of any target.
  static constexpr int64_t kMostTile = kBlock;

  ActivationLayout(qz::Activations kind, int64_t columns, int64_t sumGroup,
                   int64_t tile)
      : kind(kind), sumGroup(sumGroup), tile(tile),
        chunks((columns + kChunk - 1) / kChunk) {}

  qz::Activations kind;
  int64_t sumGroup, tile, chunks;
  /// Divides the zero point of every weight that the rows meet, so that the
  /// kernels' start values need no multiplication where all are alike.
  int64_t zeroFactor = 1;
  /// f32 form: sums that kernels keep for each row, of the elements whose index
  /// has the same remainder, so that additions do not wait for each other.
  /// Rows that must have the same bits have the same number of them.
  int64_t chains = 1;
  /// Whether the tile is multiplied as one block. Integer forms and bf16.
  bool isBlock = false;

  /// Whether 8 bits are in the fixed form.
  bool isFixed = false;
  /// Fixed form: whether a weight that the rows meet is more than a multiple of
  /// its codes less a zero point, which enters through sums.
  bool hasTerms = true;

  bool isFloat() const { return kind == qz::Activations::F32; }
  bool isHalf() const { return kind == qz::Activations::BF16; }
  int64_t planes() const { return kind == qz::Activations::A16 ? 2 : 1; }
  /// Elements that share a scale.
  int64_t group() const { return kind == qz::Activations::A8G16 ? 16 : 32; }
  /// Elements under one integer sum.
  int64_t dotGroup() const { return std::min(group(), sumGroup); }
  /// The largest integer, which the largest magnitude of a group maps to.
  float peak() const {
    return kind == qz::Activations::A16 ? 32639.0f : 127.0f;
  }

  int64_t dotOffset(int64_t plane, int64_t q, int64_t row) const {
    return plane * 8 * tile * 4 + q * groupStride() + row * rowStride();
  }
  /// Bytes between the k-groups, or pairs, of a row, and between the rows of a
  /// tile.
  int64_t groupStride() const { return isBlock ? 4 : tile * 4; }
  int64_t rowStride() const {
    return isBlock ? (isHalf() ? 2 : 1) * kChunk : 4;
  }
  int64_t scaleOffset(int64_t index, int64_t row) const {
    return ((planes() * 8 + index) * tile + row) * 4;
  }
  int64_t nsumOffset(int64_t index, int64_t row) const {
    return scaleOffset(kChunk / group() + index, row);
  }
  int64_t fsumOffset(int64_t index, int64_t row) const {
    return nsumOffset(kChunk / dotGroup() + index, row);
  }
  /// f32 form: element k of the chunk.
  int64_t floatOffset(int64_t k, int64_t row) const {
    return (k * tile + row) * 4;
  }

  /// bf16 form: elements 2 * pair and 2 * pair + 1 of the chunk.
  int64_t pairOffset(int64_t pair, int64_t row) const {
    return pair * groupStride() + row * rowStride();
  }

  // Fixed form.
  static constexpr int64_t kFixedSum = 520000;
  /// The largest integer that kernels make of a slab's factors of weights. With
  /// it and kFixedSum all sums of a slab are below 2^31.
  static constexpr int64_t kFixedFactor = 4080;
  /// The zero point of what codes of weights become without terms.
  static constexpr int64_t kFixedZero = 128;
  int64_t blocks() const { return (chunks + 1) / 2; }
  /// At most five, as even as can be.
  int64_t slabBlocks() const {
    int64_t count = (blocks() + 4) / 5;
    return (blocks() + count - 1) / count;
  }
  int64_t slabs() const { return (blocks() + slabBlocks() - 1) / slabBlocks(); }
  int64_t scalePairs() const { return kChunk / dotGroup(); }
  int64_t startRuns() const { return hasTerms ? 0 : 2 * scalePairs(); }
  int64_t sumPairs() const { return hasTerms ? kChunk / sumGroup : 0; }
  int64_t unitOffset(int64_t slab, int64_t row) const {
    return (slab * tile + row) * 4;
  }
  int64_t firstBlock() const { return unitOffset(slabs(), 0); }
  int64_t scalePairOffset(int64_t pair, int64_t row) const {
    return dotOffset(0, 2 * (kChunk / 4) + pair, row);
  }
  int64_t startOffset(int64_t run, int64_t row) const {
    return scalePairOffset(scalePairs() + run, row);
  }
  int64_t sumPairOffset(int64_t pair, int64_t row) const {
    return startOffset(startRuns() + pair, row);
  }
  int64_t blockBytes() const { return sumPairOffset(sumPairs(), 0); }

  int64_t chunkBytes() const {
    if (isHalf())
      return kChunk / 2 * tile * 4;
    return isFloat() ? kChunk * tile * 4 : fsumOffset(kChunk / sumGroup, 0);
  }
  /// What a buffer must hold; nothing for the f16 form.
  int64_t tileBytes() const {
    if (isFixed)
      return firstBlock() + blocks() * blockBytes();
    return kind == qz::Activations::F16 ? 0 : chunks * chunkBytes();
  }
  int64_t bytes(int64_t rows) const {
    return (rows + tile - 1) / tile * tileBytes();
  }
};

/// Bytes of `rows` rows; `rows` must be a multiple of every tile in use, so
/// that the result does not depend on the tile. Targets that cannot multiply
/// bf16 have f32 in its place.
inline int64_t activationBytes(int64_t columns, qz::Activations kind,
                               int64_t sumGroup, int64_t rows) {
  if (kind == qz::Activations::BF16)
    kind = qz::Activations::F32;
  return ActivationLayout(kind, columns, sumGroup, 1).bytes(rows);
}

} // namespace qcc

#endif // QCC_TRANSFORMS_ACTIVATIONLAYOUT_H
