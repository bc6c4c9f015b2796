//===- RowTiles.cpp - Rows of prompts as stored tiles ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "RowTiles.h"

#include "qcc/Formats/HalfTiles.h"
#include "HalfRange.h"

#include <vector>

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

bool nvptx::isStoredInTiles(qz::QuantizeOp op) {
  if (!op.getPromptBlocks())
    return false;
  if (op.getPrompt() == qz::Activations::F16)
    return true;
  // Other codes are multiplied in bf16 by other targets alone.
  return op.getPrompt() == qz::Activations::BF16 && !op.getExperts() &&
         llvm::all_of(op->getUsers(), [&](Operation *user) {
           auto matmul = dyn_cast<qz::MatmulOp>(user);
           return matmul && !matmul.getExperts() &&
                  llvm::all_of(matmul.getWeights(), [](Value weight) {
                    auto type = cast<qz::QTensorType>(weight.getType());
                    Encoding encoding = type.getEncoding().toEncoding();
                    return encoding.element == ScalarType::BF16 &&
                           takesHalfTiles(encoding, type.getColumns());
                  });
         });
}

namespace {
class RowTiles {
public:
  RowTiles(StageKernel &stage, qz::QuantizeOp op)
      : stage(stage), e(stage.e), op(op), k(op.getType().getColumns()),
        tiles(k, *op.getSumGroup()),
        element(op.getPrompt() == qz::Activations::BF16 ? e.b.getBF16Type()
                                                        : e.f16()),
        row(e.blockIndex(gpu::Dimension::y)) {}

  void emit();

private:
  Values load(Value base, Value quad);
  Values input(Value quad);
  Values normed(Values elements, Value quad);
  Value ofBlock(Value value, function_ref<Value(Value, Value)> join);
  Value overRow(
      function_ref<Value(const Values &elements, Value quad, Value sum)> add);
  void makeNorm();
  Value largest();
  void store(Values x, Value quad, Value isThere, Value scale, Value tile);
  int64_t turns() const { return (k / 4 + kTileThreads - 1) / kTileThreads; }

  StageKernel &stage;
  WarpEmitter &e;
  qz::QuantizeOp op;
  int64_t k;
  HalfTiles tiles;
  Type element;       ///< f16 or bf16.
  Value row;          ///< i32, of the step.
  Value mean, factor; ///< Of the norm; null without.
  /// What a thread does in one turn: its quad, whether there is one, and its
  /// elements. None where there are too many to keep.
  struct Turn {
    Value quad, isThere;
    Values elements;
  };
  std::vector<Turn> held;
  int64_t sharedBytes = 0;
};
} // namespace

/// Elements 4 * quad to 4 * quad + 3 of what is at `base`.
Values RowTiles::load(Value base, Value quad) {
  Value four = e.load(e.vec(4, e.f32()), e.offset(base, e.mul(quad, 16)),
                      llvm::Align(16));
  Values result;
  for (int64_t i = 0; i < 4; ++i)
    result.push_back(e.extract(four, i));
  return result;
}

/// The row's elements, in the order that the weights want.
Values RowTiles::input(Value quad) {
  Value start = stage.rowOf(op.getInput(), row);
  if (!op.getOrder())
    return load(start, quad);
  Values result;
  for (Value index : load(stage.address(op.getOrder()), quad))
    result.push_back(
        e.load(e.f32(), e.offset(start, e.mul(e.floatToInt(index, e.i32()), 4)),
               llvm::Align(4)));
  return result;
}

/// The norm's weights stand in the order of the input.
Values RowTiles::normed(Values elements, Value quad) {
  if (!op.getNorm())
    return elements;
  auto vector = [&](Value values) {
    Value start = stage.address(values);
    if (!op.getOrder())
      return load(start, quad);
    Values result;
    for (Value index : load(stage.address(op.getOrder()), quad))
      result.push_back(e.load(
          e.f32(), e.offset(start, e.mul(e.floatToInt(index, e.i32()), 4)),
          llvm::Align(4)));
    return result;
  };
  Values weights = vector(op.getNorm()), biases;
  if (op.getNormBias())
    biases = vector(op.getNormBias());
  for (size_t i = 0; i < elements.size(); ++i) {
    Value &x = elements[i];
    if (mean)
      x = e.subf(x, mean);
    x = e.mulf(e.mulf(x, factor), weights[i]);
    if (!biases.empty())
      x = e.addf(x, biases[i]);
  }
  return elements;
}

/// What `join` makes of the values of all threads, in a fixed order, in each of
/// them.
Value RowTiles::ofBlock(Value value, function_ref<Value(Value, Value)> join) {
  for (int64_t mask = kWarpSize / 2; mask; mask /= 2)
    value = join(value, e.shuffleXor(value, mask));
  constexpr int64_t warps = kTileThreads / kWarpSize;
  Value slots = e.offset(stage.shared, sharedBytes);
  sharedBytes += warps * 4;
  e.ifThen(stage.isFirstLane(), [&] {
    e.store(value, e.offset(slots, e.mul(stage.warp, 4)), llvm::Align(4));
  });
  e.blockBarrier();
  Value result;
  for (int64_t w = 0; w < warps; ++w) {
    Value part = e.load(e.f32(), slots, w * 4, llvm::Align(4));
    result = result ? join(result, part) : part;
  }
  return result;
}

/// What a thread's quads of the row give.
Value RowTiles::overRow(function_ref<Value(const Values &, Value, Value)> add) {
  if (!held.empty()) {
    Value sum = e.zero(e.f32());
    for (const Turn &turn : held)
      sum = e.select(turn.isThere, add(turn.elements, turn.quad, sum), sum);
    return sum;
  }
  return e.loop(stage.thread, e.c32(k / 4), e.c32(kTileThreads),
                {e.zero(e.f32())}, [&](Value quad, ValueRange in) {
                  return Values{add(input(quad), quad, in[0])};
                })[0];
}

void RowTiles::makeNorm() {
  if (!op.getNorm())
    return;
  auto plus = [&](Value a, Value x) { return e.addf(a, x); };
  auto meanOf = [&](function_ref<Value(Value, Value)> add) {
    Value sum = overRow([&](const Values &elements, Value, Value sum) {
      for (Value x : elements)
        sum = add(x, sum);
      return sum;
    });
    return e.divf(ofBlock(sum, plus), e.constant(e.f32(), double(k)));
  };
  if (op.getCentered())
    mean = meanOf(plus);
  Value square = meanOf([&](Value x, Value sum) {
    if (mean)
      x = e.subf(x, mean);
    return e.fma(x, x, sum);
  });
  Value eps = e.constant(e.f32(), op.getEps()->convertToDouble());
  Value root = e.unary("llvm.sqrt", e.addf(square, eps));
  factor = e.divf(e.constant(e.f32(), 1.0), root);
}

Value RowTiles::largest() {
  auto larger = [&](Value a, Value x) { return e.larger(x, a); };
  return ofBlock(overRow([&](const Values &elements, Value quad, Value most) {
                   for (Value x : normed(elements, quad))
                     most = e.larger(e.absf(x), most);
                   return most;
                 }),
                 larger);
}

/// Stores four elements, and their sum with that of the lanes beside it.
void RowTiles::store(Values x, Value quad, Value isThere, Value scale,
                     Value tile) {
  x = normed(x, quad);
  if (scale)
    for (Value &each : x)
      each = e.mulf(each, scale);
  const Value pairs[] = {e.pack(x[0], x[2], element),
                         e.pack(x[1], x[3], element)};
  Value inTile = e.urem(row, HalfTiles::kRows);
  constexpr int64_t kQuads = HalfTiles::kStep / 4;
  Value step =
      e.offset(tile, e.add(e.mul(e.udiv(quad, kQuads), tiles.stepBytes()),
                           tiles.firstStep()));
  Value inStep = e.urem(quad, kQuads);
  // Pieces 2 * n and 2 * n + 1 have the even and the odd ones of 16 elements.
  Value piece = e.mul(e.udiv(inStep, 4), 2);
  e.ifThen(isThere, [&] {
    for (int64_t odd = 0; odd < 2; ++odd) {
      Value place = e.bitXor(e.add(piece, odd), e.bitAnd(inTile, 7));
      Value at = e.add(e.mul(inTile, HalfTiles::kRowBytes),
                       e.mul(place, HalfTiles::kPiece));
      e.store(pairs[odd],
              e.offset(step, e.add(at, e.mul(e.bitAnd(quad, 3), 4))),
              llvm::Align(4));
    }
  });
  Value sum = e.zero(e.f32());
  for (Value halves : pairs)
    for (int64_t i = 0; i < 2; ++i)
      sum =
          e.addf(sum, e.extf(e.extract(e.bitcast(halves, e.vec(2, element)), i),
                             e.f32()));
  const int64_t lanes = tiles.sumGroup / 4;
  for (int64_t mask = lanes / 2; mask; mask /= 2)
    sum = e.addf(sum, e.shuffleXor(sum, mask));
  Value isFirst =
      e.cmp(arith::CmpIPredicate::eq, e.urem(quad, lanes), e.c32(0));
  e.ifThen(arith::AndIOp::create(e.b, e.loc, isFirst, isThere), [&] {
    Value at = e.add(e.mul(e.udiv(inStep, lanes), HalfTiles::kRows), inTile);
    e.store(sum, e.offset(step, e.mul(at, 4)), HalfTiles::kHalvesBytes,
            llvm::Align(4));
  });
}

void RowTiles::emit() {
  // A row is read once if a thread can keep its elements.
  constexpr int64_t kMostHeld = 16;
  auto turnAt = [&](Value start) {
    Turn turn;
    Value quad = e.add(start, stage.thread);
    turn.isThere = e.lessThan(quad, e.c32(k / 4));
    turn.quad = e.minU(quad, e.c32(k / 4 - 1));
    turn.elements = input(turn.quad);
    return turn;
  };
  if (turns() <= kMostHeld)
    for (int64_t i = 0; i < turns(); ++i)
      held.push_back(turnAt(e.c32(i * kTileThreads)));
  makeNorm();
  // bf16 has the range of f32.
  HalfRange range = {Value(), e.constant(e.f32(), 1.0)};
  if (element.isF16())
    range = halfRange(e, largest());
  Value number = e.zext(e.udiv(row, HalfTiles::kRows), e.i64());
  Value tile = e.offset(stage.result(), e.mul(number, tiles.tileBytes()));
  e.ifThen(e.cmp(arith::CmpIPredicate::eq, stage.thread, e.c32(0)), [&] {
    e.store(range.factor,
            e.offset(tile, e.mul(e.urem(row, HalfTiles::kRows), 4)),
            llvm::Align(4));
  });
  // Every thread takes part in each turn, since sums need all lanes.
  auto storeTurn = [&](const Turn &turn) {
    store(turn.elements, turn.quad, turn.isThere, range.scale, tile);
  };
  for (const Turn &turn : held)
    storeTurn(turn);
  if (held.empty())
    e.loop(e.c32(0), e.c32(k / 4), kTileThreads,
           [&](Value start) { storeTurn(turnAt(start)); });
  stage.kernel.sharedBytes = unsigned(sharedBytes);
}

void nvptx::emitRowTiles(StageKernel &stage, qz::QuantizeOp op) {
  RowTiles(stage, op).emit();
}
