//===- MatmulPlan.cpp - How a matmul stage is laid on a GPU ---------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "MatmulPlan.h"

#include "dialects/LLM/LLMDialect.h"
#include "qcc/Formats/HalfTiles.h"
#include "PanelCodes.h"
#include "RowTiles.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <algorithm>
#include <numeric>

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

/// A step has about this many elements of k where units are smaller.
static constexpr int64_t kStepK = 128;
/// Most warps of a block.
static constexpr int64_t kMostWarps = 16;
/// Of a large GPU: multiprocessors, and warps of 64 registers in all.
static constexpr int64_t kMultiprocessors = 132,
                         kWarpsOfGpu = 32 * kMultiprocessors;

int64_t WeightRun::slotOffset(unsigned stream) const {
  int64_t offset = 0;
  for (unsigned i = 0; i < stream; ++i)
    offset += stepBytes(i);
  return offset;
}

static qz::QTensorType weightType(qz::MatmulOp op, unsigned index) {
  return cast<qz::QTensorType>(op.getWeights()[index].getType());
}

/// Shared memory of a list of rows.
static int64_t listBytes(int64_t rows) { return (kWarps + rows) * 4; }

static void collectRuns(MatmulPlan &plan) {
  qz::MatmulOp op = plan.matmul;
  int64_t column = 0;
  for (unsigned i = 0; i < op.getWeights().size(); ++i) {
    qz::QTensorType type = weightType(op, i);
    PackedWeight packed(type.getEncoding().toEncoding(),
                        size_t(type.getColumns()));
    if (op.isGlu() && i == 1) {
      plan.runs.front().packed.push_back(packed);
      return;
    }
    bool isNew = plan.runs.empty() ||
                 !(plan.runs.back().packed.front().encoding == packed.encoding);
    if (isNew) {
      plan.runs.emplace_back();
      plan.runs.back().packed.push_back(packed);
    }
    WeightRun &run = plan.runs.back();
    int64_t first = plan.units;
    plan.units += int64_t(PackedWeight::panelsFor(size_t(type.getRows())));
    run.segments.push_back({i, first, plan.units, column, type.getRows()});
    run.endUnit = plan.units;
    column += type.getRows();
  }
}

/// Steps are as long as possible below kStepK, whole units of every stream, and
/// divide k. False when that cannot be.
static bool planSteps(const MatmulPlan &plan, WeightRun &run) {
  int64_t unit = 1;
  for (const PackedWeight &packed : run.packed) {
    run.streams.push_back(packed.runs.front().layout);
    unit = std::lcm(unit, int64_t(run.streams.back().unitK));
  }
  // Copies are of 16 bytes.
  for (const PackedLayout &layout : run.streams)
    if (unit / layout.unitK * layout.unitBytes % 16)
      unit *= 2;
  if (plan.k % unit)
    return false;
  run.stepK = unit;
  for (int64_t step = unit; step <= kStepK; step += unit)
    if (plan.k % step == 0)
      run.stepK = step;
  return true;
}

/// As many warps as one row keeps busy. Experts, whose rows come in other
/// company in prompts, always have the same.
static int64_t warpsFor(const MatmulPlan &plan) {
  if (plan.experts)
    return kWarps;
  int64_t warps = kWarps, steps = plan.k;
  for (const WeightRun &run : plan.runs)
    steps = std::min(steps, plan.k / run.stepK);
  while (warps < kMostWarps && 2 * warps <= steps &&
         2 * warps * plan.units <= kWarpsOfGpu)
    warps *= 2;
  return warps;
}

/// Lays out shared memory; false if it does not hold a single row. Measured on
/// an H200, long rings are worth more than blocks that stand there at once.
static bool planShared(MatmulPlan &plan, const TargetSpec &target) {
  plan.ringBytes = 0;
  for (WeightRun &run : plan.runs) {
    const int64_t slot = plan.warps * run.slotBytes(),
                  steps = (plan.k / run.stepK + plan.warps - 1) / plan.warps,
                  most = int64_t(target.sharedBytes) / 3;
    run.ringSlots =
        steps > 1 ? std::clamp<int64_t>(most / slot, 2, WeightRun::kMostSlots)
                  : 2;
    plan.ringBytes = std::max(plan.ringBytes, run.ringSlots * slot);
  }
  int64_t left = int64_t(target.sharedBytes) - plan.rowsOffset();
  if (plan.experts && plan.experts->byExpert)
    left -= listBytes(ExpertPlan::mostListed);
  plan.tileRows = std::min(kTokens, left / plan.rowBytes);
  return plan.tileRows >= 1;
}

static bool wantsSums(const Encoding &encoding) {
  return encoding.hasMin() || encoding.hasZeros() || encoding.zero != 0;
}

/// Where nibbles gain by it, and all codes fit.
static bool wantsSixteenths(const MatmulPlan &plan) {
  bool hasNibbles = false, isFit = true;
  for (const WeightRun &run : plan.runs)
    for (const PackedLayout &layout : run.streams) {
      hasNibbles |= PanelCodes::isNibbles(layout);
      isFit &= layout.encoding.bits <= 6;
    }
  return hasNibbles && isFit;
}

/// Whether tensor cores take the stage; fills in how.
static bool planTensorCores(MatmulPlan &plan, const TargetSpec &target) {
  qz::QuantizeOp quantize = plan.quantize;
  for (auto kind : {quantize.getGenerate(), quantize.getPrompt()})
    if (!kind || *kind != qz::Activations::F16)
      return false;
  if (quantize.getOrder() || quantize.getCentered() || quantize.getNormBias())
    return false;
  for (WeightRun &run : plan.runs) {
    for (const PackedWeight &packed : run.packed) {
      if (!hasIntegerCodes(packed.encoding))
        return false;
      if (wantsSums(packed.encoding)) {
        plan.needsSums = true;
        plan.sumGroup = std::gcd(plan.sumGroup, int64_t(packed.encoding.group));
      }
    }
    if (!planSteps(plan, run))
      return false;
  }
  plan.hasSixteenths = wantsSixteenths(plan);
  // Rows start 16 banks apart, so that the lanes of two rows, which read
  // together, have different ones.
  plan.rowBytes = (plan.k * 2 + plan.sumCount() * 4 + 31) / 32 * 32;
  while (plan.rowBytes % 128 != 64)
    plan.rowBytes += 32;
  plan.warps = warpsFor(plan);
  while (!planShared(plan, target))
    if ((plan.warps /= 2) < kWarps)
      return false;
  return true;
}

/// True when the rows of `op` are the logits, which lie close together.
static bool isReturnedByStep(qz::MatmulOp op) {
  return op->hasOneUse() && isa<func::ReturnOp>(*op->user_begin()) &&
         op->getParentOfType<func::FuncOp>().getName() == "step";
}

bool nvptx::dependsOnPrompt(qz::MatmulOp matmul) {
  return matmul.getExperts() &&
         !matmul.getExperts().getDefiningOp<llm::RouteAllOp>();
}

bool nvptx::takesTiles(qz::MatmulOp matmul) {
  auto quantize = matmul.getInput().getDefiningOp<qz::QuantizeOp>();
  return quantize && isStoredInTiles(quantize);
}

/// Null without experts.
static std::optional<ExpertPlan> planExperts(const MatmulPlan &plan,
                                             bool isPrompt) {
  qz::MatmulOp op = plan.matmul;
  if (!op.getExperts())
    return std::nullopt;
  qz::QuantizeOp quantize = plan.quantize;
  bool isChosen = dependsOnPrompt(op);
  return ExpertPlan{weightType(op, 0).getMatrices(),
                    columnsOf(op.getExperts()) / 2,
                    columnsOf(quantize.getInput()) == plan.k, !isChosen,
                    isChosen && isPrompt};
}

void nvptx::describeBlocks(MatmulPlan &plan, GpuKernel &kernel) {
  if (!plan.experts)
    return;
  const ExpertPlan &experts = *plan.experts;
  kernel.units *= unsigned(experts.byExpert ? experts.experts : experts.slots);
  if (!experts.byExpert)
    return;
  plan.listOffset = kernel.sharedBytes + int64_t(kernel.rowsPerBlock) *
                                             int64_t(kernel.sharedBytesPerRow);
  kernel.sharedBytes = unsigned(plan.listOffset + listBytes(0));
  kernel.sharedBytesPerRow = 4;
  kernel.rowsPerBlock = unsigned(ExpertPlan::mostListed);
}

std::optional<MatmulPlan> nvptx::planMatmul(qz::MatmulOp matmul,
                                            const TargetSpec &target,
                                            bool isPrompt, std::string &why) {
  auto no = [&](const char *reason) {
    why = reason;
    return std::nullopt;
  };
  MatmulPlan plan;
  plan.matmul = matmul;
  plan.k = matmul.getInput().getType().getColumns();
  plan.quantize = matmul.getInput().getDefiningOp<qz::QuantizeOp>();
  plan.isLogits = isReturnedByStep(matmul);
  if (!plan.quantize)
    return no("activations that are made elsewhere");
  plan.experts = planExperts(plan, isPrompt);
  collectRuns(plan);
  plan.sharedBytes = target.sharedBytes;
  plan.inTiles = isPrompt && takesTiles(matmul);
  if (plan.inTiles) {
    if (!fitsInTiles(plan))
      return no("steps of its prompts do not fit into shared memory");
    return plan;
  }
  plan.onTensorCores = planTensorCores(plan, target);
  if (!plan.onTensorCores)
    plan.tileRows = kPlainRows;
  // Rows that are next to each other have other experts in the same slot.
  if (dependsOnPrompt(matmul) && !isPrompt)
    plan.tileRows = 1;
  return plan;
}
