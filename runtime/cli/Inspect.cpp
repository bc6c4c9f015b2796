//===- Inspect.cpp - The commands info and tokenize -----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Program.h"

#include <nlohmann/json.hpp>

namespace qcc::cli {

/// "sm_90a: PTX for sm_90a, PTX for sm_90": the targets for GPUs with what a
/// file has for each, from what its compiler says (which may be older than
/// this, or not qcc).
static std::vector<std::string> gpuCode(const char *compilation) {
  std::vector<std::string> lines;
  const nlohmann::json all =
      nlohmann::json::parse(compilation, nullptr, /*allow_exceptions=*/false);
  auto text = [](const nlohmann::json &object, const char *name) {
    auto found = object.is_object() ? object.find(name) : object.end();
    return found != object.end() && found->is_string()
               ? found->get<std::string>()
               : "?";
  };
  auto list = [](const nlohmann::json &object, const char *name) {
    auto found = object.is_object() ? object.find(name) : object.end();
    return found != object.end() && found->is_array() ? *found
                                                      : nlohmann::json::array();
  };
  for (const nlohmann::json &target : list(all, "targets")) {
    std::string images;
    for (const nlohmann::json &image : list(target, "images"))
      images += (images.empty() ? "" : ", ") + text(image, "kind") + " for " +
                text(image, "architecture");
    if (!images.empty())
      lines.push_back(text(target, "name") + ": " + images);
  }
  return lines;
}

int runInfo(Program &program, const Options &options) {
  const qcc_model_info_v1 &m = program.info();
  using ull = unsigned long long;
  if (options.json) {
    std::string text = "{";
    auto add = [&](const char *key, const std::string &value) {
      text += format("%s\n  \"%s\": ", text.size() > 1 ? "," : "", key);
      text += value;
    };
    auto number = [](uint64_t value) { return std::to_string(value); };
    auto id = [](int32_t token) {
      return token < 0 ? std::string("null") : std::to_string(token);
    };
    add("name", jsonString(m.name));
    add("architecture", jsonString(m.architecture));
    add("parameters", number(m.parameters));
    add("compiler", jsonString(m.compiler));
    add("target", jsonString(m.target));
    add("device", m.device ? jsonString(m.device) : "null");
    if (m.device) {
      add("device_memory_bytes", number(m.device_memory_bytes));
      add("device_free_bytes", number(m.device_free_bytes));
      add("device_weight_bytes", number(m.device_weight_bytes));
      add("gpu_layers", number(m.gpu_layers));
      add("device_bandwidth_gb_per_second",
          format("%.6g", m.device_bandwidth * 1e-9));
    } else {
      add("device_unused",
          m.device_unused ? jsonString(m.device_unused) : "null");
    }
    add("activations", jsonString(m.activations));
    add("kv", jsonString(m.kv));
    add("weight_bytes", number(m.weight_bytes));
    add("weight_bytes_per_token", number(m.weight_bytes_per_token));
    add("kv_bytes_per_token", number(m.kv_bytes_per_token));
    add("context", number(m.context));
    add("row_capacity", number(m.row_capacity));
    add("vocab", number(m.vocab));
    add("hidden", number(m.hidden));
    add("layers", number(m.layers));
    add("bos", id(m.bos));
    add("eos", id(m.eos));
    add("eot", id(m.eot));
    add("add_bos", m.add_bos ? "true" : "false");
    add("chat_template",
        m.chat_template ? jsonString(m.chat_template) : "null");
    add("compilation", m.json);
    print(text + "\n}\n");
    return 0;
  }
  printFormatted("name            %s\n", m.name);
  printFormatted("architecture    %s\n", m.architecture);
  printFormatted("parameters      %.1f M\n", double(m.parameters) * 1e-6);
  printFormatted("compiler        %s\n", m.compiler);
  printFormatted("target          %s\n", m.target);
  if (m.device)
    printFormatted(
        "device          %s, %.1f of %.1f GB free, %.0f GB/s\n"
        "                %.1f MB of weights and %u of %u layers "
        "there\n",
        m.device, double(m.device_free_bytes) * 1e-9,
        double(m.device_memory_bytes) * 1e-9, m.device_bandwidth * 1e-9,
        double(m.device_weight_bytes) * 1e-6, m.gpu_layers, m.layers);
  else if (m.device_unused)
    printFormatted("device          none: %s\n", m.device_unused);
  const char *title = "code for GPUs";
  for (const std::string &line : gpuCode(m.json)) {
    printFormatted("%-16s%s\n", title, line.c_str());
    title = "";
  }
  printFormatted("activations     %s\n", m.activations);
  // A library may be older than these.
  if (m.checkpoint && m.weight_types) {
    printFormatted("checkpoint      %s\n", m.checkpoint);
    std::string types = m.weight_types;
    for (size_t at = types.find('\n'); at != std::string::npos;
         at = types.find('\n', at + 1))
      types.insert(at + 1, 16, ' ');
    printFormatted("types           %s\n", types.c_str());
  }
  printFormatted("weights         %.1f MB, %.1f MB read for a token\n",
                 double(m.weight_bytes) * 1e-6,
                 double(m.weight_bytes_per_token) * 1e-6);
  printFormatted("kv cache        %s, %llu bytes for a token\n", m.kv,
                 ull(m.kv_bytes_per_token));
  printFormatted("context         %u tokens\n", m.context);
  printFormatted("vocabulary      %u tokens\n", m.vocab);
  printFormatted("layers          %u of width %u\n", m.layers, m.hidden);
  printFormatted("chat template   %s\n", m.chat_template ? "yes" : "no");
  return 0;
}

int runTokenize(Program &program, const Options &options) {
  uint32_t flags =
      options.noSpecial ? 0 : QCC_TOKENIZE_SPECIAL | QCC_TOKENIZE_PARSE;
  std::vector<int32_t> tokens = program.tokenize(options.text, flags);
  std::string text;
  if (options.json) {
    std::string pieces;
    text = "{\"ids\": [";
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (i) {
        text += ", ";
        pieces += ", ";
      }
      text += std::to_string(tokens[i]);
      pieces += jsonString(program.piece(tokens[i]));
    }
    print(text + "], \"pieces\": [" + pieces + "]}\n");
    return 0;
  }
  for (int32_t token : tokens)
    text += format("%8d  ", token) + jsonString(program.piece(token)) + "\n";
  print(text);
  return 0;
}

} // namespace qcc::cli
