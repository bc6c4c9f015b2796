//===- RowHalves.cpp - Rows of a step as f16 in memory --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "RowHalves.h"

#include "RowPrologue.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

void nvptx::emitRowHalves(StageKernel &stage, const MatmulPlan &plan) {
  WarpEmitter &e = stage.e;
  const RowHalves layout = rowHalvesOf(plan);
  qz::QuantizeOp quantize = plan.quantize;
  Value row = e.blockIndex(gpu::Dimension::y),
        start = stage.scratch(KernelParameter::storedRows);
  Value halves = e.offset(e.offset(start, layout.halvesOffset()),
                          e.mul(row, RowHalves::kRowBytes));
  Value own = e.offset(start, e.mul(row, 4));

  BlockContext block;
  block.thread = stage.thread;
  block.warp = stage.warp;
  block.lane = stage.lane;
  block.shared = stage.shared;
  block.valid = e.c32(1);
  block.norm = quantize.getNorm() ? stage.address(quantize.getNorm()) : Value();
  block.inputRow = [&](Value) { return stage.rowOf(quantize.getInput(), row); };
  block.storeQuad = [&](Value, Value quad, Value pair) {
    Value at = e.add(e.mul(e.shift(quad, -3), RowHalves::kChunkBytes),
                     placeInChunk(e, quad));
    e.store(pair, e.offset(halves, at), llvm::Align(8));
  };
  block.storeSum = [&](Value, Value group, Value sum) {
    Value at = e.add(e.mul(group, RowHalves::kRows * 4), RowHalves::sumsOffset);
    e.store(sum, e.offset(own, at), llvm::Align(4));
  };
  emitRowPrologue(e, plan, block);
  e.ifThen(e.cmp(arith::CmpIPredicate::eq, stage.thread, e.c32(0)), [&] {
    e.store(
        e.load(e.f32(), stage.shared, MatmulPlan::factorOffset, llvm::Align(4)),
        own, llvm::Align(4));
  });
  stage.kernel.sharedBytes =
      unsigned(MatmulPlan::partialOffset + plan.warps * 8);
}

StoredRows::StoredRows(WarpEmitter &e, const MatmulPlan &plan,
                       const WeightRun &run, Value start, Value lane,
                       Value valid)
    : e(e), plan(plan), run(run) {
  const RowHalves layout = rowHalvesOf(plan);
  Value quad = e.bitAnd(lane, 3);
  for (int64_t tile = 0; tile < kTiles; ++tile) {
    // Lanes of rows that do not exist read the last one; nothing of it reaches
    // the rows that do.
    Value row = e.add(e.shift(lane, -2), tile * kTokens);
    row = e.minU(row, e.add(valid, -1));
    halves[tile] =
        e.offset(e.offset(start, layout.halvesOffset()),
                 e.add(e.mul(row, RowHalves::kRowBytes), e.mul(quad, 16)));
  }
  groups = e.offset(e.offset(start, RowHalves::sumsOffset), e.mul(quad, 8));
}

void StoredRows::beginStep(Value step) {
  const int64_t chunks = run.stepK / RowHalves::kChunk;
  for (int64_t tile = 0; tile < kTiles; ++tile)
    stepHalves[tile] =
        e.offset(halves[tile], e.mul(step, chunks * RowHalves::kChunkBytes));
  if (plan.needsSums)
    stepGroups = e.offset(
        groups, e.mul(step, run.stepK / plan.sumGroup * RowHalves::kRows * 4));
  ahead.clear();
  if (run.stepK > kMostAhead)
    return;
  for (int64_t chunk = 0; chunk < chunks; ++chunk)
    for (int64_t tile = 0; tile < kTiles; ++tile)
      ahead.push_back(load(tile, chunk));
}

/// Operands of both products of a chunk.
Values StoredRows::load(int64_t tile, int64_t chunk) {
  Value four =
      e.load(e.vec(4, e.i32()),
             e.offset(stepHalves[tile], chunk * RowHalves::kChunkBytes),
             llvm::Align(16));
  Values result;
  for (int64_t i = 0; i < 4; ++i)
    result.push_back(e.bitcast(e.extract(four, i), e.half2()));
  return result;
}

Values StoredRows::operand(int64_t tile, int64_t k) {
  const int64_t chunk = k / RowHalves::kChunk, first = k / 16 % 2 * 2;
  Values both =
      ahead.empty() ? load(tile, chunk) : ahead[size_t(chunk * kTiles + tile)];
  return {both[size_t(first)], both[size_t(first) + 1]};
}

/// Sums of rows that do not exist may be anything.
Values StoredRows::sums(int64_t tile, int64_t group) {
  Value pair = e.load(
      e.vec(2, e.f32()),
      e.offset(stepGroups, (group * RowHalves::kRows + tile * kTokens) * 4),
      llvm::Align(8));
  return {e.extract(pair, 0), e.extract(pair, 1)};
}
