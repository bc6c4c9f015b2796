//===- Architecture.cpp - The table of model families ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Import/Architecture.h"

using namespace qcc;

std::span<const Architecture> qcc::architectures() {
  static const Architecture table[] = {
      // Llama 1 to 3, Mistral, SmolLM2 and everything converted as Llama.
      {.name = "llama",
       .modelTypes = {"llama", "mistral"},
       .adjacentRope = true},
      {.name = "qwen2",
       .modelTypes = {"qwen2"},
       .projectionBias = true,
       .defaults = {{"use_sliding_window", 0}, {"max_window_layers", 28}}},
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
                    {"num_attention_heads", 8},
                    {"num_key_value_heads", 4},
                    {"query_pre_attn_scalar", 256},
                    {"rms_norm_eps", 1e-6},
                    {"rope_theta", 1e6},
                    {"sliding_window", 4096},
                    {"tie_word_embeddings", 1}}},
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
  };
  return table;
}
