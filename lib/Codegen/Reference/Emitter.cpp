//===- Emitter.cpp - Short names for scalar code --------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Emitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace qcc;

Value Emitter::i64(int64_t value) {
  return arith::ConstantOp::create(builder, loc,
                                   builder.getI64IntegerAttr(value));
}
Value Emitter::f32(float value) {
  return arith::ConstantOp::create(builder, loc,
                                   builder.getF32FloatAttr(value));
}

Value Emitter::add(Value a, Value b) {
  return arith::AddIOp::create(builder, loc, a, b);
}
Value Emitter::sub(Value a, Value b) {
  return arith::SubIOp::create(builder, loc, a, b);
}
Value Emitter::mul(Value a, Value b) {
  return arith::MulIOp::create(builder, loc, a, b);
}
Value Emitter::div(Value a, Value b) {
  return arith::DivUIOp::create(builder, loc, a, b);
}
Value Emitter::rem(Value a, Value b) {
  return arith::RemUIOp::create(builder, loc, a, b);
}
Value Emitter::max(Value a, Value b) {
  return arith::MaxSIOp::create(builder, loc, a, b);
}

Value Emitter::fadd(Value a, Value b) {
  return arith::AddFOp::create(builder, loc, a, b);
}
Value Emitter::fsub(Value a, Value b) {
  return arith::SubFOp::create(builder, loc, a, b);
}
Value Emitter::fmul(Value a, Value b) {
  return arith::MulFOp::create(builder, loc, a, b);
}
Value Emitter::fdiv(Value a, Value b) {
  return arith::DivFOp::create(builder, loc, a, b);
}
Value Emitter::fmax(Value a, Value b) {
  return arith::MaximumFOp::create(builder, loc, a, b);
}
Value Emitter::sqrt(Value a) { return LLVM::SqrtOp::create(builder, loc, a); }

Value Emitter::libm(StringRef name, Value a) {
  auto module = builder.getBlock()->getParentOp()->getParentOfType<ModuleOp>();
  auto function = module.lookupSymbol<LLVM::LLVMFuncOp>(name);
  if (!function) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(module.getBody());
    Type f32 = builder.getF32Type();
    function = LLVM::LLVMFuncOp::create(
        builder, loc, name, LLVM::LLVMFunctionType::get(f32, {f32}));
  }
  return LLVM::CallOp::create(builder, loc, function, ValueRange{a})
      .getResult();
}

static Value offset(Emitter &e, Type type, Value base, Value index) {
  Type pointer = LLVM::LLVMPointerType::get(e.builder.getContext());
  return LLVM::GEPOp::create(e.builder, e.loc, pointer, type, base,
                             ValueRange{index});
}

Value Emitter::element(Value base, Value index) {
  return offset(*this, builder.getF32Type(), base, index);
}
Value Emitter::byteOffset(Value base, Value bytes) {
  return offset(*this, builder.getI8Type(), base, bytes);
}
Value Emitter::loadF32(Value base, Value index) {
  return LLVM::LoadOp::create(builder, loc, builder.getF32Type(),
                              element(base, index));
}
void Emitter::storeF32(Value value, Value base, Value index) {
  LLVM::StoreOp::create(builder, loc, value, element(base, index));
}
Value Emitter::loadI32(Value base, Value index) {
  Value value = LLVM::LoadOp::create(builder, loc, builder.getI32Type(),
                                     element(base, index));
  return arith::ExtUIOp::create(builder, loc, builder.getI64Type(), value);
}
Value Emitter::loadPointer(Value base, Value index) {
  Type pointer = LLVM::LLVMPointerType::get(builder.getContext());
  return LLVM::LoadOp::create(builder, loc, pointer,
                              offset(*this, pointer, base, index));
}

void Emitter::loop(Value from, Value to, Value step,
                   llvm::function_ref<void(Value)> body) {
  auto loop = scf::ForOp::create(builder, loc, from, to, step);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}
void Emitter::loop(int64_t to, llvm::function_ref<void(Value)> body) {
  loop(i64(0), i64(to), i64(1), body);
}

SmallVector<Value> Emitter::reduce(
    Value from, Value to, ValueRange initial,
    llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(builder, loc, from, to, i64(1), initial);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(loop.getBody());
  scf::YieldOp::create(builder, loc,
                       body(loop.getInductionVar(), loop.getRegionIterArgs()));
  return SmallVector<Value>(loop.getResults());
}
Value Emitter::reduce(Value from, Value to, Value initial,
                      llvm::function_ref<Value(Value, Value)> body) {
  return reduce(from, to, ValueRange{initial},
                [&](Value i, ValueRange values) {
                  return SmallVector<Value>{body(i, values.front())};
                })
      .front();
}
