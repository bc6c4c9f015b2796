//===- Checkpoint.cpp - Tensors and metadata of a model file --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/Checkpoint.h"
#include "qcc/Checkpoint/GGUF.h"
#include <algorithm>
#include <numeric>

using namespace qcc;

std::string Tensor::shape() const {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i)
    text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

//===----------------------------------------------------------------------===//
// Index by name
//===----------------------------------------------------------------------===//

/// Indices of `items` in order of their names.
template <typename Items, typename Name>
static std::vector<uint32_t> sortedByName(const Items &items, Name name) {
  std::vector<uint32_t> order(items.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return name(items[a]) < name(items[b]);
  });
  return order;
}

/// The item with this name, or null.
template <typename Items, typename Name>
static auto findByName(const Items &items, const std::vector<uint32_t> &order,
                       std::string_view wanted, Name name)
    -> decltype(items.data()) {
  auto it = std::lower_bound(
      order.begin(), order.end(), wanted,
      [&](uint32_t i, std::string_view w) { return name(items[i]) < w; });
  if (it == order.end() || name(items[*it]) != wanted)
    return nullptr;
  return &items[*it];
}

/// The second item that has a name of another one, or null.
template <typename Items, typename Name>
static auto findDuplicate(const Items &items,
                          const std::vector<uint32_t> &order, Name name)
    -> decltype(items.data()) {
  for (size_t i = 1; i < order.size(); ++i)
    if (name(items[order[i - 1]]) == name(items[order[i]]))
      return &items[std::max(order[i - 1], order[i])];
  return nullptr;
}

static std::string_view keyOf(const MetadataEntry &entry) { return entry.key; }
static std::string_view nameOf(const Tensor &tensor) { return tensor.name; }

//===----------------------------------------------------------------------===//
// Checkpoint
//===----------------------------------------------------------------------===//

Result<Checkpoint> Checkpoint::create(std::string format,
                                      std::vector<File> files,
                                      std::vector<MetadataEntry> metadata,
                                      std::vector<Tensor> tensors) {
  Checkpoint result;
  result.formatName = std::move(format);
  result.fileList = std::move(files);
  result.entries = std::move(metadata);
  result.tensorList = std::move(tensors);
  result.entryOrder = sortedByName(result.entries, keyOf);
  result.tensorOrder = sortedByName(result.tensorList, nameOf);
  if (const MetadataEntry *entry =
          findDuplicate(result.entries, result.entryOrder, keyOf))
    return result.error("key " + quoted(entry->key) + " occurs twice");
  if (const Tensor *tensor =
          findDuplicate(result.tensorList, result.tensorOrder, nameOf))
    return Error(result.fileList[tensor->file].path + ": tensor " +
                 quoted(tensor->name) + " occurs twice");
  return result;
}

const Value *Checkpoint::findMetadata(std::string_view key) const {
  const MetadataEntry *entry = findByName(entries, entryOrder, key, keyOf);
  return entry ? &entry->value : nullptr;
}

const Tensor *Checkpoint::findTensor(std::string_view name) const {
  return findByName(tensorList, tensorOrder, name, nameOf);
}

Error Checkpoint::error(std::string_view message) const {
  return Error(path() + ": " + std::string(message));
}

//===----------------------------------------------------------------------===//
// Opening
//===----------------------------------------------------------------------===//

/// What a file that is no GGUF file looks like, for the message.
static std::string describeUnknown(std::span<const uint8_t> bytes) {
  std::string_view text(reinterpret_cast<const char *>(bytes.data()),
                        std::min<size_t>(bytes.size(), 10));
  std::string_view magic = text.substr(0, 4);
  if (magic == "lmgg" || magic == "tjgg" || magic == "fmgg" || magic == "algg")
    return "a ggml file from before GGUF (convert it with llama.cpp)";
  if (text.size() == 10 && text.substr(8) == "{\"")
    return "a safetensors file (convert it with llama.cpp)";
  if (magic == "PK\x03\x04")
    return "a zip file, as torch writes it (convert it with llama.cpp)";
  return "a file that starts with " + quoted(magic);
}

Result<Checkpoint> qcc::openCheckpoint(const std::string &path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.takeError();
  if (!isGGUF(file->bytes()))
    return mismatchError(path, "a GGUF file", describeUnknown(file->bytes()));
  return openGGUF(path);
}
