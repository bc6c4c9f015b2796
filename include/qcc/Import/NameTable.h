//===- NameTable.h - Where a checkpoint keeps a decoder's parts -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The graph builder asks for "the query matrix of layer 3" or "the number of
// heads"; a table says how a kind of checkpoint calls them. A table that lacks
// a part (an empty name) belongs to checkpoints that cannot have it.
//===----------------------------------------------------------------------===//

#ifndef QCC_IMPORT_NAMETABLE_H
#define QCC_IMPORT_NAMETABLE_H

#include "qcc/Checkpoint/Checkpoint.h"
#include <array>

namespace qcc {

/// Keys of one number, the first of which that is there counts; the rest are
/// older or longer spellings.
using KeyNames = std::array<std::string_view, 4>;

/// Keys of the configuration.
struct ConfigNames {
  /// Keys begin with the architecture's name and a dot.
  bool hasPrefix;
  KeyNames layers, hidden, ffn, heads, kvHeads, context;
  KeyNames normEps, layerNormEps; ///< Of either kind of norm.
  KeyNames headDim;               ///< Default: hidden / heads.
  KeyNames valueDim;              ///< Default: headDim.
  /// True: one head of keys and values for all queries, false: one for each;
  /// unless groupedQuery is true.
  KeyNames multiQuery, groupedQuery;
  KeyNames parallel; ///< As Architecture::isParallel.
  KeyNames vocab;
  KeyNames experts;      ///< 0: layers have none.
  KeyNames expertsUsed;  ///< By each row.
  KeyNames expertFfn;    ///< Default: ffn.
  KeyNames sharedFfn;    ///< Of the expert that every row has; 0: none.
  KeyNames sharedCount;  ///< The same in units of expertFfn.
  KeyNames routesSumTo1; ///< Default: the architecture's.
  KeyNames expertPeriod; ///< Every n-th layer has experts.
  KeyNames denseLayers;  ///< Numbers of layers that have none.
  KeyNames firstSparse;  ///< The first layer that may have some.
  KeyNames sparsePeriod; ///< Other than 1 is an error.
  /// 1 (softmax), 2 (sigmoid) or 3 (softmax of those used), as in GGUF; or
  /// "softmax" or "sigmoid", which must be the architecture's.
  KeyNames routing, routingName;
  /// "greedy", or with groups "group_limited_greedy" or "noaux_tc"; default:
  /// what the number of groups says.
  KeyNames routeMethod;
  KeyNames expertGroups, groupsUsed; ///< Default: 1.
  KeyNames routeScale;               ///< 0: none.
  /// Of the clamped gated unit: other than 7 and 1.702 is an error.
  KeyNames gluLimit, gluAlpha;
  KeyNames window;
  KeyNames windowUsed;    ///< False: the window is of no layer.
  KeyNames layerKinds;    ///< "full_attention" or "sliding_attention" of each.
  KeyNames windowPattern; ///< True of layers with the window, or their period.
  KeyNames firstWindow;   ///< The first layer with the window.
  /// True: the layers to queries, keys and values have biases.
  KeyNames projectionBias;
  KeyNames attentionBias; ///< True: all layers of attention have biases.
  KeyNames ffnBias;       ///< True: those of the feed-forward part have.
  /// Name of the activation function; default: the architecture's.
  KeyNames activation;
  /// True: the head is the embedding table. Without the key it is when there is
  /// no head.
  KeyNames tiedHead;

  /// Of attention to latents: elements of the latent of keys and values, and of
  /// that of queries (without the key there is none); elements of a head that
  /// do not turn, that do, and of both, of which two are there; those of its
  /// value.
  KeyNames latentRank, queryRank, plainDim, turnedDim, bothDim, latentValueDim;
  KeyNames spareLayers; ///< Layers after the last one, which are not used.

  KeyNames ropeAdjacent; ///< False: not even where the architecture's is.
  KeyNames rotaryDim;    ///< Elements of a head that turn; default: all.
  KeyNames rotaryShare;  ///< The same as a share of headDim.
  KeyNames ropeBase, slidingRopeBase;
  /// Scores are divided by the root of the one, or multiplied by the other;
  /// default: divided by the root of headDim.
  KeyNames queryScalar, attentionScale;
  /// Caps of scores and of logits; 0: none.
  KeyNames scoreCap, logitCap;
  /// Factors of the embedding and of what each part of a layer adds, and what
  /// logits are divided by.
  KeyNames embeddingScale, residualScale, logitDivisor;
  KeyNames logitFactor;  ///< What logits are multiplied by.
  KeyNames scaledScores; ///< False: they are not.
  /// True: heads have norms as in Architecture::headLayerNorm; default: where
  /// there is a tensor of them.
  KeyNames headLayerNorm;
  KeyNames refused; ///< Any of them is an error, unless it is false.
  KeyNames acausal; ///< True is an error.

  KeyNames ropeLayers;     ///< True of each layer with rope.
  KeyNames ropelessPeriod; ///< Every n-th layer has none.
  KeyNames ropeScaling;    ///< Kind; "none" and "default" are none.
  KeyNames slidingRopeScaling;
  KeyNames ropeFactor, ropeLowFactor, ropeHighFactor, ropeTrainedContext;
  KeyNames yarnFast, yarnSlow; ///< Turns; default: 32 and 1.
  KeyNames yarnTruncate;       ///< To whole pairs; default: true.
  /// Divisors of each pair for contexts up to ropeTrainedContext, and for
  /// longer ones.
  KeyNames shortDivisors, longDivisors;
  /// Factor of cosines and sines with YaRN and LongRope.
  KeyNames ropeGrowth;
  /// Without it, of YaRN: 0.1 * scale * ln(ropeFactor) + 1 over the same with
  /// the other scale; default: 0.1 * ln(ropeFactor) + 1.
  KeyNames yarnScale, yarnScaleAll;
  /// 0.1 * yarnScaleAll, with yarnScale the same.
  KeyNames yarnLogScale;
  KeyNames ropeGrowthShare; ///< A further factor, of any rope.
};

/// Names of tensors.
struct WeightNames {
  std::string_view embedding, finalNorm, head;
  std::string_view positions;    ///< Learned ones.
  std::string_view ropeDivisors; ///< One for each pair, or absent.
  /// The same, for contexts up to the trained one, and for longer ones.
  std::string_view shortRopeDivisors, longRopeDivisors;
  std::string_view layerPrefix; ///< Before the layer's number and a dot.
  /// The beginning of all these names but the head's. A model that was saved
  /// without its head has none of it.
  std::string_view basePrefix;
  // Of a layer, after prefix, number and dot.
  std::string_view attentionNorm, query, key, value, queryNorm, keyNorm,
      attentionOutput, attentionPostNorm;
  std::string_view ffnNorm, gate, up, down, ffnPostNorm;
  /// Query, key and value in one tensor, and gate and up, in files without a
  /// tensor for the first of them.
  std::string_view fusedQKV, fusedGateUp;
  /// The norms of attention and feed-forward part where the first of these is
  /// there.
  std::string_view attentionNormOfTwo, ffnNormOfTwo;
  std::string_view sinks;
  /// Of attention to latents: from the input to the latent of queries, its
  /// norm, and on to the queries; the same for keys and values, where the first
  /// makes the turning part of the key, too, and the way from the latent is one
  /// tensor, or two of a matrix for each head, that of keys turned.
  std::string_view queryDown, queryDownNorm, queryUp, keyValueDown, latentNorm,
      keyValueUp, keyUp, valueUp;
  std::string_view routerBias; ///< By which experts are chosen.
  /// Of experts. The first name that is there counts.
  std::array<std::string_view, 3> router, expertGate, expertUp, expertDown;
  /// Of the expert that every row has, and the factor of its output.
  std::string_view sharedGate, sharedUp, sharedDown, sharedRouter;
  /// ffnNorm of an architecture with norms of sub-layers' outputs.
  std::string_view ffnNormWithPost;
  /// Another name of ffnNorm, where that is not there.
  std::string_view ffnNormElse;
  /// Ends of names that hold nothing that the model needs.
  std::array<std::string_view, 4> ignored;
};

struct NameTable {
  ConfigNames config;
  WeightNames weights; ///< In folders, those of Llama and most others.
};

extern const WeightNames kStarCoder2Names, kGPT2Names, kGPTNeoXNames,
    kFalconNames, kPhiNames, kDeepSeekNames, kStableLMNames, kGLM4Names,
    kGraniteMoENames;

/// The table for a checkpoint's naming. Static.
const NameTable &nameTable(Naming naming);

} // namespace qcc

#endif // QCC_IMPORT_NAMETABLE_H
