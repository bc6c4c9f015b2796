//===- Emitter.cpp - Short names for building kernels ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/Common/Emitter.h"

#include "llvm/ADT/Sequence.h"

using namespace mlir;
using namespace qcc::codegen;

Value Emitter::constant(Type type, double value) {
  TypedAttr scalar =
      FloatAttr::get(cast<FloatType>(getElementTypeOrSelf(type)), value);
  if (auto vector = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(
        b, loc, DenseElementsAttr::get(vector, Attribute(scalar)));
  return arith::ConstantOp::create(b, loc, scalar);
}

Value Emitter::constant(Type type, int64_t value) {
  Type element = getElementTypeOrSelf(type);
  if (isa<FloatType>(element))
    return constant(type, double(value));
  unsigned width = element.getIntOrFloatBitWidth();
  TypedAttr scalar =
      IntegerAttr::get(element, APInt(width, uint64_t(value), /*isSigned=*/true,
                                      /*implicitTrunc=*/true));
  if (auto vector = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(
        b, loc, DenseElementsAttr::get(vector, Attribute(scalar)));
  return arith::ConstantOp::create(b, loc, scalar);
}

Value Emitter::shift(Value a, int by) {
  if (by == 0)
    return a;
  Value amount = constant(a.getType(), std::abs(by));
  return by > 0 ? Value(arith::ShLIOp::create(b, loc, a, amount))
                : Value(arith::ShRUIOp::create(b, loc, a, amount));
}

Value Emitter::fma(Value a, Value x, Value c) {
  // Not vector.fma: that becomes llvm.fmuladd, which is split into two
  // operations where contraction is off.
  return call("llvm.fma", a.getType(), {a, x, c});
}

Value Emitter::call(StringRef intrinsic, Type result, ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b, loc, result,
                                       b.getStringAttr(intrinsic), operands)
      .getResult(0);
}

Type Emitter::like(Value a, Type element) {
  if (auto vector = dyn_cast<VectorType>(a.getType()))
    return VectorType::get(vector.getShape(), element);
  return element;
}

Value Emitter::zext(Value a, Type element) {
  return arith::ExtUIOp::create(b, loc, like(a, element), a);
}
Value Emitter::sext(Value a, Type element) {
  return arith::ExtSIOp::create(b, loc, like(a, element), a);
}
Value Emitter::trunc(Value a, Type element) {
  return arith::TruncIOp::create(b, loc, like(a, element), a);
}
Value Emitter::intToFloat(Value a, Type element) {
  return arith::SIToFPOp::create(b, loc, like(a, element), a);
}
Value Emitter::uintToFloat(Value a, Type element) {
  return arith::UIToFPOp::create(b, loc, like(a, element), a);
}
Value Emitter::floatToInt(Value a, Type element) {
  return arith::FPToSIOp::create(b, loc, like(a, element), a);
}
Value Emitter::extf(Value a, Type element) {
  return arith::ExtFOp::create(b, loc, like(a, element), a);
}
Value Emitter::truncf(Value a, Type element) {
  if (element.isBF16()) {
    // LLVM calls a library where there is no instruction, and the instruction
    // flushes subnormal numbers. Round to nearest, ties to even; a NaN stays
    // one.
    Value bits = bitcast(a, like(a, i32()));
    Value odd = bitAnd(shift(bits, -16), 1);
    Value rounded = shift(add(add(bits, odd), 0x7fff), -16);
    Value nan = bitOr(shift(bits, -16), constant(bits.getType(), 0x40));
    Value isNan =
        arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, a, a);
    Value half = trunc(select(isNan, nan, rounded), i16());
    return bitcast(half, like(a, element));
  }
  return arith::TruncFOp::create(b, loc, like(a, element), a);
}

Value Emitter::bitcast(Value a, Type type) {
  if (a.getType() == type)
    return a;
  bool vectors = isa<VectorType>(a.getType()) && isa<VectorType>(type);
  if (vectors)
    return vector::BitCastOp::create(b, loc, cast<VectorType>(type), a);
  return LLVM::BitcastOp::create(b, loc, type, a);
}

Value Emitter::slice(Value vector, int64_t from, int64_t count) {
  auto lanes = llvm::to_vector(llvm::seq(from, from + count));
  return vector::ShuffleOp::create(b, loc, vector, vector, lanes);
}

Value Emitter::reduceAdd(Value vector) {
  return vector::ReductionOp::create(b, loc, vector::CombiningKind::ADD,
                                     vector);
}

Value Emitter::reduceMax(Value vector) {
  // Exact treatment of NaN would cost several instructions for each step.
  return vector::ReductionOp::create(
      b, loc, vector::CombiningKind::MAXNUMF, vector,
      arith::FastMathFlags::nnan | arith::FastMathFlags::nsz);
}

Value Emitter::maxf(Value a, Value x) {
  Value larger = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, a, x);
  return select(larger, a, x);
}

Value Emitter::offset(Value pointer, Value bytes) {
  return LLVM::GEPOp::create(b, loc, pointer.getType(), i8(), pointer,
                             ArrayRef<LLVM::GEPArg>{bytes});
}

Value Emitter::offset(Value pointer, int64_t bytes) {
  return bytes ? offset(pointer, c64(bytes)) : pointer;
}

Value Emitter::load(Type type, Value pointer, llvm::Align alignment) {
  return LLVM::LoadOp::create(b, loc, type, pointer,
                              unsigned(alignment.value()));
}

void Emitter::store(Value value, Value pointer, llvm::Align alignment) {
  LLVM::StoreOp::create(b, loc, value, pointer, unsigned(alignment.value()));
}

Value Emitter::gather(Value base, Value index, Type type, int64_t valid) {
  auto vector = dyn_cast<VectorType>(type);
  if (!vector)
    return load(type, offset(base, mul(zext(index, i64()), 4)), llvm::Align(4));
  int64_t lanes = vector.getNumElements();
  Value pointers = LLVM::GEPOp::create(b, loc, vec(lanes, ptr()), f32(), base,
                                       ArrayRef<LLVM::GEPArg>{index});
  SmallVector<bool> isValid(size_t(lanes), valid < 0);
  std::fill_n(isValid.begin(), std::max<int64_t>(valid, 0), true);
  Value mask = arith::ConstantOp::create(
      b, loc,
      DenseElementsAttr::get(vec(lanes, b.getI1Type()),
                             ArrayRef<bool>(isValid)));
  return LLVM::masked_gather::create(b, loc, vector, pointers, mask,
                                     zero(vector), b.getI32IntegerAttr(4))
      .getRes();
}

Value Emitter::constantArray(ArrayRef<float> values) {
  auto type = RankedTensorType::get({int64_t(values.size())}, f32());
  auto numbers = DenseElementsAttr::get(type, values);
  LLVM::GlobalOp global;
  unsigned count = 0;
  for (auto other : data->getOps<LLVM::GlobalOp>()) {
    count += other.getSymName().starts_with("array.");
    if (other.getValueOrNull() == numbers)
      global = other;
  }
  if (!global) {
    OpBuilder builder = OpBuilder::atBlockBegin(data);
    global = LLVM::GlobalOp::create(
        builder, loc, LLVM::LLVMArrayType::get(f32(), values.size()),
        /*isConstant=*/true, LLVM::Linkage::Private,
        "array." + std::to_string(count), numbers, /*alignment=*/64, dataSpace);
  }
  return LLVM::AddressOfOp::create(b, loc, global);
}

Values Emitter::loop(Value lo, Value hi, Value step, ValueRange init,
                     function_ref<Values(Value, ValueRange)> body) {
  auto op = scf::ForOp::create(
      b, loc, lo, hi, step, init,
      [&](OpBuilder &, Location, Value i, ValueRange values) {
        Values results = body(i, values);
        scf::YieldOp::create(b, loc, results);
      });
  // Kernels are already as wide as they should be: LLVM's unroller makes them
  // spill, and its vectorizer has nothing to add.
  auto yes = b.getBoolAttr(true);
  auto vectorize =
      LLVM::LoopVectorizeAttr::get(b.getContext(), yes, {}, {}, {}, {}, {}, {});
  auto unroll =
      LLVM::LoopUnrollAttr::get(b.getContext(), yes, {}, {}, {}, {}, {}, {});
  op->setAttr("llvm.loop_annotation",
              LLVM::LoopAnnotationAttr::get(b.getContext(), {}, vectorize, {},
                                            unroll, {}, {}, {}, {}, {}, {}, {},
                                            {}, {}, {}, {}));
  return Values(op.getResults());
}

void Emitter::loop(Value lo, Value hi, int64_t step,
                   function_ref<void(Value)> body) {
  loop(lo, hi, constant(lo.getType(), step), {}, [&](Value i, ValueRange) {
    body(i);
    return Values();
  });
}

void Emitter::ifThen(Value condition, function_ref<void()> body) {
  scf::IfOp::create(b, loc, condition, [&](OpBuilder &, Location) {
    body();
    scf::YieldOp::create(b, loc);
  });
}

Values Emitter::ifElse(Value condition, function_ref<Values()> then,
                       function_ref<Values()> otherwise) {
  auto build = [&](function_ref<Values()> body) {
    return [this, body](OpBuilder &, Location) {
      scf::YieldOp::create(b, loc, body());
    };
  };
  auto made =
      scf::IfOp::create(b, loc, condition, build(then), build(otherwise));
  return Values(made.getResults());
}
