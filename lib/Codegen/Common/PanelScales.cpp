//===- PanelScales.cpp - Scales and minima of a packed panel --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/Common/PanelScales.h"

#include <cmath>

using namespace mlir;
using namespace qcc;
using namespace qcc::codegen;

Value ScaleReader::scalars(ScalarType type, Value base, Value lane,
                           Type result) {
  auto vector = dyn_cast<VectorType>(result);
  auto typed = [&](Type element) -> Type {
    return vector ? Type(VectorType::get(vector.getShape(), element)) : element;
  };
  Value pointer = e.offset(base, e.mul(lane, scalarBytes(type)));
  switch (type) {
  case ScalarType::F32:
    return e.load(typed(e.f32()), pointer, llvm::Align(4));
  case ScalarType::F16:
    return e.extf(e.load(typed(e.f16()), pointer, llvm::Align(2)), e.f32());
  case ScalarType::BF16: {
    Value bits =
        e.zext(e.load(typed(e.i16()), pointer, llvm::Align(2)), e.i32());
    return e.bitcast(e.shift(bits, 16), result);
  }
  case ScalarType::E8M0: {
    // 2^(bits - 127); the two ends (0 and 255) are 2^-127 and NaN.
    Value bits = e.zext(e.load(typed(e.i8()), pointer), e.i32());
    Value normal = e.shift(bits, 23);
    Value isZero =
        e.cmp(arith::CmpIPredicate::eq, bits, e.zero(bits.getType()));
    Value isNan =
        e.cmp(arith::CmpIPredicate::eq, bits, e.constant(bits.getType(), 255));
    normal = e.select(isZero, e.constant(bits.getType(), 0x00400000), normal);
    normal = e.select(isNan, e.constant(bits.getType(), 0x7fc00000), normal);
    return e.bitcast(normal, result);
  }
  case ScalarType::U8:
    return e.uintToFloat(e.zext(e.load(typed(e.i8()), pointer), e.i32()),
                         e.f32());
  case ScalarType::UE4M3: {
    // As an f16 of the same bits it is 2^-8 of the value, subnormals too.
    Value bits = e.zext(e.load(typed(e.i8()), pointer), e.i32());
    Value half = e.trunc(e.shift(e.bitAnd(bits, 0x7f), 7), e.i16());
    Value value =
        e.mulf(e.extf(e.bitcast(half, typed(e.f16())), e.f32()), 256.0);
    Value isZero =
        e.cmp(arith::CmpIPredicate::eq, bits, e.constant(bits.getType(), 0x7f));
    return e.select(isZero, e.zero(value.getType()), value);
  }
  case ScalarType::None:
    break;
  }
  return Value();
}

Value ScaleReader::bytes(Value base, Value lane, Type type) {
  auto vector = dyn_cast<VectorType>(type);
  Type bytes =
      vector ? Type(VectorType::get(vector.getShape(), e.i8())) : e.i8();
  return e.load(bytes, e.offset(base, lane));
}

Value ScaleReader::halves(Value base, Value lane, Type type) {
  constexpr int64_t kHalf = PackedLayout::kRows / 2;
  auto vector = dyn_cast<VectorType>(type);
  Value result;
  if (vector && vector.getNumElements() > kHalf) {
    Value low = e.zext(e.load(e.vec(kHalf, e.i8()), base), e.i32());
    SmallVector<int64_t> rows = llvm::to_vector(llvm::seq(2 * kHalf));
    result = vector::ShuffleOp::create(e.b, e.loc, low, e.shift(low, -4), rows);
  } else {
    result = e.zext(bytes(base, e.urem(lane, kHalf), type), e.i32());
    Value by = e.mul(e.udiv(lane, kHalf), 4);
    if (by.getType() != e.i32())
      by = e.trunc(by, e.i32());
    if (vector)
      by = e.splat(by, cast<VectorType>(result.getType()));
    result = arith::ShRUIOp::create(e.b, e.loc, result, by);
  }
  return e.bitAnd(result, 15);
}

Value ScaleReader::broadcast(Value scalar, Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return vector ? e.splat(scalar, vector) : scalar;
}

Value ScaleReader::factor(Value at, Value lane, Type type) {
  if (encoding.commonScale) {
    Value scale = scalars(encoding.scale, at, e.c64(0), e.f32());
    if (encoding.scaleExponent)
      scale = e.mulf(scale, std::ldexp(1.0, encoding.scaleExponent));
    return broadcast(scale, type);
  }
  if (encoding.scale == ScalarType::E8M0 && encoding.scaleExponent) {
    // The sum of the exponents, since the largest alone is no f32. Below 1 it
    // is a subnormal number.
    Value exponent = e.add(e.zext(bytes(at, lane, type), e.i32()),
                           int64_t(encoding.scaleExponent));
    Type ints = exponent.getType();
    Value zero = e.constant(ints, 0), one = e.constant(ints, 1);
    Value isNormal = e.cmp(arith::CmpIPredicate::sgt, exponent, zero);
    Value places = e.maxS(e.sub(one, exponent), zero);
    Value small = arith::ShRUIOp::create(e.b, e.loc,
                                         e.constant(ints, 0x00800000), places);
    return e.bitcast(e.select(isNormal, e.shift(exponent, 23), small), type);
  }
  Value scale = scalars(encoding.scale, at, lane, type);
  return encoding.scaleExponent
             ? e.mulf(scale, std::ldexp(1.0, encoding.scaleExponent))
             : scale;
}

Value ScaleReader::termOf(Value base, Value factor, Value lane, Type type) {
  Value min =
      scalars(encoding.min, e.offset(base, layout.minOffset), lane, type);
  return encoding.scaledMin
             ? arith::NegFOp::create(e.b, e.loc, e.mulf(factor, min))
             : min;
}

PanelScales ScaleReader::scales(Value base, Value lane, Type type) {
  PanelScales result;
  result.factor = factor(e.offset(base, layout.scaleOffset), lane, type);
  if (encoding.splitScale) {
    Value at = e.offset(base, layout.splitOffset);
    result.split = e.zext(bytes(at, lane, type), e.i32());
    result.secondFactor =
        factor(e.offset(base, layout.secondScaleOffset), lane, type);
  }
  if (encoding.hasMin())
    result.min = termOf(base, result.factor, lane, type);
  if (encoding.hasOffset()) {
    Value at = e.offset(base, layout.offsetOffset);
    result.offset =
        broadcast(scalars(encoding.offset, at, e.c64(0), e.f32()), type);
  }
  return result;
}

PanelScales ScaleReader::unit(Value unit, Value lane, Type type) {
  PanelScales result;
  if (layout.scaleInUnit)
    result = scales(unit, lane, type);
  if (encoding.hasZeros()) {
    Value at = e.offset(unit, layout.zeroOffset);
    result.zero = layout.zeroHalved ? halves(at, lane, type)
                                    : e.zext(bytes(at, lane, type), e.i32());
  }
  if (layout.subInUnit)
    result.subs = e.offset(unit, layout.subOffset);
  return result;
}

PanelScales ScaleReader::selectHalf(PanelScales unit, Value index) {
  Type ints = unit.split.getType();
  Value group = e.zero(ints);
  if (index) {
    group = e.udiv(index, int64_t(encoding.group / PackedLayout::kChunk));
    if (group.getType() != e.i32())
      group = e.trunc(group, e.i32());
    if (auto vector = dyn_cast<VectorType>(ints))
      group = e.splat(group, vector);
  }
  Value isFirst = e.cmp(arith::CmpIPredicate::ult, group, unit.split);
  unit.factor = e.select(isFirst, unit.factor, unit.secondFactor);
  return unit;
}

PanelScales ScaleReader::chunk(PanelScales unit, Value index, Value lane,
                               Type type) {
  if (unit.split)
    unit = selectHalf(unit, index);
  if (layout.subInUnit) {
    Value subs = unit.subs;
    int64_t groups = layout.unitK / encoding.group,
            chunks = encoding.group / PackedLayout::kChunk;
    if (index && groups > 1)
      subs = e.offset(
          subs, e.mul(e.udiv(index, chunks), int64_t(layout.groupStride)));
    return withSub(unit, subs, lane, type);
  }
  if (!encoding.hasZeros())
    return unit;
  if (layout.zeroShift) {
    Type type = unit.zero.getType();
    if (index) {
      Value shift = e.mul(index, int64_t(layout.zeroShift));
      if (shift.getType() != e.i32())
        shift = e.trunc(shift, e.i32());
      if (auto vector = dyn_cast<VectorType>(type))
        shift = e.splat(shift, vector);
      unit.zero = arith::ShRUIOp::create(e.b, e.loc, unit.zero, shift);
    }
    unit.zero = e.bitAnd(unit.zero, (1 << layout.zeroShift) - 1);
  }
  unit.zero = e.add(unit.zero, int64_t(encoding.zero));
  return unit;
}

PanelScales ScaleReader::group(const PanelScales &unit, Value chunk,
                               int64_t group, Value lane, Type type) {
  Value record = e.offset(chunk, group * layout.groupStride);
  PanelScales result = unit;
  if (!layout.scaleInUnit) {
    result = scales(record, lane, type);
    result.zero = unit.zero;
  }
  if (encoding.isTwoLevel() && !layout.subInUnit)
    return withSub(result, e.offset(record, layout.subOffset), lane, type);
  return result;
}

PanelScales ScaleReader::withSub(const PanelScales &unit, Value record,
                                 Value lane, Type type) {
  Value packed, sub;
  if (layout.subHalved) {
    sub = halves(record, lane, type);
  } else {
    packed = bytes(record, lane, type);
    sub =
        encoding.subSigned ? e.sext(packed, e.i32()) : e.zext(packed, e.i32());
  }
  if (layout.subPacked)
    sub = e.bitAnd(sub, (1 << encoding.subBits) - 1);
  PanelScales result;
  result.factor = e.mulf(unit.factor, second(sub, type));
  if (unit.offset)
    result.factor = e.addf(result.factor, unit.offset);
  if (encoding.hasMin()) {
    Value subMin;
    if (layout.subPacked) {
      subMin = e.shift(e.zext(packed, e.i32()), -int(encoding.subBits));
    } else {
      Value at = e.offset(record, layout.subMinOffset - layout.subOffset);
      subMin = e.zext(bytes(at, lane, type), e.i32());
    }
    Value product = e.mulf(unit.min, e.intToFloat(subMin, e.f32()));
    result.min = arith::NegFOp::create(e.b, e.loc, product);
  }
  return result;
}

Value ScaleReader::second(Value subs, Type type) {
  if (!encoding.subValues.empty())
    return e.gather(e.constantArray(encoding.subValues), subs, type);
  if (encoding.subMinifloat != Minifloat::None)
    return emitMinifloat(e, encoding.subMinifloat, subs, type);
  if (encoding.subZero)
    subs = e.add(subs, -int64_t(encoding.subZero));
  if (encoding.subSquared)
    subs = e.mul(subs, subs);
  return e.intToFloat(subs, e.f32());
}

/// Half floats hold all numbers of both formats: those of E5M2 are their high
/// bytes; a magnitude of E4M3FN is moved to where half floats keep theirs,
/// which makes it 2^-8 of what it was.
Value qcc::codegen::emitMinifloat(Emitter &e, Minifloat format, Value subs,
                                  Type type) {
  bool isE4M3 = format == Minifloat::E4M3FN;
  Value bits = e.shift(subs, 8);
  if (isE4M3) {
    bits = e.bitOr(e.bitAnd(bits, 0x8000), e.shift(e.bitAnd(subs, 0x7f), 7));
    // The largest magnitude, NaN, fills up the exponent.
    bits = e.bitOr(bits, e.bitAnd(e.add(bits, 0x80), 0x4000));
  }
  auto vector = dyn_cast<VectorType>(type);
  Type halves =
      vector ? Type(VectorType::get(vector.getShape(), e.f16())) : e.f16();
  Value value = e.extf(e.bitcast(e.trunc(bits, e.i16()), halves), e.f32());
  return isE4M3 ? e.mulf(value, 256.0) : value;
}
