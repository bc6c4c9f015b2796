//===- TextModel.cpp - The language model of several parts ----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "TextModel.h"

#include <algorithm>

using namespace qcc;

/// Beginnings of names in folders, and without the other parts.
static constexpr std::pair<std::string_view, std::string_view> kPrefixes[] = {
    {"language_model.model.", "model."},
    {"language_model.lm_head.", "lm_head."},
    {"model.language_model.", "model."},
};

/// Beginnings of the names of what is not read, each perhaps after "model.".
static constexpr std::string_view kOtherParts[] = {
    "vision_tower", "multi_modal_projector", "visual"};

/// A model of several parts, and the language model in it.
struct Kind {
  std::string_view whole, text;
  /// Older configs are of the language model itself, with the others in it.
  bool mayBeFlat = false;
};
static constexpr Kind kKinds[] = {
    {"gemma3", "gemma3_text"},
    {"mistral3", "mistral"},
    {"qwen2_vl", "qwen2_vl_text", true},
    {"qwen2_5_vl", "qwen2_5_vl_text", true},
    {"qwen3_vl", "qwen3_vl_text"},
    {"qwen3_vl_moe", "qwen3_vl_moe_text"},
};

bool qcc::takeTextConfig(Json &config) {
  auto type = config.find("model_type"), text = config.find("text_config");
  if (type == config.end() || !type->is_string())
    return false;
  const Kind *kind =
      std::ranges::find(kKinds, type->get<std::string_view>(), &Kind::whole);
  bool isNested = text != config.end() && text->is_object();
  if (kind == std::end(kKinds) || !(isNested || kind->mayBeFlat))
    return false;
  if (!isNested) {
    *type = kind->text;
    return true;
  }
  Json inner = std::move(*text);
  config.erase("text_config");
  for (auto it = config.begin(); it != config.end(); ++it)
    // Tokens, and whether the head is the embedding, are the whole model's.
    if (!inner.contains(it.key()) || it.key().ends_with("_token_id") ||
        it.key() == "tie_word_embeddings")
      inner[it.key()] = std::move(*it);
  // Of Mistral Small the config says which language model it is.
  if (auto named = inner.find("model_type"); named == inner.end() ||
                                             *named == kind->whole ||
                                             kind->whole != "mistral3")
    inner["model_type"] = kind->text;
  config = std::move(inner);
  return true;
}

static std::string_view textName(std::string_view name, TextPool &texts) {
  for (auto [prefix, plain] : kPrefixes)
    if (name.starts_with(prefix))
      return texts.keep(std::string(plain) +
                        std::string(name.substr(prefix.size())));
  return name;
}

static bool isOf(std::string_view name, std::string_view part) {
  if (name.starts_with("model."))
    name.remove_prefix(6);
  return name.starts_with(part) && name.substr(part.size()).starts_with('.');
}

bool qcc::isOfOtherPart(std::string_view name) {
  return std::ranges::any_of(
      kOtherParts, [&](std::string_view part) { return isOf(name, part); });
}

std::string qcc::keepTextTensors(std::vector<Tensor> &tensors,
                                 TextPool &texts) {
  std::string removed;
  for (std::string_view part : kOtherParts) {
    size_t count = std::erase_if(
        tensors, [&](const Tensor &tensor) { return isOf(tensor.name, part); });
    if (count)
      removed += (removed.empty() ? "" : ", ") + std::string(part) + " (" +
                 std::to_string(count) + " tensors)";
  }
  for (Tensor &tensor : tensors) {
    tensor.name = textName(tensor.name, texts);
    tensor.order = textName(tensor.order, texts);
  }
  return removed;
}
