//===- RowNorm.cpp - The norm of a row, by one warp -----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "RowNorm.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

/// The mean of what `add(x, sum)` adds up over a row.
static Value meanOf(StageKernel &stage, Value row, int64_t columns,
                    function_ref<Value(Value, Value)> add) {
  WarpEmitter &e = stage.e;
  Values sums = e.loop(stage.lane, e.c32(columns), e.c32(kWarpSize),
                       {e.zero(e.f32())}, [&](Value k, ValueRange in) {
                         Value x = e.load(e.f32(), e.offset(row, e.mul(k, 4)),
                                          llvm::Align(4));
                         return Values{add(x, in[0])};
                       });
  return e.divf(e.warpSum(sums[0]), e.constant(e.f32(), double(columns)));
}

RowNorm nvptx::emitRowNorm(StageKernel &stage, Value row, int64_t columns,
                           bool isCentered, float eps) {
  WarpEmitter &e = stage.e;
  RowNorm norm;
  if (isCentered)
    norm.mean = meanOf(stage, row, columns,
                       [&](Value x, Value sum) { return e.addf(sum, x); });
  Value square = meanOf(stage, row, columns, [&](Value x, Value sum) {
    if (norm.mean)
      x = e.subf(x, norm.mean);
    return e.fma(x, x, sum);
  });
  Value root =
      e.unary("llvm.sqrt", e.addf(square, e.constant(e.f32(), double(eps))));
  norm.factor = e.divf(e.constant(e.f32(), 1.0), root);
  return norm;
}
