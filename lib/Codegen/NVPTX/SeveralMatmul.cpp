//===- SeveralMatmul.cpp - Products of several rows by tensor cores -------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "SeveralMatmul.h"

#include "MatmulUnits.h"
#include "PanelStream.h"
#include "RowHalves.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

//===----------------------------------------------------------------------===//
// Plan
//===----------------------------------------------------------------------===//

/// Panels of a block. With more of them their sums spilled.
static constexpr int64_t kPanels = 2;
/// Warps on a multiprocessor, of 128 registers for each thread.
static constexpr int64_t kResidentWarps = 16;
/// What a block takes of shared memory besides.
static constexpr int64_t kReservedBytes = 1024;
/// Results of a unit.
static constexpr int64_t kUnitResults = PackedLayout::kRows * RowHalves::kRows;

/// Blocks of the stage.
static int64_t blocksOf(const MatmulPlan &plan, int64_t blockUnits) {
  int64_t blocks = 0, begin = 0;
  for (const WeightRun &run : plan.runs) {
    blocks += (run.endUnit - begin + blockUnits - 1) / blockUnits;
    begin = run.endUnit;
  }
  return blocks;
}

/// False if rings of two slots do not fit.
static bool planRings(MatmulPlan &plan, const TargetSpec &target) {
  const int64_t most = int64_t(target.sharedBytes);
  const int64_t share = most * plan.warps / kResidentWarps - kReservedBytes;
  plan.ringBytes = 0;
  for (WeightRun &run : plan.runs) {
    int64_t slots = plan.warps * plan.blockUnits * run.slotBytes();
    run.ringSlots = plan.k / run.stepK > plan.warps ? WeightRun::kMostSlots : 2;
    while (run.ringSlots > 2 && run.ringSlots * slots > share)
      --run.ringSlots;
    plan.ringBytes = std::max(plan.ringBytes, run.ringSlots * slots);
  }
  return std::max(plan.ringBytes, plan.partialBytes()) <= most;
}

std::optional<MatmulPlan> nvptx::planSeveral(const MatmulPlan &alone,
                                             const TargetSpec &target) {
  if (!alone.onTensorCores || alone.experts)
    return std::nullopt;
  MatmulPlan plan = alone;
  plan.ofStoredRows = true;
  plan.tileRows = RowHalves::kRows;
  plan.rowTiles = RowHalves::kRows / kTokens;
  plan.blockUnits = std::max<int64_t>(1, kPanels / plan.streams());
  while (!planRings(plan, target))
    if (!(plan.blockUnits /= 2))
      return std::nullopt;
  return plan;
}

void nvptx::describeSeveralMatmul(const MatmulPlan &plan, GpuKernel &kernel) {
  kernel.units = unsigned(blocksOf(plan, plan.blockUnits));
  kernel.rowsPerBlock = unsigned(plan.tileRows);
  kernel.sharedBytes = unsigned(std::max(plan.ringBytes, plan.partialBytes()));
}

//===----------------------------------------------------------------------===//
// Kernel
//===----------------------------------------------------------------------===//

namespace {
class SeveralMatmul {
public:
  SeveralMatmul(StageKernel &stage, const MatmulPlan &plan)
      : stage(stage), e(stage.e), plan(plan) {}

  void emit();

private:
  void findUnits();
  MatmulUnits unit(Value number);
  void storeSums(ValueRange sums);
  Value partialSum(unsigned stream, Value index);
  void emitResult(Value index);

  StageKernel &stage;
  WarpEmitter &e;
  const MatmulPlan &plan;
  Value firstUnit, endUnit; ///< i32: the block's, and those of its run.
};
} // namespace

void SeveralMatmul::findUnits() {
  int64_t begin = 0, block = 0;
  for (const WeightRun &run : plan.runs) {
    Value own = e.add(e.mul(e.add(stage.unit, -block), plan.blockUnits), begin),
          end = e.c32(run.endUnit);
    if (firstUnit) {
      Value here = e.cmp(arith::CmpIPredicate::sge, stage.unit, e.c32(block));
      own = e.select(here, own, firstUnit);
      end = e.select(here, end, endUnit);
    }
    firstUnit = own;
    endUnit = end;
    block += (run.endUnit - begin + plan.blockUnits - 1) / plan.blockUnits;
    begin = run.endUnit;
  }
}

/// Unit `number` of the block, or the last one of its run.
MatmulUnits SeveralMatmul::unit(Value number) {
  return MatmulUnits(stage, plan,
                     e.minU(e.add(firstUnit, number), e.add(endUnit, -1)));
}

/// Leaves the sums of a warp in shared memory, where others read those of
/// neighbouring lanes together.
void SeveralMatmul::storeSums(ValueRange sums) {
  const int64_t streams = plan.streams(), tiles = plan.rowTiles;
  Value own = e.offset(stage.shared,
                       e.mul(stage.warp, plan.partialBytes() / plan.warps));
  own = e.offset(own, e.mul(stage.lane, 4));
  size_t next = 0;
  for (int64_t u = 0; u < plan.blockUnits; ++u)
    for (int64_t s = 0; s < streams; ++s)
      for (int64_t t = 0; t < tiles; ++t)
        for (int64_t i = 0; i < 4; ++i) {
          int64_t slot = ((s * plan.blockUnits + u) * tiles + t) * 4 + i;
          e.store(sums[next++], own, slot * kWarpSize * 4, llvm::Align(4));
        }
}

/// The dot product of result `index` of the block: the sums of all warps, in
/// order.
Value SeveralMatmul::partialSum(unsigned stream, Value index) {
  Value at = e.offset(stage.shared, e.mul(index, 4));
  Value sum;
  for (int64_t w = 0; w < plan.warps; ++w) {
    int64_t slot = (w * plan.streams() + stream) * plan.blockUnits;
    Value part = e.load(e.f32(), at, slot * kUnitResults * 4, llvm::Align(4));
    sum = sum ? e.addf(sum, part) : part;
  }
  return e.mulf(sum, 1 / PanelCodes::kBit);
}

/// Results are numbered as [unit][tile][element of mma][lane].
void SeveralMatmul::emitResult(Value index) {
  Value lane = e.bitAnd(index, 31), element = e.bitAnd(e.shift(index, -5), 3);
  Value tile = e.bitAnd(e.shift(index, -7), 1);
  Value column = e.add(e.shift(lane, -2), e.mul(e.shift(element, -1), 8));
  Value row = e.add(e.mul(e.bitAnd(lane, 3), 2), e.bitAnd(element, 1));
  row = e.add(row, e.mul(tile, kTokens));
  Value number = e.udiv(index, kUnitResults);
  MatmulUnits own = unit(number);
  e.ifThen(e.lessThan(e.add(firstUnit, number), endUnit), [&] {
    Value residual = own.loadResidual(column, row);
    own.emitEpilogue(column, row, residual, [&](unsigned stream) {
      Value factor = e.load(
          e.f32(),
          e.offset(stage.scratch(KernelParameter::storedRows), e.mul(row, 4)),
          llvm::Align(4));
      return e.mulf(partialSum(stream, index), factor);
    });
  });
}

void SeveralMatmul::emit() {
  findUnits();
  BlockContext block;
  block.thread = stage.thread;
  block.warp = stage.warp;
  block.lane = stage.lane;
  block.shared = stage.shared;
  MatmulUnits first = unit(e.c32(0));
  block.valid = first.valid;
  auto stream = [&](const WeightRun &run) {
    Values panels;
    for (int64_t u = 0; u < plan.blockUnits; ++u)
      panels.append(unit(e.c32(u)).panels(run));
    return PanelStream(e, plan, run, block, panels);
  };
  // Weights are on their way while the rows are stored.
  first.forRun([&](const WeightRun &run) { stream(run).emitPrefetch(); });
  stage.awaitStages();
  first.forRun([&](const WeightRun &run) {
    StoredRows rows(e, plan, run, stage.scratch(KernelParameter::storedRows),
                    stage.lane, block.valid);
    Values sums = stream(run).emit(rows);
    // The sums lie where the rings were.
    e.blockBarrier();
    storeSums(sums);
  });
  e.blockBarrier();
  e.loop(stage.thread, e.c32(plan.blockUnits * kUnitResults), plan.threads(),
         [&](Value index) { emitResult(index); });
}

void nvptx::emitSeveralMatmul(StageKernel &stage, const MatmulPlan &plan) {
  stage.setBlocksPerMultiprocessor(kResidentWarps / plan.warps);
  SeveralMatmul(stage, plan).emit();
}
