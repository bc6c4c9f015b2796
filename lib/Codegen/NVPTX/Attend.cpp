//===- Attend.cpp - Attention over the state ------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "RowState.h"

#include "qcc/Codegen/Common/VectorMath.h"

#include <numeric>

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

/// The score of a position that is not visible, and the maximum before any
/// position was seen. Both are far below every score, and exp(kMasked - kNone)
/// is 0; no infinity appears.
static constexpr double kMasked = -1e30, kNone = -1e29;

namespace {
/// Attention of one query head by a block. Shared memory: the query, then for
/// each warp its output, its maximum and its sum.
class Attend {
public:
  Attend(StageKernel &stage, llm::AttendOp op, Type element)
      : stage(stage), e(stage.e), op(op),
        shape(op.getState().getType(), element),
        group(columnsOf(op.getQuery()) / shape.headDim / shape.kvHeads),
        row(e.blockIndex(gpu::Dimension::y)), head(stage.unit),
        state(stage, shape, op.getState(), row) {
    kvHead = e.udiv(head, group);
    first = e.c32(0);
    if (int64_t window = op.getWindow())
      first = e.maxS(e.add(state.position, 1 - window), first);
  }

  int64_t outputOffset() const { return shape.headDim * 4; }
  int64_t outputBytes() const { return (shape.valueDim + 2) * 4; }
  int64_t sharedBytes() const {
    return outputOffset() + kWarps * outputBytes();
  }

  void emit();

private:
  /// Elements of a value that one lane has.
  int64_t parts() const { return (shape.valueDim + kWarpSize - 1) / kWarpSize; }
  void loadQuery();
  Value score(Value page, Value inPage);
  /// (maximum, sum, output of the lane's elements...), which a tile changes.
  Values initialState();
  Values addTile(Value tile, ValueRange in);
  void addValues(Value page, Value base, Value weight, Value end,
                 Values &outputs);
  void join();
  Value outputOf(Value warp) {
    return e.offset(e.offset(stage.shared, outputOffset()),
                    e.mul(warp, outputBytes()));
  }

  StageKernel &stage;
  WarpEmitter &e;
  llm::AttendOp op;
  StateShape shape;
  int64_t group;
  Value row, head;
  RowState state;
  Value kvHead, first; ///< i32; the first position that the row sees.
};
} // namespace

void Attend::loadQuery() {
  Value in =
      e.offset(stage.rowOf(op.getQuery(), row), e.mul(head, shape.headDim * 4));
  e.loop(stage.thread, e.c32(shape.headDim), kThreads, [&](Value d) {
    Value at = e.mul(d, 4);
    e.store(e.load(e.f32(), e.offset(in, at), llvm::Align(4)),
            e.offset(stage.shared, at), llvm::Align(4));
  });
  e.blockBarrier();
}

/// The query times the key at `inPage`, which is another one for each lane.
Value Attend::score(Value page, Value inPage) {
  int64_t bytes = shape.elementBytes();
  // As many elements at once as rows are aligned to.
  int64_t wide = std::gcd<int64_t>(shape.headDim, 16 / bytes);
  Type type = e.vec(wide, shape.element);
  Value key = state.key(page, inPage);
  Values sum = e.loop(
      e.c32(0), e.c32(shape.headDim), e.c32(wide), {e.zero(e.f32())},
      [&](Value d, ValueRange in) {
        Value k = fromElement(e, e.load(type, e.offset(key, e.mul(d, bytes)),
                                        llvm::Align(uint64_t(wide * bytes))));
        Value query = e.offset(stage.shared, e.mul(d, 4));
        Value acc = in[0];
        for (int64_t i = 0; i < wide; ++i)
          acc = e.fma(e.extract(k, i),
                      e.load(e.f32(), query, i * 4, llvm::Align(4)), acc);
        return Values{acc};
      });
  if (double cap = op.getSoftcap().convertToFloat(); cap != 0)
    return emitSoftcap(e, sum[0], cap);
  return sum[0];
}

/// A sink is as a position seen before all others, whose value is 0. The first
/// warp sees it.
Values Attend::initialState() {
  Values result = {e.constant(e.f32(), kNone), e.zero(e.f32())};
  if (op.getSinks()) {
    Value sink =
        e.load(e.f32(), e.offset(stage.address(op.getSinks()), e.mul(head, 4)),
               llvm::Align(4));
    Value isFirst = e.cmp(arith::CmpIPredicate::eq, stage.warp, e.c32(0));
    result[0] = e.select(isFirst, sink, result[0]);
    result[1] = e.select(isFirst, e.constant(e.f32(), 1.0), result[1]);
  }
  result.append(size_t(parts()), e.zero(e.f32()));
  return result;
}

/// Adds weight * value of positions base to end of a page; `weight` is that of
/// the lane's position.
void Attend::addValues(Value page, Value base, Value weight, Value end,
                       Values &outputs) {
  int64_t bytes = shape.elementBytes();
  Value start = e.maxS(e.sub(first, base), e.c32(0));
  outputs = e.loop(start, end, e.c32(1), outputs, [&](Value j, ValueRange in) {
    Value p = e.shuffleIndex(weight, j);
    Value inPage = e.bitAnd(e.add(base, j), QCC_PAGE_TOKENS - 1);
    Value value = state.value(page, inPage);
    Values next;
    for (int64_t i = 0; i < parts(); ++i) {
      Value d = e.add(stage.lane, i * kWarpSize);
      // Lanes behind the last element read it again.
      if ((i + 1) * kWarpSize > shape.valueDim)
        d = e.minU(d, e.c32(shape.valueDim - 1));
      Value v =
          fromElement(e, e.load(shape.element, e.offset(value, e.mul(d, bytes)),
                                llvm::Align(uint64_t(bytes))));
      next.push_back(e.fma(v, p, in[size_t(i)]));
    }
    return next;
  });
}

/// Positions [32 * tile, 32 * tile + 32), of which at least one is visible.
Values Attend::addTile(Value tile, ValueRange in) {
  Value base = e.mul(tile, kWarpSize), position = e.add(base, stage.lane);
  Value page = state.page(base, kvHead);
  Value s = score(page, e.bitAnd(position, QCC_PAGE_TOKENS - 1));
  Value isVisible = arith::AndIOp::create(
      e.b, e.loc, e.cmp(arith::CmpIPredicate::sle, position, state.position),
      e.cmp(arith::CmpIPredicate::sge, position, first));
  s = e.select(isVisible, s, e.constant(e.f32(), kMasked));
  Value maximum = e.larger(in[0], e.warpMax(s));
  Value correction = emitExp(e, e.subf(in[0], maximum));
  Value p = emitExp(e, e.subf(s, maximum));
  Values result = {maximum, e.fma(in[1], correction, e.warpSum(p))};
  Values outputs;
  for (Value output : in.drop_front(2))
    outputs.push_back(e.mulf(output, correction));
  Value end = e.minS(e.add(e.sub(state.position, base), 1), e.c32(kWarpSize));
  addValues(page, base, p, end, outputs);
  result.append(outputs);
  return result;
}

/// Joins what the warps left in shared memory and writes the head's output.
void Attend::join() {
  auto at = [&](int64_t w, int64_t bytes) {
    return e.load(e.f32(), outputOf(e.c32(w)), bytes, llvm::Align(4));
  };
  int64_t maximumAt = shape.valueDim * 4, sumAt = maximumAt + 4;
  Value maximum, sum;
  for (int64_t w = 0; w < kWarps; ++w)
    maximum = maximum ? e.larger(maximum, at(w, maximumAt)) : at(w, maximumAt);
  Values factors;
  for (int64_t w = 0; w < kWarps; ++w) {
    factors.push_back(emitExp(e, e.subf(at(w, maximumAt), maximum)));
    Value part = e.mulf(at(w, sumAt), factors.back());
    sum = sum ? e.addf(sum, part) : part;
  }
  Value inverse = e.divf(e.constant(e.f32(), 1.0), sum);
  Value out = e.offset(stage.resultRow(row), e.mul(head, shape.valueDim * 4));
  e.loop(stage.thread, e.c32(shape.valueDim), kThreads, [&](Value d) {
    Value total;
    for (int64_t w = 0; w < kWarps; ++w) {
      Value part = e.load(e.f32(), e.offset(outputOf(e.c32(w)), e.mul(d, 4)),
                          llvm::Align(4));
      part = e.mulf(part, factors[size_t(w)]);
      total = total ? e.addf(total, part) : part;
    }
    e.store(e.mulf(total, inverse), e.offset(out, e.mul(d, 4)), llvm::Align(4));
  });
}

void Attend::emit() {
  loadQuery();
  Value lo = e.add(e.udiv(first, kWarpSize), stage.warp);
  Value hi = e.add(e.udiv(state.position, kWarpSize), 1);
  Values done =
      e.loop(lo, hi, e.c32(kWarps), initialState(),
             [&](Value tile, ValueRange in) { return addTile(tile, in); });
  Value own = outputOf(stage.warp);
  for (int64_t i = 0; i < parts(); ++i) {
    Value d = e.add(stage.lane, i * kWarpSize);
    e.ifThen(e.lessThan(d, e.c32(shape.valueDim)), [&] {
      e.store(done[size_t(2 + i)], e.offset(own, e.mul(d, 4)), llvm::Align(4));
    });
  }
  e.ifThen(stage.isFirstLane(), [&] {
    e.store(done[0], own, shape.valueDim * 4, llvm::Align(4));
    e.store(done[1], own, shape.valueDim * 4 + 4, llvm::Align(4));
  });
  e.blockBarrier();
  join();
}

void nvptx::emitAttend(StageKernel &stage, llm::AttendOp op, Type element) {
  Attend attend(stage, op, element);
  stage.kernel.units =
      unsigned(columnsOf(op.getQuery()) / op.getState().getType().getHeadDim());
  stage.kernel.sharedBytes = unsigned(attend.sharedBytes());
  attend.emit();
}
