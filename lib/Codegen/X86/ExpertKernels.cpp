//===- ExpertKernels.cpp - Rows and the experts they chose ----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "ExpertKernels.h"

#include "qcc/Codegen/Common/VectorMath.h"
#include "RowKernels.h"

#include <limits>

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

static int64_t align64(int64_t bytes) { return (bytes + 63) / 64 * 64; }

DispatchLayout::DispatchLayout(const RouteShape &shape, int64_t tile)
    : tile(tile) {
  int64_t slots = shape.capacity * shape.slots;
  // Each active expert may leave all but one row of a tile empty.
  int64_t positions = slots + std::min(slots, shape.experts) * (tile - 1);
  cursorOffset = kActive + (shape.experts + 1) * kActiveBytes;
  placeOffset = cursorOffset + shape.experts * 4;
  slotOffset = placeOffset + slots * 4;
  bytes = align64(slotOffset + positions * 4);
}

Value qcc::x86::loadU32(Emitter &e, Value base, Value index) {
  return e.zext(e.load(e.i32(), e.offset(base, e.mul(index, 4))), e.i64());
}

static void storeU32(Emitter &e, Value value, Value base, int64_t offset = 0) {
  e.store(e.trunc(value, e.i32()), base, offset);
}

//===----------------------------------------------------------------------===//
// Routes
//===----------------------------------------------------------------------===//

namespace {
/// Makes a row of routes.
class Router {
public:
  Router(Emitter &e, const RouteShape &shape, const RouteKind &kind,
         Value logits, Value out)
      : e(e), shape(shape), kind(kind), logits(logits), out(out) {}

  /// Choices are what experts are chosen by: `bias` may be null.
  void makeChoices(Value bias, Value choices) {
    e.loop(e.c64(0), e.c64(shape.experts), 1, [&](Value i) {
      Value x = at(logits, i);
      if (kind.sigmoid)
        x = emitSigmoid(e, x);
      if (bias)
        x = e.addf(x, at(bias, i));
      e.store(x, e.offset(choices, e.mul(i, 4)));
    });
  }

  /// Leaves only experts of the best groups to be chosen.
  void limitGroups(Value choices, Value scores, Value chosen) {
    const int64_t size = shape.experts / kind.groups;
    e.loop(e.c64(0), e.c64(kind.groups), 1, [&](Value g) {
      Value first = e.offset(choices, e.mul(g, size * 4));
      // The largest two.
      Values best =
          e.loop(e.c64(0), e.c64(size), e.c64(1), {lowest(), lowest()},
                 [&](Value i, ValueRange in) {
                   Value x = at(first, i);
                   Value isFirst = compare(arith::CmpFPredicate::OGT, x, in[0]);
                   Value rest = e.select(isFirst, in[0], x);
                   return Values{e.maxf(x, in[0]), e.maxf(rest, in[1])};
                 });
      Value score = kind.sigmoid ? e.addf(best[0], best[1]) : best[0];
      e.store(score, e.offset(scores, e.mul(g, 4)));
      e.store(lowest(), e.offset(chosen, e.mul(g, 4)));
    });
    forLargest(scores, kind.groups, kind.topGroups, [&](Value, Value group) {
      e.store(e.zero(e.f32()), e.offset(chosen, e.mul(group, 4)));
    });
    // Added: 0 leaves a choice as it is, the lowest number rules it out.
    e.loop(e.c64(0), e.c64(shape.experts), 1, [&](Value i) {
      Value to = e.offset(choices, e.mul(i, 4));
      e.store(e.addf(e.load(e.f32(), to), at(chosen, e.udiv(i, size))), to);
    });
  }

  void choose(Value choices) {
    forLargest(choices, shape.experts, shape.slots, [&](Value slot, Value i) {
      e.store(e.intToFloat(i, e.f32()), e.offset(out, e.mul(slot, 4)));
    });
  }

  void weigh() {
    auto expertAt = [&](Value slot) {
      return e.floatToInt(at(out, slot), e.i64());
    };
    // The first slot has the largest logit.
    Value largest = kind.sigmoid ? Value() : at(logits, expertAt(e.c64(0)));
    auto score = [&](Value index) {
      Value x = at(logits, index);
      return kind.sigmoid ? emitSigmoid(e, x) : emitExp(e, e.subf(x, largest));
    };
    auto sumOver = [&](int64_t count, function_ref<Value(Value)> indexOf) {
      return e.loop(e.c64(0), e.c64(count), e.c64(1), e.zero(e.f32()),
                    [&](Value i, ValueRange sum) {
                      return Values{e.addf(sum[0], score(indexOf(i)))};
                    })[0];
    };
    Value total;
    if (kind.normalize)
      total = sumOver(shape.slots, expertAt);
    else if (!kind.sigmoid)
      total = sumOver(shape.experts, [](Value i) { return i; });
    e.loop(e.c64(0), e.c64(shape.slots), 1, [&](Value slot) {
      Value weight = score(expertAt(slot));
      if (total)
        weight = e.divf(weight, total);
      if (kind.scale != 1)
        weight = e.mulf(weight, kind.scale);
      e.store(weight, e.offset(out, e.mul(e.add(slot, shape.slots), 4)));
    });
  }

private:
  Value at(Value base, Value index) {
    return e.load(e.f32(), e.offset(base, e.mul(index, 4)));
  }
  Value lowest() {
    return e.constant(e.f32(), -std::numeric_limits<float>::infinity());
  }
  Value compare(arith::CmpFPredicate p, Value a, Value x) {
    return arith::CmpFOp::create(e.b, e.loc, p, a, x);
  }

  /// Calls use(i, index) with the i-th largest of `count` numbers, for `most`
  /// of them. Each is the largest after the one before; of equal ones the first
  /// that comes after it.
  void forLargest(Value numbers, int64_t count, int64_t most,
                  function_ref<void(Value, Value)> use) {
    Value infinity =
        e.constant(e.f32(), std::numeric_limits<float>::infinity());
    e.loop(e.c64(0), e.c64(most), e.c64(1), {e.c64(-1), infinity},
           [&](Value place, ValueRange before) {
             Values best =
                 e.loop(e.c64(0), e.c64(count), e.c64(1), {e.c64(0), lowest()},
                        [&](Value i, ValueRange found) {
                          Value x = at(numbers, i);
                          Value isEqual = arith::AndIOp::create(
                              e.b, e.loc,
                              compare(arith::CmpFPredicate::OEQ, x, before[1]),
                              e.cmp(arith::CmpIPredicate::sgt, i, before[0]));
                          Value isLeft = arith::OrIOp::create(
                              e.b, e.loc,
                              compare(arith::CmpFPredicate::OLT, x, before[1]),
                              isEqual);
                          Value isBetter = arith::AndIOp::create(
                              e.b, e.loc, isLeft,
                              compare(arith::CmpFPredicate::OGT, x, found[1]));
                          return Values{e.select(isBetter, i, found[0]),
                                        e.select(isBetter, x, found[1])};
                        });
             use(place, best[0]);
             return best;
           });
  }

  Emitter &e;
  const RouteShape &shape;
  const RouteKind &kind;
  Value logits, out;
};
} // namespace

/// Whether experts are chosen by other numbers than the logits.
static bool hasChoices(const RouteKind &kind) {
  return kind.sigmoid || kind.groups > 1;
}

int64_t qcc::x86::routeScratchBytes(const RouteShape &shape,
                                    const RouteKind &kind) {
  return hasChoices(kind) ? align64((shape.experts + 2 * kind.groups) * 4) : 0;
}

void qcc::x86::routeRow(Emitter &e, const RouteShape &shape,
                        const RouteKind &kind, Value logits, Value bias,
                        Value scratch, Value out) {
  Router router(e, shape, kind, logits, out);
  Value choices = logits;
  if (hasChoices(kind)) {
    choices = scratch;
    router.makeChoices(bias, choices);
    Value scores = e.offset(scratch, shape.experts * 4);
    if (kind.groups > 1)
      router.limitGroups(choices, scores, e.offset(scores, kind.groups * 4));
  }
  router.choose(choices);
  router.weigh();
}

void qcc::x86::emitDispatch(Emitter &e, const RouteShape &shape,
                            const DispatchLayout &layout, Value routes,
                            Value rows, Value dispatch) {
  Value zero = e.c64(0), one = e.c64(1), experts = e.c64(shape.experts);
  Value cursors = e.offset(dispatch, layout.cursorOffset);
  auto cursorAt = [&](Value expert) {
    return e.offset(cursors, e.mul(expert, 4));
  };
  // Calls body(slot, address of its expert's cursor, cursor) for each slot.
  auto forSlots = [&](function_ref<void(Value, Value, Value)> body) {
    e.loop(zero, rows, 1, [&](Value row) {
      Value route = e.offset(routes, e.mul(row, shape.stride));
      e.loop(zero, e.c64(shape.slots), 1, [&](Value s) {
        Value number = e.load(e.f32(), e.offset(route, e.mul(s, 4)));
        Value at = cursorAt(e.floatToInt(number, e.i64()));
        body(e.add(e.mul(row, shape.slots), s), at,
             e.zext(e.load(e.i32(), at), e.i64()));
      });
    });
  };

  e.loop(zero, experts, 1,
         [&](Value i) { e.store(e.zero(e.i32()), cursorAt(i)); });
  forSlots(
      [&](Value, Value at, Value count) { storeU32(e, e.add(count, 1), at); });
  // Cursors turn from counts into first positions.
  Values ends = e.loop(
      zero, experts, one, {zero, zero}, [&](Value expert, ValueRange in) {
        Value at = cursorAt(expert);
        Value count = e.zext(e.load(e.i32(), at), e.i64());
        Value first = e.mul(in[1], layout.tile);
        Value entry =
            e.offset(dispatch, e.add(e.mul(in[0], DispatchLayout::kActiveBytes),
                                     DispatchLayout::kActive));
        storeU32(e, expert, entry, DispatchLayout::kExpert);
        storeU32(e, first, entry, DispatchLayout::kFirst);
        storeU32(e, count, entry, DispatchLayout::kCount);
        storeU32(e, in[1], entry, DispatchLayout::kTilesBefore);
        storeU32(e, first, at);
        Value tiles = e.udiv(e.add(count, layout.tile - 1), layout.tile);
        Value isActive = e.cmp(arith::CmpIPredicate::ne, count, zero);
        return Values{e.add(in[0], e.zext(isActive, e.i64())),
                      e.add(in[1], tiles)};
      });
  storeU32(e, ends[0], dispatch, DispatchLayout::kActiveCount);
  storeU32(e, ends[1], dispatch, DispatchLayout::kTileCount);
  Value places = e.offset(dispatch, layout.placeOffset);
  Value slots = e.offset(dispatch, layout.slotOffset);
  forSlots([&](Value slot, Value at, Value position) {
    storeU32(e, position, e.offset(places, e.mul(slot, 4)));
    storeU32(e, slot, e.offset(slots, e.mul(position, 4)));
    storeU32(e, e.add(position, 1), at);
  });
}

//===----------------------------------------------------------------------===//
// Sums
//===----------------------------------------------------------------------===//

void qcc::x86::combineRow(Emitter &e, const Isa &isa, const RouteShape &shape,
                          Value slots, Value route, Value shared, Value gate,
                          Value residual, Value out, int64_t columns) {
  VectorType type = e.vec(isa.lanes, e.f32());
  Value share;
  if (gate)
    share = e.splat(emitSigmoid(e, e.load(e.f32(), gate)), type);
  forRow(e, isa.lanes, columns, [&](Value k, int64_t valid) {
    auto loadAt = [&](Value base) {
      return loadPartial(e, isa.lanes, e.offset(base, e.mul(k, 4)), valid);
    };
    Value sum =
        e.loop(e.c64(0), e.c64(shape.slots), e.c64(1), e.zero(type),
               [&](Value s, ValueRange in) {
                 Value weight = e.loadSplat(type, e.offset(route, e.mul(s, 4)),
                                            shape.slots * 4);
                 Value x = loadAt(e.offset(slots, e.mul(s, columns * 4)));
                 return Values{e.fma(weight, x, in[0])};
               })[0];
    if (share)
      sum = e.fma(share, loadAt(shared), sum);
    else if (shared)
      sum = e.addf(sum, loadAt(shared));
    if (residual)
      sum = e.addf(loadAt(residual), sum);
    storePartial(e, sum, e.offset(out, e.mul(k, 4)), valid);
  });
}
