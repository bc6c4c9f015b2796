//===- MatmulKernel.cpp - Products by tensor cores ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "MatmulKernel.h"

#include "MatmulUnits.h"
#include "PanelStream.h"
#include "RowPrologue.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

namespace {
class MatmulKernel {
public:
  MatmulKernel(StageKernel &stage, const MatmulPlan &plan)
      : stage(stage), e(stage.e), plan(plan), units(stage, plan) {}

  void emit();

private:
  void emitTile();
  void storeSums(ValueRange sums);
  Value partialSum(unsigned stream, Value column, Value row);

  StageKernel &stage;
  WarpEmitter &e;
  const MatmulPlan &plan;
  MatmulUnits units;
  BlockContext block;
};
} // namespace

/// Leaves the sums of a warp in shared memory, as mma has them.
void MatmulKernel::storeSums(ValueRange sums) {
  for (unsigned s = 0; s < plan.streams(); ++s) {
    Value vector = LLVM::PoisonOp::create(e.b, e.loc, e.vec(4, e.f32()));
    for (int64_t i = 0; i < 4; ++i)
      vector = vector::InsertOp::create(e.b, e.loc, sums[4 * s + unsigned(i)],
                                        vector, i);
    Value slot = e.add(e.mul(block.warp, plan.streams()), int64_t(s));
    slot = e.add(e.mul(slot, kWarpSize), block.lane);
    e.store(vector,
            e.offset(e.offset(block.shared, MatmulPlan::partialOffset),
                     e.mul(slot, 16)),
            llvm::Align(16));
  }
}

/// The dot product of one column and row: the sums of all warps, in order.
Value MatmulKernel::partialSum(unsigned stream, Value column, Value row) {
  // Where mma leaves it: lane (column % 8) * 4 + row / 2.
  Value lane = e.add(e.mul(e.bitAnd(column, 7), 4), e.shift(row, -1));
  Value element = e.add(e.mul(e.shift(column, -3), 2), e.bitAnd(row, 1));
  Value at = e.offset(
      e.offset(block.shared, MatmulPlan::partialOffset + stream * 32 * 16),
      e.add(e.mul(lane, 16), e.mul(element, 4)));
  Value sum;
  for (int64_t w = 0; w < plan.warps; ++w) {
    Value part =
        e.load(e.f32(), at, w * plan.streams() * 32 * 16, llvm::Align(4));
    sum = sum ? e.addf(sum, part) : part;
  }
  sum = e.mulf(sum, 1 / PanelCodes::kBit);
  return e.mulf(sum, e.load(e.f32(),
                            e.offset(e.offset(block.shared, e.mul(row, 4)),
                                     MatmulPlan::factorOffset),
                            llvm::Align(4)));
}

void MatmulKernel::emit() {
  qz::QuantizeOp quantize = plan.quantize;
  block.thread = stage.thread;
  block.warp = stage.warp;
  block.lane = stage.lane;
  block.shared = stage.shared;
  block.inputRow = [&](Value row) { return units.inputRow(row); };
  block.norm = quantize.getNorm() ? stage.address(quantize.getNorm()) : Value();
  SharedRows::storeInShared(e, plan, block);
  units.forTiles([&] { emitTile(); });
}

void MatmulKernel::emitTile() {
  block.valid = units.valid;
  // Weights are on their way while the rows are made.
  units.forRun([&](const WeightRun &run) {
    PanelStream(e, plan, run, block, units.panels(run)).emitPrefetch();
  });
  prefetchForRows(e, plan, block);
  stage.awaitStages();
  // One result for each of the first threads: 16 columns of 8 rows. What it is
  // added to is on its way meanwhile.
  Value column = e.bitAnd(block.thread, 15), row = e.shift(block.thread, -4),
        residual = units.loadResidual(column, row);
  emitRowPrologue(e, plan, block);
  e.blockBarrier();
  units.forRun([&](const WeightRun &run) {
    SharedRows rows(e, plan, run, block);
    storeSums(PanelStream(e, plan, run, block, units.panels(run)).emit(rows));
  });
  e.blockBarrier();
  units.emitEpilogue(column, row, residual, [&](unsigned stream) {
    return partialSum(stream, column, row);
  });
}

void nvptx::describeMatmul(const MatmulPlan &plan, GpuKernel &kernel) {
  kernel.units = unsigned(plan.units);
  kernel.rowsPerBlock = unsigned(plan.tileRows);
  kernel.sharedBytes = unsigned(plan.rowsOffset());
  kernel.sharedBytesPerRow = unsigned(plan.rowBytes);
}

void nvptx::emitMatmul(StageKernel &stage, const MatmulPlan &plan) {
  // 72 registers for a thread of a block of four warps, 80 where rows and the
  // norm's weights are loaded together, or 96 where codes and scales are made
  // of parts; more where shared memory lets fewer blocks stand. Left to itself,
  // ptxas spills some to have more of them.
  bool isOfParts = llvm::any_of(plan.runs, [](const WeightRun &run) {
    return llvm::any_of(run.streams, [](const PackedLayout &layout) {
      return layout.planes.size() > 1 || layout.encoding.isTwoLevel();
    });
  });
  qz::QuantizeOp quantize = plan.quantize;
  const int64_t warps = isOfParts ? 20 : quantize.getNorm() ? 24 : 28;
  constexpr int64_t kReserved = 1024; // Of each block, by the system.
  int64_t room = (plan.sharedBytes + kReserved) /
                 (plan.rowsOffset() + plan.rowBytes + kReserved);
  stage.setBlocksPerMultiprocessor(std::min(warps / plan.warps, room));
  MatmulKernel(stage, plan).emit();
}
