//===- Config.h - The numbers of a decoder ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_IMPORT_CONFIG_H
#define QCC_LIB_IMPORT_CONFIG_H

#include "qcc/Import/Import.h"
#include "qcc/Import/NameTable.h"
#include "Rope.h"

namespace qcc {

/// Attention to latents: a layer keeps of each position a latent and a turning
/// part of the key, which all heads share. A head's query, key and value meet
/// the latent through matrices of its own.
struct Latents {
  uint32_t rank = 0;      ///< Elements of the latent; 0: an ordinary model.
  uint32_t queryRank = 0; ///< Of that of queries; 0: there is none.
  uint32_t plain, turned; ///< Elements of a query that do not turn, that do.
  uint32_t value;         ///< Of a head.
  float eps;              ///< Of the norms of latents.

  uint32_t query() const { return plain + turned; }
};

/// What a checkpoint says of its model, checked: no count is zero, heads divide
/// evenly, the context is within bounds.
struct Config {
  Architecture arch;
  WeightNames names;
  std::string name;
  uint32_t layers, hidden, heads, ffn, context;
  /// Of what the layers keep: with latents, one head of both parts.
  uint32_t kvHeads, headDim;
  Latents latents;
  uint32_t spareLayers = 0; ///< Layers after the last that are not used.
  uint32_t vocab;           ///< 0: as many as the embedding table has rows.
  /// The head is the embedding table; without a value, if there is no head.
  std::optional<bool> isHeadTied;
  float eps;
  llm::Activation activation;
  uint32_t window;           ///< 0: none.
  std::vector<bool> sliding; ///< Whether each layer has the window.
  uint32_t experts = 0;      ///< 0: no layer has any.
  uint32_t expertsUsed, expertFfn;
  uint32_t sharedFfn; ///< 0: no expert is shared.
  bool normalizesRoutes, sigmoidRoutes;
  float routeScale = 1;
  uint32_t expertGroups = 1, groupsUsed = 1;
  std::vector<bool> sparse; ///< Whether each layer has experts.
  /// The file says that these layers have biases.
  bool hasProjectionBias = false, hasAttentionBias = false, hasFfnBias = false;
  bool isParallel; ///< As in Architecture.
  /// There are norms as in Architecture.
  bool hasHeadNorm, hasHeadLayerNorm;
  /// Of queries, keys and values in one tensor: groups, each of which has an
  /// equal share of all three.
  uint32_t qkvGroups;
  float attentionScale;
  float scoreCap, logitCap; ///< 0: none.
  float embeddingScale;
  float residualScale = 1; ///< Of what each part of a layer adds.
  float logitScale = 1;
  uint32_t rotaryDim;
  bool isRopeAdjacent; ///< Pairs are (2i, 2i+1) rather than (i, i + n/2).
  Rope rope, slidingRope;
  bool isLongContext;        ///< As in Rope.h.
  std::vector<bool> turning; ///< Whether each layer has rope.

  static Result<Config> read(const Checkpoint &checkpoint,
                             const ImportOptions &options);
};

} // namespace qcc

#endif // QCC_LIB_IMPORT_CONFIG_H
