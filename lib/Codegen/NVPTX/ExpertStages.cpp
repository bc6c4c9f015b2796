//===- ExpertStages.cpp - Kernels around the matmuls of experts -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "ExpertStages.h"

#include "qcc/Codegen/Common/VectorMath.h"
#include "RowStages.h"

#include <limits>

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

//===----------------------------------------------------------------------===//
// Routes
//===----------------------------------------------------------------------===//

namespace {
/// Makes a row of routes by one warp, whose lanes share the experts. Shared
/// memory: the expert of each slot (i32); where experts are chosen by other
/// numbers than their logits, those; with groups, the score of each, and what
/// is added to the choices of its experts.
class Router {
public:
  Router(StageKernel &stage, llm::RouteOp op)
      : stage(stage), e(stage.e), op(op), experts(columnsOf(op.getLogits())),
        slots(int64_t(op.getTopK())), groups(int64_t(op.getGroups())),
        row(e.blockIndex(gpu::Dimension::y)),
        logits(stage.rowOf(op.getLogits(), row)), picked(stage.shared),
        choices(e.offset(picked, arrayBytes(slots))),
        scores(e.offset(choices, arrayBytes(experts))),
        added(e.offset(scores, arrayBytes(groups))) {}

  int64_t sharedBytes() const {
    return arrayBytes(slots) + arrayBytes(experts) + 2 * arrayBytes(groups);
  }

  void emit() {
    bool hasChoices = op.getSigmoid() || groups > 1;
    if (hasChoices)
      makeChoices();
    if (groups > 1)
      limitGroups();
    forLargest(hasChoices ? choices : logits, experts, slots,
               [&](Value slot, Value expert) {
                 e.store(expert, e.offset(picked, e.mul(slot, 4)),
                         llvm::Align(4));
               });
    e.warpBarrier();
    weigh();
  }

private:
  /// LLVM may load four elements where three are asked for, and another lane
  /// may be writing to the next array then.
  static int64_t arrayBytes(int64_t count) { return (count + 3) / 4 * 16; }

  Value at(Value base, Value index) {
    return e.load(e.f32(), e.offset(base, e.mul(index, 4)), llvm::Align(4));
  }
  void put(Value x, Value base, Value index) {
    e.store(x, e.offset(base, e.mul(index, 4)), llvm::Align(4));
  }
  Value lowest() {
    return e.constant(e.f32(), -std::numeric_limits<float>::infinity());
  }
  Value compare(arith::CmpFPredicate p, Value a, Value x) {
    return arith::CmpFOp::create(e.b, e.loc, p, a, x);
  }
  Value both(Value a, Value x) {
    return arith::AndIOp::create(e.b, e.loc, a, x);
  }
  Value either(Value a, Value x) {
    return arith::OrIOp::create(e.b, e.loc, a, x);
  }
  /// `body` for each of `count`, which the lanes share.
  void forLanes(int64_t count, function_ref<void(Value)> body) {
    e.loop(stage.lane, e.c32(count), kWarpSize, body);
  }

  void makeChoices();
  void limitGroups();
  void weigh();
  Value sumOver(int64_t count, function_ref<Value(Value)> each);
  Value score(Value logit, Value largest);
  void forLargest(Value numbers, int64_t count, int64_t most,
                  function_ref<void(Value, Value)> use);
  std::pair<Value, Value> largestLeft(Value numbers, int64_t count,
                                      ValueRange before);

  StageKernel &stage;
  WarpEmitter &e;
  llm::RouteOp op;
  int64_t experts, slots, groups;
  Value row, logits, picked, choices, scores, added;
};
} // namespace

/// Choices are what experts are chosen by.
void Router::makeChoices() {
  forLanes(experts, [&](Value i) {
    Value x = at(logits, i);
    if (op.getSigmoid())
      x = emitSigmoid(e, x);
    if (op.getBias())
      x = e.addf(x, at(stage.address(op.getBias()), i));
    put(x, choices, i);
  });
  e.warpBarrier();
}

/// Leaves only experts of the best groups to be chosen. A group is scored by
/// one lane.
void Router::limitGroups() {
  const int64_t size = experts / groups;
  forLanes(groups, [&](Value g) {
    Value first = e.offset(choices, e.mul(g, size * 4));
    // The largest two.
    Values best =
        e.loop(e.c32(0), e.c32(size), e.c32(1), {lowest(), lowest()},
               [&](Value i, ValueRange in) {
                 Value x = at(first, i);
                 Value isFirst = compare(arith::CmpFPredicate::OGT, x, in[0]);
                 Value rest = e.select(isFirst, in[0], x);
                 return Values{e.larger(x, in[0]), e.larger(rest, in[1])};
               });
    put(op.getSigmoid() ? e.addf(best[0], best[1]) : best[0], scores, g);
    put(lowest(), added, g);
  });
  e.warpBarrier();
  forLargest(scores, groups, int64_t(op.getTopGroups()),
             [&](Value, Value group) { put(e.zero(e.f32()), added, group); });
  e.warpBarrier();
  // 0 leaves a choice as it is, the lowest number rules it out.
  forLanes(experts, [&](Value i) {
    put(e.addf(at(choices, i), at(added, e.udiv(i, size))), choices, i);
  });
  e.warpBarrier();
}

/// The largest number, and where it is, after the place and the number of
/// `before`: of equal ones the first.
std::pair<Value, Value> Router::largestLeft(Value numbers, int64_t count,
                                            ValueRange before) {
  Values best = e.loop(
      stage.lane, e.c32(count), e.c32(kWarpSize), {e.c32(count), lowest()},
      [&](Value i, ValueRange found) {
        Value x = at(numbers, i);
        Value isLater = both(compare(arith::CmpFPredicate::OEQ, x, before[1]),
                             e.cmp(arith::CmpIPredicate::sgt, i, before[0]));
        Value isLeft =
            either(compare(arith::CmpFPredicate::OLT, x, before[1]), isLater);
        Value isBetter =
            both(isLeft, compare(arith::CmpFPredicate::OGT, x, found[1]));
        return Values{e.select(isBetter, i, found[0]),
                      e.select(isBetter, x, found[1])};
      });
  for (int64_t mask = kWarpSize / 2; mask; mask /= 2) {
    Value i = e.shuffleXor(best[0], mask), x = e.shuffleXor(best[1], mask);
    Value isFirst = both(compare(arith::CmpFPredicate::OEQ, x, best[1]),
                         e.lessThan(i, best[0]));
    Value isBetter =
        either(compare(arith::CmpFPredicate::OGT, x, best[1]), isFirst);
    best = {e.select(isBetter, i, best[0]), e.select(isBetter, x, best[1])};
  }
  // None is left when numbers are not finite: some expert there is.
  Value isFound = e.lessThan(best[0], e.c32(count));
  return {e.select(isFound, best[0], e.c32(0)), best[1]};
}

/// use(i, index) by one lane with the i-th largest of `count` numbers, for
/// `most` of them.
void Router::forLargest(Value numbers, int64_t count, int64_t most,
                        function_ref<void(Value, Value)> use) {
  Value infinity = e.constant(e.f32(), std::numeric_limits<float>::infinity());
  e.loop(e.c32(0), e.c32(most), e.c32(1), {e.c32(-1), infinity},
         [&](Value place, ValueRange before) {
           auto [index, number] = largestLeft(numbers, count, before);
           e.ifThen(stage.isFirstLane(), [&] { use(place, index); });
           return Values{index, number};
         });
}

/// What an expert's weight is in proportion to.
Value Router::score(Value logit, Value largest) {
  return op.getSigmoid() ? emitSigmoid(e, logit)
                         : emitExp(e, e.subf(logit, largest));
}

Value Router::sumOver(int64_t count, function_ref<Value(Value)> each) {
  return e.warpSum(e.loop(stage.lane, e.c32(count), e.c32(kWarpSize),
                          {e.zero(e.f32())}, [&](Value i, ValueRange sum) {
                            return Values{e.addf(sum[0], each(i))};
                          })[0]);
}

void Router::weigh() {
  auto expertOf = [&](Value slot) {
    return e.load(e.i32(), e.offset(picked, e.mul(slot, 4)), llvm::Align(4));
  };
  // The first slot has the largest logit of those chosen; others are far from
  // overflow all the same, since a softmax has no bias.
  Value largest = op.getSigmoid() ? Value() : at(logits, expertOf(e.c32(0)));
  auto slotScore = [&](Value slot) {
    return score(at(logits, expertOf(slot)), largest);
  };
  Value total;
  if (op.getNormalize())
    total = sumOver(slots, slotScore);
  else if (!op.getSigmoid())
    total = sumOver(experts,
                    [&](Value i) { return score(at(logits, i), largest); });
  double scale = op.getScale().convertToFloat();
  Value out = stage.resultRow(row);
  forLanes(slots, [&](Value slot) {
    Value weight = slotScore(slot);
    if (total)
      weight = e.divf(weight, total);
    if (scale != 1)
      weight = e.mulf(weight, scale);
    put(e.intToFloat(expertOf(slot), e.f32()), out, slot);
    put(weight, out, e.add(slot, slots));
  });
}

void nvptx::emitRoute(StageKernel &stage, llm::RouteOp op) {
  Router router(stage, op);
  stage.kernel.sharedBytes = unsigned(router.sharedBytes());
  router.emit();
}

//===----------------------------------------------------------------------===//
// Sums
//===----------------------------------------------------------------------===//

void nvptx::emitCombine(StageKernel &stage, llm::CombineOp op) {
  WarpEmitter &e = stage.e;
  Value row = e.blockIndex(gpu::Dimension::y);
  int64_t columns = columnsOf(op.getResult()),
          count = columnsOf(op.getRouting()) / 2;
  auto rowOf = [&](Value rows) {
    return rows ? stage.rowOf(rows, row) : Value();
  };
  Value slots = rowOf(op.getSlots()), shared = rowOf(op.getShared()),
        residual = rowOf(op.getResidual()), gate = rowOf(op.getGate()),
        weights = e.offset(rowOf(op.getRouting()), count * 4),
        out = stage.resultRow(row);
  auto at = [&](Value base, Value index) {
    return e.load(e.f32(), e.offset(base, e.mul(index, 4)), llvm::Align(4));
  };
  Value share =
      gate ? emitSigmoid(e, e.load(e.f32(), gate, llvm::Align(4))) : Value();
  stage.kernel.units = blocksFor(columns);
  forItems(stage, columns, [&](Value k) {
    Value sum = e.loop(e.c32(0), e.c32(count), e.c32(1), {e.zero(e.f32())},
                       [&](Value s, ValueRange in) {
                         Value x = at(slots, e.add(e.mul(s, columns), k));
                         return Values{e.fma(at(weights, s), x, in[0])};
                       })[0];
    if (share)
      sum = e.fma(share, at(shared, k), sum);
    else if (shared)
      sum = e.addf(sum, at(shared, k));
    if (residual)
      sum = e.addf(at(residual, k), sum);
    e.store(sum, e.offset(out, e.mul(k, 4)), llvm::Align(4));
  });
}
