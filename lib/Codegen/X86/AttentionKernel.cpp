//===- AttentionKernel.cpp - Rope, the KV cache and attention -------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "AttentionKernel.h"

#include "qcc-rt/qcc_abi.h"
#include "qcc/Codegen/Common/VectorMath.h"
#include "RowKernels.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

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
                        Value in, const HeadNorm &norm, Value rotations,
                        float scale, Value out) {
  VectorType type = e.vec(isa.lanes, e.f32());
  Value factor, center, weight = norm.weight;
  if (weight) {
    Value mean;
    if (norm.isCentered)
      mean = rowMean(e, isa, norm.row, norm.columns);
    if (mean)
      center = e.splat(mean, type);
    factor = e.splat(inverseRms(e, isa, norm.row, norm.columns, norm.eps, mean),
                     type);
  }
  auto normed = [&](Value x, Value w) {
    if (center)
      x = e.subf(x, center);
    return e.mulf(e.mulf(x, factor), w);
  };
  forRow(e, isa.lanes, shape.pairs, [&](Value k, int64_t valid) {
    auto [a, c] = loadPairs(e, isa, shape, in, k, valid);
    if (weight) {
      auto [wa, wc] = loadPairs(e, isa, shape, weight, k, valid);
      a = normed(a, wa);
      c = normed(c, wc);
    }
    Value at = e.offset(rotations, e.mul(k, 4));
    Value cos = loadPartial(e, isa.lanes, at, valid);
    Value sin = loadPartial(e, isa.lanes, e.offset(at, shape.pairs * 4), valid);
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
    if (weight)
      x = normed(x, loadPartial(e, isa.lanes, e.offset(weight, at), valid));
    storePartial(e, e.mulf(x, double(scale)), e.offset(out, at), valid);
  });
}

//===----------------------------------------------------------------------===//
// State
//===----------------------------------------------------------------------===//

Value qcc::x86::loadScales(Emitter &e, Value pointer) {
  return e.extf(e.load(e.vec(16, e.b.getBF16Type()), pointer), e.f32());
}

Value qcc::x86::loadKeys(Emitter &e, const AttentionShape &shape, Value tile,
                         Value d) {
  Value at = e.offset(tile, e.mul(d, 16 * shape.elementBytes()));
  Value keys = fromStateElement(e, e.load(e.vec(16, shape.element), at));
  if (!shape.isQuantized())
    return keys;
  Value scales =
      e.offset(tile, e.mul(e.udiv(d, kStateGroup), AttentionShape::kScaleLine));
  return e.mulf(keys, loadScales(e, e.offset(scales, shape.keyScalesOffset())));
}

Value qcc::x86::loadValue(Emitter &e, const AttentionShape &shape, Value values,
                          Value place, Value d, int64_t valid) {
  Value row = e.mul(place, shape.valueDim);
  Value at = e.offset(values, e.mul(e.add(row, d), shape.elementBytes()));
  Value value = fromStateElement(
      e, loadPartialOf(e, e.vec(16, shape.element), at, valid));
  if (!shape.isQuantized())
    return value;
  Value number = e.add(e.mul(e.udiv(d, kStateGroup), QCC_PAGE_TOKENS), place);
  Value scales = e.offset(values, shape.valueScalesOffset());
  VectorType type = e.vec(16, e.b.getBF16Type());
  Value scale = e.loadSplat(type, e.offset(scales, e.mul(number, 2)), 0);
  return e.mulf(value, e.extf(scale, e.f32()));
}

/// mixState() of a group, whose halves are `low` and `high`.
static Values mixGroup(Emitter &e, Value low, Value high) {
  VectorType type = e.vec(16, e.f32());
  Values x = {low, high};
  for (int64_t apart = 1; apart < 16; apart *= 2) {
    SmallVector<int64_t> from;
    SmallVector<float> signs;
    for (int64_t i = 0; i < 16; ++i) {
      from.push_back(i ^ apart);
      signs.push_back(i & apart ? -1 : 1);
    }
    Value sign = arith::ConstantOp::create(
        e.b, e.loc, DenseElementsAttr::get(type, ArrayRef<float>(signs)));
    for (Value &part : x)
      part = e.fma(part, sign,
                   vector::ShuffleOp::create(e.b, e.loc, part, part, from));
  }
  x = {e.addf(x[0], x[1]), e.subf(x[0], x[1])};
  for (Value &part : x)
    part = e.mulf(part, double(kStateMix));
  return x;
}

void qcc::x86::mixQuery(Emitter &e, const AttentionShape &shape, Value query) {
  const int64_t group = kStateGroup;
  if (!shape.isQuantized() || shape.headDim < group)
    return;
  VectorType type = e.vec(16, e.f32());
  Value end = e.c64(shape.headDim / group * group);
  e.loop(e.c64(0), end, group, [&](Value d) {
    Value low = e.offset(query, e.mul(d, 4)), high = e.offset(low, 64);
    Values mixed = mixGroup(e, e.load(type, low), e.load(type, high));
    e.store(mixed[0], low);
    e.store(mixed[1], high);
  });
}

/// Quantizes a row of `columns` elements as quantizeState() does, which for a
/// key are mixed before. `scaleAt` gives the place of the scale of a group
/// (i64); `put(d, codes, valid)` stores the i8 of elements from d on.
static void quantizeElements(Emitter &e, bool isKey, Value row, int64_t columns,
                             function_ref<Value(Value)> scaleAt,
                             function_ref<void(Value, Value, int64_t)> put) {
  VectorType type = e.vec(16, e.f32());
  forRow(e, kStateGroup, columns, [&](Value d, int64_t valid) {
    Value at = e.offset(row, e.mul(d, 4));
    Values x = {loadPartial(e, 16, at, std::min<int64_t>(valid, 16))};
    if (valid > 16)
      x.push_back(loadPartial(e, 16, e.offset(at, 64), valid - 16));
    if (isKey && valid == int64_t(kStateGroup))
      x = mixGroup(e, x[0], x[1]);
    Value largest = e.unary("llvm.fabs", x[0]);
    if (x.size() > 1)
      largest = e.maxf(largest, e.unary("llvm.fabs", x[1]));
    Value peak =
        e.maxf(e.reduceMax(largest), e.constant(e.f32(), double(kStatePeak)));
    Value scale =
        e.truncf(e.mulf(peak, double(1 / kStateCode)), e.b.getBF16Type());
    e.store(scale, scaleAt(e.udiv(d, kStateGroup)));
    Value inverse =
        e.splat(e.divf(e.constant(e.f32(), 1.0), e.extf(scale, e.f32())), type);
    for (auto [i, part] : llvm::enumerate(x)) {
      Value whole = e.unary("llvm.roundeven", e.mulf(part, inverse));
      Value codes = e.trunc(e.floatToInt(whole, e.i32()), e.i8());
      const int64_t first = int64_t(i) * 16;
      put(e.add(d, first), codes, std::min<int64_t>(valid - first, 16));
    }
  });
}

void qcc::x86::appendKey(Emitter &e, const AttentionShape &shape, Value page,
                         Value head, Value position, Value key) {
  int64_t size = shape.elementBytes();
  Value place = e.urem(position, QCC_PAGE_TOKENS);
  Value base = e.offset(page, e.mul(head, shape.headBytes()));
  Value tile = e.offset(base, e.mul(e.udiv(place, 16), shape.tileBytes()));
  Value lane = e.urem(place, 16);
  Value column = e.offset(tile, e.mul(lane, size));
  if (shape.isQuantized())
    return quantizeElements(
        e, /*isKey=*/true, key, shape.headDim,
        [&](Value group) {
          Value number = e.add(e.mul(group, 16), lane);
          return e.offset(e.offset(tile, shape.keyScalesOffset()),
                          e.mul(number, 2));
        },
        [&](Value d, Value codes, int64_t valid) {
          Value to = e.offset(column, e.mul(d, 16));
          for (int64_t i = 0; i < valid; ++i)
            e.store(e.extract(codes, i), to, 16 * i);
        });
  forRow(e, 16, shape.headDim, [&](Value d, int64_t valid) {
    Value x = loadPartial(e, 16, e.offset(key, e.mul(d, 4)), valid);
    Value elements = toStateElement(e, x, shape.element);
    Value to = e.offset(column, e.mul(d, 16 * size));
    for (int64_t i = 0; i < valid; ++i)
      e.store(e.extract(elements, i), to, 16 * i * size);
  });
}

void qcc::x86::appendValue(Emitter &e, const Isa &isa,
                           const AttentionShape &shape, Value page, Value head,
                           Value position, Value value) {
  int64_t size = shape.elementBytes();
  Value place = e.urem(position, QCC_PAGE_TOKENS);
  Value values = e.offset(e.offset(page, e.mul(head, shape.headBytes())),
                          shape.valueOffset());
  Value row = e.offset(values, e.mul(place, shape.valueDim * size));
  if (shape.isQuantized())
    return quantizeElements(
        e, /*isKey=*/false, value, shape.valueDim,
        [&](Value group) {
          Value number = e.add(e.mul(group, QCC_PAGE_TOKENS), place);
          return e.offset(e.offset(values, shape.valueScalesOffset()),
                          e.mul(number, 2));
        },
        [&](Value d, Value codes, int64_t valid) {
          storePartial(e, codes, e.offset(row, d), valid);
        });
  forRow(e, isa.lanes, shape.valueDim, [&](Value d, int64_t valid) {
    Value x = loadPartial(e, isa.lanes, e.offset(value, e.mul(d, 4)), valid);
    storePartial(e, toStateElement(e, x, shape.element),
                 e.offset(row, e.mul(d, size)), valid);
  });
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

Value qcc::x86::visiblePositions(Emitter &e, Value first, Value last,
                                 int64_t tile) {
  VectorType ints = e.vec(16, e.i32());
  SmallVector<int32_t> lanes;
  for (int32_t i = 0; i < 16; ++i)
    lanes.push_back(int32_t(16 * tile) + i);
  Value index = arith::ConstantOp::create(
      e.b, e.loc, DenseElementsAttr::get(ints, ArrayRef<int32_t>(lanes)));
  auto splat = [&](Value wide) {
    return e.splat(e.trunc(wide, e.i32()), ints);
  };
  return arith::AndIOp::create(
      e.b, e.loc, e.cmp(arith::CmpIPredicate::sle, index, splat(last)),
      e.cmp(arith::CmpIPredicate::sge, index, splat(first)));
}
