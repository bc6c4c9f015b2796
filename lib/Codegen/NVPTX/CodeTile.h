//===- CodeTile.h - Quantized keys and values for tensor cores --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_CODETILE_H
#define QCC_LIB_CODEGEN_NVPTX_CODETILE_H

#include "MatrixTile.h"

namespace qcc::nvptx {

/// A tile whose rows the state has as codes. They come asynchronously, as they
/// are, to memory that each thread has for itself; when they are there, the
/// same thread makes f16 of them and puts these into the tile. So codes on
/// their way take no registers, and no other barrier is needed than for a tile
/// that is copied.
class CodeTile {
public:
  /// `staging`: stagingBytes() of shared memory, which tiles may share whose
  /// codes are not on their way at the same time. Columns of the tile are a
  /// multiple of kPieceCodes.
  CodeTile(StageKernel &stage, const MatrixTile &tile, Value staging)
      : stage(stage), e(stage.e), tile(tile), staging(staging) {}

  static constexpr int64_t kPieceCodes = 16;
  static int64_t stagingBytes(const MatrixTile &tile) {
    return pieces(tile) * kThreads * kPieceCodes;
  }

  /// Starts copying: `source(row, piece)` is the address of a piece.
  void copy(llvm::function_ref<Value(Value row, Value piece)> source);
  /// The scale of each of the thread's pieces, `source(row, group)`, as f32.
  Values scales(llvm::function_ref<Value(Value row, Value group)> source);
  /// Puts the thread's pieces, which have arrived, to the tile at `to`.
  void unpack(ValueRange scales, Value to);

private:
  static int64_t rowPieces(const MatrixTile &tile) {
    return tile.columns / kPieceCodes;
  }
  /// Of a thread.
  static int64_t pieces(const MatrixTile &tile) {
    return (tile.rows * rowPieces(tile) + kThreads - 1) / kThreads;
  }
  /// The row of a piece, and its number in the row.
  std::pair<Value, Value> place(Value index);
  void forPieces(llvm::function_ref<void(int64_t i, Value row, Value piece)>);

  StageKernel &stage;
  WarpEmitter &e;
  const MatrixTile &tile;
  Value staging;
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_CODETILE_H
