//===- NameTable.cpp - Where a checkpoint keeps a decoder's parts ---------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Import/NameTable.h"

using namespace qcc;

static constexpr NameTable kGGUF = {
    .config = {.hasPrefix = true,
               .layers = {"block_count"},
               .hidden = {"embedding_length"},
               .ffn = {"feed_forward_length"},
               .heads = {"attention.head_count"},
               .kvHeads = {"attention.head_count_kv"},
               .context = {"context_length"},
               .normEps = {"attention.layer_norm_rms_epsilon"},
               .layerNormEps = {"attention.layer_norm_epsilon"},
               .headDim = {"attention.key_length"},
               .valueDim = {"attention.value_length"},
               .multiQuery = {},
               .groupedQuery = {},
               .parallel = {"use_parallel_residual"},
               .vocab = {},
               .experts = {"expert_count"},
               .expertsUsed = {"expert_used_count"},
               .expertFfn = {"expert_feed_forward_length"},
               .sharedFfn = {"expert_shared_feed_forward_length"},
               .sharedCount = {"expert_shared_count"},
               .routesSumTo1 = {"expert_weights_norm"},
               .expertPeriod = {},
               .denseLayers = {},
               .firstSparse = {},
               .sparsePeriod = {},
               .routing = {"expert_gating_func"},
               .routingName = {},
               .routeMethod = {},
               .expertGroups = {"expert_group_count"},
               .groupsUsed = {"expert_group_used_count"},
               .routeScale = {"expert_weights_scale"},
               .gluLimit = {},
               .gluAlpha = {},
               .window = {"attention.sliding_window"},
               .windowUsed = {},
               .layerKinds = {},
               .windowPattern = {"attention.sliding_window_pattern"},
               .firstWindow = {},
               .projectionBias = {},
               .attentionBias = {},
               .ffnBias = {},
               .activation = {},
               .tiedHead = {},
               .latentRank = {"attention.kv_lora_rank"},
               .queryRank = {"attention.q_lora_rank"},
               .plainDim = {},
               .turnedDim = {"rope.dimension_count"},
               .bothDim = {"attention.key_length_mla", "attention.key_length"},
               .latentValueDim = {"attention.value_length_mla",
                                  "attention.value_length"},
               .spareLayers = {"nextn_predict_layers"},
               .ropeAdjacent = {},
               .rotaryDim = {"rope.dimension_count"},
               .rotaryShare = {},
               .ropeBase = {"rope.freq_base"},
               .slidingRopeBase = {"rope.freq_base_swa"},
               .queryScalar = {},
               .attentionScale = {"attention.scale"},
               .scoreCap = {"attn_logit_softcapping"},
               .logitCap = {"final_logit_softcapping"},
               .embeddingScale = {"embedding_scale"},
               .residualScale = {"residual_scale"},
               .logitDivisor = {"logit_scale"},
               .logitFactor = {"logit_scale"},
               .scaledScores = {},
               .headLayerNorm = {},
               .refused = {"attention.max_alibi_bias", "attention.clamp_kqv"},
               .acausal = {},
               .ropeLayers = {},
               .ropelessPeriod = {},
               .ropeScaling = {"rope.scaling.type"},
               .slidingRopeScaling = {},
               .ropeFactor = {"rope.scaling.factor"},
               .ropeLowFactor = {},
               .ropeHighFactor = {},
               .ropeTrainedContext = {"rope.scaling.original_context_length"},
               .yarnFast = {"rope.scaling.yarn_beta_fast"},
               .yarnSlow = {"rope.scaling.yarn_beta_slow"},
               .yarnTruncate = {},
               .shortDivisors = {},
               .longDivisors = {},
               .ropeGrowth = {},
               .yarnScale = {},
               .yarnScaleAll = {},
               .yarnLogScale = {"rope.scaling.yarn_log_multiplier"},
               .ropeGrowthShare = {"rope.scaling.attn_factor",
                                   "rope.scaling.yarn_attn_factor"}},
    .weights = {.embedding = "token_embd.weight",
                .finalNorm = "output_norm.weight",
                .head = "output.weight",
                .positions = "position_embd.weight",
                .ropeDivisors = "rope_freqs.weight",
                .shortRopeDivisors = "rope_factors_short.weight",
                .longRopeDivisors = "rope_factors_long.weight",
                .layerPrefix = "blk.",
                .basePrefix = "",
                .attentionNorm = "attn_norm.weight",
                .query = "attn_q.weight",
                .key = "attn_k.weight",
                .value = "attn_v.weight",
                .queryNorm = "attn_q_norm.weight",
                .keyNorm = "attn_k_norm.weight",
                .attentionOutput = "attn_output.weight",
                .attentionPostNorm = "post_attention_norm.weight",
                .ffnNorm = "ffn_norm.weight",
                .gate = "ffn_gate.weight",
                .up = "ffn_up.weight",
                .down = "ffn_down.weight",
                .ffnPostNorm = "post_ffw_norm.weight",
                .fusedQKV = "attn_qkv.weight",
                .fusedGateUp = "ffn_up.weight",
                .attentionNormOfTwo = "attn_norm_2.weight",
                .ffnNormOfTwo = "attn_norm.weight",
                .sinks = "attn_sinks.weight",
                .queryDown = "attn_q_a.weight",
                .queryDownNorm = "attn_q_a_norm.weight",
                .queryUp = "attn_q_b.weight",
                .keyValueDown = "attn_kv_a_mqa.weight",
                .latentNorm = "attn_kv_a_norm.weight",
                .keyValueUp = "attn_kv_b.weight",
                .keyUp = "attn_k_b.weight",
                .valueUp = "attn_v_b.weight",
                .routerBias = "exp_probs_b.bias",
                .router = {"ffn_gate_inp.weight"},
                .expertGate = {"ffn_gate_exps.weight"},
                .expertUp = {"ffn_up_exps.weight"},
                .expertDown = {"ffn_down_exps.weight"},
                .sharedGate = "ffn_gate_shexp.weight",
                .sharedUp = "ffn_up_shexp.weight",
                .sharedDown = "ffn_down_shexp.weight",
                .sharedRouter = "ffn_gate_inp_shexp.weight",
                .ffnNormWithPost = "ffn_norm.weight",
                .ffnNormElse = "post_attention_norm.weight",
                .ignored = {}}};

// Members of objects come under "object.member": rope_parameters is what
// rope_scaling and rope_theta became.
static constexpr NameTable kHuggingFace =
    {.config =
         {.hasPrefix = false,
          .layers = {"num_hidden_layers", "n_layer"},
          .hidden = {"hidden_size", "n_embd"},
          .ffn = {"intermediate_size", "n_inner", "ffn_hidden_size"},
          .heads = {"num_attention_heads", "n_head"},
          .kvHeads = {"num_key_value_heads", "num_kv_heads", "n_head_kv"},
          .context = {"max_position_embeddings", "n_positions"},
          .normEps = {"rms_norm_eps"},
          .layerNormEps = {"layer_norm_eps", "layer_norm_epsilon",
                           "norm_epsilon"},
          .headDim = {"head_dim"},
          .valueDim = {},
          .multiQuery = {"multi_query"},
          .groupedQuery = {"new_decoder_architecture"},
          .parallel = {"use_parallel_residual", "parallel_attn"},
          .vocab = {"vocab_size"},
          .experts = {"num_local_experts", "num_experts", "n_routed_experts"},
          .expertsUsed = {"num_experts_per_tok", "experts_per_token"},
          .expertFfn = {"moe_intermediate_size"},
          .sharedFfn = {"shared_expert_intermediate_size"},
          .sharedCount = {"n_shared_experts"},
          .routesSumTo1 = {"norm_topk_prob"},
          .expertPeriod = {"decoder_sparse_step"},
          .denseLayers = {"mlp_only_layers"},
          .firstSparse = {"first_k_dense_replace"},
          .sparsePeriod = {"moe_layer_freq"},
          .routing = {},
          .routingName = {"scoring_func"},
          .routeMethod = {"topk_method"},
          .expertGroups = {"n_group"},
          .groupsUsed = {"topk_group"},
          .routeScale = {"routed_scaling_factor"},
          .gluLimit = {"swiglu_limit"},
          .gluAlpha = {"swiglu_alpha"},
          .window = {"sliding_window"},
          .windowUsed = {"use_sliding_window"},
          .layerKinds = {"layer_types"},
          .windowPattern = {"sliding_window_pattern",
                            "_sliding_window_pattern"},
          .firstWindow = {"max_window_layers"},
          .projectionBias = {"use_qkv_bias"},
          .attentionBias = {"attention_bias", "use_bias", "bias"},
          .ffnBias = {"mlp_bias", "use_bias", "bias"},
          .activation = {"hidden_activation", "hidden_act",
                         "activation_function", "activation"},
          .tiedHead = {"tie_word_embeddings"},
          .latentRank = {"kv_lora_rank"},
          .queryRank = {"q_lora_rank"},
          .plainDim = {"qk_nope_head_dim"},
          .turnedDim = {"qk_rope_head_dim"},
          .bothDim = {},
          .latentValueDim = {"v_head_dim"},
          .spareLayers = {"num_nextn_predict_layers"},
          .ropeAdjacent = {"rope_interleave"},
          .rotaryDim = {},
          .rotaryShare = {"rope_parameters.partial_rotary_factor",
                          "partial_rotary_factor", "rotary_pct"},
          .ropeBase = {"rope_parameters.rope_theta",
                       "rope_parameters.full_attention.rope_theta",
                       "rope_theta", "rotary_emb_base"},
          .slidingRopeBase = {"rope_parameters.sliding_attention.rope_theta",
                              "rope_local_base_freq"},
          .queryScalar = {"query_pre_attn_scalar"},
          .attentionScale = {"attention_multiplier"},
          .scoreCap = {"attn_logit_softcapping"},
          .logitCap = {"final_logit_softcapping"},
          .embeddingScale = {"embedding_multiplier"},
          .residualScale = {"residual_multiplier"},
          .logitDivisor = {"logits_scaling"},
          .logitFactor = {"logit_scale"},
          .scaledScores = {"scale_attn_weights"},
          .headLayerNorm = {"qk_layernorm", "use_qk_norm"},
          .refused = {"alibi", "add_cross_attention",
                      "scale_attn_by_inverse_layer_idx", "clip_qkv"},
          .acausal = {"use_bidirectional_attention"},
          .ropeLayers = {"no_rope_layers"},
          .ropelessPeriod = {"no_rope_layer_interval"},
          .ropeScaling = {"rope_parameters.rope_type",
                          "rope_parameters.full_attention.rope_type",
                          "rope_scaling.rope_type", "rope_scaling.type"},
          .slidingRopeScaling = {"rope_parameters.sliding_attention.rope_type"},
          .ropeFactor = {"rope_parameters.factor",
                         "rope_parameters.full_attention.factor",
                         "rope_scaling.factor"},
          .ropeLowFactor = {"rope_parameters.low_freq_factor",
                            "rope_parameters.full_attention.low_freq_factor",
                            "rope_scaling.low_freq_factor"},
          .ropeHighFactor = {"rope_parameters.high_freq_factor",
                             "rope_parameters.full_attention.high_freq_factor",
                             "rope_scaling.high_freq_factor"},
          .ropeTrainedContext =
              {"rope_parameters.original_max_position_embeddings",
               "rope_parameters.full_attention.original_max_position_"
               "embeddings",
               "rope_scaling.original_max_position_embeddings",
               "original_max_position_embeddings"},
          .yarnFast = {"rope_parameters.beta_fast",
                       "rope_parameters.full_attention.beta_fast",
                       "rope_scaling.beta_fast"},
          .yarnSlow = {"rope_parameters.beta_slow",
                       "rope_parameters.full_attention.beta_slow",
                       "rope_scaling.beta_slow"},
          .yarnTruncate = {"rope_parameters.truncate",
                           "rope_parameters.full_attention.truncate",
                           "rope_scaling.truncate"},
          .shortDivisors = {"rope_parameters.short_factor",
                            "rope_scaling.short_factor"},
          .longDivisors = {"rope_parameters.long_factor",
                           "rope_scaling.long_factor"},
          .ropeGrowth = {"rope_parameters.attention_factor",
                         "rope_parameters.full_attention.attention_factor",
                         "rope_scaling.attention_factor"},
          .yarnScale = {"rope_parameters.mscale",
                        "rope_parameters.full_attention.mscale",
                        "rope_scaling.mscale"},
          .yarnScaleAll = {"rope_parameters.mscale_all_dim",
                           "rope_parameters.full_attention.mscale_all_dim",
                           "rope_scaling.mscale_all_dim"},
          .yarnLogScale = {},
          .ropeGrowthShare = {}},
     .weights = {.embedding = "model.embed_tokens.weight",
                 .finalNorm = "model.norm.weight",
                 .head = "lm_head.weight",
                 .positions = "",
                 .ropeDivisors = "",
                 .shortRopeDivisors = "",
                 .longRopeDivisors = "",
                 .layerPrefix = "model.layers.",
                 .basePrefix = "model.",
                 .attentionNorm = "input_layernorm.weight",
                 .query = "self_attn.q_proj.weight",
                 .key = "self_attn.k_proj.weight",
                 .value = "self_attn.v_proj.weight",
                 .queryNorm = "self_attn.q_norm.weight",
                 .keyNorm = "self_attn.k_norm.weight",
                 .attentionOutput = "self_attn.o_proj.weight",
                 .attentionPostNorm = "post_attention_layernorm.weight",
                 .ffnNorm = "post_attention_layernorm.weight",
                 .gate = "mlp.gate_proj.weight",
                 .up = "mlp.up_proj.weight",
                 .down = "mlp.down_proj.weight",
                 .ffnPostNorm = "post_feedforward_layernorm.weight",
                 .fusedQKV = "self_attn.qkv_proj.weight",
                 .fusedGateUp = "mlp.gate_up_proj.weight",
                 .attentionNormOfTwo = "",
                 .ffnNormOfTwo = "",
                 .sinks = "self_attn.sinks",
                 .queryDown = "self_attn.q_a_proj.weight",
                 .queryDownNorm = "self_attn.q_a_layernorm.weight",
                 .queryUp = "self_attn.q_b_proj.weight",
                 .keyValueDown = "self_attn.kv_a_proj_with_mqa.weight",
                 .latentNorm = "self_attn.kv_a_layernorm.weight",
                 .keyValueUp = "self_attn.kv_b_proj.weight",
                 .keyUp = "self_attn.k_b_proj.weight",
                 .valueUp = "self_attn.v_b_proj.weight",
                 .routerBias = "mlp.gate.e_score_correction_bias",
                 .router = {"mlp.gate.weight", "block_sparse_moe.gate.weight",
                            "mlp.router.weight"},
                 .expertGate = {"mlp.experts.gate_proj.weight",
                                "block_sparse_moe.experts.w1.weight"},
                 .expertUp = {"mlp.experts.up_proj.weight",
                              "block_sparse_moe.experts.w3.weight"},
                 .expertDown = {"mlp.experts.down_proj.weight",
                                "block_sparse_moe.experts.w2.weight"},
                 .sharedGate = "mlp.shared_expert.gate_proj.weight",
                 .sharedUp = "mlp.shared_expert.up_proj.weight",
                 .sharedDown = "mlp.shared_expert.down_proj.weight",
                 .sharedRouter = "mlp.shared_expert_gate.weight",
                 .ffnNormWithPost = "pre_feedforward_layernorm.weight",
                 .ffnNormElse = "",
                 // Old files kept the frequencies of rope. Scales are those of
                 // a cache in FP8, which is not used here.
                 .ignored = {".rotary_emb.inv_freq", ".k_scale", ".v_scale"}}};

const NameTable &qcc::nameTable(Naming naming) {
  return naming == Naming::GGUF ? kGGUF : kHuggingFace;
}

//===----------------------------------------------------------------------===//
// Families with other names in folders
//===----------------------------------------------------------------------===//

static constexpr WeightNames starCoder2Names() {
  WeightNames names = kHuggingFace.weights;
  names.up = "mlp.c_fc.weight";
  names.down = "mlp.c_proj.weight";
  return names;
}
constexpr WeightNames qcc::kStarCoder2Names = starCoder2Names();

static constexpr WeightNames transformerNames() {
  WeightNames names = kHuggingFace.weights;
  names.finalNorm = "transformer.ln_f.weight";
  names.layerPrefix = "transformer.h.";
  names.basePrefix = "transformer.";
  return names;
}

static constexpr WeightNames gpt2Names() {
  WeightNames names = transformerNames();
  names.embedding = "transformer.wte.weight";
  names.positions = "transformer.wpe.weight";
  names.attentionNorm = "ln_1.weight";
  names.fusedQKV = "attn.c_attn.weight";
  names.attentionOutput = "attn.c_proj.weight";
  names.ffnNorm = "ln_2.weight";
  names.up = "mlp.c_fc.weight";
  names.down = "mlp.c_proj.weight";
  // Old files kept the mask.
  names.ignored = {".attn.bias", ".attn.masked_bias"};
  return names;
}
constexpr WeightNames qcc::kGPT2Names = gpt2Names();

static constexpr WeightNames gptNeoXNames() {
  WeightNames names = kHuggingFace.weights;
  names.embedding = "gpt_neox.embed_in.weight";
  names.finalNorm = "gpt_neox.final_layer_norm.weight";
  names.head = "embed_out.weight";
  names.layerPrefix = "gpt_neox.layers.";
  names.basePrefix = "gpt_neox.";
  names.fusedQKV = "attention.query_key_value.weight";
  names.attentionOutput = "attention.dense.weight";
  names.up = "mlp.dense_h_to_4h.weight";
  names.down = "mlp.dense_4h_to_h.weight";
  names.ignored = {".attention.bias", ".attention.masked_bias",
                   ".rotary_emb.inv_freq"};
  return names;
}
constexpr WeightNames qcc::kGPTNeoXNames = gptNeoXNames();

static constexpr WeightNames falconNames() {
  WeightNames names = transformerNames();
  names.embedding = "transformer.word_embeddings.weight";
  names.fusedQKV = "self_attention.query_key_value.weight";
  names.attentionOutput = "self_attention.dense.weight";
  names.up = "mlp.dense_h_to_4h.weight";
  names.down = "mlp.dense_4h_to_h.weight";
  names.attentionNormOfTwo = "ln_attn.weight";
  names.ffnNormOfTwo = "ln_mlp.weight";
  return names;
}
constexpr WeightNames qcc::kFalconNames = falconNames();

static constexpr WeightNames phiNames() {
  WeightNames names = kHuggingFace.weights;
  names.finalNorm = "model.final_layernorm.weight";
  names.attentionOutput = "self_attn.dense.weight";
  names.up = "mlp.fc1.weight";
  names.down = "mlp.fc2.weight";
  return names;
}
constexpr WeightNames qcc::kPhiNames = phiNames();

static constexpr WeightNames stableLMNames() {
  WeightNames names = kHuggingFace.weights;
  names.queryNorm = "self_attn.q_layernorm.norms.weight";
  names.keyNorm = "self_attn.k_layernorm.norms.weight";
  return names;
}
constexpr WeightNames qcc::kStableLMNames = stableLMNames();

static constexpr WeightNames deepSeekNames() {
  WeightNames names = kHuggingFace.weights;
  names.sharedGate = "mlp.shared_experts.gate_proj.weight";
  names.sharedUp = "mlp.shared_experts.up_proj.weight";
  names.sharedDown = "mlp.shared_experts.down_proj.weight";
  return names;
}
constexpr WeightNames qcc::kDeepSeekNames = deepSeekNames();

static constexpr WeightNames glm4Names() {
  WeightNames names = kHuggingFace.weights;
  names.attentionPostNorm = "post_self_attn_layernorm.weight";
  names.ffnNormWithPost = "post_attention_layernorm.weight";
  names.ffnPostNorm = "post_mlp_layernorm.weight";
  return names;
}
constexpr WeightNames qcc::kGLM4Names = glm4Names();

static constexpr WeightNames graniteMoENames() {
  WeightNames names = kHuggingFace.weights;
  names.router = {"block_sparse_moe.router.layer.weight"};
  names.expertGate = {"block_sparse_moe.experts.gate_proj.weight"};
  names.expertUp = {"block_sparse_moe.experts.up_proj.weight"};
  names.expertDown = {"block_sparse_moe.experts.down_proj.weight"};
  return names;
}
constexpr WeightNames qcc::kGraniteMoENames = graniteMoENames();
