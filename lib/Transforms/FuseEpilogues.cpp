//===- FuseEpilogues.cpp - Fuse norms and sums into neighbours ------------===//
// SPDX-License-Identifier: Apache-2.0
//
// What is left between matmuls are norms before, and activation functions and
// sums after them. Each takes a pass over rows that a neighbour has in
// registers anyway, and a barrier.
//===----------------------------------------------------------------------===//

#include "qcc/Transforms/Passes.h"
#include "qcc/Transforms/Transforms.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace qcc {
#define GEN_PASS_DEF_FUSEEPILOGUESPASS
#include "qcc/Transforms/Passes.h.inc"
} // namespace qcc

using namespace mlir;
using namespace qcc;

/// The quantized form of a dequantized weight, null for another.
static Value quantized(Value weight) {
  auto dequantize = weight.getDefiningOp<qz::DequantizeOp>();
  return dequantize ? dequantize.getWeight() : Value();
}

/// The quantized weight of a norm over whole rows, else null after saying why.
static Value matchRowNorm(llm::RMSNormOp norm, Operation *anchor,
                          PatternRewriter &rewriter) {
  Value weight = quantized(norm.getWeight());
  if (!weight) {
    (void)rewriter.notifyMatchFailure(anchor, "norm weight is not dequantized");
    return {};
  }
  if (cast<qz::QTensorType>(weight.getType()).getColumns() !=
      norm.getInput().getType().getDimSize(1)) {
    (void)rewriter.notifyMatchFailure(anchor, "norm covers part of a row");
    return {};
  }
  return weight;
}

/// `op` with `norm` before it; fails where the norm covers several slots, as
/// of an expert's rows, each of which has its own columns.
static LogicalResult takeNorm(PatternRewriter &rewriter, qz::QuantizeOp op,
                              auto norm, Value weight, Value bias,
                              UnitAttr isCentered) {
  if (cast<qz::QTensorType>(weight.getType()).getColumns() !=
      op.getType().getColumns())
    return rewriter.notifyMatchFailure(op, "norm covers several slots");
  rewriter.replaceOpWithNewOp<qz::QuantizeOp>(
      op, op.getType(), norm.getInput(), weight, bias, op.getOrder(),
      op.getExperts(), norm.getEpsAttr(), isCentered, op.getGenerateAttr(),
      op.getPromptAttr(), op.getSumGroupAttr(), op.getPromptBlocksAttr());
  return success();
}

namespace {
struct FuseNorm : OpRewritePattern<qz::QuantizeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(qz::QuantizeOp op,
                                PatternRewriter &rewriter) const override {
    if (op.getNorm())
      return rewriter.notifyMatchFailure(op, "has a norm already");
    auto norm = op.getInput().getDefiningOp<llm::RMSNormOp>();
    if (!norm)
      return rewriter.notifyMatchFailure(op, "input is not normed");
    Value weight = matchRowNorm(norm, op, rewriter);
    if (!weight)
      return failure();
    return takeNorm(rewriter, op, norm, weight, /*bias=*/Value(), UnitAttr());
  }
};

struct FuseLayerNorm : OpRewritePattern<qz::QuantizeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(qz::QuantizeOp op,
                                PatternRewriter &rewriter) const override {
    if (op.getNorm())
      return rewriter.notifyMatchFailure(op, "has a norm already");
    auto norm = op.getInput().getDefiningOp<llm::LayerNormOp>();
    if (!norm)
      return rewriter.notifyMatchFailure(op, "input is not normed");
    Value weight = quantized(norm.getWeight()), bias;
    if (!weight)
      return rewriter.notifyMatchFailure(op, "norm weight is not dequantized");
    if (norm.getWeight().getType().getRank() != 1)
      return rewriter.notifyMatchFailure(op, "norm covers part of a row");
    if (norm.getBias() && !(bias = quantized(norm.getBias())))
      return rewriter.notifyMatchFailure(op, "norm bias is not dequantized");
    return takeNorm(rewriter, op, norm, weight, bias, rewriter.getUnitAttr());
  }
};

struct FuseActivation : OpRewritePattern<llm::ActivateOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(llm::ActivateOp op,
                                PatternRewriter &rewriter) const override {
    auto matmul = op.getInput().getDefiningOp<qz::MatmulOp>();
    if (!matmul)
      return rewriter.notifyMatchFailure(op, "input is not a matmul");
    if (!matmul->hasOneUse())
      return rewriter.notifyMatchFailure(op, "product has other uses");
    if (matmul.getEpilogue() != qz::Epilogue::None)
      return rewriter.notifyMatchFailure(op, "matmul has an epilogue");
    rewriter.replaceOpWithNewOp<qz::MatmulOp>(
        op, op.getType(), matmul.getInput(), matmul.getWeights(),
        matmul.getBiases(), /*residual=*/Value(), matmul.getExperts(),
        matmul.getBiasOf(), epilogueOf(op.getActivation()));
    return success();
  }

private:
  static qz::Epilogue epilogueOf(llm::Activation activation) {
    switch (activation) {
    case llm::Activation::Silu:
      return qz::Epilogue::Silu;
    case llm::Activation::GeluTanh:
      return qz::Epilogue::GeluTanh;
    case llm::Activation::GeluErf:
      return qz::Epilogue::GeluErf;
    case llm::Activation::Relu:
      return qz::Epilogue::Relu;
    case llm::Activation::ClampedSwiglu: // llm.activate does not take it.
      break;
    }
    llvm_unreachable("unknown activation");
  }
};

struct FuseSum : OpRewritePattern<llm::AddOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(llm::AddOp add,
                                PatternRewriter &rewriter) const override {
    if (succeeded(fuse(add, add.getLhs(), add.getRhs(), rewriter)))
      return success();
    return fuse(add, add.getRhs(), add.getLhs(), rewriter);
  }

private:
  /// Fuses `add`, a sum of `residual` and `term`, with what makes `term`.
  LogicalResult fuse(llm::AddOp add, Value residual, Value term,
                     PatternRewriter &rewriter) const {
    Operation *producer = term.getDefiningOp();
    if (!isa_and_nonnull<qz::MatmulOp, llm::RMSNormOp, llm::CombineOp>(
            producer))
      return rewriter.notifyMatchFailure(
          add, "term is no matmul, no norm and no sum of slots");
    if (!producer->hasOneUse())
      return rewriter.notifyMatchFailure(add, "term has other uses");

    if (auto norm = dyn_cast<llm::RMSNormOp>(producer)) {
      Value weight = matchRowNorm(norm, add, rewriter);
      if (!weight)
        return failure();
      rewriter.replaceOpWithNewOp<llm::AddNormOp>(add, add.getType(), residual,
                                                  norm.getInput(), weight,
                                                  norm.getEpsAttr());
      return success();
    }

    if (auto combine = dyn_cast<llm::CombineOp>(producer)) {
      if (combine.getResidual())
        return rewriter.notifyMatchFailure(add, "slots have a residual");
      rewriter.replaceOpWithNewOp<llm::CombineOp>(
          add, add.getType(), combine.getSlots(), combine.getRouting(),
          combine.getShared(), combine.getGate(), residual);
      return success();
    }

    auto matmul = cast<qz::MatmulOp>(producer);
    if (matmul.getExperts())
      return rewriter.notifyMatchFailure(add, "matmul is of experts");
    if (matmul.getEpilogue() != qz::Epilogue::None)
      return rewriter.notifyMatchFailure(add, "matmul has an epilogue");
    rewriter.replaceOpWithNewOp<qz::MatmulOp>(
        add, add.getType(), matmul.getInput(), matmul.getWeights(),
        matmul.getBiases(), residual, /*experts=*/Value(), matmul.getBiasOf(),
        qz::Epilogue::Residual);
    return success();
  }
};

struct FuseLogits : OpRewritePattern<llm::ScaleLogitsOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(llm::ScaleLogitsOp op,
                                PatternRewriter &rewriter) const override {
    auto matmul = op.getInput().getDefiningOp<qz::MatmulOp>();
    if (!matmul || !matmul->hasOneUse())
      return rewriter.notifyMatchFailure(op, "input is no matmul of its own");
    if (matmul.getEpilogue() != qz::Epilogue::None)
      return rewriter.notifyMatchFailure(op, "matmul has an epilogue");
    rewriter.replaceOpWithNewOp<qz::MatmulOp>(
        op, op.getType(), matmul.getInput(), matmul.getWeights(),
        matmul.getBiases(), /*residual=*/Value(), matmul.getExperts(),
        matmul.getBiasOfAttr(),
        qz::EpilogueAttr::get(op.getContext(), qz::Epilogue::Logits),
        op.getScaleAttr(), op.getSoftcapAttr());
    return success();
  }
};

/// How many of each kind of fused operation there are.
struct Count {
  int64_t residuals = 0, activations = 0, norms = 0, addNorms = 0, left = 0;

  explicit Count(func::FuncOp func) {
    func.walk([&](Operation *op) {
      if (auto matmul = dyn_cast<qz::MatmulOp>(op))
        residuals += bool(matmul.getResidual());
      else if (auto combine = dyn_cast<llm::CombineOp>(op))
        residuals += bool(combine.getResidual());
      else if (auto quantize = dyn_cast<qz::QuantizeOp>(op))
        norms += bool(quantize.getNorm());
      addNorms += isa<llm::AddNormOp>(op);
      activations += isa<llm::ActivateOp>(op);
      left += isa<llm::AddOp, llm::RMSNormOp, llm::LayerNormOp, llm::ActivateOp,
                  llm::ScaleLogitsOp>(op);
    });
  }
};

struct FuseEpiloguesPass : qcc::impl::FuseEpiloguesPassBase<FuseEpiloguesPass> {
  using Base::Base;

  void runOnOperation() override {
    Count before(getOperation());
    RewritePatternSet patterns(&getContext());
    populateFuseEpiloguesPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    Count after(getOperation());
    numResiduals += after.residuals - before.residuals;
    numActivations += before.activations - after.activations;
    numNorms += after.norms - before.norms;
    numAddNorms += after.addNorms - before.addNorms;
    numMissed += after.left;
  }
};
} // namespace

void qcc::populateFuseEpiloguesPatterns(RewritePatternSet &patterns) {
  patterns.add<FuseNorm, FuseLayerNorm, FuseActivation, FuseSum, FuseLogits>(
      patterns.getContext());
}
