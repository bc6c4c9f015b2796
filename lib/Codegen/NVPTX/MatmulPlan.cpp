//===- MatmulPlan.cpp - How a matmul stage is laid on a GPU ---------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "MatmulPlan.h"

#include <numeric>

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

/// A step has about this many elements of k where units are smaller.
static constexpr int64_t kStepK = 128;
/// Shared memory that the rings of a block may take, so that several blocks fit
/// on a multiprocessor.
static constexpr int64_t kRingBytes = 32 * 1024;

int64_t WeightRun::slotOffset(unsigned stream) const {
  int64_t offset = 0;
  for (unsigned i = 0; i < stream; ++i)
    offset += stepBytes(i);
  return offset;
}

static qz::QTensorType weightType(qz::MatmulOp op, unsigned index) {
  return cast<qz::QTensorType>(op.getWeights()[index].getType());
}

/// Null, or what kernels do not take.
static const char *whyUnsupported(const Encoding &encoding) {
  if (encoding.isFloat())
    return "float weights";
  if (!encoding.spans.empty())
    return "codes that change their width along k";
  if (encoding.commonScale)
    return "scales that all rows have in common";
  if (encoding.splitScale)
    return "scales that change within a super-block";
  if (!encoding.subValues.empty() || encoding.hasOffset() ||
      encoding.subMinifloat != Minifloat::None)
    return "scales through a table";
  if (encoding.scaledMin)
    return "zero points that are floats";
  if (!encoding.table.empty())
    return "code tables";
  if (encoding.hasFloatCodes())
    return "codes that are floats";
  if (PackedLayout(encoding).subHalved)
    return "scales of half a byte";
  if (encoding.group % 16)
    return "groups of k that are not a multiple of 16";
  return nullptr;
}

static void collectRuns(MatmulPlan &plan) {
  qz::MatmulOp op = plan.matmul;
  int64_t column = 0;
  for (unsigned i = 0; i < op.getWeights().size(); ++i) {
    qz::QTensorType type = weightType(op, i);
    PackedLayout layout(type.getEncoding().toEncoding());
    if (op.isGlu() && i == 1) {
      plan.runs.front().streams.push_back(layout);
      return;
    }
    bool isNew =
        plan.runs.empty() ||
        !(plan.runs.back().streams.front().encoding == layout.encoding);
    if (isNew) {
      plan.runs.emplace_back();
      plan.runs.back().streams.push_back(layout);
    }
    WeightRun &run = plan.runs.back();
    run.segments.push_back({i, plan.units, column, type.getRows()});
    plan.units += int64_t(layout.panelsFor(size_t(type.getRows())));
    run.endUnit = plan.units;
    column += type.getRows();
  }
}

/// Steps are as long as possible below kStepK, whole units of every stream, and
/// divide k. False when that cannot be.
static bool planSteps(MatmulPlan &plan, WeightRun &run) {
  int64_t unit = 1;
  for (const PackedLayout &layout : run.streams)
    unit = std::lcm(unit, int64_t(layout.unitK));
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
  int64_t stepsOfWarp = (plan.k / run.stepK + kWarps - 1) / kWarps;
  bool four = stepsOfWarp > 2 && 4 * kWarps * run.slotBytes() <= kRingBytes;
  run.ringSlots = four ? 4 : 2;
  plan.ringBytes =
      std::max(plan.ringBytes, kWarps * run.ringSlots * run.slotBytes());
  return true;
}

std::optional<MatmulPlan> nvptx::planMatmul(qz::MatmulOp matmul,
                                            const TargetSpec &target,
                                            std::string &why) {
  auto no = [&](const char *reason) {
    why = reason;
    return std::nullopt;
  };
  MatmulPlan plan;
  plan.matmul = matmul;
  plan.k = matmul.getInput().getType().getColumns();
  plan.quantize = matmul.getInput().getDefiningOp<qz::QuantizeOp>();
  if (!plan.quantize)
    return no("activations that are made elsewhere");
  if (matmul.getExperts())
    return no("experts");
  if (matmul.getEpilogue() == qz::Epilogue::GluClampedSwiglu)
    return no("clamped gated units");
  for (unsigned i = 0; i < matmul.getWeights().size(); ++i) {
    Encoding encoding = weightType(matmul, i).getEncoding().toEncoding();
    if (const char *what = whyUnsupported(encoding))
      return no(what);
    plan.needsSums |= encoding.hasMin() || encoding.hasZeros();
    if (encoding.group % 32)
      plan.sumGroup = 16;
  }
  for (auto kind : {plan.quantize.getGenerate(), plan.quantize.getPrompt()})
    if (!kind || *kind != qz::Activations::F16)
      return no("activations other than f16");

  if (plan.quantize.getOrder())
    return no("activations in another order");
  if (plan.quantize.getCentered() || plan.quantize.getNormBias())
    return no("layer norms");
  if (!matmul.getBiases().empty())
    return no("biases");
  collectRuns(plan);
  for (WeightRun &run : plan.runs)
    if (!planSteps(plan, run))
      return no("columns that are not whole units of the packed layout");

  // Rows start eight banks apart, so that the lanes of four rows read different
  // ones.
  plan.rowBytes = (plan.k * 2 + plan.sumCount() * 4 + 31) / 32 * 32;
  while (plan.rowBytes % 128 != 32)
    plan.rowBytes += 32;
  plan.rowsPerBlock =
      std::min(kTokens, (int64_t(target.sharedBytes) - plan.rowsOffset()) /
                            plan.rowBytes);
  if (plan.rowsPerBlock < 1)
    return no("more shared memory than a block has");
  return plan;
}
