//===- gguf_fuzz.cpp - Fuzzes the GGUF reader -----------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Reads the input as a GGUF file and, when it is accepted, everything in it. An
// input that starts with "SPLT" is a model in parts: u16 length and that many
// bytes, part after part.
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/GGUF.h"
#include <cstring>
#include "ReadAll.h"

using namespace qcc;

/// Keeps the compiler from removing reads.
static volatile uint64_t sink;

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
    sink = fuzz::readAll(*checkpoint) +
           (size % 8 == 0 ? fuzz::describe(*checkpoint) : 0);
  else if (checkpoint.message().empty())
    __builtin_trap();
  return 0;
}
