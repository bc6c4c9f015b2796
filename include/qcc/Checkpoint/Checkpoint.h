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
#include "qcc/Formats/StoredFormat.h"
#include "qcc/Support/Error.h"
#include "qcc/Support/MappedFile.h"
#include <deque>
#include <memory>
#include <optional>

namespace qcc {

/// One array of a weight that is kept as several.
struct TensorPart {
  std::string_view name; ///< "model.layers.0.mlp.up_proj.qweight".
  const char *type;      ///< The file's name of it: "I32".
  /// As in Tensor, contiguous dimension first.
  std::vector<uint64_t> dims;
  uint32_t file = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

/// One tensor. Its shape and byte range were checked against its type and file.
/// It lies either in one range of a file, in rows of a ggml type, or in several
/// arrays that a StoredFormat reads.
struct Tensor {
  std::string_view name;
  /// Shape, 0 to 4 dimensions, none of them 0: dims[0] is the one that is
  /// contiguous in a row-major weight (in features), dims[1] the rows (out
  /// features).
  std::vector<uint64_t> dims;
  const GGMLType *type = nullptr; ///< Null for a tensor in several arrays.
  uint32_t file = 0;   ///< Index into Checkpoint::files(), of the first array.
  uint64_t offset = 0; ///< Of the first byte, in the file.
  uint64_t bytes = 0;  ///< Of all arrays.

  /// How the arrays are read; null for a tensor of a ggml type.
  const StoredFormat *format = nullptr;
  Encoding storedEncoding;             ///< With a format.
  std::vector<uint64_t> storedNumbers; ///< StoredWeight::numbers.
  /// With a format: its arrays first, in its order, then those that were only
  /// checked.
  std::vector<TensorPart> parts;

  /// Matrices or vectors of which this one, with a dimension more, is made:
  /// each holds as many of its rows in its encoding. Type and format are those
  /// of the first, `parts` those of all. Empty: it is not made of others.
  std::vector<Tensor> slices;

  /// The tensor that says in which order the elements of rows stand (element j
  /// is element order[j] of the model's); empty: in the model's.
  std::string_view order;

  /// What its numbers mean; null when no Encoding says it.
  const Encoding *encoding() const {
    return format ? &storedEncoding : type->encoding;
  }
  /// "Q4_K", format, bits and group ("GPTQ-4-g128"), the bits of spans
  /// ("EXL2-6+5"), or what it is rounded to ("q4_k").
  std::string typeName() const;

  /// A tensor of a ggml type as an array.
  TensorPart asPart() const;
  /// Makes a tensor of a ggml type the only array of one that `format` reads.
  void storeAs(const StoredFormat &format, Encoding encoding,
               std::vector<uint64_t> numbers);

  uint64_t rowElements() const { return dims.empty() ? 1 : dims[0]; }
  /// Of a ggml type.
  uint64_t rowBytes() const { return type->rowBytes(rowElements()); }
  /// Product of all dimensions but the first.
  uint64_t rows() const {
    uint64_t product = 1;
    for (size_t i = 1; i < dims.size(); ++i)
      product *= dims[i];
    return product;
  }
  uint64_t elements() const { return rows() * rowElements(); }
  /// "[576, 49152]".
  std::string shape() const;
};

struct MetadataEntry {
  std::string_view key;
  Value value;
};

/// Whose keys and tensor names a checkpoint uses.
enum class Naming {
  GGUF,        ///< "llama.block_count", "blk.0.attn_q.weight".
  HuggingFace, ///< "num_hidden_layers", "model.layers.0.self_attn...".
};

/// Owns texts and numbers that views of a checkpoint refer to and that do not
/// lie in a file as they are: unescaped names, parsed numbers.
class TextPool {
public:
  std::string_view keep(std::string text) {
    return texts->emplace_back(std::move(text));
  }
  /// The bytes of numbers, as Value takes them. They are not aligned.
  template <typename T>
  const uint8_t *keep(const std::vector<T> &numbers) {
    const auto *bytes = reinterpret_cast<const char *>(numbers.data());
    return reinterpret_cast<const uint8_t *>(
        keep(std::string(bytes, numbers.size() * sizeof(T))).data());
  }

private:
  // Elements of a deque stay where they are.
  std::unique_ptr<std::deque<std::string>> texts =
      std::make_unique<std::deque<std::string>>();
};

class Checkpoint {
public:
  /// One file of the checkpoint. `bytes` is a view of `mapping` unless the
  /// checkpoint was read from memory.
  struct File {
    std::string path;
    std::span<const uint8_t> bytes;
    std::optional<MappedFile> mapping;

    static Result<File> map(const std::string &path);
  };

  /// What a reader found.
  struct Contents {
    std::string format;
    Naming naming = Naming::GGUF;
    std::string path;        ///< Of the model, for messages.
    std::string configPath;  ///< Of the file that has the metadata.
    std::vector<File> files; ///< At least one.
    std::vector<MetadataEntry> metadata;
    /// Keys that the configuration has with the value null.
    std::vector<std::string_view> nulls;
    std::vector<Tensor> tensors;
    TextPool texts;
  };

  /// Takes what a reader found. Fails on duplicate keys and tensor names.
  static Result<Checkpoint> create(Contents contents);
  /// The opposite: ends this checkpoint, to make another one of it.
  Contents takeContents() && { return std::move(contents); }

  /// "GGUF v3", "safetensors, GPTQ", "torch".
  const std::string &format() const { return contents.format; }
  Naming naming() const { return contents.naming; }
  /// What was opened: a file (the first of several) or a folder.
  const std::string &path() const { return contents.path; }
  const std::vector<File> &files() const { return contents.files; }

  /// In file order.
  const std::vector<MetadataEntry> &metadata() const {
    return contents.metadata;
  }
  const std::vector<Tensor> &tensors() const { return contents.tensors; }

  /// Null when absent.
  const Value *findMetadata(std::string_view key) const;
  const Tensor *findTensor(std::string_view name) const;

  /// The family of the model: general.architecture or model_type.
  Result<std::string> architecture() const;

  /// First byte of a tensor of a ggml type; `tensor.bytes` bytes are readable.
  /// Not aligned.
  const uint8_t *data(const Tensor &tensor) const {
    return data(tensor.file, tensor.offset);
  }
  const uint8_t *data(const TensorPart &part) const {
    return data(part.file, part.offset);
  }

  /// Codes and scales of rows [firstRow, firstRow + count) of a tensor that has
  /// an encoding; resizes out[0..count).
  void unpackRows(const Tensor &tensor, uint64_t firstRow, unsigned count,
                  Fields *out) const;
  /// Values of those rows, each rowElements() long.
  void decodeRows(const Tensor &tensor, uint64_t firstRow, unsigned count,
                  float *out) const;
  /// Tells the kernel that those rows' bytes are no longer needed, so that a
  /// pass over a large file keeps little of it resident.
  void release(const Tensor &tensor, uint64_t firstRow, uint64_t count) const;

  bool has(std::string_view key) const { return findMetadata(key) != nullptr; }
  /// Whether the configuration says that there is nothing of this key, which
  /// without it may have a default.
  bool isNull(std::string_view key) const;
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
  /// An error about its metadata: names the file that it comes from.
  Error configError(std::string_view message) const;

private:
  Checkpoint() = default;
  const uint8_t *data(uint32_t file, uint64_t offset) const {
    return contents.files[file].bytes.data() + offset;
  }
  void release(uint32_t file, uint64_t offset, uint64_t bytes) const;

  Contents contents;
  /// Indices sorted by name, for binary search: no hashing, so that no choice
  /// of names makes it slow.
  std::vector<uint32_t> entryOrder, tensorOrder;
};

/// Opens a checkpoint of any supported kind, told by its content: a GGUF file,
/// a Hugging Face folder, or a safetensors or torch file in one.
Result<Checkpoint> openCheckpoint(const std::string &path);

template <typename T>
Result<T> Checkpoint::get(std::string_view key) const {
  const Value *value = findMetadata(key);
  if (!value)
    return configError("key " + quoted(key) + " is missing");
  Result<T> result = value->as<T>(key);
  if (!result)
    return configError(result.message());
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
    return configError("key " + quoted(key) + ": expected " +
                       std::to_string(count) + " elements, got " +
                       std::to_string(array->size()));
  std::vector<T> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] = (*array)[i];
  return values;
}

} // namespace qcc

#endif // QCC_CHECKPOINT_CHECKPOINT_H
