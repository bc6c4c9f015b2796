//===- Architecture.cpp - The table of model families ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Import/Architecture.h"

#include <algorithm>
#include <cassert>

using namespace qcc;

using Defaults = std::vector<std::pair<std::string_view, double>>;

/// The row `name` of a table for other model types, whose classes assume other
/// things, too.
static Architecture &addLike(std::vector<Architecture> &table,
                             std::string_view name,
                             const std::vector<std::string> &modelTypes,
                             const Defaults &others) {
  auto found = std::ranges::find(table, name, &Architecture::name);
  assert(found != table.end() && "a row of that name stands above");
  Architecture row = *found;
  row.modelTypes = modelTypes;
  std::erase_if(row.defaults, [&](const auto &entry) {
    return std::ranges::find(others, entry.first,
                             &Defaults::value_type::first) != others.end();
  });
  row.defaults.insert(row.defaults.end(), others.begin(), others.end());
  return table.emplace_back(std::move(row));
}

static std::vector<Architecture> makeTable() {
  std::vector<Architecture> table = {
      // Llama 1 to 3, Mistral, SmolLM2 and everything converted as Llama.
      {.name = "llama",
       .modelTypes = {"llama", "mistral", "mixtral"},
       .adjacentRope = true,
       .hasExperts = true,
       .normalizesRoutes = true},
      {.name = "qwen2",
       .modelTypes = {"qwen2"},
       .projectionBias = true,
       .defaults = {{"use_sliding_window", 0}, {"max_window_layers", 28}}},
      {.name = "qwen2moe",
       .modelTypes = {"qwen2_moe"},
       .projectionBias = true,
       .hasExperts = true,
       .defaults = {{"max_window_layers", 28},
                    {"norm_topk_prob", 0},
                    {"use_sliding_window", 0}}},
      {.name = "qwen3moe",
       .modelTypes = {"qwen3_moe"},
       .headNorm = true,
       .hasExperts = true,
       .normalizesRoutes = true,
       .defaults = {{"norm_topk_prob", 0}, {"use_sliding_window", 0}}},
      {.name = "gpt-oss",
       .modelTypes = {"gpt_oss"},
       .hasExperts = true,
       .normalizesRoutes = true,
       .hasSinks = true,
       .hasExactYarn = true,
       .activation = llm::Activation::ClampedSwiglu,
       .activationName = "silu",
       .fullAttentionPeriod = 2,
       .defaults = {{"attention_bias", 1},
                    {"head_dim", 64},
                    {"num_key_value_heads", 8},
                    {"sliding_window", 128}}},
      {.name = "deepseek2",
       .modelTypes = {"deepseek_v2"},
       .folderNames = &kDeepSeekNames,
       .adjacentRope = true,
       .adjacentFolderRope = true,
       .hasLatents = true,
       .hasExperts = true,
       .hasUnclearRoutes = true,
       .plainShared = true,
       .defaults = {{"kv_lora_rank", 512},
                    {"moe_intermediate_size", 1407},
                    {"n_routed_experts", 64},
                    {"n_shared_experts", 2},
                    {"q_lora_rank", 1536},
                    {"qk_nope_head_dim", 128},
                    {"qk_rope_head_dim", 64},
                    {"v_head_dim", 128}}},
      {.name = "qwen3",
       .modelTypes = {"qwen3"},
       .headNorm = true,
       .defaults = {{"head_dim", 128},
                    {"max_window_layers", 28},
                    {"use_sliding_window", 0}}},
      {.name = "gemma",
       .modelTypes = {"gemma"},
       .scaledEmbedding = true,
       .activation = llm::Activation::GeluTanh,
       .activationName = "gelu",
       .defaults = {{"head_dim", 256}, {"tie_word_embeddings", 1}}},
      {.name = "gemma2",
       .modelTypes = {"gemma2"},
       .postNorm = true,
       .scaledEmbedding = true,
       .scoreCap = 50.0f,
       .logitCap = 30.0f,
       .activation = llm::Activation::GeluTanh,
       .fullAttentionPeriod = 2,
       .hiddenScaleLayers = 46,
       .defaults = {{"head_dim", 256},
                    {"num_key_value_heads", 4},
                    {"query_pre_attn_scalar", 256},
                    {"rms_norm_eps", 1e-6},
                    {"sliding_window", 4096},
                    {"tie_word_embeddings", 1}}},
      {.name = "gemma3",
       .modelTypes = {"gemma3_text"},
       .headNorm = true,
       .postNorm = true,
       .scaledEmbedding = true,
       .activation = llm::Activation::GeluTanh,
       .fullAttentionPeriod = 6,
       .slidingRopeBase = 10000.0f,
       .hiddenScaleLayers = 62,
       .defaults = {{"head_dim", 256},
                    {"max_position_embeddings", 131072},
                    {"num_attention_heads", 8},
                    {"num_key_value_heads", 4},
                    {"query_pre_attn_scalar", 256},
                    {"rms_norm_eps", 1e-6},
                    {"rope_theta", 1e6},
                    {"sliding_window", 4096},
                    {"tie_word_embeddings", 1}}},
      {.name = "granite",
       .modelTypes = {"granite"},
       .adjacentRope = true,
       .multipliers = true,
       .defaults = {{"attention_multiplier", 1}}},
      // GGUF files of OLMo 3 say so, too.
      {.name = "olmo2",
       .modelTypes = {"olmo2"},
       .projectionNorm = true,
       .preNorm = false,
       .postNorm = true,
       .fullAttentionPeriod = 4,
       .plainSlidingRope = true},
      {.name = "phi3",
       .modelTypes = {"phi3"},
       .defaults = {{"original_max_position_embeddings", 4096}}},
      {.name = "smollm3",
       .modelTypes = {"smollm3"},
       .adjacentRope = true,
       .ropelessPeriod = 4,
       .defaults = {{"num_key_value_heads", 4},
                    {"rope_theta", 2e6},
                    {"tie_word_embeddings", 1},
                    {"use_sliding_window", 0}}},
      {.name = "starcoder2",
       .modelTypes = {"starcoder2"},
       .folderNames = &kStarCoder2Names,
       .layerNorm = true,
       .isGated = false,
       .activation = llm::Activation::GeluTanh,
       .defaults = {{"norm_epsilon", 1e-5},
                    {"num_key_value_heads", 2},
                    {"tie_word_embeddings", 1},
                    {"use_bias", 1}}},
      {.name = "gpt2",
       .modelTypes = {"gpt2"},
       .folderNames = &kGPT2Names,
       .layerNorm = true,
       .isGated = false,
       .ffnPerHidden = 4,
       .learnedPositions = true,
       .activation = llm::Activation::GeluTanh,
       .defaults = {{"attention_bias", 1},
                    {"layer_norm_epsilon", 1e-5},
                    {"mlp_bias", 1},
                    {"tie_word_embeddings", 1}}},
      // Pythia.
      {.name = "gptneox",
       .modelTypes = {"gpt_neox"},
       .folderNames = &kGPTNeoXNames,
       .layerNorm = true,
       .isGated = false,
       .isParallel = true,
       .groupedQKV = true,
       .activation = llm::Activation::GeluErf,
       .defaults = {{"attention_bias", 1},
                    {"layer_norm_eps", 1e-5},
                    {"mlp_bias", 1},
                    {"rotary_pct", 0.25}}},
      {.name = "stablelm",
       .modelTypes = {"stablelm"},
       .folderNames = &kStableLMNames,
       .layerNorm = true,
       .headLayerNorm = true,
       .defaults = {{"layer_norm_eps", 1e-5},
                    {"partial_rotary_factor", 0.25},
                    {"qk_layernorm", 0}}},
      // RefinedWeb are the names that Falcon 7B and 40B first had.
      {.name = "falcon",
       .modelTypes = {"falcon", "RefinedWebModel"},
       .folderNames = &kFalconNames,
       .layerNorm = true,
       .isGated = false,
       .isParallel = true,
       .ffnPerHidden = 4,
       .groupedQKV = true,
       .activation = llm::Activation::GeluErf,
       .defaults = {{"layer_norm_epsilon", 1e-5},
                    {"max_position_embeddings", 2048},
                    {"multi_query", 1},
                    {"tie_word_embeddings", 1}}},
      // Phi 1 and 2.
      {.name = "phi2",
       .modelTypes = {"phi"},
       .folderNames = &kPhiNames,
       .layerNorm = true,
       .isGated = false,
       .isParallel = true,
       .headBias = true,
       .activation = llm::Activation::GeluTanh,
       .defaults = {{"attention_bias", 1},
                    {"layer_norm_eps", 1e-5},
                    {"mlp_bias", 1},
                    {"partial_rotary_factor", 0.5}}},
  };
  Architecture &deepSeek3 = addLike(table, "deepseek2", {"deepseek_v3"},
                                    {{"first_k_dense_replace", 3},
                                     {"moe_intermediate_size", 2048},
                                     {"n_group", 8},
                                     {"n_routed_experts", 256},
                                     {"n_shared_experts", 1},
                                     {"num_experts_per_tok", 8},
                                     {"num_nextn_predict_layers", 1},
                                     {"routed_scaling_factor", 2.5},
                                     {"topk_group", 4}});
  deepSeek3.hasUnclearRoutes = false;
  deepSeek3.normalizesRoutes = deepSeek3.sigmoidRoutes = true;
  addLike(table, "olmo2", {"olmo3"},
          {{"rope_theta", 5e5}, {"sliding_window", 4096}});
  // GPT-BigCode, the first StarCoder.
  Architecture &starCoder =
      addLike(table, "gpt2", {"gpt_bigcode"}, {{"multi_query", 1}});
  starCoder.name = "starcoder";
  starCoder.groupedQKV = true;
  addLike(table, "falcon", {"RefinedWeb"}, {{"new_decoder_architecture", 1}});
  return table;
}

std::span<const Architecture> qcc::architectures() {
  static const std::vector<Architecture> table = makeTable();
  return table;
}
