//===- PanelStream.h - Packed panels through a ring into mma ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A warp streams its steps of one panel (or of two) through a ring of its own
// in shared memory, by asynchronous copies of 16 bytes that run several steps
// ahead, and multiplies them with the block's rows. Weights are the A operand
// of mma.m16n8k16: R16K4 has four consecutive k of a row in one word, and a
// lane of mma wants four k of a row, so that a word is all codes of a lane and
// the file's layout is the kernel's. Codes enter as the f16 whose bits they are
// (PanelCodes::bits), so that all sums are multiples of PanelCodes::kBit;
// zeros, scales and minima meet sums of f32.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_PANELSTREAM_H
#define QCC_LIB_CODEGEN_NVPTX_PANELSTREAM_H

#include "BlockRows.h"
#include "PanelCodes.h"
#include "RowPrologue.h"

#include "qcc/Codegen/Common/PanelScales.h"

namespace qcc::nvptx {

class PanelStream {
public:
  /// `panels` are the global addresses of the panels of the block's units: for
  /// each unit, that of each stream.
  PanelStream(WarpEmitter &e, const MatmulPlan &plan, const WeightRun &run,
              const BlockContext &block, Values panels);

  /// Starts the copies of the first steps. They touch nothing but the ring.
  void emitPrefetch();
  /// All steps of the warp. The results are four f32 for each panel and tile of
  /// rows, times PanelCodes::kBit: columns lane / 4 and lane / 4 + 8 of the
  /// unit for rows 2 * (lane % 4) and the one after it, as mma has them.
  Values emit(BlockRows &rows);

private:
  void copyStep(Value step, Value slot);
  Values computeStep(Value slot, BlockRows &rows, Values sums);
  struct Panel;
  void computeChunk(Panel &panel, int64_t index, BlockRows &rows);
  void subtractZero(Panel &panel, BlockRows &rows, int64_t sumGroup);
  void applyScale(Panel &panel, const PanelScales *scales);
  void applyMin(Panel &panel, const PanelScales *scales, BlockRows &rows,
                int64_t sumGroup);

  int64_t steps() const { return plan.k / run.stepK; }
  unsigned streamOf(size_t panel) const {
    return unsigned(panel % run.streams.size());
  }
  int64_t slotOffset(size_t panel) const {
    return int64_t(panel / run.streams.size()) * run.slotBytes() +
           run.slotOffset(streamOf(panel));
  }
  int64_t slotBytes() const { return slotOffset(panels.size()); }

  WarpEmitter &e;
  const MatmulPlan &plan;
  const WeightRun &run;
  const BlockContext &block;
  Values panels;
  PanelCodes codes;
  Value ring;  ///< Of this warp.
  Value group; ///< lane / 4.
};

/// Rows in the block's shared memory, where emitRowPrologue() left them by
/// storeInShared(): one tile.
class SharedRows final : public BlockRows {
public:
  SharedRows(WarpEmitter &e, const MatmulPlan &plan, const WeightRun &run,
             const BlockContext &block);

  int64_t tiles() const override { return 1; }
  void beginStep(Value step) override;
  Values operand(int64_t tile, int64_t k) override;
  Values sums(int64_t tile, int64_t group) override;

  static void storeInShared(WarpEmitter &e, const MatmulPlan &plan,
                            BlockContext &block);

private:
  WarpEmitter &e;
  const MatmulPlan &plan;
  const WeightRun &run;
  Value fragment;  ///< Address of this lane's B operand at k = 0.
  Value groups[2]; ///< Sums of the rows of this lane's results.
  Value step;
  /// Of both products of chunk `chunk` of the step.
  Values halves;
  int64_t chunk = -1;
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_PANELSTREAM_H
