//===- FixedPanel.h - Panels of weights, prepared for prompts ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Prompts multiply many rows with each panel, so that a core is as busy with
// the scales of products as with products, if each group of 32 has one of its
// own in f32. Here the scales of a panel and of a tile (see the fixed form in
// ActivationLayout.h) become integers of 16 bits beside one f32 for a slab of
// k, and two groups take one instruction:
//
//   acc += D1 * P1 + D2 * P2          P = factor * scale / 2^15
//   acc += T1 * X1 + T2 * X2          the terms times the sums
//   out += float(acc) * (U * unit)    once for a slab
//
// with D the integer dot product of a run of dotGroup elements, divided by
// 2^shift so that it fits in 16 bits. Where all weights that the rows meet are
// S * (code - zero point), D begins with what makes the zero point 0, and there
// are no terms. A product is rounded to 2^-11 or less of the largest that a
// slab can have, far below the step of activations.
//
// A panel is unpacked and its scales are made once for all rows of a step, and
// all encodings are then multiplied by the same code.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_X86_FIXEDPANEL_H
#define QCC_LIB_CODEGEN_X86_FIXEDPANEL_H

#include "qcc/Codegen/Common/PanelScales.h"
#include "qcc/Formats/PackedWeight.h"
#include "PanelKernel.h"

namespace qcc::x86 {

/// One or two prepared panels in memory, lines of which take turns. For each
/// slab of the activations,
///
///   unit    [panels] 16 f32                U
///
/// then blocks, of which each holds
///
///   codes   [16][panels] a line            of k-group q, a byte each; without
///                                          terms the zero point is kFixedZero
///   factor  [scalePairs][panels] a line    S * 2^shift / U
///   term    [sumPairs][panels] a line      (M - zero point * S) / (U * 256 /
///                                          sumGroup)
///
/// of which factors and terms are pairs of 16-bit integers as in the
/// activations. The largest of a slab is kFixedFactor. What is not there of a
/// last block is 0.
struct PreparedLayout {
  const ActivationLayout &act;
  int64_t panels;

  static constexpr int64_t kLine = 64; ///< Bytes.
  /// Slabs that are prepared together: so many that they stay in the first
  /// level of caches beside a tile of activations, while all rows meet them.
  static constexpr int64_t kPassSlabs = 2;

  int64_t passes() const { return (act.slabs() + kPassSlabs - 1) / kPassSlabs; }
  int64_t codeOffset(int64_t q, int64_t panel) const {
    return (q * panels + panel) * kLine;
  }
  int64_t factorOffset(int64_t pair, int64_t panel) const {
    return codeOffset(16 + pair, panel);
  }
  int64_t termOffset(int64_t pair, int64_t panel) const {
    return factorOffset(act.scalePairs() + pair, panel);
  }
  int64_t blockBytes() const { return termOffset(act.sumPairs(), 0); }
  int64_t unitOffset(int64_t panel) const { return panel * kLine; }
  int64_t firstBlock() const { return unitOffset(panels); }
  int64_t slabBytes() const {
    return firstBlock() + act.slabBlocks() * blockBytes();
  }
  /// Those of a pass.
  int64_t bytes() const {
    return std::min(act.slabs(), kPassSlabs) * slabBytes();
  }
};

/// Prepares panels of one weight.
class FixedPanel {
public:
  /// Whether all of a weight can be multiplied so.
  static bool takes(const Encoding &encoding);
  /// Whether it has terms: minima, zero points of its own, or codes too far
  /// from the zero point for a byte.
  static bool hasTerms(const Encoding &encoding);

  /// Of `k` elements.
  FixedPanel(Emitter &e, const Isa &instructions, const PackedLayout &layout,
             int64_t k, const PreparedLayout &to);

  /// Writes slabs [first, end) of the panel at `panel` to `prepared`, as panel
  /// `number` there.
  void prepare(Value panel, Value first, Value end, Value prepared,
               int64_t number);
  /// What dot products are shifted by.
  int shift() const { return shiftBy; }

private:
  /// What the scales of one chunk are: factors of each dotGroup, terms of each
  /// sumGroup.
  struct ChunkScales {
    Values factors, terms;
  };

  /// The codes of a chunk.
  Value chunkAt(Value panel, Value chunk);
  ChunkScales chunkScales(Value panel, Value chunk);
  /// Writes `count` chunks from `chunk` on to the block at `to`.
  void storeBlock(Value panel, Value chunk, int64_t count, Value inverse,
                  Value to, int64_t number);

  Emitter &e;
  const Isa &instructions;
  const PackedLayout &layout;
  int64_t k;
  const PreparedLayout &to;
  const ActivationLayout &act;
  ScaleReader scaleReader;
  mlir::VectorType ints, floats;
  /// What is added to codes.
  int64_t raise;
  int shiftBy = 0;
};

/// Multiplies one or two prepared panels with `rows` rows of a tile: more would
/// need more registers than there are. Two panels with half of the rows read
/// half as much for the same products, and a core reads no faster than it
/// multiplies.
class FixedProducts {
public:
  /// `shifts` are those of the panels.
  FixedProducts(Emitter &e, const Isa &instructions,
                const PreparedLayout &layout, llvm::ArrayRef<int> shifts,
                int64_t rows);

  /// sums + the products of slabs [first, end), prepared at `prepared`, with
  /// the rows that begin at `tile`: f32 of 16 weights, by panel, then row.
  Values emit(Value prepared, Value tile, Value first, Value end, Values sums);

private:
  /// acc + the products of a block.
  Values block(Value weights, Value x, Values acc);
  /// The dot products of run `run` of the block.
  Values dotProducts(Value weights, Value x, int64_t run);

  Emitter &e;
  const Isa &instructions;
  const PreparedLayout &layout;
  const ActivationLayout &act;
  llvm::SmallVector<int> shifts;
  int64_t rows;
  mlir::VectorType ints, floats;
};

} // namespace qcc::x86

#endif // QCC_LIB_CODEGEN_X86_FIXEDPANEL_H
