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

void Kernel::forLargest(int64_t count, int64_t most,
                        llvm::function_ref<Value(Value)> at,
                        llvm::function_ref<void(Value, Value)> use) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  auto compare = [&](arith::CmpFPredicate p, Value a, Value b) -> Value {
    return arith::CmpFOp::create(builder, e.loc, p, a, b);
  };
  // The largest number below the one before, or equal to it and later.
  e.reduce(e.i64(0), e.i64(most), {e.i64(-1), e.f32(kInfinity)},
           [&](Value place, ValueRange before) {
             SmallVector<Value> best = e.reduce(
                 e.i64(0), e.i64(count), {e.i64(0), e.f32(-kInfinity)},
                 [&](Value i, ValueRange found) {
                   Value x = at(i);
                   Value isLater = arith::CmpIOp::create(
                       builder, e.loc, arith::CmpIPredicate::sgt, i, before[0]);
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
                     return arith::SelectOp::create(builder, e.loc, isBetter, a,
                                                    b);
                   };
                   return SmallVector<Value>{choose(i, found[0]),
                                             choose(x, found[1])};
                 });
             use(place, best[0]);
             return best;
           });
}

void Kernel::emitRoute(llm::RouteOp op) {
  int64_t experts = widthOf(op.getLogits()), slots = op.getTopK();
  int64_t groups = op.getGroups(), size = experts / groups;
  bool isSigmoid = op.getSigmoid();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Value logits = pointerOf(op.getLogits()), to = pointerOf(op.getResult());
  Value bias = op.getBias() ? pointerOf(op.getBias()) : Value();
  // Of each expert what it is chosen by, of each group its score, and whether
  // it is out.
  Value choices = ownMemory, scores = e.element(choices, e.i64(experts));
  Value isOut = e.element(scores, e.i64(groups));
  auto sigmoid = [&](Value x) {
    Value power = e.libm("expf", e.fsub(e.f32(0), x));
    return e.fdiv(e.f32(1), e.fadd(e.f32(1), power));
  };
  auto choiceAt = [&](Value i) { return e.loadF32(choices, i); };
  forRows([&](Value m) {
    Value row = e.mul(m, e.i64(experts)), out = e.mul(m, e.i64(2 * slots));
    auto logitAt = [&](Value i) { return e.loadF32(logits, e.add(row, i)); };
    auto expertAt = [&](Value s) { return loadNumber(e, to, e.add(out, s)); };
    e.loop(experts, [&](Value i) {
      Value x = isSigmoid ? sigmoid(logitAt(i)) : logitAt(i);
      if (bias)
        x = e.fadd(x, e.loadF32(bias, i));
      e.storeF32(x, choices, i);
    });
    if (groups > 1) {
      e.loop(groups, [&](Value g) {
        Value first = e.mul(g, e.i64(size));
        e.storeF32(e.f32(0), scores, g);
        e.storeF32(e.f32(-kInfinity), isOut, g);
        forLargest(
            size, isSigmoid ? 2 : 1,
            [&](Value i) { return choiceAt(e.add(first, i)); },
            [&](Value, Value i) {
              e.storeF32(
                  e.fadd(e.loadF32(scores, g), choiceAt(e.add(first, i))),
                  scores, g);
            });
      });
      forLargest(
          groups, op.getTopGroups(),
          [&](Value g) { return e.loadF32(scores, g); },
          [&](Value, Value g) { e.storeF32(e.f32(0), isOut, g); });
      e.loop(experts, [&](Value i) {
        Value rest = e.loadF32(isOut, e.div(i, e.i64(size)));
        e.storeF32(e.fadd(choiceAt(i), rest), choices, i);
      });
    }
    forLargest(experts, slots, choiceAt, [&](Value s, Value i) {
      Value number =
          arith::SIToFPOp::create(builder, e.loc, builder.getF32Type(), i);
      e.storeF32(number, to, e.add(out, s));
    });

    Value largest = isSigmoid ? Value() : logitAt(expertAt(e.i64(0)));
    auto score = [&](Value i) {
      return isSigmoid ? sigmoid(logitAt(i))
                       : e.libm("expf", e.fsub(logitAt(i), largest));
    };
    bool isOverSlots = op.getNormalize();
    Value total = e.f32(1);
    if (isOverSlots || !isSigmoid)
      total =
          e.reduce(e.i64(0), e.i64(isOverSlots ? slots : experts), e.f32(0),
                   [&](Value i, Value sum) {
                     return e.fadd(sum, score(isOverSlots ? expertAt(i) : i));
                   });
    Value scale = e.f32(op.getScale().convertToFloat());
    e.loop(slots, [&](Value s) {
      Value weight = e.fmul(e.fdiv(score(expertAt(s)), total), scale);
      e.storeF32(weight, to, e.add(out, e.add(s, e.i64(slots))));
    });
  });
}

void Kernel::emitRouteAll(llm::RouteAllOp op) {
  int64_t slots = widthOf(op.getResult()) / 2;
  Value to = pointerOf(op.getResult());
  forRows([&](Value m) {
    Value out = e.mul(m, e.i64(2 * slots));
    e.loop(slots, [&](Value s) {
      Value number =
          arith::SIToFPOp::create(builder, e.loc, builder.getF32Type(), s);
      e.storeF32(number, to, e.add(out, s));
      e.storeF32(e.f32(1), to, e.add(out, e.add(s, e.i64(slots))));
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
      if (shared) {
        Value x = e.loadF32(shared, at);
        sum = e.fadd(sum, share ? e.fmul(share, x) : x);
      }
      if (residual)
        sum = e.fadd(e.loadF32(residual, at), sum);
      e.storeF32(sum, to, at);
    });
  });
}
