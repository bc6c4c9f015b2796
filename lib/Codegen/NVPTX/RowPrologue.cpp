//===- RowPrologue.cpp - Rows of activations as f16 in shared memory ------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "RowPrologue.h"

#include "HalfRange.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

/// Four elements, times the norm's weights if there are any.
static Values weighted(WarpEmitter &e, Value x, Value norm) {
  if (norm)
    x = e.mulf(x, norm);
  Values elements;
  for (int64_t i = 0; i < 4; ++i)
    elements.push_back(e.extract(x, i));
  return elements;
}

namespace {
/// Runs of four elements of a row, which the threads of a block share. What is
/// loaded is loaded before any of it is used.
struct Quads {
  /// Numbers of some of them, one for each thread and turn; those that do not
  /// exist are others again.
  Values index, exists; ///< `exists` is null where all threads have one.
  Values x, norm;       ///< `norm` is empty without.
};
} // namespace

/// Emits `body` for all of the row; `sums` go round.
static Values forQuads(WarpEmitter &e, const MatmulPlan &plan,
                       const BlockContext &block, Value row, Values sums,
                       llvm::function_ref<Values(const Quads &, Values)> body) {
  constexpr int64_t kMostTurns = 4;
  const int64_t quads = plan.k / 4, threads = plan.threads(),
                turns = std::min(kMostTurns, (quads + threads - 1) / threads);
  VectorType type = e.vec(4, e.f32());
  auto load = [&](Value address, Value index) {
    return e.load(type, e.offset(address, e.mul(index, 16)), llvm::Align(16));
  };
  return e.loop(e.c32(0), e.c32(quads), e.c32(threads * turns), sums,
                [&](Value start, ValueRange before) {
                  Quads q;
                  for (int64_t turn = 0; turn < turns; ++turn) {
                    Value index =
                              e.add(e.add(start, turn * threads), block.thread),
                          is;
                    if (quads % (threads * turns)) {
                      is = e.lessThan(index, e.c32(quads));
                      index = e.minU(index, e.c32(quads - 1));
                    }
                    q.index.push_back(index);
                    q.exists.push_back(is);
                    q.x.push_back(load(row, index));
                    if (block.norm)
                      q.norm.push_back(load(block.norm, index));
                  }
                  return body(q, Values(before));
                });
}

/// Where a warp leaves the sum of squares and the largest magnitude of its part
/// of row `row`; the place of the partial sums is free until there are some.
static Value statisticsOf(WarpEmitter &e, const MatmulPlan &plan,
                          const BlockContext &block, Value row, Value warp) {
  Value at = e.mul(e.add(e.mul(row, plan.warps), warp), 8);
  return e.offset(e.offset(block.shared, MatmulPlan::partialOffset), at);
}

static void emitStatistics(WarpEmitter &e, const MatmulPlan &plan,
                           const BlockContext &block) {
  Value zero = e.zero(e.f32());
  e.loop(e.c32(0), block.valid, 1, [&](Value r) {
    Values found = forQuads(
        e, plan, block, block.inputRow(r), {zero, zero},
        [&](const Quads &q, Values sums) {
          Value squares = sums[0], largest = sums[1];
          for (size_t i = 0; i < q.x.size(); ++i) {
            Value norm = block.norm ? q.norm[i] : Value();
            for (Value x : weighted(e, q.x[i], norm))
              largest = e.larger(e.absf(x), largest);
            if (!norm)
              continue;
            Value own = squares;
            for (Value x : weighted(e, q.x[i], Value()))
              own = e.fma(x, x, own);
            squares = q.exists[i] ? e.select(q.exists[i], own, squares) : own;
          }
          return Values{squares, largest};
        });
    if (block.norm)
      found[0] = e.warpSum(found[0]);
    found[1] = e.warpMax(found[1]);
    Value first = e.cmp(arith::CmpIPredicate::eq, block.lane, e.c32(0));
    e.ifThen(first, [&] {
      Value at = statisticsOf(e, plan, block, r, block.warp);
      e.store(found[0], at, 0, llvm::Align(4));
      e.store(found[1], at, 4, llvm::Align(4));
    });
  });
}

/// Writes the factor and the scale of each row, a row for each warp. Parts are
/// added in the same order for every row.
static void emitRowFactors(WarpEmitter &e, const MatmulPlan &plan,
                           const BlockContext &block) {
  e.loop(block.warp, block.valid, plan.warps, [&](Value r) {
    Value part = e.minU(block.lane, e.c32(plan.warps - 1));
    Value at = statisticsOf(e, plan, block, r, part);
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
    Value first = e.cmp(arith::CmpIPredicate::eq, block.lane, e.c32(0));
    e.ifThen(first, [&] {
      Value to = e.offset(block.shared, e.mul(r, 4));
      e.store(factor, to, MatmulPlan::factorOffset, llvm::Align(4));
      e.store(scale, to, MatmulPlan::scaleOffset, llvm::Align(4));
    });
  });
}

/// Writes four elements, and what they add to the sum of their group.
static void emitQuad(WarpEmitter &e, const MatmulPlan &plan,
                     const BlockContext &block, Value row, Value quad,
                     Value exists, const Values &x) {
  auto ifExists = [&](Value also, llvm::function_ref<void()> body) {
    Value both = exists && also
                     ? arith::AndIOp::create(e.b, e.loc, exists, also)
                 : exists ? exists
                          : also;
    return both ? e.ifThen(both, body) : body();
  };
  Value even = e.packHalves(x[0], x[2]), odd = e.packHalves(x[1], x[3]);
  ifExists(Value(), [&] {
    Value pair = LLVM::PoisonOp::create(e.b, e.loc, e.vec(2, e.i32()));
    pair = vector::InsertOp::create(e.b, e.loc, even, pair, 0);
    pair = vector::InsertOp::create(e.b, e.loc, odd, pair, 1);
    e.store(pair, e.offset(row, e.mul(quad, 8)), llvm::Align(8));
  });
  if (!plan.needsSums)
    return;
  Value sum = e.zero(e.f32());
  for (Value halves : {even, odd})
    for (int64_t i = 0; i < 2; ++i)
      sum = e.addf(sum,
                   e.extf(e.extract(e.bitcast(halves, e.half2()), i), e.f32()));
  int64_t lanes = plan.sumGroup / 4;
  for (int64_t mask = lanes / 2; mask; mask /= 2)
    sum = e.addf(sum, e.shuffleXor(sum, mask));
  ifExists(e.cmp(arith::CmpIPredicate::eq, e.bitAnd(block.lane, lanes - 1),
                 e.c32(0)),
           [&] {
             e.store(sum,
                     e.offset(e.offset(row, plan.sumsOffset()),
                              e.mul(e.udiv(quad, lanes), 4)),
                     llvm::Align(4));
           });
}

/// Writes the rows and their sums; all threads share each row.
static void emitRows(WarpEmitter &e, const MatmulPlan &plan,
                     const BlockContext &block) {
  e.loop(e.c32(0), block.valid, 1, [&](Value r) {
    Value scale = e.load(
        e.f32(),
        e.offset(e.offset(block.shared, e.mul(r, 4)), MatmulPlan::scaleOffset),
        llvm::Align(4));
    Value out = e.offset(e.offset(block.shared, plan.rowsOffset()),
                         e.mul(r, plan.rowBytes));
    forQuads(
        e, plan, block, block.inputRow(r), {}, [&](const Quads &q, Values) {
          for (size_t i = 0; i < q.x.size(); ++i) {
            Values x = weighted(e, q.x[i], block.norm ? q.norm[i] : Value());
            for (Value &element : x)
              element = e.mulf(element, scale);
            emitQuad(e, plan, block, out, q.index[i], q.exists[i], x);
          }
          return Values();
        });
  });
}

void nvptx::emitRowPrologue(WarpEmitter &e, const MatmulPlan &plan,
                            const BlockContext &block) {
  emitStatistics(e, plan, block);
  e.blockBarrier();
  emitRowFactors(e, plan, block);
  e.blockBarrier();
  emitRows(e, plan, block);
  e.blockBarrier();
}
