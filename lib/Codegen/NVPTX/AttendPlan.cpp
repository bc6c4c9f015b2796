//===- AttendPlan.cpp - How blocks share attention ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "AttendPlan.h"

#include "qcc/Codegen/Common/ModelCode.h"
#include "CodeTile.h"
#include "StageKernel.h"

#include <algorithm>

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

/// Sums that a lane keeps: elements of its share of a value, for all heads of
/// the block. More would leave room for few blocks on a multiprocessor.
static constexpr int64_t kMostSums = 32;
static constexpr int64_t kMostHeads = 8;
/// Blocks that one row should have: three on each of the 128 or so
/// multiprocessors of a large GPU.
static constexpr int64_t kBlocks = 384;
/// Elements of keys and values with tensor cores.
static constexpr int64_t kMostColumns = 256;
/// Joining takes longer the more parts there are.
static constexpr int64_t kMostParts = 64;

static int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

int64_t AttendPlan::recordsOffset() const {
  return roundUp(QCC_GENERATE_ROWS * units * 4, 256);
}

int64_t AttendPlan::scratchBytes() const {
  if (!isSplit())
    return 0;
  return recordsOffset() + QCC_GENERATE_ROWS * units * parts * recordBytes();
}

/// The most positions that a row sees; 0 if that is not known.
static int64_t mostVisible(llm::AttendOp op) {
  auto module = op->getParentOfType<ModuleOp>();
  int64_t context = numberOf(module, "llm.context"), window = op.getWindow();
  if (window && context)
    return std::min(window, context);
  return window ? window : context;
}

/// Whether tensor cores take the rows of prompts: pieces of 16 bytes, and few
/// enough of them that a warp's queries and outputs are in registers.
static bool takesTensorCores(llm::AttendOp op, Type element) {
  llm::StateType state = op.getState().getType();
  const int64_t piece = element.isInteger() ? CodeTile::kPieceCodes : 8;
  auto fits = [&](int64_t dim) {
    return dim % piece == 0 && dim <= kMostColumns;
  };
  return op.getPromptHalves() && !element.isF32() && fits(state.getHeadDim()) &&
         fits(state.getValueDim());
}

AttendPlan nvptx::planAttend(llm::AttendOp op, Type element, bool isPrompt) {
  llm::StateType state = op.getState().getType();
  int64_t all = columnsOf(op.getQuery()) / state.getHeadDim();
  int64_t group = all / state.getKvHeads();
  AttendPlan plan;
  plan.valueDim = state.getValueDim();
  if (isPrompt && takesTensorCores(op, element)) {
    plan.onTensorCores = true;
    plan.heads = 1;
    plan.units = all;
    // What queries, outputs and scores leave of registers decides: three blocks
    // stand on a multiprocessor, or two.
    int64_t columns = std::max(state.getHeadDim(), state.getValueDim());
    plan.tilePositions = columns <= 128 ? 64 : 32;
    plan.blocks = columns <= 64 ? 3 : 2;
    plan.queriesInShared = columns > 128;
    return plan;
  }
  int64_t sums = roundUp(plan.valueDim, kWarpSize) / kWarpSize;
  plan.heads = std::clamp<int64_t>(kMostSums / sums, 1, kMostHeads);
  while (group % plan.heads)
    --plan.heads;
  plan.units = all / plan.heads;
  // With codes and scales besides the most sums, three would spill.
  plan.blocks = element.isInteger() && plan.heads * sums == kMostSums ? 2 : 3;
  if (isPrompt)
    return plan;
  plan.parts = std::clamp<int64_t>(kBlocks / plan.units, 1, kMostParts);
  // A part has a tile for each warp at least; a window may begin in a tile.
  if (int64_t visible = mostVisible(op)) {
    int64_t tiles = (visible + kTilePositions - 2) / kTilePositions + 1;
    plan.parts = std::min(plan.parts, (tiles + kWarps - 1) / kWarps);
  }
  return plan;
}

llm::RopeAppendOp nvptx::ropeOf(llm::AttendOp op) {
  auto rope = op.getQuery().getDefiningOp<llm::RopeAppendOp>();
  return rope && rope.getResult().hasOneUse() &&
                 rope.getState() == op.getState()
             ? rope
             : llm::RopeAppendOp();
}
