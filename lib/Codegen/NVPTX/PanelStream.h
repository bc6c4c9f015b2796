//===- PanelStream.h - Packed panels through a ring into mma ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A warp streams its steps of one panel (or of two) through a ring of its own
// in shared memory, by asynchronous copies of 16 bytes that run several steps
// ahead, and multiplies them with the block's rows. Weights are the A operand
// of mma.m16n8k16: R16K4 has four consecutive k of a row in one word, and a
// lane of mma wants four k of a row, so that a word is all codes of a lane and
// the file's layout is the kernel's. Codes enter as exact f16 integers; scales
// and minima meet the f32 sums.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_PANELSTREAM_H
#define QCC_LIB_CODEGEN_NVPTX_PANELSTREAM_H

#include "PanelCodes.h"
#include "RowPrologue.h"

namespace qcc::nvptx {

class PanelStream {
public:
  /// `panels` are the global addresses of the panels of the block's unit.
  PanelStream(WarpEmitter &e, const MatmulPlan &plan, const WeightRun &run,
              const BlockContext &block, Values panels);

  /// Starts the copies of the first steps. They touch nothing but the ring.
  void emitPrefetch();
  /// All steps of the warp. The results are four f32 for each panel: columns
  /// lane / 4 and lane / 4 + 8 of the unit for rows 2 * (lane % 4) and the one
  /// after it, as mma has them.
  Values emit();

private:
  void copyStep(Value step, Value slot);
  Values computeStep(Value step, Value slot, Values sums);
  Values computeUnit(unsigned stream, Value unit, Value rowUnit, Value sumsUnit,
                     Values sums);

  int64_t steps() const { return plan.k / run.stepK; }

  WarpEmitter &e;
  const MatmulPlan &plan;
  const WeightRun &run;
  const BlockContext &block;
  Values panels;
  PanelCodes codes;
  Value ring;        ///< Of this warp.
  Value group, quad; ///< lane / 4 and lane % 4.
  Value rowFragment; ///< Address of this lane's B operand at k = 0.
  Value rowSums[2];  ///< Sums of the rows of this lane's results.
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_PANELSTREAM_H
