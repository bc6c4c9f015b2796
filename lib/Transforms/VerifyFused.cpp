//===- VerifyFused.cpp - Check the normal form of stage 2 -----------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Later passes rely on this form and do not look for anything else. The note of
// an error names the pass whose work is missing.
//===----------------------------------------------------------------------===//

#include "qcc/Transforms/Passes.h"
#include "StepFunction.h"

#include "llvm/ADT/TypeSwitch.h"

namespace qcc {
#define GEN_PASS_DEF_VERIFYFUSEDPASS
#include "qcc/Transforms/Passes.h.inc"
} // namespace qcc

using namespace mlir;
using namespace qcc;

/// A norm of each head rather than of whole rows.
static bool isHeadNorm(llm::RMSNormOp norm) {
  auto weight = dyn_cast<RankedTensorType>(norm.getWeight().getType());
  return weight &&
         weight.getDimSize(0) != norm.getInput().getType().getDimSize(1);
}

/// The pass that removes operations like `op`; empty when none does.
static StringRef responsiblePass(Operation *op) {
  return llvm::TypeSwitch<Operation *, StringRef>(op)
      .Case<llm::LinearOp, llm::ExpertLinearOp, llm::EmbeddingOp, llm::RouteOp>(
          [](auto) { return "qcc-fuse-matmuls"; })
      .Case([](qz::DequantizeOp dequantize) -> StringRef {
        // Whoever fuses the user drops the dequantized weight.
        for (Operation *user : dequantize->getUsers())
          if (StringRef pass = responsiblePass(user); !pass.empty())
            return pass;
        return "canonicalize";
      })
      .Case<llm::AttentionOp, llm::RopeOp, llm::GluOp, llm::ConcatHeadsOp>(
          [](auto) { return "qcc-merge-projections"; })
      .Case([](llm::RMSNormOp norm) {
        return isHeadNorm(norm) ? "qcc-merge-projections"
                                : "qcc-fuse-epilogues";
      })
      .Case([](llm::LayerNormOp norm) {
        return norm.getWeight().getType().getRank() == 1
                   ? "qcc-fuse-epilogues"
                   : "qcc-merge-projections";
      })
      .Case<llm::AddOp, llm::ActivateOp, llm::ScaleLogitsOp>(
          [](auto) { return "qcc-fuse-epilogues"; })
      .Case([](qz::PermuteOp) { return "qcc-fold-permutations"; })
      .Case<qz::UseOp, llm::StateOp, llm::RotationsOp>(
          [](auto) { return "qcc-roll-layers"; })
      .Default([](Operation *) { return ""; });
}

/// Operations of both @step and bodies.
static bool isStage(Operation *op) {
  if (auto embedding = dyn_cast<llm::EmbeddingOp>(op))
    return llvm::all_of(embedding.getOperands().drop_front(), [](Value table) {
      return isa<qz::QTensorType>(table.getType());
    });
  if (auto route = dyn_cast<llm::RouteOp>(op))
    return !route.getBias() || isa<qz::QTensorType>(route.getBias().getType());
  return isa<qz::QuantizeOp, qz::MatmulOp, llm::RopeAppendOp,
             llm::LatentAppendOp, llm::AttendOp, llm::AddNormOp,
             llm::SelectOutputsOp, llm::RouteAllOp, llm::CombineOp,
             func::ReturnOp>(op);
}

static LogicalResult checkOperations(func::FuncOp func, bool isStep) {
  for (Operation &op : entryBlock(func)) {
    if (isStage(&op) ||
        (isStep &&
         isa<qz::UseOp, llm::StateOp, llm::RotationsOp, func::CallOp>(op)))
      continue;
    InFlightDiagnostic error = op.emitOpError()
                               << "is not part of the fused form of "
                               << (isStep ? "@step" : "a body");
    if (StringRef pass = responsiblePass(&op); !pass.empty())
      error.attachNote() << pass << " should have removed it";
    return error;
  }
  return success();
}

static LogicalResult checkBody(func::FuncOp body) {
  FunctionType type = body.getFunctionType();
  if (!body.isPrivate())
    return body.emitOpError() << "expected a body to be private";
  if (type.getNumInputs() == 0 || type.getNumResults() != 1 ||
      !isa<RankedTensorType>(type.getInput(0)) ||
      type.getInput(0) != type.getResult(0))
    return body.emitOpError()
           << "expected a body to map rows, its first argument, to rows of the "
              "same type, got "
           << type;
  return checkOperations(body, /*isStep=*/false);
}

static LogicalResult checkStep(func::FuncOp step) {
  FunctionType type = step.getFunctionType();
  if (type.getNumInputs() != 1 || !isa<llm::BatchType>(type.getInput(0)) ||
      type.getNumResults() != 1)
    return step.emitOpError()
           << "expected @step to map a batch to rows of logits, got " << type;
  if (failed(checkOperations(step, /*isStep=*/true)))
    return failure();
  Value logits = entryBlock(step).getTerminator()->getOperand(0);
  if (!logits.getDefiningOp<qz::MatmulOp>() || !logits.hasOneUse())
    return step.emitOpError()
           << "expected @step to return the rows of a qz.matmul that nothing "
              "else uses";
  return success();
}

namespace {
struct VerifyFusedPass : qcc::impl::VerifyFusedPassBase<VerifyFusedPass> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(check()))
      signalPassFailure();
    markAllAnalysesPreserved();
  }

private:
  LogicalResult check() {
    ModuleOp module = getOperation();
    FailureOr<func::FuncOp> step = findStep(module);
    if (failed(step))
      return failure();
    FailureOr<SmallVector<func::FuncOp>> bodies = findBodies(*step);
    if (failed(bodies))
      return failure();
    for (auto func : module.getOps<func::FuncOp>())
      if (func != *step && !llvm::is_contained(*bodies, func)) {
        InFlightDiagnostic error = func.emitOpError()
                                   << "is not called by @step";
        error.attachNote() << "symbol-dce removes functions without uses";
        return error;
      }
    for (func::FuncOp body : *bodies)
      if (failed(checkBody(body)))
        return failure();
    return checkStep(*step);
  }
};
} // namespace
