//===- RopeAppend.cpp - Norms and rotations of heads, and the state -------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "RowState.h"

#include "dialects/QZ/QZDialect.h"
#include "RowNorm.h"
#include "StateCodes.h"

#include <algorithm>
#include <utility>

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

namespace {
/// One head of a row as its warp sees it.
struct Head {
  Value in;           ///< Its f32.
  Value norm;         ///< Weights of its norm; null without one.
  Value factor, mean; ///< Of the norm; a null mean is 0.
  double scale = 1;   ///< What its elements are multiplied by in the end.
};

/// What of a head turns: elements [0, 2 pairs), the rest does not.
struct RopeShape {
  int64_t headDim, pairs;
  bool adjacent;
};
} // namespace

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

/// Norms, rotates and scales a head; `put(index, value)` stores an element.
static void emitRope(StageKernel &stage, const RopeShape &rope,
                     const Head &head, Value rotations,
                     function_ref<void(Value, Value)> put) {
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

/// Head `number` of a row, with the norm of `weight` if there is one; `first`
/// is the first head that it may go over, or that the weight is of.
static Head normedHead(StageKernel &stage, llm::RopeAppendOp op,
                       int64_t headDim, Value rowStart, Value number,
                       int64_t first, Value weight) {
  WarpEmitter &e = stage.e;
  Head head;
  head.in = e.offset(rowStart, e.mul(number, headDim * 4));
  if (!weight)
    return head;
  auto type = cast<qz::QTensorType>(weight.getType());
  int64_t columns = type.getColumns();
  Value row = head.in;
  head.norm = stage.address(weight);
  if (type.getElements() != headDim)
    head.norm = e.offset(head.norm, e.mul(e.add(number, -first), headDim * 4));
  if (columns != headDim)
    row = e.offset(rowStart, first * headDim * 4);
  RowNorm norm = emitRowNorm(stage, row, columns, op.getCentered(),
                             op.getEps().convertToFloat());
  head.factor = norm.factor;
  head.mean = norm.mean;
  return head;
}

namespace {
/// Where heads of a row go. A warp gives elements one by one; of quantized ones
/// it needs all, which it keeps in shared memory until then.
class HeadStore {
public:
  HeadStore(StageKernel &stage, const StateShape &shape)
      : stage(stage), e(stage.e), shape(shape) {
    if (shape.isQuantized())
      stage.kernel.sharedBytes =
          unsigned(std::max(shape.headDim, shape.valueDim) * 4);
  }

  /// Element `i` of a query, which goes to `out` as f32.
  void putQuery(Value out, Value i, Value x) {
    e.store(x, at(shape.isQuantized() ? stage.shared : out, i, 4),
            llvm::Align(4));
  }
  void finishQuery(Value out) {
    if (!shape.isQuantized())
      return;
    e.warpBarrier();
    mixQuery(stage, stage.shared, shape.headDim, out);
  }

  /// Element `i` of the key or the value at `to` in the state.
  void put(Value to, Value i, Value x) {
    if (shape.isQuantized())
      return e.store(x, at(stage.shared, i, 4), llvm::Align(4));
    int64_t bytes = shape.elementBytes();
    e.store(toElement(e, x, shape.element), at(to, i, bytes),
            llvm::Align(uint64_t(bytes)));
  }
  void finishKey(RowState &state, Value page, Value inPage) {
    if (!shape.isQuantized())
      return;
    e.warpBarrier();
    quantizeHead(stage, stage.shared, shape.headDim, /*isKey=*/true,
                 state.key(page, inPage), state.keyScales(page, inPage));
  }
  /// Of a value whose element 0 was put as element `first`. Its lanes have put
  /// what they read, or finishKey() has waited for them.
  void finishValue(RowState &state, Value page, Value inPage,
                   int64_t first = 0) {
    if (!shape.isQuantized())
      return;
    quantizeHead(stage, e.offset(stage.shared, first * 4), shape.valueDim,
                 /*isKey=*/false, state.value(page, inPage),
                 state.valueScales(page, inPage));
  }

private:
  Value at(Value base, Value i, int64_t bytes) {
    return e.offset(base, e.mul(i, bytes));
  }

  StageKernel &stage;
  WarpEmitter &e;
  const StateShape &shape;
};
} // namespace

void nvptx::emitRopeAppend(StageKernel &stage, llm::RopeAppendOp op,
                           Type element, const AttendPlan &plan) {
  WarpEmitter &e = stage.e;
  StateShape shape(op.getState().getType(), element);
  int64_t headDim = shape.headDim, heads = columnsOf(op.getResult()) / headDim,
          keyEnd = heads + shape.kvHeads;
  stage.kernel.units = unsigned(keyEnd + shape.kvHeads);
  Value row = e.blockIndex(gpu::Dimension::y), number = stage.unit;
  emitClearCounters(stage, plan, row);
  Value rowStart = stage.rowOf(op.getQkv(), row);
  Value rotations = stage.rowOf(op.getRotations(), row);
  RopeShape rope = {headDim, columnsOf(op.getRotations()) / 2,
                    op.getAdjacent()};
  HeadStore store(stage, shape);
  auto isAtLeast = [&](int64_t limit) {
    return e.cmp(arith::CmpIPredicate::sge, number, e.c32(limit));
  };
  e.ifThen(e.lessThan(number, e.c32(heads)), [&] {
    Head head =
        normedHead(stage, op, headDim, rowStart, number, 0, op.getQueryNorm());
    head.scale = op.getScale().convertToFloat();
    Value out = e.offset(stage.resultRow(row), e.mul(number, headDim * 4));
    emitRope(stage, rope, head, rotations,
             [&](Value i, Value x) { store.putQuery(out, i, x); });
    store.finishQuery(out);
  });
  e.ifThen(isAtLeast(heads), [&] {
    RowState state(stage, shape, op.getState(), row);
    Value inPage = e.bitAnd(state.position, QCC_PAGE_TOKENS - 1);
    e.ifThen(e.lessThan(number, e.c32(keyEnd)), [&] {
      Value page = state.page(state.position, e.add(number, -heads));
      Value to = state.key(page, inPage);
      Head head = normedHead(stage, op, headDim, rowStart, number, heads,
                             op.getKeyNorm());
      emitRope(stage, rope, head, rotations,
               [&](Value i, Value x) { store.put(to, i, x); });
      store.finishKey(state, page, inPage);
    });
    e.ifThen(isAtLeast(keyEnd), [&] {
      Value page = state.page(state.position, e.add(number, -keyEnd));
      Value to = state.value(page, inPage);
      // Values stand behind the keys, and may have another size.
      Value in = e.offset(rowStart, keyEnd * headDim * 4);
      in = e.offset(in, e.mul(e.add(number, -keyEnd), shape.valueDim * 4));
      overLanes(
          stage, 0, shape.valueDim,
          [&](Value i) {
            return Values{
                e.load(e.f32(), e.offset(in, e.mul(i, 4)), llvm::Align(4))};
          },
          [&](Value i, ValueRange of) { store.put(to, i, of[0]); });
      store.finishValue(state, page, inPage);
    });
  });
}

void nvptx::emitLatentAppend(StageKernel &stage, llm::LatentAppendOp op,
                             Type element, const AttendPlan &plan) {
  WarpEmitter &e = stage.e;
  StateShape shape(op.getState().getType(), element);
  const int64_t turned = columnsOf(op.getRotations()), latent = shape.valueDim,
                heads = columnsOf(op.getResult()) / shape.headDim;
  const RopeShape rope = {turned, turned / 2, op.getAdjacent()};
  HeadStore store(stage, shape);
  stage.kernel.units = unsigned(heads + 1);
  Value row = e.blockIndex(gpu::Dimension::y), number = stage.unit;
  emitClearCounters(stage, plan, row);
  Value rotations = stage.rowOf(op.getRotations(), row);
  auto at = [&](Value base, Value index) {
    return e.load(e.f32(), e.offset(base, e.mul(index, 4)), llvm::Align(4));
  };
  auto forLatent = [&](function_ref<void(Value)> body) {
    e.loop(stage.lane, e.c32(latent), kWarpSize, body);
  };
  e.ifThen(e.lessThan(number, e.c32(heads)), [&] {
    Head head;
    head.in =
        e.offset(stage.rowOf(op.getQuery(), row), e.mul(number, turned * 4));
    head.scale = op.getScale().convertToFloat();
    Value out =
        e.offset(stage.resultRow(row), e.mul(number, shape.headDim * 4));
    auto put = [&](Value i, Value x) { store.putQuery(out, i, x); };
    emitRope(stage, rope, head, rotations, put);
    Value in = e.offset(stage.rowOf(op.getLatentQuery(), row),
                        e.mul(number, latent * 4));
    forLatent(
        [&](Value i) { put(e.add(i, turned), e.mulf(at(in, i), head.scale)); });
    store.finishQuery(out);
  });
  // The key of all heads, and their value.
  e.ifThen(e.cmp(arith::CmpIPredicate::eq, number, e.c32(heads)), [&] {
    RowState state(stage, shape, op.getState(), row);
    Value inPage = e.bitAnd(state.position, QCC_PAGE_TOKENS - 1);
    Value page = state.page(state.position, e.c32(0));
    Value key = state.key(page, inPage), value = state.value(page, inPage);
    Head head;
    head.in = stage.rowOf(op.getKey(), row);
    emitRope(stage, rope, head, rotations,
             [&](Value i, Value x) { store.put(key, i, x); });
    Value in = e.offset(head.in, turned * 4),
          weight = stage.address(op.getNorm());
    RowNorm norm = emitRowNorm(stage, in, latent, /*isCentered=*/false,
                               op.getEps().convertToFloat());
    forLatent([&](Value i) {
      Value x = e.mulf(e.mulf(at(in, i), norm.factor), at(weight, i));
      store.put(key, e.add(i, turned), x);
      // A quantized value is made of what was put of the key.
      if (!shape.isQuantized())
        store.put(value, i, x);
    });
    store.finishKey(state, page, inPage);
    store.finishValue(state, page, inPage, turned);
  });
}
