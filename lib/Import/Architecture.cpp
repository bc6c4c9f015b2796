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
      {.name = "qwen3",
       .modelTypes = {"qwen3"},
       .headNorm = true,
       .defaults = {{"head_dim", 128}, {"use_sliding_window", 0}}},
      {.name = "gemma3",
       .headNorm = true,
       .postNorm = true,
       .scaledEmbedding = true,
       .activation = llm::Activation::GeluTanh,
       .fullAttentionPeriod = 6,
       .slidingRopeBase = 10000.0f},
  };
  return table;
}
