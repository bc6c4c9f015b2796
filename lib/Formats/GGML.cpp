//===- GGML.cpp - The table of ggml types ---------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/GGML.h"
#include <algorithm>
#include "GGMLFamilies.h"

using namespace qcc;

namespace {

struct RemovedType {
  uint32_t id;
  const char *name;
  const char *replacement;
};

/// Ids that ggml once used and took back; files with them still exist.
constexpr RemovedType kRemoved[] = {
    {4, "Q4_2", "Q4_0"},          {5, "Q4_3", "Q4_1"},
    {31, "Q4_0_4_4", "Q4_0"},     {32, "Q4_0_4_8", "Q4_0"},
    {33, "Q4_0_8_8", "Q4_0"},     {36, "IQ4_NL_4_4", "IQ4_NL"},
    {37, "IQ4_NL_4_8", "IQ4_NL"}, {38, "IQ4_NL_8_8", "IQ4_NL"},
};

std::vector<GGMLType> buildTable() {
  std::vector<GGMLType> types;
  ggml::appendPlainTypes(types);
  ggml::appendBlock32Types(types);
  ggml::appendKQuantTypes(types);
  ggml::appendIQuantTypes(types);
  ggml::appendTernaryTypes(types);
  std::sort(types.begin(), types.end(),
            [](const GGMLType &a, const GGMLType &b) { return a.id < b.id; });
  return types;
}

} // namespace

std::span<const GGMLType> qcc::ggmlTypes() {
  static const std::vector<GGMLType> table = buildTable();
  return table;
}

const GGMLType *qcc::findGGMLType(uint32_t id) {
  for (const GGMLType &type : ggmlTypes())
    if (type.id == id)
      return &type;
  return nullptr;
}

const GGMLType *qcc::findGGMLType(std::string_view name) {
  for (const GGMLType &type : ggmlTypes())
    if (type.name == name)
      return &type;
  return nullptr;
}

std::string qcc::unknownGGMLType(uint32_t id) {
  std::string text = "ggml type " + std::to_string(id);
  for (const RemovedType &removed : kRemoved)
    if (removed.id == id)
      return text + " (" + removed.name +
             ") was removed from ggml; quantize the model again as " +
             removed.replacement;
  return text + " is unknown; known are 0 to " +
         std::to_string(ggmlTypes().back().id);
}

void GGMLType::unpackRow(const uint8_t *row, size_t k, Fields &out) const {
  out.resize(*encoding, k);
  for (size_t first = 0; first < k; first += blockElements, row += blockBytes)
    unpack(row, out, first);
}

void GGMLType::decodeRow(const uint8_t *row, size_t k, float *out) const {
  for (size_t first = 0; first < k; first += blockElements, row += blockBytes)
    decode(row, out + first);
}
