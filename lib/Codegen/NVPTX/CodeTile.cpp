//===- CodeTile.cpp - Quantized keys and values for tensor cores ----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "CodeTile.h"

#include "qcc/Formats/QuantizedState.h"
#include "StateCodes.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

/// Where a piece is: four of a row together, then the next row, so that rows of
/// two pieces of f16 for each lie in different banks, and requests are whole
/// sectors. Rows whose pieces are not fours go one after the other.
std::pair<Value, Value> CodeTile::place(Value index) {
  const int64_t inRow = rowPieces(tile);
  if (inRow % 4)
    return {e.udiv(index, inRow), e.urem(index, inRow)};
  Value four = e.udiv(e.shift(index, -2), tile.rows);
  return {e.urem(e.shift(index, -2), tile.rows),
          e.add(e.mul(four, 4), e.bitAnd(index, 3))};
}

void CodeTile::forPieces(
    function_ref<void(int64_t i, Value row, Value piece)> body) {
  const int64_t total = tile.rows * rowPieces(tile);
  for (int64_t i = 0; i < pieces(tile); ++i) {
    Value index = e.add(stage.thread, i * kThreads);
    auto emit = [&] {
      auto [row, piece] = place(index);
      body(i, row, piece);
    };
    if ((i + 1) * kThreads <= total)
      emit();
    else
      e.ifThen(e.lessThan(index, e.c32(total)), emit);
  }
}

void CodeTile::copy(function_ref<Value(Value, Value)> source) {
  Value own = e.offset(staging, e.mul(stage.thread, kPieceCodes));
  forPieces([&](int64_t i, Value row, Value piece) {
    e.copyAsync(e.offset(own, i * kThreads * kPieceCodes), source(row, piece));
  });
}

Values CodeTile::scales(function_ref<Value(Value, Value)> source) {
  constexpr int64_t inGroup = int64_t(kStateGroup) / kPieceCodes;
  const int64_t total = tile.rows * rowPieces(tile);
  Values result;
  for (int64_t i = 0; i < pieces(tile); ++i) {
    Value index = e.add(stage.thread, i * kThreads);
    if ((i + 1) * kThreads > total)
      index = e.minU(index, e.c32(total - 1));
    auto [row, piece] = place(index);
    result.push_back(loadStateScale(e, source(row, e.udiv(piece, inGroup))));
  }
  return result;
}

void CodeTile::unpack(ValueRange scales, Value to) {
  Value own = e.offset(staging, e.mul(stage.thread, kPieceCodes));
  forPieces([&](int64_t i, Value row, Value piece) {
    Values words =
        loadCodes(e, e.offset(own, i * kThreads * kPieceCodes), kPieceCodes);
    Value at = e.offset(to, tile.pieceOffset(e, row, e.mul(piece, 2)));
    for (int64_t half = 0; half < 2; ++half) {
      Value pairs = LLVM::PoisonOp::create(e.b, e.loc, e.vec(4, e.i32()));
      Values x = scaleCodes(e, words, half * 8, 8, scales[unsigned(i)]);
      for (int64_t k = 0; k < 4; ++k)
        pairs = vector::InsertOp::create(
            e.b, e.loc, e.packHalves(x[size_t(2 * k)], x[size_t(2 * k + 1)]),
            pairs, k);
      e.store(pairs, at, half * 16, llvm::Align(16));
    }
  });
}
