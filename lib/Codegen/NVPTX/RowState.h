//===- RowState.h - The state of a row's sequence ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_ROWSTATE_H
#define QCC_LIB_CODEGEN_NVPTX_ROWSTATE_H

#include "AttentionStages.h"

namespace qcc::nvptx {

/// Conversions between f32 and what the state stores.
inline Value toElement(WarpEmitter &e, Value x, Type element) {
  return element.isF32() ? x : e.truncf(x, element);
}

inline Value fromElement(WarpEmitter &e, Value x) {
  Type element = mlir::getElementTypeOrSelf(x.getType());
  return element.isF32() ? x : e.extf(x, e.f32());
}

/// Where the state of one row's sequence is.
class RowState {
public:
  RowState(StageKernel &stage, const StateShape &shape, Value state, Value row)
      : e(stage.e), shape(shape), state(stage.address(state)),
        table(stage.field(QCC_GPU_PAGE_TABLE)),
        firstPage(mlir::arith::MulIOp::create(
            e.b, e.loc, word(stage.field(QCC_GPU_SEQUENCE), row),
            stage.field(QCC_GPU_PAGES_PER_SEQUENCE))),
        position(word(stage.field(QCC_GPU_POSITION), row)) {}

  /// KV head `head` of the page that has position `at`; its key and its value
  /// at a position in the page.
  Value page(Value at, Value head) {
    Value number = word(table, e.add(firstPage, e.udiv(at, QCC_PAGE_TOKENS)));
    Value bytes = e.add(e.mul(e.zext(number, e.i64()), shape.pageBytes()),
                        e.mul(e.zext(head, e.i64()), shape.headBytes()));
    return e.offset(state, bytes);
  }
  Value key(Value page, Value inPage) {
    return e.offset(page, e.mul(inPage, shape.headDim * shape.elementBytes()));
  }
  Value value(Value page, Value inPage) {
    return e.offset(e.offset(page, shape.valueOffset()),
                    e.mul(inPage, shape.valueDim * shape.elementBytes()));
  }

  /// Where the key and the value of the row itself go, of KV head `head`.
  Value newKey(Value head) {
    return key(page(position, head), e.bitAnd(position, QCC_PAGE_TOKENS - 1));
  }
  Value newValue(Value head) {
    return value(page(position, head), e.bitAnd(position, QCC_PAGE_TOKENS - 1));
  }
  /// Stores x (f32) as element `index` (i32) of what is at `to`, not quantized.
  void put(Value to, Value index, Value x) {
    const int64_t bytes = shape.elementBytes();
    e.store(toElement(e, x, shape.element), e.offset(to, e.mul(index, bytes)),
            llvm::Align(uint64_t(bytes)));
  }

  /// The scales of quantized ones.
  Value keyScales(Value page, Value inPage) {
    return e.offset(e.offset(page, shape.keyScalesOffset()),
                    e.mul(inPage, StateShape::scaleBytes(shape.headDim)));
  }
  Value valueScales(Value page, Value inPage) {
    return e.offset(e.offset(page, shape.valueScalesOffset()),
                    e.mul(inPage, StateShape::scaleBytes(shape.valueDim)));
  }

private:
  Value word(Value base, Value index) {
    return e.load(e.i32(), e.offset(base, e.mul(e.zext(index, e.i64()), 4)),
                  llvm::Align(4));
  }

  WarpEmitter &e;
  const StateShape &shape;
  Value state, table, firstPage;

public:
  Value position; ///< i32: of the row.
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_ROWSTATE_H
