//===- Emitter.h - Short names for scalar code ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// What reference loops are written with. Numbers are i64 and f32; memory is
// addressed by a base pointer and an index of 4-byte elements.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_REFERENCE_EMITTER_H
#define QCC_LIB_CODEGEN_REFERENCE_EMITTER_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

namespace qcc {

class Emitter {
public:
  using Value = mlir::Value;

  Emitter(mlir::OpBuilder &builder, mlir::Location loc)
      : builder(builder), loc(loc) {}

  mlir::OpBuilder &builder;
  mlir::Location loc;

  Value i64(int64_t value);
  Value f32(float value);

  Value add(Value a, Value b);
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  /// Of numbers that are not negative.
  Value div(Value a, Value b);
  Value rem(Value a, Value b);
  Value max(Value a, Value b);

  Value fadd(Value a, Value b);
  Value fsub(Value a, Value b);
  Value fmul(Value a, Value b);
  Value fdiv(Value a, Value b);
  Value fmax(Value a, Value b);
  Value sqrt(Value a);
  /// Calls `name` of libm, float to float.
  Value libm(mlir::StringRef name, Value a);

  /// Address of element `index`.
  Value element(Value base, Value index);
  /// Address `bytes` bytes after `base`.
  Value byteOffset(Value base, Value bytes);
  Value loadF32(Value base, Value index);
  void storeF32(Value value, Value base, Value index);
  /// An i32 or uint32_t, both below 2^31, as i64.
  Value loadI32(Value base, Value index);
  /// Entry `index` of an array of pointers.
  Value loadPointer(Value base, Value index);

  /// for (i = from; i < to; i += step) body(i).
  void loop(Value from, Value to, Value step,
            llvm::function_ref<void(Value)> body);
  void loop(int64_t to, llvm::function_ref<void(Value)> body);
  /// The same with values that each round replaces.
  llvm::SmallVector<Value>
  reduce(Value from, Value to, mlir::ValueRange initial,
         llvm::function_ref<llvm::SmallVector<Value>(Value, mlir::ValueRange)>
             body);
  Value reduce(Value from, Value to, Value initial,
               llvm::function_ref<Value(Value, Value)> body);
};

} // namespace qcc

#endif // QCC_LIB_CODEGEN_REFERENCE_EMITTER_H
