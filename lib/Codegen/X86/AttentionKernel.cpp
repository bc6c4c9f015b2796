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

void qcc::x86::appendKey(Emitter &e, const AttentionShape &shape, Value page,
                         Value head, Value position, Value key) {
  int64_t size = shape.elementBytes();
  Value place = e.urem(position, QCC_PAGE_TOKENS);
  Value base = e.offset(page, e.mul(head, shape.headBytes()));
  Value tile = e.offset(base, e.mul(e.udiv(place, 16), shape.tileBytes()));
  Value lane = e.offset(tile, e.mul(e.urem(place, 16), size));
  e.loop(e.c64(0), e.c64(shape.headDim), 1, [&](Value d) {
    Value x = e.load(e.f32(), e.offset(key, e.mul(d, 4)));
    e.store(toStateElement(e, x, shape.element),
            e.offset(lane, e.mul(d, 16 * size)));
  });
}

void qcc::x86::appendValue(Emitter &e, const Isa &isa,
                           const AttentionShape &shape, Value page, Value head,
                           Value position, Value value) {
  int64_t size = shape.elementBytes();
  Value base = e.offset(page, e.mul(head, shape.headBytes()));
  Value row =
      e.offset(e.offset(base, shape.valueOffset()),
               e.mul(e.urem(position, QCC_PAGE_TOKENS), shape.valueDim * size));
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
