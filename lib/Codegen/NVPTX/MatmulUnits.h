//===- MatmulUnits.h - Units of a matmul stage and their results -*- C++ -*-==//
// SPDX-License-Identifier: Apache-2.0
//
// What all kernels of matmuls have in common: which part of which weight a
// block's unit is, and what becomes of its sums.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_MATMULUNITS_H
#define QCC_LIB_CODEGEN_NVPTX_MATMULUNITS_H

#include "MatmulPlan.h"
#include "StageKernel.h"

namespace qcc::nvptx {

class MatmulUnits {
public:
  MatmulUnits(StageKernel &stage, const MatmulPlan &plan);

  /// The panels that the block's unit is, one for each stream, if it belongs
  /// to `run`.
  Values panels(const WeightRun &run);
  /// Emits `body` for the run that the block's unit belongs to.
  void forRun(llvm::function_ref<void(const WeightRun &)> body);
  /// Stores the result of column `column` (0..15) of the unit for row `row` of
  /// the block, if there are such. `sum(s)` is their product of stream s.
  void emitEpilogue(Value column, Value row,
                    llvm::function_ref<Value(unsigned)> sum);

  Value firstRow; ///< i32: of the block, among those of the step.
  Value valid;    ///< i32: rows of the block that exist, at least 1.

private:
  /// `each(segment, place of the unit in it)` of the segment of the block's
  /// unit, without branches.
  Value
  ofSegment(llvm::function_ref<Value(const WeightRun::Segment &, Value)> each);
  Value isInSegment(const WeightRun::Segment &segment);
  Value withBias(Value sum, unsigned stream, Value column);
  Value finish(Value column, llvm::function_ref<Value(unsigned)> sum);

  StageKernel &stage;
  WarpEmitter &e;
  const MatmulPlan &plan;
  qz::MatmulOp op;
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_MATMULUNITS_H
