//===- hugging_face_fuzz.cpp - Fuzzes the reader of folders ---------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The input is a folder: file after file a byte that picks the name from the
// list below, u16 length and that many bytes. A byte above the list's end takes
// the rest as model.safetensors. What is accepted is read in full.
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/HuggingFace.h"
#include <algorithm>
#include <cstring>
#include <iterator>
#include "ReadAll.h"

using namespace qcc;

/// Keeps the compiler from removing reads.
static volatile uint64_t sink;

static constexpr const char *kNames[] = {
    "config.json",
    "model.safetensors",
    "quantize_config.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "pytorch_model.bin",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "hf_quant_config.json",
};

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::vector<FolderFile> files;
  for (size_t position = 0; position < size;) {
    size_t name = data[position++];
    uint16_t length = 0;
    if (name >= std::size(kNames)) {
      files.push_back({kNames[1], {data + position, size - position}});
      break;
    }
    if (size - position < 2)
      break;
    std::memcpy(&length, data + position, 2);
    position += 2;
    size_t bytes = std::min<size_t>(length, size - position);
    // A folder has a name once.
    if (std::none_of(files.begin(), files.end(), [&](const FolderFile &file) {
          return file.name == kNames[name];
        }))
      files.push_back({kNames[name], {data + position, bytes}});
    position += bytes;
  }
  if (Result<Checkpoint> checkpoint = parseHuggingFace(files))
    sink = fuzz::readAll(*checkpoint) +
           (size % 8 == 0 ? fuzz::describe(*checkpoint) : 0);
  else if (checkpoint.message().empty())
    __builtin_trap();
  return 0;
}
