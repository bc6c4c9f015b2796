//===- Describe.cpp - A checkpoint as text for people and tools -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/Describe.h"
#include "qcc/Formats/Quantize.h"
#include "qcc/Support/UTF8.h"
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

using namespace qcc;
using Json = nlohmann::ordered_json;

static constexpr std::string_view kTemplateKey = "tokenizer.chat_template";

//===----------------------------------------------------------------------===//
// Facts that both forms show
//===----------------------------------------------------------------------===//

namespace {

struct TypeTotal {
  size_t tensors = 0;
  uint64_t elements = 0, bytes = 0;
  unsigned transcodedBits = 0;   ///< Of the codes; 0: as in the file.
  std::set<std::string> sources; ///< Types in the file, of rounded tensors.
};

struct Facts {
  std::string_view architecture, chatTemplate;
  uint64_t elements = 0, bytes = 0;
  std::map<std::string, TypeTotal> types; ///< By name.
  std::vector<const MetadataEntry *> config, tokenizer;
};

std::string_view stringOr(const Checkpoint &checkpoint, std::string_view key,
                          std::string_view fallback) {
  const Value *value = checkpoint.findMetadata(key);
  return value && value->type() == ValueType::String ? value->stringAt(0)
                                                     : fallback;
}

Facts collect(const Checkpoint &checkpoint) {
  Facts facts;
  facts.architecture = checkpoint.naming() == Naming::GGUF
                           ? stringOr(checkpoint, "general.architecture", "")
                           : stringOr(checkpoint, "model_type", "");
  if (facts.architecture.empty())
    facts.architecture = "unknown";
  facts.chatTemplate = stringOr(checkpoint, kTemplateKey, "");
  for (const Tensor &tensor : checkpoint.tensors()) {
    TypeTotal &total = facts.types[tensor.typeName()];
    ++total.tensors;
    total.elements += tensor.elements();
    total.bytes += tensor.bytes;
    if (tensor.type && tensor.type->isTranscoded())
      total.transcodedBits = tensor.type->encoding->bits;
    if (tensor.format == &kRoundedFormat)
      total.sources.insert(tensor.parts.front().type);
    facts.elements += tensor.elements();
    facts.bytes += tensor.bytes;
  }
  for (const MetadataEntry &entry : checkpoint.metadata()) {
    if (!entry.key.starts_with("tokenizer."))
      facts.config.push_back(&entry);
    else if (entry.key != kTemplateKey &&
             !entry.key.starts_with(std::string(kTemplateKey) + "."))
      facts.tokenizer.push_back(&entry);
  }
  return facts;
}

double bitsPerElement(uint64_t bytes, uint64_t elements) {
  return elements ? 8.0 * double(bytes) / double(elements) : 0.0;
}

/// The text of a token that a key such as tokenizer.ggml.eos_token_id names.
const std::string_view *tokenText(const Checkpoint &checkpoint,
                                  const MetadataEntry &entry,
                                  StringArray &tokens) {
  if (!entry.key.ends_with("_token_id") || entry.value.isArray())
    return nullptr;
  const Value *list = checkpoint.findMetadata("tokenizer.ggml.tokens");
  Result<uint32_t> id = entry.value.as<uint32_t>(entry.key);
  if (!list || !id)
    return nullptr;
  Result<StringArray> texts = list->asStrings("tokenizer.ggml.tokens");
  if (!texts || *id >= texts->size())
    return nullptr;
  tokens = *texts;
  return &tokens[*id];
}

} // namespace

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

[[gnu::format(printf, 1, 2)]] static std::string format(const char *pattern,
                                                        ...) {
  char buffer[256];
  va_list args;
  va_start(args, pattern);
  int length = std::vsnprintf(buffer, sizeof(buffer), pattern, args);
  va_end(args);
  return std::string(buffer,
                     size_t(std::clamp(length, 0, int(sizeof(buffer)) - 1)));
}

static std::string size(uint64_t bytes) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = double(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(units)) {
    value /= 1024;
    ++unit;
  }
  return format(unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static std::string count(uint64_t elements) {
  if (elements >= 1000000000)
    return format("%.2f B", double(elements) * 1e-9);
  if (elements >= 1000000)
    return format("%.1f M", double(elements) * 1e-6);
  return std::to_string(elements);
}

/// Name and value in columns.
static std::string line(std::string_view name, std::string_view value) {
  std::string text("  ");
  text += name;
  text.append(text.size() < 44 ? 44 - text.size() : 1, ' ');
  text += value;
  return text + "\n";
}

/// `text` with lines of two more spaces; what a terminal would obey is escaped.
static std::string indented(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    std::string_view row = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(row.size() + 1, text.size()));
    result += "  ";
    while (!row.empty()) {
      size_t length = utf8SequenceLength(row);
      // U+0080..U+009F start with c2.
      bool control =
          uint8_t(row[0]) < 0x20 || row[0] == 0x7f ||
          (length == 2 && uint8_t(row[0]) == 0xc2 && uint8_t(row[1]) < 0xa0);
      if (length == 0 || (control && row[0] != '\t')) {
        result += format("\\x%02x", unsigned(uint8_t(row[0])));
        length = 1;
      } else {
        result += row.substr(0, length);
      }
      row.remove_prefix(length);
    }
    result += '\n';
  }
  return result;
}

std::string qcc::describeText(const Checkpoint &checkpoint) {
  Facts facts = collect(checkpoint);
  std::string name = quoted(facts.architecture);
  std::string text =
      checkpoint.path() + ": " + checkpoint.format() + ", " +
      (checkpoint.files().size() > 1
           ? std::to_string(checkpoint.files().size()) + " files, "
           : "") +
      std::to_string(checkpoint.tensors().size()) + " tensors, " +
      count(facts.elements) + " parameters, " + size(facts.bytes) +
      format(" (%.2f bits each)\n",
             bitsPerElement(facts.bytes, facts.elements)) +
      "architecture: " + name.substr(1, name.size() - 2) + "\n\nconfig:\n";
  auto keyText = [](std::string_view key) {
    std::string text = quoted(key);
    return text.substr(1, text.size() - 2);
  };
  for (const MetadataEntry *entry : facts.config)
    text += line(keyText(entry->key), entry->value.str());

  if (!facts.tokenizer.empty())
    text += "\ntokenizer:\n";
  for (const MetadataEntry *entry : facts.tokenizer) {
    std::string value = entry->value.str();
    StringArray tokens;
    if (const std::string_view *token = tokenText(checkpoint, *entry, tokens))
      value.append(" ").append(quoted(*token));
    text += line(keyText(entry->key), value);
  }

  if (!facts.chatTemplate.empty())
    text += "\nchat template:\n" + indented(facts.chatTemplate);

  text += "\ntypes:\n";
  for (const auto &[name, total] : facts.types) {
    text += format("  %-8s %5zu tensors %12s %12s %7.3f bits", name.c_str(),
                   total.tensors, count(total.elements).c_str(),
                   size(total.bytes).c_str(),
                   bitsPerElement(total.bytes, total.elements));
    if (total.transcodedBits)
      text += format(", compiled as codes of %u bits", total.transcodedBits);
    text += "\n";
  }

  text += "\ntensors:\n";
  for (const Tensor &tensor : checkpoint.tensors())
    text += line(keyText(tensor.name),
                 format("%-8s %-20s %12s", tensor.typeName().c_str(),
                        tensor.shape().c_str(), size(tensor.bytes).c_str()));
  return text;
}

std::string qcc::describeTypes(const Checkpoint &checkpoint) {
  const Facts facts = collect(checkpoint);
  std::string text;
  for (const auto &[name, total] : facts.types) {
    text += text.empty() ? "" : "\n";
    text += format("%-8s %5zu tensors %12s parameters", name.c_str(),
                   total.tensors, count(total.elements).c_str());
    if (total.transcodedBits)
      text += format(", as codes of %u bits", total.transcodedBits);
    const char *before = ", rounded from ";
    for (const std::string &source : total.sources) {
      text += before + source;
      before = " and ";
    }
  }
  return text;
}

//===----------------------------------------------------------------------===//
// JSON
//===----------------------------------------------------------------------===//

/// Arrays up to this length are given in full.
static constexpr size_t kMaxJsonArray = 256;

static Json toJson(const Value &value, size_t i) {
  if (value.elementType() == ValueType::String)
    return std::string(value.stringAt(i));
  Number number = value.numberAt(i);
  if (value.elementType() == ValueType::Bool)
    return number.u != 0;
  switch (number.kind) {
  case Number::Kind::Unsigned:
    return number.u;
  case Number::Kind::Signed:
    return number.i;
  case Number::Kind::Float:
    break;
  }
  // JSON has no infinity and no NaN.
  std::string text = number.str();
  if (!std::isfinite(number.f))
    return text;
  // Through the shortest text, so that an f32 of 1e-05 does not become
  // 9.999999747378752e-06.
  double shortest = number.f;
  std::from_chars(text.data(), text.data() + text.size(), shortest);
  return shortest;
}

static Json toJson(const Value &value) {
  if (!value.isArray())
    return toJson(value, 0);
  if (value.size() > kMaxJsonArray)
    return {{"array", valueTypeName(value.elementType())},
            {"length", value.size()}};
  Json array = Json::array();
  for (size_t i = 0; i < value.size(); ++i)
    array.push_back(toJson(value, i));
  return array;
}

/// Adds without a search for the key: keys of a checkpoint are unique.
static void add(Json &object, std::string_view key, Json value) {
  object.get_ref<Json::object_t &>().emplace_back(std::string(key),
                                                  std::move(value));
}

std::string qcc::describeJson(const Checkpoint &checkpoint) {
  Facts facts = collect(checkpoint);
  Json files = Json::array();
  for (const Checkpoint::File &file : checkpoint.files())
    files.push_back({{"path", file.path}, {"bytes", file.bytes.size()}});

  Json types = Json::object();
  for (const auto &[name, total] : facts.types) {
    types[name] = {{"tensors", total.tensors},
                   {"parameters", total.elements},
                   {"bytes", total.bytes}};
    if (total.transcodedBits)
      types[name]["transcoded_bits"] = total.transcodedBits;
  }

  Json config = Json::object();
  for (const MetadataEntry *entry : facts.config)
    add(config, entry->key, toJson(entry->value));

  Json tokenizer = Json::object();
  for (const MetadataEntry *entry : facts.tokenizer)
    add(tokenizer, entry->key, toJson(entry->value));

  Json tensors = Json::array();
  for (const Tensor &tensor : checkpoint.tensors()) {
    tensors.push_back({{"name", std::string(tensor.name)},
                       {"type", tensor.typeName()},
                       {"shape", tensor.dims},
                       {"bytes", tensor.bytes},
                       {"file", tensor.file},
                       {"offset", tensor.offset}});
    if (!tensor.order.empty())
      tensors.back()["order"] = std::string(tensor.order);
    for (const TensorPart &part : tensor.parts)
      tensors.back()["parts"].push_back({{"name", std::string(part.name)},
                                         {"type", part.type},
                                         {"shape", part.dims},
                                         {"bytes", part.bytes},
                                         {"file", part.file},
                                         {"offset", part.offset}});
  }

  Json result;
  result["format"] = checkpoint.format();
  result["files"] = std::move(files);
  result["architecture"] = std::string(facts.architecture);
  result["parameters"] = facts.elements;
  result["bytes"] = facts.bytes;
  result["types"] = std::move(types);
  result["config"] = std::move(config);
  result["tokenizer"] = std::move(tokenizer);
  if (facts.chatTemplate.empty())
    result["chat_template"] = nullptr;
  else
    result["chat_template"] = std::string(facts.chatTemplate);
  result["tensors"] = std::move(tensors);
  return result.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}
