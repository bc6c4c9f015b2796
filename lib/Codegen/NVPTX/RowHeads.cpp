//===- RowHeads.cpp - Norms and rotations of the heads of a row -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "RowHeads.h"

#include "dialects/QZ/QZDialect.h"
#include "RowNorm.h"

#include <algorithm>
#include <utility>

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

/// Shares indices [first, end) among the lanes: what `load` gives of some of
/// them is loaded before `use` has any, so that memory is waited for once.
static void overLanes(StageKernel &stage, int64_t first, int64_t end,
                      function_ref<Values(Value)> load,
                      function_ref<void(Value, ValueRange)> use) {
  constexpr int64_t kTogether = 4 * kWarpSize;
  WarpEmitter &e = stage.e;
  for (int64_t begin = first; begin < end; begin += kTogether) {
    Values indices;
    SmallVector<Values> loaded;
    for (int64_t at = begin; at < std::min(end, begin + kTogether);
         at += kWarpSize) {
      indices.push_back(e.add(stage.lane, at));
      loaded.push_back(load(e.minU(indices.back(), e.c32(end - 1))));
    }
    for (auto [index, values] : llvm::zip_equal(indices, loaded)) {
      auto body = [&, index = index, &values = values] { use(index, values); };
      if ((end - first) % kWarpSize == 0)
        body();
      else
        e.ifThen(e.lessThan(index, e.c32(end)), body);
    }
  }
}

void nvptx::emitRope(StageKernel &stage, const RopeShape &rope,
                     const Head &head, Value rotations, PutElement put) {
  WarpEmitter &e = stage.e;
  int64_t pairs = rope.pairs;
  auto at = [&](Value base, Value index) {
    return e.load(e.f32(), e.offset(base, e.mul(index, 4)), llvm::Align(4));
  };
  auto element = [&](Value index) {
    Value x = at(head.in, index);
    if (head.mean)
      x = e.subf(x, head.mean);
    return head.norm ? e.mulf(e.mulf(x, head.factor), at(head.norm, index)) : x;
  };
  auto indexOf = [&](Value i) {
    Value one = rope.adjacent ? e.mul(i, 2) : i;
    return std::pair(one, e.add(one, rope.adjacent ? 1 : pairs));
  };
  overLanes(
      stage, 0, pairs,
      [&](Value i) {
        auto [one, other] = indexOf(i);
        return Values{element(one), element(other), at(rotations, i),
                      at(rotations, e.add(i, pairs))};
      },
      [&](Value i, ValueRange of) {
        auto [one, other] = indexOf(i);
        Value a = of[0], c = of[1], cos = of[2], sin = of[3];
        put(one, e.mulf(e.subf(e.mulf(a, cos), e.mulf(c, sin)), head.scale));
        put(other, e.mulf(e.addf(e.mulf(c, cos), e.mulf(a, sin)), head.scale));
      });
  overLanes(
      stage, 2 * pairs, rope.headDim,
      [&](Value i) { return Values{element(i)}; },
      [&](Value i, ValueRange of) { put(i, e.mulf(of[0], head.scale)); });
}

RowHeads::RowHeads(StageKernel &stage, llm::RopeAppendOp op,
                   const StateShape &shape, Value row)
    : start(stage.rowOf(op.getQkv(), row)),
      heads(columnsOf(op.getResult()) / shape.headDim), stage(stage),
      e(stage.e), op(op), shape(shape),
      rotations(stage.rowOf(op.getRotations(), row)),
      rope{shape.headDim, columnsOf(op.getRotations()) / 2, op.getAdjacent()} {}

/// Head `number` of the row, with the norm of `weight` if there is one; `first`
/// is the first head that it may go over, or that the weight is of.
Head RowHeads::normed(Value number, int64_t first, Value weight) {
  Head head;
  head.in = e.offset(start, e.mul(number, shape.headDim * 4));
  if (!weight)
    return head;
  auto type = cast<qz::QTensorType>(weight.getType());
  int64_t columns = type.getColumns();
  Value row = head.in;
  head.norm = stage.address(weight);
  if (type.getElements() != shape.headDim)
    head.norm =
        e.offset(head.norm, e.mul(e.add(number, -first), shape.headDim * 4));
  if (columns != shape.headDim)
    row = e.offset(start, first * shape.headDim * 4);
  RowNorm norm = emitRowNorm(stage, row, columns, op.getCentered(),
                             op.getEps().convertToFloat());
  head.factor = norm.factor;
  head.mean = norm.mean;
  return head;
}

void RowHeads::query(Value number, PutElement put) {
  Head head = normed(number, 0, op.getQueryNorm());
  head.scale = op.getScale().convertToFloat();
  emitRope(stage, rope, head, rotations, put);
}

void RowHeads::key(Value number, PutElement put) {
  emitRope(stage, rope, normed(e.add(number, heads), heads, op.getKeyNorm()),
           rotations, put);
}

void RowHeads::value(Value number, PutElement put) {
  // Values stand behind the keys, and may have another size.
  Value in = e.offset(start, (heads + shape.kvHeads) * shape.headDim * 4);
  in = e.offset(in, e.mul(number, shape.valueDim * 4));
  overLanes(
      stage, 0, shape.valueDim,
      [&](Value i) {
        return Values{
            e.load(e.f32(), e.offset(in, e.mul(i, 4)), llvm::Align(4))};
      },
      [&](Value i, ValueRange of) { put(i, of[0]); });
}
