//===- FuseEpilogues.cpp - Fuse norms and sums into neighbours ------------===//
// SPDX-License-Identifier: Apache-2.0
//
// What is left between matmuls are norms before and sums after them. Each takes
// a pass over rows that a neighbour has in registers anyway, and a barrier.
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

/// The quantized weight of a norm over whole rows, else null after saying why.
static Value matchRowNorm(llm::RMSNormOp norm, Operation *anchor,
                          PatternRewriter &rewriter) {
  auto weight = norm.getWeight().getDefiningOp<qz::DequantizeOp>();
  if (!weight) {
    (void)rewriter.notifyMatchFailure(anchor, "norm weight is not dequantized");
    return {};
  }
  if (weight.getWeight().getType().getColumns() !=
      norm.getInput().getType().getDimSize(1)) {
    (void)rewriter.notifyMatchFailure(anchor, "norm covers part of a row");
    return {};
  }
  return weight.getWeight();
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
    rewriter.replaceOpWithNewOp<qz::QuantizeOp>(
        op, op.getType(), norm.getInput(), weight, op.getOrder(),
        norm.getEpsAttr(), op.getGenerateAttr(), op.getPromptAttr(),
        op.getSumGroupAttr());
    return success();
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
    if (!isa_and_nonnull<qz::MatmulOp, llm::RMSNormOp>(producer))
      return rewriter.notifyMatchFailure(add, "term is no matmul and no norm");
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

    auto matmul = cast<qz::MatmulOp>(producer);
    if (matmul.getEpilogue() != qz::Epilogue::None)
      return rewriter.notifyMatchFailure(add, "matmul has an epilogue");
    rewriter.replaceOpWithNewOp<qz::MatmulOp>(
        add, add.getType(), matmul.getInput(), matmul.getWeights(),
        matmul.getBiases(), residual, matmul.getBiasOf(),
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
        matmul.getBiases(), /*residual=*/Value(), matmul.getBiasOfAttr(),
        qz::EpilogueAttr::get(op.getContext(), qz::Epilogue::Logits),
        op.getScaleAttr(), op.getSoftcapAttr());
    return success();
  }
};

/// How many of each kind of fused operation there are.
struct Count {
  int64_t residuals = 0, norms = 0, addNorms = 0, left = 0;

  explicit Count(func::FuncOp func) {
    func.walk([&](Operation *op) {
      if (auto matmul = dyn_cast<qz::MatmulOp>(op))
        residuals += bool(matmul.getResidual());
      else if (auto quantize = dyn_cast<qz::QuantizeOp>(op))
        norms += bool(quantize.getNorm());
      addNorms += isa<llm::AddNormOp>(op);
      left += isa<llm::AddOp, llm::RMSNormOp, llm::ScaleLogitsOp>(op);
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
    numNorms += after.norms - before.norms;
    numAddNorms += after.addNorms - before.addNorms;
    numMissed += after.left;
  }
};
} // namespace

void qcc::populateFuseEpiloguesPatterns(RewritePatternSet &patterns) {
  patterns.add<FuseNorm, FuseSum, FuseLogits>(patterns.getContext());
}
