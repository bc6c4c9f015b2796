//===- TilePlan.h - How a prompt's matmul goes through tiles ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A step of k is, in a slot of the ring:
//
//   for each 64 elements: [halves of the tile's rows][their sums, if needed]
//   then for each of the block's panels its part of the step
//
// A panel's part is whole units; or, of units that are longer than a step, what
// a unit begins with and the step's chunks. Of floats it is lines of 16 columns
// for each element of k, of each 16 elements first those with even numbers, as
// in the tile's rows.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_TILEPLAN_H
#define QCC_LIB_CODEGEN_NVPTX_TILEPLAN_H

#include "qcc/Formats/HalfTiles.h"
#include "MatmulPlan.h"

namespace qcc::nvptx {

class TilePlan {
public:
  static constexpr int64_t kPanelsOfWarp = 2, kPanels = 16;

  /// Of the stage's `run`.
  TilePlan(const MatmulPlan &plan, const WeightRun &run, int64_t sharedBytes);

  const MatmulPlan &plan;
  const WeightRun &run;
  HalfTiles tiles;
  std::vector<PackedLayout> streams; ///< Of the run.
  bool needsSums = false;            ///< Some stream has minima.
  int64_t stepK; ///< Elements of k of a step, a multiple of HalfTiles::kStep.
  int64_t slots; ///< Of the ring.

  /// Units of the stage that a block, or a warp, makes.
  int64_t unitsOfBlock() const { return kPanels / count(); }
  int64_t unitsOfWarp() const { return kPanelsOfWarp / count(); }
  int64_t units() const { return run.endUnit - run.segments[0].firstUnit; }
  int64_t blocks() const {
    return (units() + unitsOfBlock() - 1) / unitsOfBlock();
  }

  int64_t steps() const { return plan.k / stepK; }
  /// Of 64 elements of k of the tile's rows, and of all of a step.
  int64_t rowsBytes() const {
    return HalfTiles::kHalvesBytes + (needsSums ? tiles.sumBytes() : 0);
  }
  int64_t panelsOffset() const {
    return stepK / HalfTiles::kStep * rowsBytes();
  }
  bool isFloat(size_t stream) const {
    return streams[stream].encoding.isFloat();
  }
  /// Steps that a unit of a stream has; 1 also where it is shorter.
  int64_t stepsOfUnit(size_t stream) const {
    return std::max<int64_t>(1, streams[stream].unitK / stepK);
  }
  int64_t partBytes(size_t stream) const {
    const PackedLayout &layout = streams[stream];
    return stepsOfUnit(stream) == 1 ? stepK / layout.unitK * layout.unitBytes
                                    : layout.chunkOffset + chunkBytes(stream);
  }
  /// The chunks of a step.
  int64_t chunkBytes(size_t stream) const {
    return stepK / PackedLayout::kChunk * streams[stream].chunkBytes;
  }
  /// Stream of panel `panel` of a warp.
  size_t streamOf(int64_t panel) const {
    return size_t(panel) % streams.size();
  }
  int64_t panelsBytes() const { return kPanels / count() * partsBytes(); }
  /// Of one panel of each stream.
  int64_t partsBytes() const {
    int64_t bytes = 0;
    for (size_t s = 0; s < streams.size(); ++s)
      bytes += partBytes(s);
    return bytes;
  }
  int64_t slotBytes() const { return panelsOffset() + panelsBytes(); }

private:
  int64_t count() const { return int64_t(streams.size()); }
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_TILEPLAN_H
