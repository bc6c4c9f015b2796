//===- Emitter.h - Short names for building kernels -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Kernels are built from scf loops, arith, vector and llvm memory operations on
// plain pointers with byte offsets. All float arithmetic is emitted without
// fast-math flags, so results do not depend on how LLVM schedules it.
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_COMMON_EMITTER_H
#define QCC_CODEGEN_COMMON_EMITTER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace qcc::codegen {

using mlir::Type;
using mlir::Value;
using mlir::ValueRange;
using Values = llvm::SmallVector<Value>;

class Emitter {
public:
  /// `module` is where constant data goes; kernels without any need none.
  Emitter(mlir::OpBuilder &builder, mlir::Location loc,
          mlir::ModuleOp module = {})
      : b(builder), loc(loc), module(module),
        data(module ? module.getBody() : nullptr) {}
  /// Constant data goes to the block `data`, in an address space.
  Emitter(mlir::OpBuilder &builder, mlir::Location loc, mlir::Block *data,
          unsigned dataSpace)
      : b(builder), loc(loc), data(data), dataSpace(dataSpace) {}

  mlir::OpBuilder &b;
  mlir::Location loc;
  mlir::ModuleOp module;

  Type i8() { return b.getI8Type(); }
  Type i16() { return b.getI16Type(); }
  Type i32() { return b.getI32Type(); }
  Type i64() { return b.getI64Type(); }
  Type f16() { return b.getF16Type(); }
  Type f32() { return b.getF32Type(); }
  Type ptr() { return mlir::LLVM::LLVMPointerType::get(b.getContext()); }
  mlir::VectorType vec(int64_t lanes, Type element) {
    return mlir::VectorType::get({lanes}, element);
  }

  /// A constant of integer, float or vector type, every lane the same.
  Value constant(Type type, double value);
  Value constant(Type type, int64_t value);
  Value constant(Type type, int value) {
    return constant(type, int64_t(value));
  }
  Value c64(int64_t value) { return constant(i64(), value); }
  Value zero(Type type) { return constant(type, int64_t(0)); }

  // Integers (scalars or vectors).
  Value add(Value a, Value x) {
    return mlir::arith::AddIOp::create(b, loc, a, x);
  }
  Value add(Value a, int64_t x) {
    return x ? add(a, constant(a.getType(), x)) : a;
  }
  Value sub(Value a, Value x) {
    return mlir::arith::SubIOp::create(b, loc, a, x);
  }
  Value mul(Value a, Value x) {
    return mlir::arith::MulIOp::create(b, loc, a, x);
  }
  Value mul(Value a, int64_t x) {
    return x == 1 ? a : mul(a, constant(a.getType(), x));
  }
  Value udiv(Value a, int64_t x) {
    return x == 1 ? a
                  : Value(mlir::arith::DivUIOp::create(
                        b, loc, a, constant(a.getType(), x)));
  }
  Value urem(Value a, int64_t x) {
    return mlir::arith::RemUIOp::create(b, loc, a, constant(a.getType(), x));
  }
  Value bitAnd(Value a, int64_t x) {
    return mlir::arith::AndIOp::create(b, loc, a, constant(a.getType(), x));
  }
  Value bitOr(Value a, Value x) {
    return mlir::arith::OrIOp::create(b, loc, a, x);
  }
  /// Logical shift: left when `by` is positive, right when it is negative.
  Value shift(Value a, int by);
  Value ashr(Value a, int by) {
    return mlir::arith::ShRSIOp::create(b, loc, a, constant(a.getType(), by));
  }
  Value minU(Value a, Value x) {
    return mlir::arith::MinUIOp::create(b, loc, a, x);
  }
  Value maxU(Value a, Value x) {
    return mlir::arith::MaxUIOp::create(b, loc, a, x);
  }
  Value maxS(Value a, Value x) {
    return mlir::arith::MaxSIOp::create(b, loc, a, x);
  }
  Value cmp(mlir::arith::CmpIPredicate p, Value a, Value x) {
    return mlir::arith::CmpIOp::create(b, loc, p, a, x);
  }

  // Floats (scalars or vectors).
  Value addf(Value a, Value x) {
    return mlir::arith::AddFOp::create(b, loc, a, x);
  }
  Value subf(Value a, Value x) {
    return mlir::arith::SubFOp::create(b, loc, a, x);
  }
  Value mulf(Value a, Value x) {
    return mlir::arith::MulFOp::create(b, loc, a, x);
  }
  Value mulf(Value a, double x) { return mulf(a, constant(a.getType(), x)); }
  Value divf(Value a, Value x) {
    return mlir::arith::DivFOp::create(b, loc, a, x);
  }
  /// The larger one; of NaN and a number, x.
  Value maxf(Value a, Value x);
  /// a * x + c, rounded once.
  Value fma(Value a, Value x, Value c);
  /// An llvm intrinsic whose operands and result have one type ("llvm.sqrt").
  Value unary(mlir::StringRef intrinsic, Value x) {
    return call(intrinsic, x.getType(), x);
  }
  Value call(mlir::StringRef intrinsic, Type result, ValueRange operands);

  // Conversions, of scalars or lane by lane.
  Value zext(Value a, Type element);
  Value sext(Value a, Type element);
  Value trunc(Value a, Type element);
  Value intToFloat(Value a, Type element);
  Value uintToFloat(Value a, Type element);
  Value floatToInt(Value a, Type element);
  Value extf(Value a, Type element);
  Value truncf(Value a, Type element);
  Value bitcast(Value a, Type type);

  // Vectors.
  Value splat(Value scalar, mlir::VectorType type) {
    return mlir::vector::BroadcastOp::create(b, loc, type, scalar);
  }
  Value extract(Value vector, int64_t lane) {
    return mlir::vector::ExtractOp::create(b, loc, vector, lane);
  }
  /// Lanes [from, from + count).
  Value slice(Value vector, int64_t from, int64_t count);
  Value reduceAdd(Value vector);
  /// The largest lane; anything when one is NaN.
  Value reduceMax(Value vector);
  Value select(Value condition, Value a, Value x) {
    return mlir::arith::SelectOp::create(b, loc, condition, a, x);
  }

  // Memory. Offsets are bytes; alignment 1 unless stated.
  Value offset(Value pointer, Value bytes);
  Value offset(Value pointer, int64_t bytes);
  Value load(Type type, Value pointer, llvm::Align alignment = llvm::Align(1));
  Value load(Type type, Value pointer, int64_t bytes,
             llvm::Align alignment = llvm::Align(1)) {
    return load(type, offset(pointer, bytes), alignment);
  }
  void store(Value value, Value pointer,
             llvm::Align alignment = llvm::Align(1));
  void store(Value value, Value pointer, int64_t bytes,
             llvm::Align alignment = llvm::Align(1)) {
    store(value, offset(pointer, bytes), alignment);
  }
  /// Asks for a line before it is read, into the first or the second level of
  /// caches. The address may be any.
  void prefetch(Value pointer, int64_t bytes, unsigned level = 1) {
    mlir::LLVM::Prefetch::create(b, loc, offset(pointer, bytes), /*rw=*/0,
                                 /*hint=*/4 - level, /*cache=*/1);
  }
  /// Loads one element and copies it to every lane.
  Value loadSplat(mlir::VectorType type, Value pointer, int64_t bytes) {
    return splat(load(type.getElementType(), pointer, bytes), type);
  }

  /// The elements of the f32 array at `base` that `index` (i32) says, of
  /// `type`, an f32 or a vector with as many lanes as `index`. Lanes from
  /// `valid` on (-1: none) are 0.
  Value gather(Value base, Value index, Type type, int64_t valid = -1);
  /// The address of constant data in the module, the same for equal `values`.
  Value constantArray(llvm::ArrayRef<float> values);

  /// for (i = lo; i < hi; i += step) values = body(i, values).
  Values loop(Value lo, Value hi, Value step, ValueRange init,
              llvm::function_ref<Values(Value, ValueRange)> body);
  void loop(Value lo, Value hi, int64_t step,
            llvm::function_ref<void(Value)> body);
  void ifThen(Value condition, llvm::function_ref<void()> body);
  /// The values of one of the two, which have the same types.
  Values ifElse(Value condition, llvm::function_ref<Values()> then,
                llvm::function_ref<Values()> otherwise);

private:
  Type like(Value a, Type element);

  mlir::Block *data = nullptr;
  unsigned dataSpace = 0;
};

} // namespace qcc::codegen

#endif // QCC_CODEGEN_COMMON_EMITTER_H
