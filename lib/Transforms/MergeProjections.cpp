//===- MergeProjections.cpp - Join matmuls of the same rows ---------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Anchored on what consumes the products (attention, a gated unit) rather than
// on matmuls that happen to share rows: the consumer says in which order the
// segments stand and what may follow them. One merged stage reads its
// activations once and costs one barrier instead of three.
//===----------------------------------------------------------------------===//

#include "qcc/Transforms/Passes.h"
#include "qcc/Transforms/Transforms.h"
#include "Projections.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace qcc {
#define GEN_PASS_DEF_MERGEPROJECTIONSPASS
#include "qcc/Transforms/Passes.h.inc"
} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {
/// What stands between one projection and the attention.
struct Head {
  qz::MatmulOp matmul;
  Value norm; ///< The weight of that of each head, or of the row; or null.
  FloatAttr eps;
  bool isCentered = false; ///< The norm is by mean and variance.
  llm::RopeOp rope;        ///< Null in layers without.
};
} // namespace

/// The chain from a projection to `value`, an operand of `attention`.
static FailureOr<Head> matchHead(Value value, llm::AttentionOp attention,
                                 PatternRewriter &rewriter) {
  auto no = [&](const char *why) {
    return rewriter.notifyMatchFailure(attention, why);
  };
  Head head;
  Value input = value;
  int64_t headDim = attention.getState().getType().getHeadDim();
  if ((head.rope = input.getDefiningOp<llm::RopeOp>())) {
    if (!head.rope->hasOneUse())
      return no("a rotated query or key has other uses");
    if (head.rope.getBatch() != attention.getBatch())
      return no("query or key is rotated by another batch");
    if (int64_t(head.rope.getHeadDim()) != headDim)
      return no("query or key is rotated with another head size");
    input = head.rope.getInput();
  }
  Operation *producer = input.getDefiningOp();
  if (isa_and_nonnull<llm::RMSNormOp, llm::LayerNormOp>(producer)) {
    if (!producer->hasOneUse())
      return no("a normed query or key has other uses");
    auto weight = producer->getOperand(1).getDefiningOp<qz::DequantizeOp>();
    if (!weight)
      return no("the weight of a head norm is not dequantized");
    qz::QTensorType type = weight.getWeight().getType();
    if (auto norm = dyn_cast<llm::LayerNormOp>(producer)) {
      if (norm.getBias())
        return no("a head norm has a bias");
      if (type.getShape().size() != 2 || type.getColumns() != headDim)
        return no("a norm by mean and variance is not of each head");
      head.isCentered = true;
      head.eps = norm.getEpsAttr();
    } else {
      if (type.getColumns() != headDim && type.getColumns() != columns(value))
        return no("a norm covers neither a head nor a row");
      head.eps = cast<llm::RMSNormOp>(producer).getEpsAttr();
    }
    head.norm = weight.getWeight();
    input = producer->getOperand(0);
  }
  head.matmul = matchProjection(input, attention, rewriter);
  if (!head.matmul)
    return failure();
  return head;
}

namespace {
struct MergeAttention : OpRewritePattern<llm::AttentionOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(llm::AttentionOp op,
                                PatternRewriter &rewriter) const override {
    auto no = [&](const char *why) {
      return rewriter.notifyMatchFailure(op, why);
    };
    FailureOr<Head> query = matchHead(op.getQuery(), op, rewriter);
    if (failed(query))
      return failure();
    FailureOr<Head> key = matchHead(op.getKey(), op, rewriter);
    if (failed(key))
      return failure();
    qz::MatmulOp value = matchProjection(op.getValue(), op, rewriter);
    if (!value)
      return failure();

    if (op.getState().getType().getValueDim() !=
        op.getState().getType().getHeadDim())
      return no("values are not as long as keys");
    Rotation rotation(query->rope, rewriter);
    if (rotation != Rotation(key->rope, rewriter))
      return no("query and key are rotated differently");
    if (bool(query->norm) != bool(key->norm))
      return no("only one of query and key is normed");
    if (query->isCentered != key->isCentered)
      return no("query and key have different kinds of norms");
    if (query->eps != key->eps)
      return no("query and key are normed with different eps");
    if (!readSameRows(query->matmul, key->matmul) ||
        !readSameRows(query->matmul, value))
      return no("projections read different rows");
    if (value.getExperts())
      return no("projections are of experts");
    Value sinks;
    if (op.getSinks()) {
      auto dequantize = op.getSinks().getDefiningOp<qz::DequantizeOp>();
      if (!dequantize)
        return no("sinks are not dequantized");
      sinks = dequantize.getWeight();
    }

    Location loc = op.getLoc();
    Segments segments = {query->matmul, key->matmul, value};
    int64_t width = columns(op.getQuery()) + 2 * columns(op.getKey());
    Value projections = qz::MatmulOp::create(
        rewriter, loc, rowsType(op.getQuery(), width), query->matmul.getInput(),
        segments.weights, segments.biases, /*residual=*/Value(),
        /*experts=*/Value(), segments.biasOf, qz::Epilogue::None);
    int64_t pairs = rotation.frequencies.size();
    Value rotations = llm::RotationsOp::create(
        rewriter, loc, rowsType(op.getQuery(), 2 * pairs), op.getBatch(),
        rotation.frequencies, rotation.factor);
    FloatAttr eps = query->norm ? query->eps : rewriter.getF32FloatAttr(0.0f);
    UnitAttr isCentered =
        query->isCentered ? rewriter.getUnitAttr() : UnitAttr();
    Value heads = llm::RopeAppendOp::create(
        rewriter, loc, op.getQuery().getType(), projections, rotations,
        op.getBatch(), op.getState(), query->norm, key->norm, eps, isCentered,
        rotation.adjacent, op.getScaleAttr());
    rewriter.replaceOpWithNewOp<llm::AttendOp>(
        op, op.getType(), heads, op.getBatch(), op.getState(), sinks,
        op.getWindowAttr(), op.getSoftcapAttr(), /*prompt_halves=*/UnitAttr());
    return success();
  }
};

struct MergeGlu : OpRewritePattern<llm::GluOp> {
  using OpRewritePattern::OpRewritePattern;

  static qz::Epilogue epilogueOf(llm::Activation activation) {
    switch (activation) {
    case llm::Activation::Silu:
      return qz::Epilogue::GluSilu;
    case llm::Activation::GeluTanh:
      return qz::Epilogue::GluGeluTanh;
    case llm::Activation::GeluErf:
      return qz::Epilogue::GluGeluErf;
    case llm::Activation::Relu:
      return qz::Epilogue::GluRelu;
    case llm::Activation::ClampedSwiglu:
      return qz::Epilogue::GluClampedSwiglu;
    }
    llvm_unreachable("unknown activation");
  }

  LogicalResult matchAndRewrite(llm::GluOp op,
                                PatternRewriter &rewriter) const override {
    qz::MatmulOp gate = matchProjection(op.getGate(), op, rewriter);
    if (!gate)
      return failure();
    qz::MatmulOp up = matchProjection(op.getUp(), op, rewriter);
    if (!up)
      return failure();
    if (!readSameRows(gate, up))
      return rewriter.notifyMatchFailure(op, "projections read different rows");
    Segments segments = {gate, up};
    rewriter.replaceOpWithNewOp<qz::MatmulOp>(
        op, op.getType(), gate.getInput(), segments.weights, segments.biases,
        /*residual=*/Value(), gate.getExperts(), segments.biasOf,
        epilogueOf(op.getActivation()));
    return success();
  }
};

struct MergeProjectionsPass
    : qcc::impl::MergeProjectionsPassBase<MergeProjectionsPass> {
  using Base::Base;

  void runOnOperation() override {
    func::FuncOp func = getOperation();
    int64_t attentions = 0, glus = 0, attentionsLeft = 0, glusLeft = 0;
    func.walk([&](llm::AttentionOp) { ++attentions; });
    func.walk([&](llm::GluOp) { ++glus; });

    RewritePatternSet patterns(&getContext());
    populateMergeProjectionsPatterns(patterns);
    if (failed(applyPatternsGreedily(func, std::move(patterns))))
      return signalPassFailure();

    func.walk([&](llm::AttentionOp) { ++attentionsLeft; });
    func.walk([&](llm::GluOp) { ++glusLeft; });
    numAttentions += attentions - attentionsLeft;
    numGlus += glus - glusLeft;
    numMissed += attentionsLeft + glusLeft;
  }
};
} // namespace

void qcc::populateMergeProjectionsPatterns(RewritePatternSet &patterns) {
  patterns.add<MergeAttention, MergeGlu>(patterns.getContext());
  populateMergeLatentAttentionPatterns(patterns);
}
