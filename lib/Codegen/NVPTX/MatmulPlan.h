//===- MatmulPlan.h - How a matmul stage is laid on a GPU -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A block makes one unit of the stage: a panel of 16 result columns (of gate
// and up together in a gated unit) for a few rows.
//
// With tensor cores, for up to eight rows, warps share k: a step is a run of
// whole units of the packed weight, and warp w takes every step whose number is
// w modulo the count of warps. The partial sums of the warps are added in the
// order of warps, so the result does not depend on timing.
//
//   shared memory   [row factors][partial sums][rings of the warps]
//                   then for each row: [k f16][sums of groups of k]
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_MATMULPLAN_H
#define QCC_LIB_CODEGEN_NVPTX_MATMULPLAN_H

#include "dialects/QZ/QZDialect.h"
#include "qcc/Codegen/Common/Target.h"
#include "qcc/Formats/PackedWeight.h"
#include "StageKernel.h"

#include <optional>
#include <string>

namespace qcc::nvptx {

/// Rows of activations that one mma takes.
constexpr int64_t kTokens = 8;
/// Rows that products without tensor cores take together.
constexpr int64_t kPlainRows = 4;

/// Weights of the stage that share code: consecutive ones of one encoding, or
/// gate and up. Each stream is one panel that a unit reads.
struct WeightRun {
  struct Segment {
    unsigned weight;   ///< Index among the stage's weights.
    int64_t firstUnit; ///< Of the stage.
    int64_t endUnit;
    int64_t firstColumn; ///< Of the stage's result.
    int64_t rows;        ///< Of the weight.
  };
  llvm::SmallVector<Segment> segments;
  llvm::SmallVector<PackedWeight> packed; ///< Of each stream.
  int64_t endUnit = 0; ///< Units below belong to this run or to one before.

  // With tensor cores.
  llvm::SmallVector<PackedLayout> streams;
  int64_t stepK = 0;     ///< Elements of k of a step.
  int64_t ringSlots = 0; ///< Steps that a warp has in shared memory.
  static constexpr int64_t kMostSlots = 4; ///< And no fewer than 2.

  int64_t stepUnits(unsigned stream) const {
    return stepK / streams[stream].unitK;
  }
  int64_t stepBytes(unsigned stream) const {
    return stepUnits(stream) * streams[stream].unitBytes;
  }
  /// Bytes of a slot of the ring before `stream`.
  int64_t slotOffset(unsigned stream) const;
  int64_t slotBytes() const { return slotOffset(unsigned(streams.size())); }
};

/// Of a matmul with experts. Results have a row for each slot of a row of the
/// step. A block has a unit of one expert, and
/// * one slot, of rows that all have that expert there, or
/// * in steps with many rows, those of its rows that have the expert in some
///   slot: it lists them first, then takes as many as go together at a time,
///   so that weights are read for several rows.
/// What a row's sums are does not depend on which of the two it is.
struct ExpertPlan {
  int64_t experts, slots;
  bool isShared; ///< The slots of a row read the same input.
  bool isEvery;  ///< Expert s is in slot s of every row.
  bool byExpert; ///< The second of the above.

  /// Most rows of a block that makes a list.
  static constexpr int64_t mostListed = 1024;
};

struct MatmulPlan {
  qz::MatmulOp matmul;
  qz::QuantizeOp quantize; ///< The stage that makes the matmul's input.
  int64_t k = 0;
  llvm::SmallVector<WeightRun, 2> runs;
  int64_t units = 0; ///< Of one expert.
  std::optional<ExpertPlan> experts;
  /// Rows of a block that go together.
  int64_t tileRows = 0;
  /// In shared memory: a number for each warp, then the list of a block that
  /// makes one, 4 bytes each.
  int64_t listOffset = 0;
  bool isLogits = false; ///< Results are those of the step.
  unsigned streams() const { return unsigned(runs.front().packed.size()); }

  /// Prompts whose rows are stored as tiles: TileMatmul.h.
  bool inTiles = false;
  int64_t sharedBytes = 0; ///< Most shared memory of a block.

  // With tensor cores, and codes.
  bool onTensorCores = false;
  /// Of a block. More of them where the stage has few units, so that a GPU has
  /// enough copies under way.
  int64_t warps = kWarps;
  int64_t threads() const { return warps * kWarpSize; }
  /// Of steps with several rows, for which others store them: RowHalves.h. A
  /// block has some units of one run.
  bool ofStoredRows = false;
  int64_t rowTiles = 1; ///< Of kTokens rows each.
  int64_t blockUnits = 1;
  int64_t blockPanels() const { return blockUnits * streams(); }

  /// Elements of k under one sum of activations, 16 to 128: as many as all
  /// groups of weights that want sums are multiples of.
  int64_t sumGroup = 128;
  bool needsSums = false; ///< Some weight has minima or a zero.
  /// Of each 32 elements of a row the last 16 are stored as sixteenths, for
  /// codes that are 16 times as large: PanelCodes::bits().
  bool hasSixteenths = false;

  int64_t sumCount() const { return needsSums ? k / sumGroup : 0; }

  // Shared memory, in bytes.
  static constexpr int64_t factorOffset = 0, partialOffset = kTokens * 4;
  int64_t partialBytes() const {
    return warps * blockPanels() * rowTiles * 32 * 16;
  }
  int64_t ringOffset() const {
    return ofStoredRows ? 0 : partialOffset + partialBytes();
  }
  int64_t ringBytes = 0; ///< Of all warps.
  int64_t rowsOffset() const { return ringOffset() + ringBytes; }
  int64_t sumsOffset() const { return k * 2; } ///< Within a row.
  int64_t rowBytes = 0;
};

/// The plan of a stage in prompt steps or in others, with tensor cores if they
/// take it; or the reason why it has no kernel.
std::optional<MatmulPlan> planMatmul(qz::MatmulOp matmul,
                                     const TargetSpec &target, bool isPrompt,
                                     std::string &why);

/// Whether the experts of its rows are chosen, so that prompt steps deal them
/// otherwise than others.
bool dependsOnPrompt(qz::MatmulOp matmul);
/// Whether prompt steps multiply stored tiles.
bool takesTiles(qz::MatmulOp matmul);
/// Whether the steps of such a plan fit into shared memory.
bool fitsInTiles(const MatmulPlan &plan);

/// Sets how `kernel` is launched, which says already what a tile takes: units,
/// its rows and shared memory.
void describeBlocks(MatmulPlan &plan, GpuKernel &kernel);

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_MATMULPLAN_H
