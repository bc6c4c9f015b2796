//===- CompressedTensorsConfig.cpp - Schemes of compressed-tensors --------===//
// SPDX-License-Identifier: Apache-2.0
//
// "config_groups" has groups of modules. Each says which modules it is for
// ("targets": names, "re:" and an expression, or classes such as "Linear") and
// how their weights are kept: "weights", and "format", which otherwise is that
// of the whole config.
//===----------------------------------------------------------------------===//

#include "CompressedTensors.h"

using namespace qcc;

namespace {

const Json *member(const Json &object, const char *key) {
  auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

/// What a group says, read with one error for all of it.
class GroupReader {
public:
  GroupReader(const Json &weights, std::string format, const std::string &where)
      : weights(weights), fields(weights, where), format(std::move(format)) {}

  Result<WeightScheme> read() {
    type = fields.text("type", "int");
    bits = fields.integer("num_bits", 8);
    strategy = fields.text("strategy", "tensor");
    if (format == "naive-quantized")
      format = type == "float" ? "float-quantized" : "int-quantized";
    WeightScheme scheme;
    if (format == "float-quantized")
      readTiles(scheme.tiles.emplace());
    else if (format == "mxfp4-pack-quantized")
      readFP4(scheme, kMXFP4Layout);
    else if (format == "nvfp4-pack-quantized")
      readFP4(scheme, kNVFP4Layout);
    else if (format == "pack-quantized" || format == "int-quantized")
      readIntegers(scheme);
    else
      fields.fail("format " + quoted(format) +
                  " is not supported yet (supported: pack-quantized, "
                  "int-quantized, float-quantized, naive-quantized, "
                  "mxfp4-pack-quantized, nvfp4-pack-quantized)");
    if (fields.error)
      return std::move(fields.error);
    return scheme;
  }

private:
  int64_t groupSize(int64_t most) {
    int64_t group = fields.integer("group_size", 0);
    if (group <= 0 || group > most)
      fields.fail("key 'group_size': expected a positive number, got " +
                  std::to_string(group));
    return group;
  }

  void readIntegers(WeightScheme &scheme) {
    scheme.isPacked = format == "pack-quantized";
    scheme.isSymmetric = fields.flag("symmetric", true);
    std::string order = fields.text("actorder", "static");
    if (type != "int")
      fields.fail("expected type 'int' for format " + quoted(format) +
                  ", got " + quoted(type));
    if (scheme.isPacked ? bits != 2 && bits != 4 && bits != 8 : bits != 8)
      fields.fail(std::to_string(bits) +
                  " bits are not supported yet in format " + quoted(format) +
                  " (supported: " + (scheme.isPacked ? "2, 4, 8)" : "8)"));
    scheme.bits = unsigned(bits);
    if (!scheme.isPacked && !scheme.isSymmetric)
      fields.fail("zero points are not supported yet in format " +
                  quoted(format));
    if (strategy == "group")
      scheme.group = groupSize(1 << 30);
    else if (strategy != "channel")
      fields.fail("strategy " + quoted(strategy) +
                  " is not supported yet (supported: group, channel)");
    // Newer versions call the two orders that need no index static and weight.
    scheme.hasOrder = order == "group" || order == "dynamic";
    if (!scheme.hasOrder && order != "static" && order != "weight")
      fields.fail("act-order of kind " + quoted(order) +
                  " is not supported yet (supported: static, weight, group)");
    if (scheme.hasOrder && !scheme.isPacked)
      fields.fail("act-order of kind " + quoted(order) +
                  " is not supported yet in format " + quoted(format));
  }

  /// Which weights share a scale in format float-quantized.
  void readTiles(ScaleTiles &tiles) {
    if (fields.text("type", "float") != "float" || bits != 8 ||
        !fields.flag("symmetric", true)) {
      fields.fail("expected symmetric floats of 8 bits for format "
                  "'float-quantized'");
    } else if (strategy == "channel") {
      tiles = {1, 0};
    } else if (strategy == "group") {
      tiles = {1, uint64_t(groupSize(1 << 28))};
    } else if (strategy == "block") {
      const Json *size = member(weights, "block_structure");
      if (!size || !readScaleTiles(*size, tiles))
        fields.fail("key 'block_structure': expected two positive numbers");
    } else if (strategy != "tensor") {
      fields.fail("strategy " + quoted(strategy) +
                  " is not supported yet (supported: tensor, channel, group, "
                  "block)");
    }
  }

  void readFP4(WeightScheme &scheme, const FP4Layout &layout) {
    scheme.fp4 = &layout;
    if (fields.text("type", "float") != "float" ||
        fields.integer("num_bits", 4) != 4 || !fields.flag("symmetric", true))
      fields.fail("expected symmetric floats of 4 bits for format " +
                  quoted(format));
    if (int64_t group = fields.integer("group_size", layout.group);
        group != layout.group)
      fields.fail("key 'group_size': expected " + std::to_string(layout.group) +
                  " for format " + quoted(format) + ", got " +
                  std::to_string(group));
  }

  const Json &weights;
  JsonFields fields;
  std::string format, type, strategy;
  int64_t bits = 0;
};

} // namespace

Result<WeightSchemes> WeightSchemes::read(const Json &config,
                                          const std::string &where) {
  WeightSchemes result;
  JsonFields fields(config, where);
  std::string format = fields.text("format", "pack-quantized");
  const Json *groups = member(config, "config_groups");
  if (groups && !groups->is_object())
    fields.fail("key 'config_groups': expected an object, got " +
                std::string(groups->type_name()));
  if (fields.error)
    return std::move(fields.error);
  if (groups)
    for (auto it = groups->begin(); it != groups->end(); ++it)
      if (Error error = result.addGroup(it.key(), *it, format,
                                        groups->size() == 1, where))
        return error;
  if (result.schemes.empty())
    return Error(where + ": expected groups with weights in 'config_groups'");
  for (const auto &[text, index] : result.expressions)
    if (Error error = result.patterns.add(text))
      return Error(where + ": config_groups: " + error.message());
  return result;
}

Error WeightSchemes::addGroup(const std::string &name, const Json &group,
                              const std::string &format, bool isOnly,
                              const std::string &where) {
  const std::string groupWhere = where + ": config_groups: " + name;
  // Messages about weights name the group where there are several.
  const std::string weightsWhere = where + ": " + (isOnly ? "" : name + ": ");
  // A list of targets has the name of a scheme as its key.
  if (group.is_array())
    return Error(where + ": scheme " + quoted(name) +
                 " by its name is not supported yet");
  const Json *weights = group.is_object() ? member(group, "weights") : nullptr;
  if (!weights)
    return Error(); // Of activations or the cache.
  if (!weights->is_object())
    return mismatchError(weightsWhere + "key 'weights'", "an object",
                         weights->type_name());
  JsonFields fields(group, groupWhere);
  std::string own = fields.text("format", format);
  if (own == "mixed-precision")
    fields.fail("key 'format' is missing, which the config leaves to groups");
  if (fields.error)
    return std::move(fields.error);
  Result<WeightScheme> scheme =
      GroupReader(*weights, own, weightsWhere + "weights").read();
  if (!scheme)
    return scheme.takeError();
  schemes.push_back(*scheme);
  return addTargets(group, schemes.size() - 1, groupWhere);
}

Error WeightSchemes::addTargets(const Json &group, size_t index,
                                const std::string &where) {
  const Json *targets = member(group, "targets");
  if (!targets)
    return Error();
  if (!targets->is_array())
    return mismatchError(where + ": key 'targets'", "an array of strings",
                         targets->type_name());
  for (const Json &target : *targets) {
    const auto *text = target.get_ptr<const std::string *>();
    if (!text)
      return mismatchError(where + ": key 'targets'", "an array of strings",
                           target.type_name());
    bool isExpression = text->starts_with("re:");
    auto [known, isNew] = isExpression
                              ? expressions.emplace(text->substr(3), index)
                              : names.emplace(*text, index);
    if (!isNew && known->second != index)
      return Error(where + ": target " + quoted(*text) +
                   " is also one of another group");
  }
  return Error();
}

Result<const WeightScheme *> WeightSchemes::of(const std::string &module) {
  // Where there is no choice, it does not matter what targets are called.
  if (schemes.size() == 1)
    return &schemes.front();
  if (auto it = names.find(module); it != names.end())
    return &schemes[it->second];
  Result<size_t> index = patterns.find(module, PatternList::Begin::Front);
  if (!index)
    return index.takeError();
  if (*index < expressions.size())
    return &schemes[std::next(expressions.begin(), ptrdiff_t(*index))->second];
  bool isTable = module.ends_with("embed_tokens");
  auto it = names.find(isTable ? "Embedding" : "Linear");
  return it == names.end() ? nullptr : &schemes[it->second];
}
