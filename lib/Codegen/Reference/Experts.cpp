//===- Experts.cpp - The loops of mixtures of experts ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Each function writes out the formula of the operation's description. Sums
// run over ascending indices, one f32 addition after the other.
//===----------------------------------------------------------------------===//

#include "Kernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace qcc;

/// Element `index` of rows, a number of an expert, as i64.
static Value loadNumber(Emitter &e, Value base, Value index) {
  return arith::FPToSIOp::create(e.builder, e.loc, e.builder.getI64Type(),
                                 e.loadF32(base, index));
}

void Kernel::emitRoute(llm::RouteOp op) {
  int64_t experts = widthOf(op.getLogits()), slots = op.getTopK();
  Value logits = pointerOf(op.getLogits()), to = pointerOf(op.getResult());
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  forRows([&](Value m) {
    Value row = e.mul(m, e.i64(experts)), out = e.mul(m, e.i64(2 * slots));
    auto logitAt = [&](Value i) { return e.loadF32(logits, e.add(row, i)); };
    auto expertAt = [&](Value s) { return loadNumber(e, to, e.add(out, s)); };
    auto compare = [&](arith::CmpFPredicate p, Value a, Value b) -> Value {
      return arith::CmpFOp::create(builder, e.loc, p, a, b);
    };
    // The largest logit below that of the slot before, or equal to it and of a
    // later expert.
    e.reduce(e.i64(0), e.i64(slots), {e.i64(-1), e.f32(kInfinity)},
             [&](Value s, ValueRange before) {
               SmallVector<Value> best = e.reduce(
                   e.i64(0), e.i64(experts), {e.i64(0), e.f32(-kInfinity)},
                   [&](Value i, ValueRange found) {
                     Value x = logitAt(i);
                     Value isLater = arith::CmpIOp::create(
                         builder, e.loc, arith::CmpIPredicate::sgt, i,
                         before[0]);
                     Value isNext = arith::OrIOp::create(
                         builder, e.loc,
                         compare(arith::CmpFPredicate::OLT, x, before[1]),
                         arith::AndIOp::create(
                             builder, e.loc, isLater,
                             compare(arith::CmpFPredicate::OEQ, x, before[1])));
                     Value isBetter = arith::AndIOp::create(
                         builder, e.loc, isNext,
                         compare(arith::CmpFPredicate::OGT, x, found[1]));
                     auto choose = [&](Value a, Value b) -> Value {
                       return arith::SelectOp::create(builder, e.loc, isBetter,
                                                      a, b);
                     };
                     return SmallVector<Value>{choose(i, found[0]),
                                               choose(x, found[1])};
                   });
               Value number = arith::SIToFPOp::create(
                   builder, e.loc, builder.getF32Type(), best[0]);
               e.storeF32(number, to, e.add(out, s));
               return best;
             });

    Value largest = logitAt(expertAt(e.i64(0)));
    auto power = [&](Value i) {
      return e.libm("expf", e.fsub(logitAt(i), largest));
    };
    Value total = e.reduce(
        e.i64(0), e.i64(op.getNormalize() ? slots : experts), e.f32(0),
        [&](Value i, Value sum) {
          return e.fadd(sum, power(op.getNormalize() ? expertAt(i) : i));
        });
    e.loop(slots, [&](Value s) {
      e.storeF32(e.fdiv(power(expertAt(s)), total), to,
                 e.add(out, e.add(s, e.i64(slots))));
    });
  });
}

void Kernel::emitExpertLinear(llm::ExpertLinearOp op) {
  ArrayRef<int64_t> shape = op.getWeight().getType().getShape();
  int64_t n = shape[1], k = shape[2], in = widthOf(op.getInput());
  int64_t slots = widthOf(op.getRouting()) / 2;
  Value x = pointerOf(op.getInput()), w = pointerOf(op.getWeight());
  Value routing = pointerOf(op.getRouting()), to = pointerOf(op.getResult());
  Value bias = op.getBias() ? pointerOf(op.getBias()) : Value();
  Value first = e.div(e.mul(thread, e.i64(n)), threads);
  Value last = e.div(e.mul(e.add(thread, e.i64(1)), e.i64(n)), threads);
  e.loop(e.i64(0), rows, e.i64(1), [&](Value m) {
    e.loop(slots, [&](Value s) {
      Value route = e.add(e.mul(m, e.i64(2 * slots)), s);
      Value matrix = e.mul(loadNumber(e, routing, route), e.i64(n));
      Value start = e.mul(m, e.i64(in));
      if (in != k)
        start = e.add(start, e.mul(s, e.i64(k)));
      Value input = e.element(x, start);
      Value out = e.mul(e.add(e.mul(m, e.i64(slots)), s), e.i64(n));
      e.loop(first, last, e.i64(1), [&](Value column) {
        Value row = e.add(matrix, column);
        Value weight = e.element(w, e.mul(row, e.i64(k)));
        Value sum =
            e.reduce(e.i64(0), e.i64(k), e.f32(0), [&](Value i, Value sum) {
              return e.fadd(sum,
                            e.fmul(e.loadF32(input, i), e.loadF32(weight, i)));
            });
        if (bias)
          sum = e.fadd(sum, e.loadF32(bias, row));
        e.storeF32(sum, to, e.add(out, column));
      });
    });
  });
}

void Kernel::emitCombine(llm::CombineOp op) {
  int64_t width = widthOf(op.getResult());
  int64_t slots = widthOf(op.getRouting()) / 2;
  Value from = pointerOf(op.getSlots()), routing = pointerOf(op.getRouting());
  Value to = pointerOf(op.getResult());
  auto optional = [&](Value value) { return value ? pointerOf(value) : value; };
  Value shared = optional(op.getShared()), gate = optional(op.getGate());
  Value residual = optional(op.getResidual());
  forRows([&](Value m) {
    Value start = e.mul(m, e.i64(width));
    Value share;
    if (gate) {
      Value x = e.fsub(e.f32(0), e.loadF32(gate, m));
      share = e.fdiv(e.f32(1), e.fadd(e.f32(1), e.libm("expf", x)));
    }
    e.loop(width, [&](Value i) {
      Value at = e.add(start, i);
      Value sum =
          e.reduce(e.i64(0), e.i64(slots), e.f32(0), [&](Value s, Value sum) {
            Value slot = e.add(e.mul(m, e.i64(slots)), s);
            Value weight = e.loadF32(routing, e.add(e.mul(m, e.i64(2 * slots)),
                                                    e.add(s, e.i64(slots))));
            Value x = e.loadF32(from, e.add(e.mul(slot, e.i64(width)), i));
            return e.fadd(sum, e.fmul(weight, x));
          });
      if (shared)
        sum = e.fadd(sum, e.fmul(share, e.loadF32(shared, at)));
      if (residual)
        sum = e.fadd(e.loadF32(residual, at), sum);
      e.storeF32(sum, to, at);
    });
  });
}
