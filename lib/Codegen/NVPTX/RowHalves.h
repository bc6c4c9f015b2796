//===- RowHalves.h - Rows of a step as f16 in memory ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// What `qz.quantize` makes of the rows of a generating step with several of
// them, for a kernel that multiplies them all: as each block of a step with one
// row makes it for itself (RowPrologue.h), with the same bits.
//
//   float factor[kRows]
//   float sum[k / sumGroup][kRows]                   where weights want sums
//   f16 [k / 32][kRows][4 lanes][2 products][4]      from halvesOffset() on
//
// The last is what lanes of m16n8k16 take of 32 elements: one load of 16 bytes
// is a lane's share of two products, and a warp's are 512 bytes in a row.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_ROWHALVES_H
#define QCC_LIB_CODEGEN_NVPTX_ROWHALVES_H

#include "BlockRows.h"
#include "MatmulPlan.h"

namespace qcc::nvptx {

struct RowHalves {
  static constexpr int64_t kRows = QCC_GENERATE_ROWS, kChunk = 32,
                           kRowBytes = kChunk * 2,
                           kChunkBytes = kRows * kRowBytes,
                           sumsOffset = kRows * 4;
  int64_t k, sumCount;

  int64_t halvesOffset() const {
    return (sumsOffset + sumCount * kRows * 4 + 127) / 128 * 128;
  }
  int64_t bytes() const { return halvesOffset() + k / kChunk * kChunkBytes; }
};

/// Of what a matmul multiplies.
inline RowHalves rowHalvesOf(const MatmulPlan &plan) {
  return {plan.k, plan.sumCount()};
}

/// Says how the kernel that stores the rows is launched, and emits its body. A
/// block has one row and the threads of the matmul.
void emitRowHalves(StageKernel &stage, const MatmulPlan &plan);

/// Stored rows, all of them for each warp.
class StoredRows final : public BlockRows {
public:
  /// Of the first `valid` (i32) rows at `start`.
  StoredRows(WarpEmitter &e, const MatmulPlan &plan, const WeightRun &run,
             Value start, Value lane, Value valid);

  int64_t tiles() const override { return kTiles; }
  void beginStep(Value step) override;
  Values operand(int64_t tile, int64_t k) override;
  Values sums(int64_t tile, int64_t group) override;

private:
  static constexpr int64_t kTiles = RowHalves::kRows / kTokens;
  /// Elements of a step, if it has no more, that a lane loads before it waits
  /// for weights.
  static constexpr int64_t kMostAhead = 128;

  Values load(int64_t tile, int64_t chunk);

  WarpEmitter &e;
  const MatmulPlan &plan;
  const WeightRun &run;
  Value halves[kTiles]; ///< This lane's, of the first chunk.
  Value groups;         ///< Sums of the rows of this lane's results.
  Value stepHalves[kTiles], stepGroups;
  std::vector<Values> ahead; ///< Of each chunk and tile, or none.
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_ROWHALVES_H
