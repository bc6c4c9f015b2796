//===- Checkpoint.h - Tensors and metadata of a model file ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// What every reader produces: metadata by key, tensors by name, and the bytes
// of each tensor in a read-only mapping. Opening checks everything (shapes,
// ranges, names), so that the rest of the compiler may trust what it reads
// here; only the numbers inside tensors and the meaning of metadata are left.
//
// A Checkpoint does not change after it was opened: any number of threads may
// read it. Views (Tensor, Value, string_view, pointers) live as long as it.
//===----------------------------------------------------------------------===//

#ifndef QCC_CHECKPOINT_CHECKPOINT_H
#define QCC_CHECKPOINT_CHECKPOINT_H

#include "qcc/Checkpoint/Metadata.h"
#include "qcc/Formats/GGML.h"
#include "qcc/Support/Error.h"
#include "qcc/Support/MappedFile.h"
#include <optional>

namespace qcc {

/// One tensor. Its shape and byte range were checked against its type and file.
struct Tensor {
  std::string_view name;
  /// Shape as in the file, 0 to 4 dimensions, none of them 0: dims[0] is the
  /// contiguous one (in features), dims[1] the rows (out features).
  std::vector<uint64_t> dims;
  const GGMLType *type = nullptr;
  uint32_t file = 0;   ///< Index into Checkpoint::files().
  uint64_t offset = 0; ///< Of the first byte, in the file.
  uint64_t bytes = 0;

  uint64_t rowElements() const { return dims.empty() ? 1 : dims[0]; }
  uint64_t rowBytes() const { return type->rowBytes(rowElements()); }
  /// Product of all dimensions but the first.
  uint64_t rows() const { return bytes / rowBytes(); }
  uint64_t elements() const { return rows() * rowElements(); }
  /// "[576, 49152]".
  std::string shape() const;
};

struct MetadataEntry {
  std::string_view key;
  Value value;
};

class Checkpoint {
public:
  /// One file of the checkpoint. `bytes` is a view of `mapping` unless the
  /// checkpoint was read from memory.
  struct File {
    std::string path;
    std::span<const uint8_t> bytes;
    std::optional<MappedFile> mapping;
  };

  /// Takes what a reader found. Fails on duplicate keys and tensor names.
  static Result<Checkpoint> create(std::string format, std::vector<File> files,
                                   std::vector<MetadataEntry> metadata,
                                   std::vector<Tensor> tensors);

  /// "GGUF v3".
  const std::string &format() const { return formatName; }
  /// The file that was opened (the first of several).
  const std::string &path() const { return fileList.front().path; }
  const std::vector<File> &files() const { return fileList; }

  /// In file order.
  const std::vector<MetadataEntry> &metadata() const { return entries; }
  const std::vector<Tensor> &tensors() const { return tensorList; }

  /// Null when absent.
  const Value *findMetadata(std::string_view key) const;
  const Tensor *findTensor(std::string_view name) const;

  /// First byte of the tensor; `tensor.bytes` bytes are readable. Not aligned.
  const uint8_t *data(const Tensor &tensor) const {
    return fileList[tensor.file].bytes.data() + tensor.offset;
  }

  bool has(std::string_view key) const { return findMetadata(key) != nullptr; }
  /// The value of `key` as T (see Value::as); an error that names the file when
  /// it is missing or has another type.
  template <typename T>
  Result<T> get(std::string_view key) const;
  /// The same, with `fallback` when the key is absent (a wrong type is still an
  /// error).
  template <typename T>
  Result<T> getOr(std::string_view key, T fallback) const;
  /// A hyper-parameter that may be one number or one number per layer: `count`
  /// values either way.
  template <typename T>
  Result<std::vector<T>> getPerLayer(std::string_view key, size_t count) const;

  /// An error about this checkpoint: "path: message".
  Error error(std::string_view message) const;

private:
  Checkpoint() = default;

  std::string formatName;
  std::vector<File> fileList;
  std::vector<MetadataEntry> entries;
  std::vector<Tensor> tensorList;
  /// Indices sorted by name, for binary search: no hashing, so that no choice
  /// of names makes it slow.
  std::vector<uint32_t> entryOrder, tensorOrder;
};

/// Opens a checkpoint of any supported kind, told by its content.
Result<Checkpoint> openCheckpoint(const std::string &path);

template <typename T>
Result<T> Checkpoint::get(std::string_view key) const {
  const Value *value = findMetadata(key);
  if (!value)
    return error("key " + quoted(key) + " is missing");
  Result<T> result = value->as<T>(key);
  if (!result)
    return error(result.message());
  return result;
}

template <typename T>
Result<T> Checkpoint::getOr(std::string_view key, T fallback) const {
  return has(key) ? get<T>(key) : Result<T>(std::move(fallback));
}

template <typename T>
Result<std::vector<T>> Checkpoint::getPerLayer(std::string_view key,
                                               size_t count) const {
  const Value *value = findMetadata(key);
  if (!value || !value->isArray()) {
    Result<T> one = get<T>(key);
    if (!one)
      return one.takeError();
    return std::vector<T>(count, *one);
  }
  Result<NumberArray<T>> array = get<NumberArray<T>>(key);
  if (!array)
    return array.takeError();
  if (array->size() != count)
    return error("key " + quoted(key) + ": expected " + std::to_string(count) +
                 " elements, got " + std::to_string(array->size()));
  std::vector<T> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] = (*array)[i];
  return values;
}

} // namespace qcc

#endif // QCC_CHECKPOINT_CHECKPOINT_H
