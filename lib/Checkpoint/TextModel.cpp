//===- TextModel.cpp - The language model of several parts ----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "TextModel.h"

using namespace qcc;

/// Beginnings of names in folders, and without the other parts.
static constexpr std::pair<std::string_view, std::string_view> kPrefixes[] = {
    {"language_model.model.", "model."},
    {"language_model.lm_head.", "lm_head."},
    {"model.language_model.", "model."},
};

/// Beginnings of the names of what is not read, each perhaps after "model.".
static constexpr std::string_view kOtherParts[] = {"vision_tower",
                                                   "multi_modal_projector"};

bool qcc::takeTextConfig(Json &config) {
  auto kind = config.find("model_type"), text = config.find("text_config");
  if (kind == config.end() || *kind != "gemma3" || text == config.end() ||
      !text->is_object())
    return false;
  Json inner = std::move(*text);
  config.erase("text_config");
  for (auto it = config.begin(); it != config.end(); ++it)
    // Tokens are those of the whole model.
    if (!inner.contains(it.key()) || it.key().ends_with("_token_id"))
      inner[it.key()] = std::move(*it);
  inner["model_type"] = "gemma3_text";
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

std::string qcc::keepTextTensors(std::vector<Tensor> &tensors,
                                 TextPool &texts) {
  std::string removed;
  for (std::string_view part : kOtherParts) {
    size_t count = std::erase_if(tensors, [&](const Tensor &tensor) {
      std::string_view name = tensor.name;
      if (name.starts_with("model."))
        name.remove_prefix(6);
      return name.starts_with(part) &&
             name.substr(part.size()).starts_with('.');
    });
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
