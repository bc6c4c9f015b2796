//===- PlanSchedule.cpp - Work units of every stage -----------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The abstract schedule. Stages stand in order, and what a stage needs is its
// operands; how units are dealt to threads or blocks, and where barriers or
// launches fall, is left to the lowering for a target.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/PackedLayout.h"
#include "qcc/Transforms/Passes.h"
#include "StepFunction.h"

#include "llvm/ADT/TypeSwitch.h"

namespace qcc {
#define GEN_PASS_DEF_PLANSCHEDULEPASS
#include "qcc/Transforms/Passes.h.inc"
} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {
/// The units of a stage; no kind for an operation that is no stage.
struct Units {
  StringRef kind;
  int64_t count = 0; ///< 0: only known at run time.
};
} // namespace

/// Panels of the result. Each weight starts a panel of its own; gate and up of
/// a gated unit go together.
static int64_t countPanels(qz::MatmulOp matmul) {
  int64_t panels = 0;
  for (Value weight : matmul.getWeights()) {
    int64_t rows = cast<qz::QTensorType>(weight.getType()).getRows();
    panels += (rows + PackedLayout::kRows - 1) / PackedLayout::kRows;
    if (matmul.isGlu())
      break;
  }
  return panels;
}

static Units unitsOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, Units>(op)
      .Case([](qz::MatmulOp matmul) {
        // So many of each expert that some slot names.
        return Units{matmul.getExperts() ? "expert_panels" : "panels",
                     countPanels(matmul)};
      })
      .Case([](llm::RopeAppendOp append) {
        int64_t width = append.getQkv().getType().getDimSize(1);
        return Units{"row_heads",
                     width / append.getState().getType().getHeadDim()};
      })
      .Case([](llm::LatentAppendOp append) {
        int64_t width = append.getResult().getType().getDimSize(1);
        // Its heads, and the key.
        return Units{"row_heads",
                     width / append.getState().getType().getHeadDim() + 1};
      })
      .Case([](llm::AttendOp attend) {
        return Units{"row_kv_heads", attend.getState().getType().getKvHeads()};
      })
      .Case<qz::QuantizeOp, llm::EmbeddingOp, llm::RotationsOp, llm::AddNormOp,
            llm::SelectOutputsOp, llm::RouteOp, llm::RouteAllOp,
            llm::CombineOp>([](auto) { return Units{"rows"}; })
      .Default([](Operation *) { return Units{}; });
}

namespace {
struct PlanSchedulePass : qcc::impl::PlanSchedulePassBase<PlanSchedulePass> {
  using Base::Base;

  void runOnOperation() override {
    Builder builder(&getContext());
    getOperation().walk([&](Operation *op) {
      Units units = unitsOf(op);
      if (units.kind.empty())
        return;
      op->setAttr("units", builder.getStringAttr(units.kind));
      if (units.count)
        op->setAttr("unit_count", builder.getI64IntegerAttr(units.count));
      if (isa<qz::QuantizeOp, llm::RouteOp, llm::RouteAllOp>(op))
        op->setAttr("generate_replicated", builder.getUnitAttr());
      ++numStages;
    });
  }
};
} // namespace
