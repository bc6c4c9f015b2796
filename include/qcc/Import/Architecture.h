//===- Architecture.h - What differs between model families -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The graph builder is one function with parameters; an architecture is a row
// of those parameters. Numbers that a checkpoint states itself (sizes, head
// counts, rope base) are not here.
//===----------------------------------------------------------------------===//

#ifndef QCC_IMPORT_ARCHITECTURE_H
#define QCC_IMPORT_ARCHITECTURE_H

#include "dialects/LLM/LLMDialect.h"
#include "qcc/Import/NameTable.h"
#include <span>
#include <string>
#include <vector>

namespace qcc {

struct Architecture {
  /// In GGUF files: `general.architecture`, and the prefix of the
  /// configuration's keys.
  std::string name;
  /// In Hugging Face folders: each `model_type` that is this architecture.
  std::vector<std::string> modelTypes = {};
  /// In such folders, the names of tensors where they are not Llama's.
  const WeightNames *folderNames = nullptr;
  /// Norms are by mean and variance, and have a bias.
  bool layerNorm = false;
  /// Those norms have none.
  bool unbiasedNorm = false;
  /// The feed-forward part has a gate: activation(gate) * up, not
  /// activation(up).
  bool isGated = true;
  /// Rope pairs are (2i, 2i+1) rather than (i, i + n/2) in GGUF files, whose
  /// writer permuted the rows of q and k. Hugging Face's are (i, i + n/2).
  bool adjacentRope = false;
  /// They are (2i, 2i+1) in folders, too.
  bool adjacentFolderRope = false;
  /// All heads of a row share a latent as key and value, from which the file
  /// has a way to the keys and values of each head.
  bool hasLatents = false;
  /// RMS norm of each query and key head before rope.
  bool headNorm = false;
  /// That only where the file has its weights.
  bool mayLackHeadNorm = false;
  /// Where the file has it, norm by mean and variance of each query and key
  /// head before rope, with weights for each head.
  bool headLayerNorm = false;
  /// RMS norm of all query heads of a row together, and of all key heads,
  /// before rope.
  bool projectionNorm = false;
  /// RMS norm of each sub-layer's input.
  bool preNorm = true;
  /// RMS norm of each sub-layer's output before it is added to the residual.
  bool postNorm = false;
  /// The projections to queries, keys and values have biases. Any linear layer
  /// but the head has one where the file brings it, in each family.
  bool projectionBias = false;
  /// Where a config says that attention has biases, it means these alone.
  bool projectionBiasOnly = false;
  /// Attention and feed-forward part both read the layer's input, where the
  /// file does not say whether they do.
  bool isParallel = false;
  /// The head must have a bias.
  bool headBias = false;
  /// Width of the feed-forward part in units of hidden, where the config does
  /// not state it; 0: it must.
  unsigned ffnPerHidden = 0;
  /// A table has a vector for each position, which is added to the embedding;
  /// no layer has rope.
  bool learnedPositions = false;
  /// In folders, a tensor of queries, keys and values has those of each key
  /// head together: its queries, its key, its value. In others it has all
  /// queries, then all keys, then all values.
  bool groupedQKV = false;
  /// The embedding is multiplied by sqrt(hidden).
  bool scaledEmbedding = false;
  /// Embedding, residual sums and logits have factors that the file states.
  bool multipliers = false;
  /// Logits are multiplied by what the file states, or else by this; 0: the
  /// family has no such factor.
  float logitFactor = 0;
  /// Caps of scores and of logits where the file does not state them; 0: the
  /// family has none.
  float scoreCap = 0, logitCap = 0;
  /// Layers may be mixtures of experts.
  bool hasExperts = false;
  /// The weights of a row's experts sum to 1, where the file does not say.
  bool normalizesRoutes = false;
  /// A folder that says that they do is refused: there is no agreement on what
  /// that means for the family.
  bool hasUnclearRoutes = false;
  /// Experts are weighed by sigmoid(logit) in folders.
  bool sigmoidRoutes = false;
  /// The router and each expert must have biases.
  bool expertBias = false;
  /// The expert that every row has is added without a factor.
  bool plainShared = false;
  /// Each query head has a sink.
  bool hasSinks = false;
  /// Yarn does not round to whole pairs, of which GGUF files say nothing.
  bool hasExactYarn = false;
  /// Where the config does not name one.
  llm::Activation activation = llm::Activation::Silu;
  /// What configs call it though it is the name of another one.
  std::string_view activationName = {};
  /// With a sliding window in a file that does not say which layers have it:
  /// every n-th layer attends to all positions, the others to the window; 0:
  /// every layer has the window.
  unsigned fullAttentionPeriod = 0;
  /// Layers with a window have no rope scaling.
  bool plainSlidingRope = false;
  /// Rope base of sliding layers when the file does not state it; 0: their rope
  /// is that of full layers.
  float slidingRopeBase = 0;
  /// Every n-th layer has no rope where the file does not say which; 0: all
  /// have it.
  unsigned ropelessPeriod = 0;
  /// In a model with a window, layers that attend to all positions have no
  /// rope.
  bool ropelessFull = false;
  /// In GGUF files, a model of so many layers divides scores by the root of
  /// hidden / heads, of which the files say nothing.
  unsigned hiddenScaleLayers = 0;
  /// What config.json leaves out where it is this: keys and values of the class
  /// in transformers (a flag is 0 or 1). Only those without which a model of
  /// the family would be another.
  std::vector<std::pair<std::string_view, double>> defaults = {};
};

/// The supported architectures.
std::span<const Architecture> architectures();

} // namespace qcc

#endif // QCC_IMPORT_ARCHITECTURE_H
