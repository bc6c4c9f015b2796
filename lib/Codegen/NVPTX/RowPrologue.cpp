//===- RowPrologue.cpp - Rows of activations as f16 in shared memory ------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "RowPrologue.h"

#include "HalfRange.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

/// Four elements of a row, times the norm's weights if there are any.
static Values loadWeighted(WarpEmitter &e, Value row, Value norm, Value quad) {
  VectorType type = e.vec(4, e.f32());
  Value bytes = e.mul(quad, 16);
  Value x = e.load(type, e.offset(row, bytes), llvm::Align(16));
  if (norm)
    x = e.mulf(x, e.load(type, e.offset(norm, bytes), llvm::Align(16)));
  Values elements;
  for (int64_t i = 0; i < 4; ++i)
    elements.push_back(e.extract(x, i));
  return elements;
}

/// Sum of squares (with a norm) and the largest magnitude of a row, the same in
/// all lanes of the warp.
static std::pair<Value, Value> rowStatistics(WarpEmitter &e,
                                             const MatmulPlan &plan,
                                             const BlockContext &block,
                                             Value row) {
  Value zero = e.zero(e.f32());
  Values found = e.loop(block.lane, e.c32(plan.k / 4), e.c32(kWarpSize),
                        {zero, zero}, [&](Value quad, ValueRange sums) {
                          Value squares = sums[0], largest = sums[1];
                          for (Value x : loadWeighted(e, row, block.norm, quad))
                            largest = e.larger(e.absf(x), largest);
                          if (block.norm)
                            for (Value x : loadWeighted(e, row, Value(), quad))
                              squares = e.fma(x, x, squares);
                          return Values{squares, largest};
                        });
  for (int64_t mask = kWarpSize / 2; mask; mask /= 2) {
    if (block.norm)
      found[0] = e.addf(found[0], e.shuffleXor(found[0], mask));
    found[1] = e.larger(e.shuffleXor(found[1], mask), found[1]);
  }
  return {found[0], found[1]};
}

/// Writes the factor and the scale of each row, a row for each warp.
static void emitRowFactors(WarpEmitter &e, const MatmulPlan &plan,
                           const BlockContext &block) {
  e.loop(block.warp, block.valid, kWarps, [&](Value r) {
    Value row = block.inputRow(r);
    auto [squares, largest] = rowStatistics(e, plan, block, row);
    auto [scale, factor] = halfRange(e, largest);
    if (block.norm) {
      qz::QuantizeOp quantize = plan.quantize;
      float eps = quantize.getEps()->convertToFloat();
      Value mean = e.mulf(squares, 1.0 / double(plan.k));
      Value root =
          e.unary("llvm.sqrt", e.addf(mean, e.constant(e.f32(), double(eps))));
      factor = e.mulf(factor, e.divf(e.constant(e.f32(), 1.0), root));
    }
    Value first = e.cmp(arith::CmpIPredicate::eq, block.lane, e.c32(0));
    e.ifThen(first, [&] {
      Value at = e.offset(block.shared, e.mul(r, 4));
      e.store(factor, at, MatmulPlan::factorOffset, llvm::Align(4));
      e.store(scale, at, MatmulPlan::scaleOffset, llvm::Align(4));
    });
  });
}

/// Writes the rows and their sums; all threads share all rows.
static void emitRows(WarpEmitter &e, const MatmulPlan &plan,
                     const BlockContext &block) {
  int64_t quads = plan.k / 4;
  Value total = e.mul(block.valid, quads);
  // Every thread takes part in each turn, since sums need all lanes.
  e.loop(e.c32(0), total, kThreads, [&](Value start) {
    Value index = e.add(start, block.thread);
    Value active = e.lessThan(index, total);
    index = e.select(active, index, e.add(total, -1));
    Value r = e.udiv(index, quads);
    Value quad = e.sub(index, e.mul(r, quads));
    Value row = block.inputRow(r);
    Value scale = e.load(
        e.f32(),
        e.offset(e.offset(block.shared, e.mul(r, 4)), MatmulPlan::scaleOffset),
        llvm::Align(4));
    Values x = loadWeighted(e, row, block.norm, quad);
    for (Value &element : x)
      element = e.mulf(element, scale);
    Value even = e.packHalves(x[0], x[2]), odd = e.packHalves(x[1], x[3]);
    Value out = e.offset(e.offset(block.shared, plan.rowsOffset()),
                         e.mul(r, plan.rowBytes));
    e.ifThen(active, [&] {
      Value pair = LLVM::PoisonOp::create(e.b, e.loc, e.vec(2, e.i32()));
      pair = vector::InsertOp::create(e.b, e.loc, even, pair, 0);
      pair = vector::InsertOp::create(e.b, e.loc, odd, pair, 1);
      e.store(pair, e.offset(out, e.mul(quad, 8)), llvm::Align(8));
    });
    if (!plan.needsSums)
      return;
    Value sum = e.zero(e.f32());
    for (Value halves : {even, odd})
      for (int64_t i = 0; i < 2; ++i)
        sum = e.addf(
            sum, e.extf(e.extract(e.bitcast(halves, e.half2()), i), e.f32()));
    int64_t lanes = plan.sumGroup / 4;
    for (int64_t mask = lanes / 2; mask; mask /= 2)
      sum = e.addf(sum, e.shuffleXor(sum, mask));
    Value first = e.cmp(arith::CmpIPredicate::eq,
                        e.bitAnd(block.lane, lanes - 1), e.c32(0));
    first = arith::AndIOp::create(e.b, e.loc, first, active);
    e.ifThen(first, [&] {
      e.store(sum,
              e.offset(e.offset(out, plan.sumsOffset()),
                       e.mul(e.udiv(quad, lanes), 4)),
              llvm::Align(4));
    });
  });
}

void nvptx::emitRowPrologue(WarpEmitter &e, const MatmulPlan &plan,
                            const BlockContext &block) {
  emitRowFactors(e, plan, block);
  e.blockBarrier();
  emitRows(e, plan, block);
  e.blockBarrier();
}
