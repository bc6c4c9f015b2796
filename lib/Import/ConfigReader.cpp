//===- ConfigReader.cpp - Keys of a checkpoint, checked -------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "ConfigReader.h"

#include <algorithm>
#include <cmath>

using namespace qcc;

ConfigReader::ConfigReader(const Checkpoint &checkpoint,
                           const Architecture &arch)
    : checkpoint(checkpoint),
      prefix(nameTable(checkpoint.naming()).config.hasPrefix ? arch.name + "."
                                                             : ""),
      defaults(checkpoint.naming() == Naming::HuggingFace ? &arch.defaults
                                                          : nullptr) {}

template <typename T>
T ConfigReader::take(Result<T> result) {
  if (result)
    return *result;
  Error taken = result.takeError();
  if (!error)
    error = std::move(taken);
  return T();
}

std::string ConfigReader::find(const KeyNames &names) const {
  for (std::string_view name : names)
    if (!name.empty() && checkpoint.has(prefix + std::string(name)))
      return prefix + std::string(name);
  return names[0].empty() ? "" : prefix + std::string(names[0]);
}

std::optional<double> ConfigReader::defaultOf(const KeyNames &names) const {
  if (defaults && !checkpoint.has(find(names)) && !isNull(names))
    for (const auto &[name, value] : *defaults)
      if (std::find(names.begin(), names.end(), name) != names.end())
        return value;
  return std::nullopt;
}

uint32_t ConfigReader::numberOf(const KeyNames &names) {
  auto known = defaultOf(names);
  return known ? uint32_t(*known) : take(checkpoint.get<uint32_t>(find(names)));
}

uint32_t ConfigReader::countOrZero(const KeyNames &names, uint32_t limit) {
  uint32_t value = has(names) ? numberOf(names) : 0;
  if (value > limit)
    fail(names, "expected at most " + std::to_string(limit) + ", got " +
                    std::to_string(value));
  return value;
}

uint32_t ConfigReader::count(const KeyNames &names, uint32_t limit) {
  uint32_t value = numberOf(names);
  if (value == 0 || value > limit)
    fail(names, "expected 1 to " + std::to_string(limit) + ", got " +
                    std::to_string(value));
  return value;
}

float ConfigReader::real(const KeyNames &names) {
  if (auto value = defaultOf(names))
    return float(*value);
  float value = take(checkpoint.get<float>(find(names)));
  if (!(value > 0) || !std::isfinite(value))
    fail(names, "expected a positive number");
  return value;
}

float ConfigReader::realOrZero(const KeyNames &names) {
  if (auto value = defaultOf(names))
    return float(*value);
  float value = has(names) ? take(checkpoint.get<float>(find(names))) : 0;
  return value == 0 ? 0 : real(names);
}

bool ConfigReader::isNull(const KeyNames &names) const {
  return std::any_of(names.begin(), names.end(), [&](std::string_view name) {
    return !name.empty() && checkpoint.isNull(prefix + std::string(name));
  });
}

std::vector<float> ConfigReader::reals(const KeyNames &names, size_t count) {
  std::vector<float> result;
  auto numbers = checkpoint.get<NumberArray<float>>(find(names));
  if (!numbers) {
    take(std::move(numbers));
    return result;
  }
  for (size_t i = 0; i < numbers->size(); ++i)
    result.push_back((*numbers)[i]);
  bool isPositive = std::all_of(result.begin(), result.end(), [](float x) {
    return x > 0 && std::isfinite(x);
  });
  if (result.size() == count && isPositive)
    return result;
  fail(names, "expected " + std::to_string(count) + " positive numbers, got " +
                  std::to_string(result.size()) +
                  (isPositive ? "" : " with others among them"));
  return {};
}

std::string ConfigReader::text(const KeyNames &names) {
  return take(checkpoint.getOr<std::string>(find(names), ""));
}

bool ConfigReader::flag(const KeyNames &names) {
  if (auto value = defaultOf(names))
    return *value != 0;
  return take(checkpoint.get<bool>(find(names)));
}

static std::string wrongLength(size_t expected, size_t got) {
  return "expected one of each of " + std::to_string(expected) +
         " layers, got " + std::to_string(got);
}

std::vector<bool>
ConfigReader::layerKinds(const KeyNames &names, size_t layers,
                         const std::array<std::string_view, 2> &kinds) {
  std::vector<bool> result(layers);
  Result<StringArray> texts = checkpoint.get<StringArray>(find(names));
  if (!texts) {
    take(std::move(texts));
    return result;
  }
  if (texts->size() != layers) {
    fail(names, wrongLength(layers, texts->size()));
    return result;
  }
  for (size_t i = 0; i < layers; ++i) {
    result[i] = (*texts)[i] == kinds[1];
    if (!result[i] && (*texts)[i] != kinds[0])
      fail(names, "unsupported layer " + quoted((*texts)[i]) +
                      " (supported: " + std::string(kinds[0]) + ", " +
                      std::string(kinds[1]) + ")");
  }
  return result;
}

std::vector<bool> ConfigReader::layerFlags(const KeyNames &names,
                                           size_t layers) {
  std::vector<bool> result(layers);
  auto read = [&](auto array) {
    if (!array) {
      take(std::move(array));
    } else if (array->size() != layers) {
      fail(names, wrongLength(layers, array->size()));
    } else {
      for (size_t i = 0; i < layers; ++i)
        result[i] = bool((*array)[i]);
    }
  };
  const std::string key = find(names);
  const Value *value = checkpoint.findMetadata(key);
  if (value && value->isArray() && value->elementType() == ValueType::Bool)
    read(checkpoint.get<NumberArray<bool>>(key));
  else
    read(checkpoint.get<NumberArray<uint32_t>>(key));
  return result;
}

std::vector<bool> ConfigReader::layerSet(const KeyNames &names, size_t layers) {
  std::vector<bool> result(layers);
  auto numbers = checkpoint.get<NumberArray<uint32_t>>(find(names));
  if (!numbers) {
    take(std::move(numbers));
    return result;
  }
  for (size_t i = 0; i < numbers->size(); ++i)
    if (uint32_t layer = (*numbers)[i]; layer < layers)
      result[layer] = true;
    else
      fail(names, "expected numbers of " + std::to_string(layers) +
                      " layers, got " + std::to_string(layer));
  return result;
}
