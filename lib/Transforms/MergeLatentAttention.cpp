//===- MergeLatentAttention.cpp - Attention to latents --------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Of qcc-merge-projections: attention whose heads share one key, of a rotated
// part and a latent, and the latent as their value.
//===----------------------------------------------------------------------===//

#include "Projections.h"

using namespace mlir;
using namespace qcc;

namespace {
/// Queries or keys: a part that turns, and one that does not, in each head.
struct TwoParts {
  llm::RopeOp rope;
  Value turning, latent;
};

struct MergeLatentAttention : OpRewritePattern<llm::AttentionOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(llm::AttentionOp op,
                                PatternRewriter &rewriter) const override {
    auto no = [&](const char *why) {
      return rewriter.notifyMatchFailure(op, why);
    };
    llm::StateType state = op.getState().getType();
    if (state.getKvHeads() != 1 || state.getValueDim() >= state.getHeadDim())
      return no("heads do not share a latent");
    if (op.getSinks())
      return no("attention has sinks");
    FailureOr<TwoParts> query = matchParts(op.getQuery(), op, rewriter);
    if (failed(query))
      return failure();
    FailureOr<TwoParts> key = matchParts(op.getKey(), op, rewriter);
    if (failed(key))
      return failure();
    Rotation rotation(query->rope, rewriter);
    if (rotation != Rotation(key->rope, rewriter))
      return no("query and key are rotated differently");

    auto norm = key->latent.getDefiningOp<llm::RMSNormOp>();
    if (!norm || op.getValue() != key->latent)
      return no("the value is not the normed latent");
    if (!llvm::hasNItems(norm->getUses(), 2))
      return no("the latent has other uses");
    auto weight = norm.getWeight().getDefiningOp<qz::DequantizeOp>();
    if (!weight ||
        weight.getWeight().getType().getColumns() != state.getValueDim())
      return no("the norm of the latent is not over its row");
    qz::MatmulOp turning = matchProjection(key->turning, op, rewriter);
    if (!turning)
      return failure();
    qz::MatmulOp latent = matchProjection(norm.getInput(), op, rewriter);
    if (!latent)
      return failure();
    if (!readSameRows(turning, latent))
      return no("projections read different rows");
    if (turning.getExperts() || latent.getExperts())
      return no("projections are of experts");

    Location loc = op.getLoc();
    Segments segments = {turning, latent};
    Value keys = qz::MatmulOp::create(
        rewriter, loc, rowsType(op.getKey(), state.getHeadDim()),
        turning.getInput(), segments.weights, segments.biases,
        /*residual=*/Value(), /*experts=*/Value(), segments.biasOf,
        qz::Epilogue::None);
    int64_t pairs = rotation.frequencies.size();
    Value rotations = llm::RotationsOp::create(
        rewriter, loc, rowsType(op.getKey(), 2 * pairs), op.getBatch(),
        rotation.frequencies, rotation.factor);
    Value heads = llm::LatentAppendOp::create(
        rewriter, loc, op.getQuery().getType(), query->turning, query->latent,
        keys, rotations, op.getBatch(), op.getState(), weight.getWeight(),
        norm.getEpsAttr(), rotation.adjacent, op.getScaleAttr());
    rewriter.replaceOpWithNewOp<llm::AttendOp>(
        op, op.getType(), heads, op.getBatch(), op.getState(),
        /*sinks=*/Value(), op.getWindowAttr(), op.getSoftcapAttr(),
        /*prompt_halves=*/UnitAttr());
    return success();
  }

private:
  /// The parts of `value`, of which just the first turns.
  static FailureOr<TwoParts> matchParts(Value value, llm::AttentionOp op,
                                        PatternRewriter &rewriter) {
    auto no = [&](const char *why) {
      return rewriter.notifyMatchFailure(op, why);
    };
    llm::StateType state = op.getState().getType();
    auto rope = value.getDefiningOp<llm::RopeOp>();
    if (!rope || !rope->hasOneUse())
      return no("a query or key is not rotated, or has other uses");
    if (rope.getBatch() != op.getBatch() ||
        int64_t(rope.getHeadDim()) != state.getHeadDim())
      return no("a query or key is rotated by another batch or head size");
    auto both = rope.getInput().getDefiningOp<llm::ConcatHeadsOp>();
    if (!both || !both->hasOneUse())
      return no("a query or key is not of two parts, or they have other uses");
    int64_t heads = both.getHeads();
    if (heads != columns(value) / state.getHeadDim() ||
        columns(both.getFirst()) !=
            heads * 2 * int64_t(rope.getFrequencies().size()) ||
        columns(both.getSecond()) != heads * state.getValueDim())
      return no("the rotated part is not the one before the latent");
    return TwoParts{rope, both.getFirst(), both.getSecond()};
  }
};
} // namespace

void qcc::populateMergeLatentAttentionPatterns(RewritePatternSet &patterns) {
  patterns.add<MergeLatentAttention>(patterns.getContext());
}
