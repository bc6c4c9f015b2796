//===- MatrixTile.cpp - Rows in shared memory for tensor cores ------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "MatrixTile.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

void nvptx::copyTile(StageKernel &stage, const MatrixTile &tile, Value to,
                     function_ref<Value(Value, Value)> source) {
  WarpEmitter &e = stage.e;
  const int64_t pieces = tile.pieces(), total = tile.rows * pieces;
  for (int64_t first = 0; first < total; first += kThreads) {
    Value index = e.add(stage.thread, first);
    auto copy = [&] {
      Value row = e.udiv(index, pieces), piece = e.urem(index, pieces);
      // The same piece, of rows that are a constant apart.
      if (kThreads % pieces == 0) {
        row = e.add(e.udiv(stage.thread, pieces), first / pieces);
        piece = e.urem(stage.thread, pieces);
      }
      e.copyAsync(e.offset(to, tile.pieceOffset(e, row, piece)),
                  source(row, piece));
    };
    if (first + kThreads <= total)
      copy();
    else
      e.ifThen(e.lessThan(index, e.c32(total)), copy);
  }
}

TileReader::TileReader(StageKernel &stage, const MatrixTile &tile, Value start,
                       bool byRow)
    : e(stage.e), tile(tile) {
  // Lane l gives row l % 8 of matrix l / 8.
  Value inMatrix = e.bitAnd(stage.lane, 7);
  Value second = e.bitAnd(e.shift(stage.lane, -3), 1);
  Value upper = e.shift(stage.lane, -4);
  auto rowAt = [&](Value eight) {
    return e.offset(start,
                    e.mul(e.add(e.mul(eight, 8), inMatrix), tile.stride()));
  };
  ofFour = e.offset(rowAt(byRow ? second : upper),
                    e.mul(byRow ? upper : second, 16));
  ofTwo = rowAt(second);
}

Values TileReader::load(int64_t row, int64_t column, bool transposed,
                        bool isHalf) {
  int64_t bytes = row * 16 * tile.stride() + column * 32;
  return e.loadMatrices(e.offset(isHalf ? ofTwo : ofFour, bytes),
                        isHalf ? 2 : 4, transposed);
}
