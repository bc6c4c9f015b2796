//===- StateRounding.cpp - What a state keeps of keys and values ----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Kernel.h"

#include "qcc/Formats/QuantizedState.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace qcc;

/// |x|, by its bits.
static Value magnitude(Emitter &e, Value x) {
  Value mask = arith::ConstantOp::create(
      e.builder, e.loc, e.builder.getI32IntegerAttr(0x7fffffff));
  Value bits =
      arith::BitcastOp::create(e.builder, e.loc, e.builder.getI32Type(), x);
  bits = arith::AndIOp::create(e.builder, e.loc, bits, mask);
  return arith::BitcastOp::create(e.builder, e.loc, e.builder.getF32Type(),
                                  bits);
}

/// The bf16 nearest to a positive x, ties to even.
static Value roundToBf16(Emitter &e, Value x) {
  OpBuilder &b = e.builder;
  auto i32 = [&](int32_t value) -> Value {
    return arith::ConstantOp::create(b, e.loc, b.getI32IntegerAttr(value));
  };
  Value bits = arith::BitcastOp::create(b, e.loc, b.getI32Type(), x);
  Value odd = arith::AndIOp::create(
      b, e.loc, arith::ShRUIOp::create(b, e.loc, bits, i32(16)), i32(1));
  bits = arith::AddIOp::create(b, e.loc, bits, odd);
  bits = arith::AddIOp::create(b, e.loc, bits, i32(0x7fff));
  bits = arith::AndIOp::create(b, e.loc, bits, i32(int32_t(0xffff0000)));
  return arith::BitcastOp::create(b, e.loc, b.getF32Type(), bits);
}

/// mixState() of the group at `first`.
static void mixGroup(Emitter &e, Value memory, Value first) {
  const int64_t group = kStateGroup;
  for (int64_t apart = 1; apart < group; apart *= 2)
    e.loop(group / 2, [&](Value i) {
      Value pairs = e.mul(e.div(i, e.i64(apart)), e.i64(apart));
      Value low = e.add(first, e.add(i, pairs)),
            high = e.add(low, e.i64(apart));
      Value a = e.loadF32(memory, low), b = e.loadF32(memory, high);
      e.storeF32(e.fadd(a, b), memory, low);
      e.storeF32(e.fsub(a, b), memory, high);
    });
  e.loop(group, [&](Value i) {
    Value at = e.add(first, i);
    e.storeF32(e.fmul(e.loadF32(memory, at), e.f32(kStateMix)), memory, at);
  });
}

/// Turns `size` elements from `first` on into code * scale.
static void roundGroup(Emitter &e, Value memory, Value first, int64_t size) {
  // Adding it leaves no bits for fractions: rounds to nearest, ties to even.
  constexpr float whole = 3 << 22;
  auto element = [&](Value i) { return e.loadF32(memory, e.add(first, i)); };
  Value peak = e.reduce(e.i64(0), e.i64(size), e.f32(kStatePeak),
                        [&](Value i, Value highest) {
                          return e.fmax(highest, magnitude(e, element(i)));
                        });
  Value scale = roundToBf16(e, e.fmul(peak, e.f32(1 / kStateCode)));
  Value inverse = e.fdiv(e.f32(1), scale);
  e.loop(size, [&](Value i) {
    Value code = e.fadd(e.fmul(element(i), inverse), e.f32(whole));
    code = e.fsub(code, e.f32(whole));
    e.storeF32(e.fmul(code, scale), memory, e.add(first, i));
  });
}

void Kernel::storeInState(Value rows, Value from, int64_t size, Value state,
                          Value to, bool isKey) {
  e.loop(size, [&](Value d) {
    e.storeF32(e.loadF32(rows, e.add(from, d)), state, e.add(to, d));
  });
  if (!set.quantizesState)
    return;
  const int64_t group = kStateGroup, rest = size % group;
  e.loop(e.i64(0), e.i64(size - rest), e.i64(group), [&](Value d) {
    Value first = e.add(to, d);
    // Unmixed again, for queries that are not mixed.
    if (isKey)
      mixGroup(e, state, first);
    roundGroup(e, state, first, group);
    if (isKey)
      mixGroup(e, state, first);
  });
  if (rest)
    roundGroup(e, state, e.add(to, e.i64(size - rest)), rest);
}
