//===- FuseMatmuls.cpp - Multiply with quantized weights ------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// First of the fusions: from here on no dequantized matrix exists, and the
// other passes see matmuls whose weights they can join.
//===----------------------------------------------------------------------===//

#include "qcc/Transforms/Passes.h"
#include "qcc/Transforms/Transforms.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace qcc {
#define GEN_PASS_DEF_FUSEMATMULSPASS
#include "qcc/Transforms/Passes.h.inc"
} // namespace qcc

using namespace mlir;
using namespace qcc;

/// Whether `type` is tensor<?xNxf32>: rows of a step.
static bool isRows(RankedTensorType type) {
  return type.getRank() == 2 && type.isDynamicDim(0) && !type.isDynamicDim(1);
}

/// Replaces `linear`, an llm.linear or, with `experts`, an llm.expert_linear.
template <typename Op>
static LogicalResult fuse(Op linear, Value experts, PatternRewriter &rewriter) {
  auto weight = linear.getWeight().template getDefiningOp<qz::DequantizeOp>();
  if (!weight)
    return rewriter.notifyMatchFailure(linear, "weight is not dequantized");
  SmallVector<Value> biases;
  SmallVector<int64_t> biasOf;
  if (linear.getBias()) {
    auto bias = linear.getBias().template getDefiningOp<qz::DequantizeOp>();
    if (!bias)
      return rewriter.notifyMatchFailure(linear, "bias is not dequantized");
    biases.push_back(bias.getWeight());
    biasOf.push_back(0);
  }
  RankedTensorType input = linear.getInput().getType();
  if (!isRows(input) || !isRows(linear.getResult().getType()))
    return rewriter.notifyMatchFailure(linear, "operands are not rows");
  int64_t slots = 1;
  if (experts)
    slots = cast<RankedTensorType>(experts.getType()).getDimSize(1) / 2;
  auto type = qz::QActivationType::get(
      linear.getContext(), weight.getWeight().getType().getColumns(), slots);
  auto activations = qz::QuantizeOp::create(
      rewriter, linear.getLoc(), type, linear.getInput(), /*norm=*/Value(),
      /*norm_bias=*/Value(), /*order=*/Value(), experts, /*eps=*/FloatAttr(),
      /*centered=*/UnitAttr(),
      /*generate=*/qz::ActivationsAttr(),
      /*prompt=*/qz::ActivationsAttr(), /*sum_group=*/IntegerAttr(),
      /*prompt_blocks=*/UnitAttr());
  rewriter.replaceOpWithNewOp<qz::MatmulOp>(
      linear, linear.getResult().getType(), activations,
      ValueRange(weight.getWeight()), biases, /*residual=*/Value(), experts,
      biasOf, qz::Epilogue::None);
  return success();
}

namespace {
struct FuseLinear : OpRewritePattern<llm::LinearOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(llm::LinearOp linear,
                                PatternRewriter &rewriter) const override {
    return fuse(linear, Value(), rewriter);
  }
};

struct FuseExpertLinear : OpRewritePattern<llm::ExpertLinearOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(llm::ExpertLinearOp linear,
                                PatternRewriter &rewriter) const override {
    return fuse(linear, linear.getRouting(), rewriter);
  }
};

struct FuseEmbedding : OpRewritePattern<llm::EmbeddingOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(llm::EmbeddingOp embedding,
                                PatternRewriter &rewriter) const override {
    auto table = embedding.getTable().getDefiningOp<qz::DequantizeOp>();
    if (!table)
      return rewriter.notifyMatchFailure(embedding, "table is not dequantized");
    qz::DequantizeOp positions;
    if (embedding.getPositions()) {
      positions = embedding.getPositions().getDefiningOp<qz::DequantizeOp>();
      if (!positions)
        return rewriter.notifyMatchFailure(embedding,
                                           "positions are not dequantized");
    }
    rewriter.modifyOpInPlace(embedding, [&] {
      embedding.getTableMutable().assign(table.getWeight());
      if (positions)
        embedding.getPositionsMutable().assign(positions.getWeight());
    });
    return success();
  }
};

struct FuseRoute : OpRewritePattern<llm::RouteOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(llm::RouteOp route,
                                PatternRewriter &rewriter) const override {
    if (!route.getBias())
      return rewriter.notifyMatchFailure(route, "has no bias");
    auto bias = route.getBias().getDefiningOp<qz::DequantizeOp>();
    if (!bias)
      return rewriter.notifyMatchFailure(route, "bias is not dequantized");
    rewriter.modifyOpInPlace(
        route, [&] { route.getBiasMutable().assign(bias.getWeight()); });
    return success();
  }
};

struct FuseMatmulsPass : qcc::impl::FuseMatmulsPassBase<FuseMatmulsPass> {
  using Base::Base;

  static int64_t countLinears(func::FuncOp func) {
    int64_t count = 0;
    func.walk([&](Operation *op) {
      count += isa<llm::LinearOp, llm::ExpertLinearOp>(op);
    });
    return count;
  }

  void runOnOperation() override {
    func::FuncOp func = getOperation();
    int64_t linears = countLinears(func), plainTables = 0;
    func.walk([&](llm::EmbeddingOp op) {
      plainTables += isa<RankedTensorType>(op.getTable().getType());
    });

    RewritePatternSet patterns(&getContext());
    populateFuseMatmulsPatterns(patterns);
    if (failed(applyPatternsGreedily(func, std::move(patterns))))
      return signalPassFailure();

    int64_t linearsLeft = countLinears(func), tablesLeft = 0;
    func.walk([&](llm::EmbeddingOp op) {
      tablesLeft += isa<RankedTensorType>(op.getTable().getType());
    });
    numMatmuls += linears - linearsLeft;
    numEmbeddings += plainTables - tablesLeft;
    numMissed += linearsLeft + tablesLeft;
  }
};
} // namespace

void qcc::populateFuseMatmulsPatterns(RewritePatternSet &patterns) {
  patterns.add<FuseLinear, FuseExpertLinear, FuseEmbedding, FuseRoute>(
      patterns.getContext());
}
