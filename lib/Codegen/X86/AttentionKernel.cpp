//===- AttentionKernel.cpp - Rope, the KV cache and attention -------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "AttentionKernel.h"

#include "RowKernels.h"
#include "VectorMath.h"
#include "qcc-rt/qcc_abi.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

/// Below every score; exp(kMasked - anything) is 0 and no infinity appears.
static constexpr double kMasked = -1e30;
static_assert(QCC_PAGE_TOKENS == 64, "a page is four tiles of 16 positions");

void qcc::x86::rotationsRow(Emitter &e, Value position, Value frequencies,
                            int64_t count, float factor, Value out) {
  Value place = e.intToFloat(position, e.f32());
  e.loop(e.c64(0), e.c64(count), 1, [&](Value i) {
    Value at = e.mul(i, 4);
    Value angle = e.mulf(place, e.load(e.f32(), e.offset(frequencies, at)));
    auto [sin, cos] = emitSinCos(e, angle);
    Value to = e.offset(out, at);
    e.store(e.mulf(cos, double(factor)), to);
    e.store(e.mulf(sin, double(factor)), to, count * 4);
  });
}

//===----------------------------------------------------------------------===//
// Rope
//===----------------------------------------------------------------------===//

/// Elements of `valid` pairs starting at pair k: first and second of each.
static std::pair<Value, Value> loadPairs(Emitter &e, const Isa &isa,
                                         const RopeShape &shape, Value base,
                                         Value k, int64_t valid) {
  if (!shape.adjacent) {
    Value first = e.offset(base, e.mul(k, 4));
    return {loadPartial(e, isa.lanes, first, valid),
            loadPartial(e, isa.lanes, e.offset(first, shape.pairs * 4), valid)};
  }
  Value pointer = e.offset(base, e.mul(k, 8));
  Value both = loadPartial(e, 2 * isa.lanes, pointer, 2 * valid);
  auto split = vector::DeinterleaveOp::create(e.b, e.loc, both);
  return {split.getRes1(), split.getRes2()};
}

static void storePairs(Emitter &e, const RopeShape &shape, Value base, Value k,
                       int64_t valid, Value first, Value second) {
  if (!shape.adjacent) {
    Value pointer = e.offset(base, e.mul(k, 4));
    storePartial(e, first, pointer, valid);
    return storePartial(e, second, e.offset(pointer, shape.pairs * 4), valid);
  }
  Value both = vector::InterleaveOp::create(e.b, e.loc, first, second);
  storePartial(e, both, e.offset(base, e.mul(k, 8)), 2 * valid);
}

void qcc::x86::ropeHead(Emitter &e, const Isa &isa, const RopeShape &shape,
                        Value in, Value norm, float eps, Value rotations,
                        float scale, Value out) {
  VectorType type = e.vec(isa.lanes, e.f32());
  Value factor;
  if (norm)
    factor = e.splat(inverseRms(e, isa, in, shape.headDim, eps), type);
  forRow(e, isa.lanes, shape.pairs, [&](Value k, int64_t valid) {
    auto [a, c] = loadPairs(e, isa, shape, in, k, valid);
    if (norm) {
      auto [wa, wc] = loadPairs(e, isa, shape, norm, k, valid);
      a = e.mulf(e.mulf(a, factor), wa);
      c = e.mulf(e.mulf(c, factor), wc);
    }
    Value at = e.offset(rotations, e.mul(k, 4));
    Value cos = loadPartial(e, isa.lanes, at, valid);
    Value sin =
        loadPartial(e, isa.lanes, e.offset(at, shape.pairs * 4), valid);
    Value first = e.subf(e.mulf(a, cos), e.mulf(c, sin));
    Value second = e.addf(e.mulf(c, cos), e.mulf(a, sin));
    storePairs(e, shape, out, k, valid, e.mulf(first, double(scale)),
               e.mulf(second, double(scale)));
  });
  int64_t rest = shape.headDim - 2 * shape.pairs;
  if (!rest)
    return;
  forRow(e, isa.lanes, rest, [&](Value k, int64_t valid) {
    Value at = e.mul(e.add(k, 2 * shape.pairs), 4);
    Value x = loadPartial(e, isa.lanes, e.offset(in, at), valid);
    if (norm)
      x = e.mulf(e.mulf(x, factor),
                 loadPartial(e, isa.lanes, e.offset(norm, at), valid));
    storePartial(e, e.mulf(x, double(scale)), e.offset(out, at), valid);
  });
}

//===----------------------------------------------------------------------===//
// State
//===----------------------------------------------------------------------===//

static Value toElement(Emitter &e, Value f32, Type element) {
  return element.isF32() ? f32 : e.truncf(f32, element);
}
static Value fromElement(Emitter &e, Value value) {
  return getElementTypeOrSelf(value.getType()).isF32() ? value
                                                       : e.extf(value, e.f32());
}

void qcc::x86::appendKey(Emitter &e, const AttentionShape &shape, Value page,
                         Value head, Value position, Value key) {
  int64_t size = shape.elementBytes();
  Value place = e.urem(position, QCC_PAGE_TOKENS);
  Value base = e.offset(page, e.mul(head, shape.headBytes()));
  Value tile = e.offset(base, e.mul(e.udiv(place, 16), shape.tileBytes()));
  Value lane = e.offset(tile, e.mul(e.urem(place, 16), size));
  e.loop(e.c64(0), e.c64(shape.headDim), 1, [&](Value d) {
    Value x = e.load(e.f32(), e.offset(key, e.mul(d, 4)));
    e.store(toElement(e, x, shape.element),
            e.offset(lane, e.mul(d, 16 * size)));
  });
}

void qcc::x86::appendValue(Emitter &e, const Isa &isa,
                           const AttentionShape &shape, Value page, Value head,
                           Value position, Value value) {
  int64_t size = shape.elementBytes();
  Value base = e.offset(page, e.mul(head, shape.headBytes()));
  Value row = e.offset(
      e.offset(base, shape.valueOffset()),
      e.mul(e.urem(position, QCC_PAGE_TOKENS), shape.headDim * size));
  forRow(e, isa.lanes, shape.headDim, [&](Value d, int64_t valid) {
    Value x = loadPartial(e, isa.lanes, e.offset(value, e.mul(d, 4)), valid);
    storePartial(e, toElement(e, x, shape.element),
                 e.offset(row, e.mul(d, size)), valid);
  });
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// Query heads that are worked on together share each load of keys and values.
static int64_t headsTogether(const Isa &isa, const AttentionShape &shape) {
  return std::min<int64_t>(shape.group(), isa.lanes == 16 ? 8 : 4);
}

int64_t qcc::x86::attendScratchBytes(const Isa &isa,
                                     const AttentionShape &shape) {
  // Outputs and probabilities of the heads that are worked on together.
  int64_t stride = (shape.headDim + 15) / 16 * 16;
  return headsTogether(isa, shape) * (stride + 16) * 4;
}

namespace {
/// Attention of `count` query heads that share a KV head.
class HeadGroup {
public:
  HeadGroup(Emitter &e, const AttentionShape &shape, int64_t count, Value query,
            Value scratch)
      : e(e), shape(shape), count(count), query(query),
        stride((shape.headDim + 15) / 16 * 16), outputs(scratch),
        probabilities(e.offset(scratch, count * stride * 4)),
        vec(e.vec(16, e.f32())) {}

  void clear() {
    for (int64_t g = 0; g < count; ++g)
      e.loop(e.c64(0), e.c64(stride), 16, [&](Value d) {
        e.store(e.zero(vec), output(g, d));
      });
  }

  /// One tile of 16 positions from `base`; `state` is (max, sum) of each head.
  Values tile(Value keys, Value values, Value base, Value first, Value position,
              ValueRange state) {
    Values scores = multiplyKeys(keys);
    Value lanes = indices(base);
    Value visible = arith::AndIOp::create(
        e.b, e.loc,
        e.cmp(arith::CmpIPredicate::sle, lanes, splat32(position)),
        e.cmp(arith::CmpIPredicate::sge, lanes, splat32(first)));
    Values next, corrections;
    for (int64_t g = 0; g < count; ++g) {
      Value max = state[2 * g], sum = state[2 * g + 1];
      Value s = e.select(visible, scores[g], e.constant(vec, kMasked));
      Value newMax = e.maxf(max, e.reduceMax(s));
      Value correction = emitExp(e, e.subf(max, newMax));
      Value p = emitExp(e, e.subf(s, e.splat(newMax, vec)));
      e.store(p, probabilities, g * 64);
      next.push_back(newMax);
      next.push_back(e.fma(sum, correction, e.reduceAdd(p)));
      corrections.push_back(e.splat(correction, vec));
    }
    addValues(values, base, first, position, corrections);
    return next;
  }

  void finish(Value out, ValueRange state) {
    for (int64_t g = 0; g < count; ++g) {
      Value factor = e.splat(
          e.divf(e.constant(e.f32(), 1.0), state[2 * g + 1]), vec);
      forRow(e, 16, shape.headDim, [&](Value d, int64_t valid) {
        Value o = e.mulf(e.load(vec, output(g, d)), factor);
        Value to = e.offset(e.offset(out, g * shape.headDim * 4), e.mul(d, 4));
        storePartial(e, o, to, valid);
      });
    }
  }

private:
  Value output(int64_t g, Value d) {
    return e.offset(e.offset(outputs, g * stride * 4), e.mul(d, 4));
  }
  Value splat32(Value wide) {
    return e.splat(e.trunc(wide, e.i32()), e.vec(16, e.i32()));
  }
  Value indices(Value base) {
    SmallVector<int32_t> lanes;
    for (int32_t i = 0; i < 16; ++i)
      lanes.push_back(i);
    VectorType type = e.vec(16, e.i32());
    Value iota = arith::ConstantOp::create(
        e.b, e.loc, DenseElementsAttr::get(type, ArrayRef<int32_t>(lanes)));
    return e.add(splat32(base), iota);
  }

  Values multiplyKeys(Value keys) {
    Type stored = e.vec(16, shape.element);
    return e.loop(
        e.c64(0), e.c64(shape.headDim), e.c64(1), Values(count, e.zero(vec)),
        [&](Value d, ValueRange acc) {
          Value k = fromElement(
              e, e.load(stored, e.offset(keys, e.mul(d, 16 * shape.elementBytes()))));
          Value q = e.offset(query, e.mul(d, 4));
          Values next;
          for (int64_t g = 0; g < count; ++g)
            next.push_back(
                e.fma(k, e.loadSplat(vec, q, g * shape.headDim * 4), acc[g]));
          return next;
        });
  }

  /// outputs = outputs * correction + probabilities * values, only for visible
  /// positions: what lies at others may be anything.
  void addValues(Value values, Value base, Value first, Value position,
                 ValueRange corrections) {
    Value lo = e.maxS(e.sub(first, base), e.c64(0));
    Value hi = arith::MinSIOp::create(
        e.b, e.loc, e.add(e.sub(position, base), 1), e.c64(16));
    int64_t size = shape.elementBytes();
    forRow(e, 16, shape.headDim, [&](Value d, int64_t valid) {
      Values init;
      for (int64_t g = 0; g < count; ++g)
        init.push_back(e.mulf(e.load(vec, output(g, d)), corrections[g]));
      Values sums = e.loop(lo, hi, e.c64(1), init, [&](Value j, ValueRange acc) {
        Value row = e.offset(values, e.mul(j, shape.headDim * size));
        Value v = fromElement(
            e, loadPartialOf(e, e.vec(16, shape.element),
                             e.offset(row, e.mul(d, size)), valid));
        Value p = e.offset(probabilities, e.mul(j, 4));
        Values next;
        for (int64_t g = 0; g < count; ++g)
          next.push_back(e.fma(v, e.loadSplat(vec, p, g * 64), acc[g]));
        return next;
      });
      for (int64_t g = 0; g < count; ++g)
        e.store(sums[g], output(g, d));
    });
  }

  Emitter &e;
  const AttentionShape &shape;
  int64_t count;
  Value query;
  int64_t stride;
  Value outputs, probabilities;
  VectorType vec;
};
} // namespace

void qcc::x86::attendHead(Emitter &e, const Isa &isa,
                          const AttentionShape &shape, int64_t window,
                          Value query, Value state, Value pages, Value head,
                          Value position, Value scratch, Value out) {
  Value first = e.c64(0);
  if (window)
    first = e.maxS(e.add(position, 1 - window), e.c64(0));
  Value lo = e.udiv(first, 16), hi = e.add(e.udiv(position, 16), 1);
  int64_t together = headsTogether(isa, shape);
  for (int64_t g = 0; g < shape.group(); g += together) {
    int64_t count = std::min(together, shape.group() - g), skip = g * shape.headDim * 4;
    HeadGroup heads(e, shape, count, e.offset(query, skip), scratch);
    heads.clear();
    Values init;
    for (int64_t i = 0; i < count; ++i) {
      init.push_back(e.constant(e.f32(), kMasked));
      init.push_back(e.zero(e.f32()));
    }
    Values state2 = e.loop(lo, hi, e.c64(1), init, [&](Value t, ValueRange in) {
      Value number = e.load(e.i32(), e.offset(pages, e.mul(e.udiv(t, 4), 4)));
      Value page = e.offset(
          state, e.mul(e.zext(number, e.i64()), shape.pageBytes()));
      Value base = e.offset(page, e.mul(head, shape.headBytes()));
      Value inTile = e.mul(e.urem(t, 4), shape.tileBytes());
      Value keys = e.offset(base, inTile);
      Value values = e.offset(keys, shape.valueOffset());
      return heads.tile(keys, values, e.mul(t, 16), first, position, in);
    });
    heads.finish(e.offset(out, skip), state2);
  }
}
