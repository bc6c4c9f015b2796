//===- RowPrologue.cpp - Rows of activations as f16 -----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "RowPrologue.h"

#include "HalfRange.h"
#include "PanelCodes.h"

#include <algorithm>
#include <optional>

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

namespace {
/// One row of the block, as its threads share it.
class Row {
public:
  Row(WarpEmitter &e, const MatmulPlan &plan, const BlockContext &block,
      Value number)
      : e(e), plan(plan), block(block), number(number),
        in(block.inputRow(number)) {}

  /// Leaves the warp's part of what scaleOf() needs.
  void emitStatistics();
  /// The row's power of two; writes the factor. Every warp finds both.
  Value emitFactor();
  /// Writes the elements and their sums.
  void emitElements(Value scale);

private:
  /// Runs of four elements, one for each turn of the thread.
  struct Quads {
    Values index;
    Values exists;   ///< i1; null where every thread has one.
    Values x;        ///< Elements.
    Values weighted; ///< Times the norm's weights.
  };
  /// Registers for what is loaded before any of it is used. A row that fits is
  /// loaded once.
  static constexpr int64_t kRegisters = 32;
  int64_t quads() const { return plan.k / 4; }
  int64_t allTurns() const {
    return (quads() + plan.threads() - 1) / plan.threads();
  }
  int64_t turns() const {
    return std::min(allTurns(), kRegisters / (block.norm ? 8 : 4));
  }
  bool isKept() const { return turns() == allTurns(); }

  Quads load(Value start);
  /// Emits `body` for all quads; `sums` go round.
  Values forQuads(Values sums, function_ref<Values(const Quads &, Values)>);
  Value statisticsOf(Value warp);
  void emitQuad(Value quad, Value exists, Value weighted, Value scale);

  WarpEmitter &e;
  const MatmulPlan &plan;
  const BlockContext &block;
  Value number, in;
  std::optional<Quads> kept;
};
} // namespace

Row::Quads Row::load(Value start) {
  Quads q;
  VectorType type = e.vec(4, e.f32());
  auto at = [&](Value base, Value index) {
    return e.load(type, e.offset(base, e.mul(index, 16)), llvm::Align(16));
  };
  for (int64_t turn = 0; turn < turns(); ++turn) {
    Value index = e.add(e.add(start, turn * plan.threads()), block.thread), is;
    if (quads() % (plan.threads() * turns())) {
      is = e.lessThan(index, e.c32(quads()));
      index = e.minU(index, e.c32(quads() - 1));
    }
    q.index.push_back(index);
    q.exists.push_back(is);
    q.x.push_back(at(in, index));
    q.weighted.push_back(block.norm ? at(block.norm, index) : Value());
  }
  for (size_t i = 0; i < q.x.size(); ++i)
    q.weighted[i] = block.norm ? e.mulf(q.x[i], q.weighted[i]) : q.x[i];
  return q;
}

Values Row::forQuads(Values sums,
                     function_ref<Values(const Quads &, Values)> body) {
  if (isKept()) {
    if (!kept)
      kept = load(e.c32(0));
    return body(*kept, sums);
  }
  return e.loop(e.c32(0), e.c32(quads()), e.c32(plan.threads() * turns()), sums,
                [&](Value start, ValueRange before) {
                  return body(load(start), Values(before));
                });
}

/// Where a warp leaves its sum of squares and largest magnitude. The place of
/// the partial sums is free until there are some.
Value Row::statisticsOf(Value warp) {
  Value at = e.mul(e.add(e.mul(number, plan.warps), warp), 8);
  return e.offset(e.offset(block.shared, MatmulPlan::partialOffset), at);
}

void Row::emitStatistics() {
  Value zero = e.zero(e.f32());
  Values found = forQuads({zero, zero}, [&](const Quads &q, Values sums) {
    Value squares = sums[0], largest = sums[1];
    for (size_t i = 0; i < q.x.size(); ++i) {
      Value own = squares;
      for (int64_t j = 0; j < 4; ++j) {
        largest = e.larger(e.absf(e.extract(q.weighted[i], j)), largest);
        Value x = e.extract(q.x[i], j);
        if (block.norm)
          own = e.fma(x, x, own);
      }
      squares = q.exists[i] ? e.select(q.exists[i], own, squares) : own;
    }
    return Values{squares, largest};
  });
  if (block.norm)
    found[0] = e.warpSum(found[0]);
  found[1] = e.warpMax(found[1]);
  Value first = e.cmp(arith::CmpIPredicate::eq, block.lane, e.c32(0));
  e.ifThen(first, [&] {
    Value at = statisticsOf(block.warp);
    e.store(found[0], at, 0, llvm::Align(4));
    e.store(found[1], at, 4, llvm::Align(4));
  });
}

Value Row::emitFactor() {
  Value at = statisticsOf(e.minU(block.lane, e.c32(plan.warps - 1)));
  Value largest = e.warpMax(e.load(e.f32(), at, 4, llvm::Align(4)));
  auto [scale, factor] = halfRange(e, largest);
  if (block.norm) {
    Value squares =
        e.select(e.lessThan(block.lane, e.c32(plan.warps)),
                 e.load(e.f32(), at, llvm::Align(4)), e.zero(e.f32()));
    qz::QuantizeOp quantize = plan.quantize;
    float eps = quantize.getEps()->convertToFloat();
    Value mean = e.mulf(e.warpSum(squares), 1.0 / double(plan.k));
    Value root =
        e.unary("llvm.sqrt", e.addf(mean, e.constant(e.f32(), double(eps))));
    factor = e.mulf(factor, e.divf(e.constant(e.f32(), 1.0), root));
  }
  Value first = e.cmp(arith::CmpIPredicate::eq, block.thread, e.c32(0));
  e.ifThen(first, [&, factor = factor] {
    e.store(factor, e.offset(block.shared, e.mul(number, 4)),
            MatmulPlan::factorOffset, llvm::Align(4));
  });
  return scale;
}

/// Writes four elements, and what they add to the sum of their group.
void Row::emitQuad(Value quad, Value exists, Value weighted, Value scale) {
  auto ifExists = [&](Value also, function_ref<void()> body) {
    Value both = exists && also
                     ? arith::AndIOp::create(e.b, e.loc, exists, also)
                 : exists ? exists
                          : also;
    return both ? e.ifThen(both, body) : body();
  };
  // Threads are a multiple of 8: a thread has the same place in all chunks.
  Value unit = e.constant(e.f32(), PanelCodes::kBit);
  if (plan.hasSixteenths) {
    Value isUpper =
        e.cmp(arith::CmpIPredicate::ne, e.bitAnd(block.thread, 4), e.c32(0));
    scale = e.select(isUpper, e.mulf(scale, 1.0 / 16), scale);
    unit = e.select(isUpper, e.mulf(unit, 16.0), unit);
  }
  Values x;
  for (int64_t i = 0; i < 4; ++i)
    x.push_back(e.mulf(e.extract(weighted, i), scale));
  Value even = e.packHalves(x[0], x[2]), odd = e.packHalves(x[1], x[3]);
  ifExists(Value(), [&] {
    Value pair = LLVM::PoisonOp::create(e.b, e.loc, e.vec(2, e.i32()));
    pair = vector::InsertOp::create(e.b, e.loc, even, pair, 0);
    pair = vector::InsertOp::create(e.b, e.loc, odd, pair, 1);
    block.storeQuad(number, quad, pair);
  });
  if (!plan.needsSums)
    return;
  Value sum = e.zero(e.f32());
  for (Value halves : {even, odd})
    for (int64_t i = 0; i < 2; ++i)
      sum = e.addf(sum,
                   e.extf(e.extract(e.bitcast(halves, e.half2()), i), e.f32()));
  sum = e.mulf(sum, unit);
  int64_t lanes = plan.sumGroup / 4;
  for (int64_t mask = lanes / 2; mask; mask /= 2)
    sum = e.addf(sum, e.shuffleXor(sum, mask));
  ifExists(e.cmp(arith::CmpIPredicate::eq, e.bitAnd(block.lane, lanes - 1),
                 e.c32(0)),
           [&] { block.storeSum(number, e.udiv(quad, lanes), sum); });
}

void Row::emitElements(Value scale) {
  forQuads({}, [&](const Quads &q, Values) {
    for (size_t i = 0; i < q.x.size(); ++i)
      emitQuad(q.index[i], q.exists[i], q.weighted[i], scale);
    return Values();
  });
}

void nvptx::prefetchForRows(WarpEmitter &e, const MatmulPlan &plan,
                            const BlockContext &block) {
  if (!block.norm)
    return;
  // A token reads all weights, so that nothing is left of the norm's in the
  // cache since the last one.
  constexpr int64_t kLine = 128;
  const int64_t lines = (plan.k * 4 + kLine - 1) / kLine;
  e.loop(block.thread, e.c32(lines), plan.threads(), [&](Value line) {
    e.prefetch(e.offset(block.norm, e.mul(line, kLine)));
  });
}

void nvptx::emitRowPrologue(WarpEmitter &e, const MatmulPlan &plan,
                            const BlockContext &block) {
  e.loop(e.c32(0), block.valid, 1, [&](Value number) {
    Row row(e, plan, block, number);
    row.emitStatistics();
    e.blockBarrier();
    row.emitElements(row.emitFactor());
  });
}
