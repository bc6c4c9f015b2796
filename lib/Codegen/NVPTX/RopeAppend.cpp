//===- RopeAppend.cpp - Norms and rotations of heads, and the state -------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "RowHeads.h"
#include "RowNorm.h"
#include "RowState.h"
#include "StateCodes.h"

#include <algorithm>

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

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
  void put(RowState &state, Value to, Value i, Value x) {
    if (shape.isQuantized())
      return e.store(x, at(stage.shared, i, 4), llvm::Align(4));
    state.put(to, i, x);
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
                           Type element) {
  WarpEmitter &e = stage.e;
  StateShape shape(op.getState().getType(), element);
  Value row = e.blockIndex(gpu::Dimension::y), number = stage.unit;
  RowHeads made(stage, op, shape, row);
  const int64_t headDim = shape.headDim, heads = made.heads,
                keyEnd = heads + shape.kvHeads;
  stage.kernel.units = unsigned(keyEnd + shape.kvHeads);
  HeadStore store(stage, shape);
  auto isAtLeast = [&](int64_t limit) {
    return e.cmp(arith::CmpIPredicate::sge, number, e.c32(limit));
  };
  e.ifThen(e.lessThan(number, e.c32(heads)), [&] {
    Value out = e.offset(stage.resultRow(row), e.mul(number, headDim * 4));
    made.query(number, [&](Value i, Value x) { store.putQuery(out, i, x); });
    store.finishQuery(out);
  });
  e.ifThen(isAtLeast(heads), [&] {
    RowState state(stage, shape, op.getState(), row);
    Value inPage = e.bitAnd(state.position, QCC_PAGE_TOKENS - 1);
    e.ifThen(e.lessThan(number, e.c32(keyEnd)), [&] {
      Value head = e.add(number, -heads);
      Value page = state.page(state.position, head);
      Value to = state.key(page, inPage);
      made.key(head, [&](Value i, Value x) { store.put(state, to, i, x); });
      store.finishKey(state, page, inPage);
    });
    e.ifThen(isAtLeast(keyEnd), [&] {
      Value head = e.add(number, -keyEnd);
      Value page = state.page(state.position, head);
      Value to = state.value(page, inPage);
      made.value(head, [&](Value i, Value x) { store.put(state, to, i, x); });
      store.finishValue(state, page, inPage);
    });
  });
}

void nvptx::emitLatentAppend(StageKernel &stage, llm::LatentAppendOp op,
                             Type element) {
  WarpEmitter &e = stage.e;
  StateShape shape(op.getState().getType(), element);
  const int64_t turned = columnsOf(op.getRotations()), latent = shape.valueDim,
                heads = columnsOf(op.getResult()) / shape.headDim;
  const RopeShape rope = {turned, turned / 2, op.getAdjacent()};
  HeadStore store(stage, shape);
  stage.kernel.units = unsigned(heads + 1);
  Value row = e.blockIndex(gpu::Dimension::y), number = stage.unit;
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
             [&](Value i, Value x) { store.put(state, key, i, x); });
    Value in = e.offset(head.in, turned * 4),
          weight = stage.address(op.getNorm());
    RowNorm norm = emitRowNorm(stage, in, latent, /*isCentered=*/false,
                               op.getEps().convertToFloat());
    forLatent([&](Value i) {
      Value x = e.mulf(e.mulf(at(in, i), norm.factor), at(weight, i));
      store.put(state, key, e.add(i, turned), x);
      // A quantized value is made of what was put of the key.
      if (!shape.isQuantized())
        store.put(state, value, i, x);
    });
    store.finishKey(state, page, inPage);
    store.finishValue(state, page, inPage, turned);
  });
}
