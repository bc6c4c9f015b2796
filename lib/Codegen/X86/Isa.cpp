//===- Isa.cpp - Instructions that kernels ask for by name ----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Isa.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

int64_t Isa::tileRows(const RowUse &use) const {
  if (hasTiles && use.isBlock)
    return ActivationLayout::kBlock;
  bool wide = registers >= 32;
  int64_t most = wide ? 12 : 4;
  bool isFloat = use.kind == qz::Activations::F32;
  if (use.kind == qz::Activations::A16 || use.kind == qz::Activations::A8G16 ||
      (!isFloat && use.sumGroup < 32))
    most = wide ? 8 : 2;
  if (isFloat && !use.isPrompt)
    most = wide ? 4 : 2;
  return std::min(use.wanted, most);
}

SmallVector<int64_t> Isa::fewerRows(const ActivationLayout &layout) const {
  if (layout.isBlock && layout.isHalf())
    return {};
  if (layout.tile > 4)
    return {4};
  if (layout.tile > 2)
    return {1, 2};
  return {};
}

/// Rows of a tile of the fixed form: two integer sums and a product of pairs
/// for each leave registers for a line. Divides 264 too.
static constexpr int64_t kFixedTile = 8;

ActivationLayout Isa::activations(RowUse use, int64_t columns) const {
  use.kind = usable(use.kind);
  bool isEight =
      use.kind == qz::Activations::A8 || use.kind == qz::Activations::A8G16;
  if (dot == DotKind::Vnni && !(hasTiles && use.isBlock) && isEight &&
      use.isPrompt && use.mayBeFixed && use.wanted >= kFixedTile) {
    ActivationLayout other(use.kind, columns, use.sumGroup, kFixedTile);
    ActivationLayout fixed = other;
    fixed.isFixed = true;
    fixed.hasTerms = use.hasTerms;
    // The planned memory is that of the other form, which short rows need less
    // of.
    if (fixed.tileBytes() <= other.tileBytes())
      return fixed;
  }
  ActivationLayout layout(use.kind, columns, use.sumGroup, tileRows(use));
  // One or a few rows would wait for each multiply-add; the many of a prompt's
  // tile do not, and need the registers.
  if (layout.isFloat() && !use.isPrompt)
    layout.chains = 4;
  layout.isBlock = hasTiles && use.isBlock;
  return layout;
}

/// vpmaddubsw adds two products in 16 bits with saturation: codes above this
/// would reach it with activations down to -128.
static constexpr unsigned kMaxMaddubsCode = 127;

/// acc + sum of four products in each lane, weighted by `factor`.
static Value maddubs(Emitter &e, Value acc, Value codes, Value activations,
                     int64_t factor) {
  VectorType bytes = e.vec(32, e.i8()), words = e.vec(16, e.i16());
  Value pairs =
      e.call("llvm.x86.avx2.pmadd.ub.sw", words,
             {e.bitcast(codes, bytes), e.bitcast(activations, bytes)});
  Value sums = e.call("llvm.x86.avx2.pmadd.wd", acc.getType(),
                      {pairs, e.constant(words, factor)});
  return e.add(acc, sums);
}

Value Isa::dotProduct(Emitter &e, Value acc, Value codes, Value activations,
                      unsigned maxCode) const {
  if (dot == DotKind::Vnni) {
    VectorType bytes = e.vec(64, e.i8());
    return e.call(
        "llvm.x86.avx512.vpdpbusd.512", acc.getType(),
        {acc, e.bitcast(codes, bytes), e.bitcast(activations, bytes)});
  }
  if (maxCode <= kMaxMaddubsCode)
    return maddubs(e, acc, codes, activations, 1);
  // Wider codes as two nibbles, code = 16 * high + low.
  Value low = e.bitAnd(codes, 0x0f0f0f0f);
  Value high = e.bitAnd(e.shift(codes, -4), 0x0f0f0f0f);
  acc = maddubs(e, acc, low, activations, 1);
  return maddubs(e, acc, high, activations, 16);
}

Value Isa::pairProduct(Emitter &e, Value acc, Value a, Value x) const {
  VectorType words = e.vec(32, e.i16());
  return e.call("llvm.x86.avx512.vpdpwssd.512", acc.getType(),
                {acc, e.bitcast(a, words), e.bitcast(x, words)});
}

Value Isa::multiplyHigh(Emitter &e, Value a, Value x) const {
  VectorType words = e.vec(32, e.i16());
  Value product = e.call("llvm.x86.avx512.pmul.hr.sw.512", words,
                         {e.bitcast(a, words), e.bitcast(x, words)});
  return e.bitcast(product, a.getType());
}

Value Isa::wordPairs(Emitter &e, Value low, Value high, int shift) const {
  // A blend, since shuffles take turns with products (Zen 5: 8 of vpermt2w
  // lengthen 24 vpdpbusd from 12 to 13.7 cycles).
  int64_t count = cast<VectorType>(low.getType()).getNumElements();
  VectorType words = e.vec(2 * count, e.i16());
  SmallVector<bool> isHigh;
  for (int64_t i = 0; i < count; ++i)
    isHigh.append({false, true});
  Value mask = arith::ConstantOp::create(
      e.b, e.loc,
      DenseElementsAttr::get(e.vec(2 * count, e.b.getI1Type()),
                             ArrayRef<bool>(isHigh)));
  Value pairs = e.select(mask, e.bitcast(e.shift(high, 16 - shift), words),
                         e.bitcast(e.shift(low, -shift), words));
  return e.bitcast(pairs, low.getType());
}

static VectorType halfType(Emitter &e) { return e.vec(32, e.b.getBF16Type()); }

Value Isa::halves(Emitter &e, Value low, Value high) const {
  return e.call("llvm.x86.avx512bf16.cvtne2ps2bf16.512", halfType(e),
                {high, low});
}

Value Isa::halfPairs(Emitter &e, Value halves) const {
  SmallVector<int64_t> from;
  for (int64_t i = 0; i < 16; ++i)
    from.append({i, 16 + i});
  return vector::ShuffleOp::create(e.b, e.loc, halves, halves, from);
}

Value Isa::halfPairs(Emitter &e, Value first, Value second) const {
  return halfPairs(e, halves(e, first, second));
}

Value Isa::halfProduct(Emitter &e, Value acc, Value x, Value pointer,
                       int64_t bytes) const {
  Value pair = e.loadSplat(e.vec(16, e.i32()), pointer, bytes);
  return e.call("llvm.x86.avx512bf16.dpbf16ps.512", acc.getType(),
                {acc, x, e.bitcast(pair, halfType(e))});
}

/// Of all lanes, and whatever rounding the kernel runs with.
static Values allLanes(Emitter &e) {
  return {e.constant(e.i16(), -1), e.constant(e.i32(), 4)};
}

Value Isa::aboveWhole(Emitter &e, Value x) const {
  Values lanes = allLanes(e);
  constexpr int64_t down = 1;
  return e.call("llvm.x86.avx512.mask.reduce.ps.512", x.getType(),
                {x, e.constant(e.i32(), down), x, lanes[0], lanes[1]});
}

Value Isa::timesPowerOfTwo(Emitter &e, Value x, Value exponents) const {
  Values lanes = allLanes(e);
  return e.call("llvm.x86.avx512.mask.scalef.ps.512", x.getType(),
                {x, exponents, x, lanes[0], lanes[1]});
}

Value Isa::gate(Emitter &e, Value x, Value minusExponent) const {
  Type type = x.getType();
  auto number = [&](double value) { return e.constant(type, value); };
  // The upper bound is where the power plus one still has an inverse.
  auto bound = [&](Value t, arith::CmpFPredicate within, double limit) {
    Value isWithin =
        arith::CmpFOp::create(e.b, e.loc, within, t, number(limit));
    return e.select(isWithin, t, number(limit));
  };
  Value t = bound(minusExponent, arith::CmpFPredicate::OLT, 126 * 0.69314718);
  t = bound(t, arith::CmpFPredicate::OGT, -1000);
  // log2(e) in two parts, so that the rest is exact to the last bit of t.
  Value whole = e.unary("llvm.roundeven", e.mulf(t, 1.44269504));
  Value minusWhole = arith::NegFOp::create(e.b, e.loc, whole);
  Value rest = e.fma(t, number(1.44269502162933349609), minusWhole);
  rest = e.fma(t, number(1.92596299112661746e-8), rest);
  // 2^rest to 8e-8.
  Value power = number(1.327647199e-03);
  for (double c : {9.675541334e-03, 5.550713273e-02, 2.402211972e-01,
                   6.931469671e-01, 1.000000072})
    power = e.fma(power, rest, number(c));
  Value sum = e.addf(timesPowerOfTwo(e, power, whole), number(1));
  // An inverse of 14 bits, and one step of Newton's.
  Value inverse = e.call("llvm.x86.avx512.rcp14.ps.512", type,
                         {sum, number(0), e.constant(e.i16(), -1)});
  Value off = e.fma(arith::NegFOp::create(e.b, e.loc, sum), inverse, number(1));
  return e.mulf(x, e.fma(inverse, off, inverse));
}

Value Isa::coarseGate(Emitter &e, Value x, Value minusExponent) const {
  Type type = x.getType();
  auto number = [&](double value) { return e.constant(type, value); };
  Value t = e.mulf(minusExponent, 1.44269504), rest = aboveWhole(e, t);
  // 2^rest to 4e-6; what multiplies it by a power of two rounds t down too.
  Value power = number(1.35341679e-02);
  for (double c : {5.20114607e-02, 2.41442757e-01, 6.93003834e-01, 1.00000259})
    power = e.fma(power, rest, number(c));
  Value sum = e.addf(timesPowerOfTwo(e, power, t), number(1));
  Value inverse = e.call("llvm.x86.avx512.rcp14.ps.512", type,
                         {sum, number(0), e.constant(e.i16(), -1)});
  return e.mulf(x, inverse);
}

Value Isa::lookup(Emitter &e, ArrayRef<uint8_t> table, Value indices) const {
  // The shuffles look up within each 16 bytes, so the table is repeated.
  SmallVector<APInt> repeated;
  int64_t count = lanes * 4;
  for (int64_t i = 0; i < count; ++i)
    repeated.push_back(APInt(8, table[i % 16 % table.size()]));
  VectorType bytes = e.vec(count, e.i8());
  Value vector = arith::ConstantOp::create(
      e.b, e.loc, DenseElementsAttr::get(bytes, repeated));
  Value result = e.call(lanes == 16 ? "llvm.x86.avx512.pshuf.b.512"
                                    : "llvm.x86.avx2.pshuf.b",
                        bytes, {vector, e.bitcast(indices, bytes)});
  return e.bitcast(result, indices.getType());
}

Value Isa::lookup(Emitter &e, ArrayRef<float> table, Value indices) const {
  VectorType floats = e.vec(lanes, e.f32());
  // A register of the table: the shuffles take an index modulo its lanes.
  auto part = [&](int64_t first) {
    SmallVector<float> values;
    for (int64_t i = first; i < first + lanes; ++i)
      values.push_back(table[i % table.size()]);
    return Value(arith::ConstantOp::create(
        e.b, e.loc, DenseElementsAttr::get(floats, ArrayRef<float>(values))));
  };
  if (lanes == 16)
    return e.call("llvm.x86.avx512.permvar.sf.512", floats, {part(0), indices});
  auto permute = [&](int64_t first) {
    return e.call("llvm.x86.avx2.permps", floats, {part(first), indices});
  };
  Value low = permute(0);
  if (int64_t(table.size()) <= lanes)
    return low;
  // Bit 3 of the index, as the sign, chooses the half of the table.
  Value bit = e.shift(indices, 28);
  Value isHigh = e.cmp(arith::CmpIPredicate::slt, bit, e.zero(bit.getType()));
  return e.select(isHigh, permute(lanes), low);
}
