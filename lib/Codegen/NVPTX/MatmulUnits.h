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
  /// Of the block's unit, or of unit `unit` (i32) of a block that has several,
  /// for the rows of the block's place in y, or of `tile` (i32). Waits for the
  /// stages before where they choose experts.
  MatmulUnits(StageKernel &stage, const MatmulPlan &plan, Value unit = {},
              Value tile = {});

  /// Emits `body` for each tile of the block's rows, of which there may be
  /// none. What the members below say holds inside; shared memory may be
  /// changed again after it.
  void forTiles(llvm::function_ref<void()> body);
  /// The panels that the block's unit is, one for each stream, if it belongs
  /// to `run`.
  Values panels(const WeightRun &run);
  /// Emits `body` for the run that the block's unit belongs to.
  void forRun(llvm::function_ref<void(const WeightRun &)> body);
  /// What is added to the result of column `column` (0..15) of the unit for row
  /// `row` of the tile, or to another one where there are no such; null if
  /// nothing is.
  Value loadResidual(Value column, Value row);
  /// Stores that result, if it exists. `sum(s)` is the product of stream s,
  /// `residual` what loadResidual() gave.
  void emitEpilogue(Value column, Value row, Value residual,
                    llvm::function_ref<Value(unsigned)> sum);

  /// The same for all of some columns and rows, if `exists` (i1): results of
  /// index `column` and `row` have `sum(s, column, row)`. What is added to them
  /// is loaded before any is stored.
  void emitResults(llvm::ArrayRef<Value> columns, llvm::ArrayRef<Value> rows,
                   Value exists,
                   llvm::function_ref<Value(unsigned, size_t, size_t)> sum);

  /// The address of what row `row` (i32, below `valid`) of the tile multiplies.
  Value inputRow(Value row);

  Value valid; ///< i32: rows of the tile that exist, at least 1.

private:
  /// A row of the step and its slot, if there are experts.
  struct Place {
    Value row, slot;
  };
  Place placeOf(Value row);
  /// Where a result lies, in bytes.
  Value place(Value column, Value row);
  Value listRows();
  Value ofExpert(Value address, int64_t bytes);
  Value list() { return e.offset(stage.shared, plan.listOffset + kWarps * 4); }
  /// `each(segment, place of the unit in it)` of the segment of the block's
  /// unit, without branches.
  Value
  ofSegment(llvm::function_ref<Value(const WeightRun::Segment &, Value)> each);
  Value isInSegment(const WeightRun::Segment &segment);
  Value withBias(Value sum, unsigned stream, Value column);
  /// The first of the unit's columns in the result, and how many there are.
  Value firstColumn();
  Value columnCount();
  Value finish(Value column, llvm::function_ref<Value(unsigned)> sum);

  StageKernel &stage;
  WarpEmitter &e;
  const MatmulPlan &plan;
  qz::MatmulOp op;
  Value firstRow;     ///< i32: of the block, among those of the step.
  Value rows;         ///< i32: of the block, at least 1.
  Value unit;         ///< i32: of the stage, or of one expert.
  Value expert, slot; ///< i32: of the block; null without experts, or slots.
  Value tile;         ///< i32: the first of the tile's rows in the list.
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_MATMULUNITS_H
