//===- MatrixTile.h - Rows in shared memory for tensor cores ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_MATRIXTILE_H
#define QCC_LIB_CODEGEN_NVPTX_MATRIXTILE_H

#include "StageKernel.h"

namespace qcc::nvptx {

/// Rows of elements of 16 bits in shared memory, in pieces of 16 bytes. Rows
/// are an odd number of pieces apart, so that the same piece of eight rows that
/// follow each other lies in different banks. (An exchange of pieces would take
/// less memory, but addresses that cost tens of registers.)
struct MatrixTile {
  int64_t rows, columns; ///< Columns are a multiple of 8.

  int64_t pieces() const { return columns / 8; }
  int64_t stride() const { return (pieces() | 1) * 16; }
  int64_t bytes() const { return rows * stride(); }

  /// Where piece `piece` of row `row` (both i32) lies, in bytes.
  Value pieceOffset(WarpEmitter &e, Value row, Value piece) const {
    return e.add(e.mul(row, stride()), e.mul(piece, 16));
  }
};

/// Starts copying a tile by all threads of the block: `source(row, piece)` is
/// the global address of a piece, 16-aligned.
void copyTile(StageKernel &stage, const MatrixTile &tile, Value to,
              llvm::function_ref<Value(Value row, Value piece)> source);

/// A lane's addresses for loads of 16 rows x 16 columns of a tile as four
/// matrices of 8 x 8, of which the second has
/// * `byRow`: the next eight rows, as B of m16n8k16 wants it if rows are k, or
/// * the next eight columns, as it does if columns are k.
class TileReader {
public:
  TileReader(StageKernel &stage, const MatrixTile &tile, Value start,
             bool byRow);

  /// Rows from 16 * `row` on and columns from 16 * `column` on. With `isHalf`
  /// there are eight columns, and two matrices.
  Values load(int64_t row, int64_t column, bool transposed,
              bool isHalf = false);

private:
  WarpEmitter &e;
  const MatrixTile &tile;
  Value ofFour, ofTwo; ///< At row and column 0, of so many matrices.
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_MATRIXTILE_H
