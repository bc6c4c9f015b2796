//===- RowPrologue.h - Rows of activations as f16 ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// What a block does with its rows before their products: the meaning of
// `qz.quantize` with f16 activations. Each row is multiplied by the weights of
// its norm and by a power of two which brings its largest magnitude to
// [2^14, 2^15), then rounded to f16. The inverse power and the norm's root go
// to the sums of products, where they are exact factors of f32.
//
// Elements of k lie in the order in which mma wants them: of each four, first
// elements 0 and 2, then 1 and 3, since that is how two codes stand in the
// halves of a word of R16K4. Lane l of a quad takes fours l and l + 4 of each
// 32 elements, 16 bytes for two products.
//
// With hasSixteenths the last 16 of each 32 elements are divided by 16, which
// is exact where that is a normal number, and otherwise off by 2^-35 of the
// largest magnitude at most. Sums are those of what was rounded, times the unit
// of codes, as products are.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_ROWPROLOGUE_H
#define QCC_LIB_CODEGEN_NVPTX_ROWPROLOGUE_H

#include "MatmulPlan.h"
#include "WarpEmitter.h"

#include <functional>

namespace qcc::nvptx {

/// The block's rows, and where its threads stand.
struct BlockContext {
  Value thread, warp, lane; ///< i32; lane within the warp.
  Value shared;             ///< Start of the block's shared memory.
  /// The address of row `row` (i32) of the block.
  std::function<Value(Value row)> inputRow;
  Value norm;  ///< Address of the norm's weights, or null.
  Value valid; ///< i32: rows of the block that exist, at least 1.
  /// Store four f16 of row `row`, numbers 4 * `quad` and on, as two i32, and
  /// the sum of group `group`.
  std::function<void(Value row, Value quad, Value pair)> storeQuad;
  std::function<void(Value row, Value group, Value sum)> storeSum;
};

/// Where four elements stand in the bytes of their 32, as number `quad` (i32).
inline Value placeInChunk(WarpEmitter &e, Value quad) {
  return e.add(e.mul(e.bitAnd(quad, 3), 16),
               e.mul(e.bitAnd(e.shift(quad, -2), 1), 8));
}

/// Asks for what the prologue needs of memory that no stage writes.
void prefetchForRows(WarpEmitter &e, const MatmulPlan &plan,
                     const BlockContext &block);
/// Fills the row factors, in shared memory and by thread 0, and stores the rows
/// with their sums. Other threads need a barrier before they read them.
void emitRowPrologue(WarpEmitter &e, const MatmulPlan &plan,
                     const BlockContext &block);

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_ROWPROLOGUE_H
