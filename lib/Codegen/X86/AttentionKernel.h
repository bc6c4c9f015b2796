//===- AttentionKernel.h - Rope, the KV cache and attention -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A page of state holds, for each KV head, the keys of its 64 positions as four
// tiles [head_dim][16 positions], so that scores of 16 positions come from one
// vector multiply-add per element and no horizontal sum, then the values as
// [64 positions][value_dim]. Scales of quantized elements, one for each group
// of a position (qcc/Formats/QuantizedState.h), follow: those of keys as
// [groups][16 positions] after each tile, those of values as
// [groups][64 positions] after all values.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_X86_ATTENTIONKERNEL_H
#define QCC_LIB_CODEGEN_X86_ATTENTIONKERNEL_H

#include "qcc/Formats/QuantizedState.h"
#include "Isa.h"

namespace qcc::x86 {

/// Shapes of one layer's attention and the storage type of its state.
struct AttentionShape {
  int64_t heads, kvHeads, headDim, valueDim;
  Type element;       ///< f16, bf16, f32; i8: quantized in groups.
  double softcap = 0; ///< Of scores; 0: none.

  int64_t group() const { return heads / kvHeads; }
  int64_t elementBytes() const { return element.getIntOrFloatBitWidth() / 8; }
  bool isQuantized() const { return element.isInteger(); }
  /// Scales of a key or a value of `dim` elements.
  int64_t groups(int64_t dim) const {
    return isQuantized() ? (dim + kStateGroup - 1) / kStateGroup : 0;
  }
  /// Offset of the scales of a tile of keys in it, and of those of values.
  int64_t keyScalesOffset() const { return 16 * headDim * elementBytes(); }
  int64_t valueScalesOffset() const { return 64 * valueDim * elementBytes(); }
  int64_t tileBytes() const {
    return keyScalesOffset() + groups(headDim) * kScaleLine;
  }
  int64_t valueOffset() const { return 4 * tileBytes(); }
  int64_t headBytes() const {
    return valueOffset() + valueScalesOffset() +
           groups(valueDim) * 4 * kScaleLine;
  }
  int64_t pageBytes() const { return kvHeads * headBytes(); }

  static constexpr int64_t kScaleLine = 32; ///< Bytes of 16 scales, bf16.
};

/// Conversions between f32 and what the state stores; of codes, without their
/// scale.
inline Value toStateElement(Emitter &e, Value f32, Type element) {
  return element.isF32() ? f32 : e.truncf(f32, element);
}
inline Value fromStateElement(Emitter &e, Value value) {
  Type element = mlir::getElementTypeOrSelf(value.getType());
  if (element.isInteger())
    return e.intToFloat(e.sext(value, e.i32()), e.f32());
  return element.isF32() ? value : e.extf(value, e.f32());
}

/// The scales of 16 positions at `pointer`, as f32.
Value loadScales(Emitter &e, Value pointer);

/// Element `d` (i64) of 16 keys: those of the tile at `tile`, as f32.
Value loadKeys(Emitter &e, const AttentionShape &shape, Value tile, Value d);
/// Up to 16 elements from `d` (i64) on of the value of position `place` (i64)
/// of the page whose values are at `values`, as f32; `d` is a multiple of 16.
Value loadValue(Emitter &e, const AttentionShape &shape, Value values,
                Value place, Value d, int64_t valid);

/// out[0..n) = factor * cos(position * frequency), out[n..2n) the sines.
/// `position` is i64, `frequencies` points to n f32.
void rotationsRow(Emitter &e, Value position, Value frequencies, int64_t count,
                  float factor, Value out);

struct RopeShape {
  int64_t headDim;
  int64_t pairs; ///< Frequencies; the first 2 * pairs elements rotate.
  bool adjacent;
};

/// The norm of a head, over `columns` elements from `row` on, which are the
/// head or all heads of a row.
struct HeadNorm {
  Value weight; ///< Of the head's elements; null without a norm.
  Value row;
  int64_t columns = 0;
  float eps = 0;
  bool isCentered = false; ///< By mean and variance; else an RMS norm.
};

/// Norms, rotates and multiplies by `scale` the head at `in`; writes f32 to
/// `out` (which may be `in`).
void ropeHead(Emitter &e, const Isa &isa, const RopeShape &shape, Value in,
              const HeadNorm &norm, Value rotations, float scale, Value out);

/// Makes the headDim f32 at `query` what quantized keys are multiplied with;
/// leaves them alone when keys are not.
void mixQuery(Emitter &e, const AttentionShape &shape, Value query);

/// Stores a key (headDim f32) or a value (valueDim f32) of KV head `head` (i64)
/// at `position` (i64) in the page at `page`.
void appendKey(Emitter &e, const AttentionShape &shape, Value page, Value head,
               Value position, Value key);
void appendValue(Emitter &e, const Isa &isa, const AttentionShape &shape,
                 Value page, Value head, Value position, Value value);

/// Where attention of rows of one sequence reads and writes.
struct AttentionOperands {
  Value query, out;               ///< First row, first of the query heads: f32.
  int64_t queryStride, outStride; ///< Bytes between rows.
  Value pages;                    ///< The sequence's page numbers (u32).
  Value pageStride;               ///< Bytes between pages of the state.
  Value sinks;                    ///< Of those query heads: f32; null without.
};

/// Rows whose queries share each load of keys and values.
struct AttentionRows : AttentionOperands {
  Values positions; ///< Of each row, ascending: i64.
};

/// The score of a position that is not visible, and the maximum before any
/// position was seen. Both are far below every score, and exp(kMaskedScore -
/// kNoScore) is 0; no infinity appears.
constexpr double kMaskedScore = -1e30, kNoScore = -1e29;

/// Which of positions [16 * tile, 16 * tile + 16) of a page are in [first,
/// last], which count from the page's start too: 16 lanes of i1.
Value visiblePositions(Emitter &e, Value first, Value last, int64_t tile);

/// Query heads of a KV head that go together.
int64_t headsTogether(const Isa &isa, const AttentionShape &shape);

/// Rows of a prompt that go together.
int64_t attentionTile(const Isa &isa, const AttentionShape &shape);

/// Rows of a prompt that attendPrompt() takes at once.
int64_t promptBlockRows(const Isa &isa, const AttentionShape &shape);

/// At most promptBlockRows() rows.
struct PromptRows : AttentionOperands {
  Value positions; ///< Points to those of the rows, ascending: u32.
  Value count;     ///< i64, 1 or more.
};

/// Bytes of scratch that attendPrompt() needs.
int64_t attendPromptScratchBytes(const Isa &isa, const AttentionShape &shape);

/// attendRows() with products of bf16, for an Isa that has them.
void attendPrompt(Emitter &e, const Isa &isa, const AttentionShape &shape,
                  int64_t window, const PromptRows &rows, Value state,
                  Value head, int64_t heads, Value scratch);

/// Bytes of scratch that attendRows() and attendPart() need.
int64_t attendScratchBytes(const Isa &isa, const AttentionShape &shape);

/// Attention of `heads` query heads of KV head `head` (i64), at most those that
/// go together, for some rows. A row's result has the same bits whatever rows
/// it goes together with.
void attendRows(Emitter &e, const Isa &isa, const AttentionShape &shape,
                int64_t window, const AttentionRows &rows, Value state,
                Value head, int64_t heads, Value scratch);

/// The positions that a row sees, cut into parts that threads take at the same
/// time. Where the cuts are depends on the row's position only.
constexpr int64_t kMostParts = 16;
struct AttentionParts {
  Value first, end; ///< Pages that the row sees.
  Value pages;      ///< Of a part; the last may have fewer.
  Value count;      ///< 1 to kMostParts.
};
AttentionParts attentionParts(Emitter &e, int64_t window, Value position);

/// Bytes of what attendPart() leaves of a part.
int64_t attentionPartBytes(const Isa &isa, const AttentionShape &shape);

/// attendRows() of one row for the positions of part `part` (i64) alone; leaves
/// its weighted values, maximum and sum in `result`. `after` points to what the
/// thread will read next of a state.
void attendPart(Emitter &e, const Isa &isa, const AttentionShape &shape,
                int64_t window, const AttentionRows &row,
                const AttentionParts &parts, Value part, Value state,
                Value head, int64_t heads, Value result, Value after,
                Value scratch);

/// What attendRows() would have written, from the results of all parts, one
/// after the other at `results`, whose maxima it overwrites.
void mergeParts(Emitter &e, const Isa &isa, const AttentionShape &shape,
                const AttentionOperands &row, const AttentionParts &parts,
                int64_t heads, Value results);

} // namespace qcc::x86

#endif // QCC_LIB_CODEGEN_X86_ATTENTIONKERNEL_H
