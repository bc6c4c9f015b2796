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

ActivationLayout Isa::activations(RowUse use, int64_t columns) const {
  use.kind = usable(use.kind);
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

Value Isa::timesPowerOfTwo(Emitter &e, Value x, Value exponents) const {
  Value all = e.constant(e.i16(), -1), currentRounding = e.constant(e.i32(), 4);
  return e.call("llvm.x86.avx512.mask.scalef.ps.512", x.getType(),
                {x, exponents, x, all, currentRounding});
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
