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
               .normEps = {"attention.layer_norm_rms_epsilon"},
               .context = {"context_length"},
               .headDim = {"attention.key_length"},
               .valueDim = {"attention.value_length"},
               .window = {"attention.sliding_window"},
               .experts = {"expert_count"},
               .vocab = {},
               .activation = {},
               .tiedHead = {},
               .rotaryDim = {"rope.dimension_count"},
               .rotaryShare = {},
               .ropeBase = {"rope.freq_base"},
               .slidingRopeBase = {"rope.freq_base_swa"},
               .ropeScaling = {"rope.scaling.type"},
               .ropeFactor = {"rope.scaling.factor"},
               .ropeLowFactor = {},
               .ropeHighFactor = {},
               .ropeTrainedContext = {}},
    .weights = {.embedding = "token_embd.weight",
                .finalNorm = "output_norm.weight",
                .head = "output.weight",
                .ropeDivisors = "rope_freqs.weight",
                .layerPrefix = "blk.",
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
                .ignored = {}}};

// Members of objects come under "object.member": rope_parameters is what
// rope_scaling and rope_theta became.
static constexpr NameTable kHuggingFace = {
    .config = {.hasPrefix = false,
               .layers = {"num_hidden_layers"},
               .hidden = {"hidden_size"},
               .ffn = {"intermediate_size"},
               .heads = {"num_attention_heads"},
               .kvHeads = {"num_key_value_heads"},
               .normEps = {"rms_norm_eps"},
               .context = {"max_position_embeddings"},
               .headDim = {"head_dim"},
               .valueDim = {},
               .window = {"sliding_window"},
               .experts = {"num_local_experts", "num_experts"},
               .vocab = {"vocab_size"},
               .activation = {"hidden_act", "hidden_activation"},
               .tiedHead = {"tie_word_embeddings"},
               .rotaryDim = {},
               .rotaryShare = {"rope_parameters.partial_rotary_factor",
                               "partial_rotary_factor"},
               .ropeBase = {"rope_parameters.rope_theta", "rope_theta"},
               .slidingRopeBase = {},
               .ropeScaling = {"rope_parameters.rope_type",
                               "rope_scaling.rope_type", "rope_scaling.type"},
               .ropeFactor = {"rope_parameters.factor", "rope_scaling.factor"},
               .ropeLowFactor = {"rope_parameters.low_freq_factor",
                                 "rope_scaling.low_freq_factor"},
               .ropeHighFactor = {"rope_parameters.high_freq_factor",
                                  "rope_scaling.high_freq_factor"},
               .ropeTrainedContext =
                   {"rope_parameters.original_max_position_embeddings",
                    "rope_scaling.original_max_position_embeddings"}},
    .weights = {.embedding = "model.embed_tokens.weight",
                .finalNorm = "model.norm.weight",
                .head = "lm_head.weight",
                .ropeDivisors = "",
                .layerPrefix = "model.layers.",
                .attentionNorm = "input_layernorm.weight",
                .query = "self_attn.q_proj.weight",
                .key = "self_attn.k_proj.weight",
                .value = "self_attn.v_proj.weight",
                .queryNorm = "self_attn.q_norm.weight",
                .keyNorm = "self_attn.k_norm.weight",
                .attentionOutput = "self_attn.o_proj.weight",
                .attentionPostNorm = "",
                .ffnNorm = "post_attention_layernorm.weight",
                .gate = "mlp.gate_proj.weight",
                .up = "mlp.up_proj.weight",
                .down = "mlp.down_proj.weight",
                .ffnPostNorm = "",
                // Old files kept the frequencies of rope. Scales are those of
                // a cache in FP8, which is not used here.
                .ignored = {".rotary_emb.inv_freq", ".k_scale", ".v_scale"}}};

const NameTable &qcc::nameTable(Naming naming) {
  return naming == Naming::GGUF ? kGGUF : kHuggingFace;
}
