//===- gguf_fuzz.cpp - Fuzzes the GGUF reader -----------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Reads the input as a GGUF file and, when it is accepted, everything that the
// rest of the compiler would read: all metadata through the typed accessors,
// all bytes of all tensors, the descriptions. An input that starts with "SPLT"
// is a model in parts: u16 length and that many bytes, part after part.
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/Describe.h"
#include "qcc/Checkpoint/GGUF.h"
#include <cstring>

using namespace qcc;

/// Keeps the compiler from removing reads.
static volatile uint64_t sink;

template <typename T>
static uint64_t use(const Result<T> &result) {
  return result ? 1 : result.message().size();
}

static uint64_t readAll(const Checkpoint &checkpoint) {
  uint64_t sum = 0;
  for (const Tensor &tensor : checkpoint.tensors()) {
    if (checkpoint.findTensor(tensor.name) != &tensor ||
        tensor.rows() * tensor.rowBytes() != tensor.bytes)
      __builtin_trap();
    const uint8_t *data = checkpoint.data(tensor);
    for (uint64_t i = 0; i < tensor.bytes; ++i)
      sum += data[i];
    // The first block, through the scalar definition.
    float values[256];
    tensor.type->decode(data, values);
    sum += values[0] == 0.0f;
  }
  for (const MetadataEntry &entry : checkpoint.metadata()) {
    std::string_view key = entry.key;
    if (checkpoint.findMetadata(key) != &entry.value)
      __builtin_trap();
    // Each key with one kind of accessor, which its name picks.
    switch (uint8_t(key.back()) % 8) {
    case 0:
      sum += use(checkpoint.get<uint8_t>(key)) + use(checkpoint.get<bool>(key));
      break;
    case 1:
      sum += use(checkpoint.get<int8_t>(key)) + use(checkpoint.get<float>(key));
      break;
    case 2:
      sum += use(checkpoint.get<uint32_t>(key));
      break;
    case 3:
      sum += use(checkpoint.get<int32_t>(key));
      break;
    case 4:
      sum += use(checkpoint.get<uint64_t>(key));
      break;
    case 5:
      sum += use(checkpoint.get<double>(key));
      break;
    case 6:
      sum += use(checkpoint.getPerLayer<uint32_t>(key, 3));
      break;
    default:
      sum += use(checkpoint.get<std::string>(key)) +
             use(checkpoint.get<NumberArray<bool>>(key)) +
             use(checkpoint.get<StringArray>(key));
      break;
    }
    if (Result<NumberArray<float>> floats =
            checkpoint.get<NumberArray<float>>(key))
      for (size_t i = 0; i < floats->size(); ++i)
        sum += (*floats)[i] > 0.0f;
    if (Result<NumberArray<int32_t>> ints =
            checkpoint.get<NumberArray<int32_t>>(key))
      for (size_t i = 0; i < ints->size(); ++i)
        sum += uint32_t((*ints)[i]);
  }
  return sum;
}

static uint64_t describe(const Checkpoint &checkpoint) {
  return describeText(checkpoint).size() + describeJson(checkpoint).size();
}

/// Cuts an input that starts with "SPLT" into parts.
static std::vector<GGUFPart> splitParts(const uint8_t *data, size_t size) {
  std::vector<GGUFPart> parts;
  size_t position = 4;
  while (size - position >= 2) {
    uint16_t length;
    std::memcpy(&length, data + position, 2);
    position += 2;
    size_t bytes = std::min<size_t>(length, size - position);
    parts.push_back({"part", {data + position, bytes}});
    position += bytes;
  }
  return parts;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::vector<GGUFPart> parts;
  if (size >= 4 && std::memcmp(data, "SPLT", 4) == 0)
    parts = splitParts(data, size);
  else
    parts.push_back({"file", {data, size}});
  if (Result<Checkpoint> checkpoint = parseGGUF(parts))
    // Descriptions cost more than all the rest: one input in eight is enough.
    sink = readAll(*checkpoint) + (size % 8 == 0 ? describe(*checkpoint) : 0);
  else if (checkpoint.message().empty())
    __builtin_trap();
  return 0;
}
