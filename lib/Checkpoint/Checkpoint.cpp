//===- Checkpoint.cpp - Tensors and metadata of a model file --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/Checkpoint.h"
#include "qcc/Checkpoint/GGUF.h"
#include "qcc/Checkpoint/HuggingFace.h"
#include "qcc/Checkpoint/Safetensors.h"
#include "qcc/Formats/Quantize.h"
#include <algorithm>
#include <filesystem>
#include <numeric>
#include "TorchFile.h"

using namespace qcc;

TensorPart Tensor::asPart() const {
  TensorPart part;
  part.name = name;
  part.type = type->name;
  part.dims = dims;
  part.file = file;
  part.offset = offset;
  part.bytes = bytes;
  return part;
}

void Tensor::storeAs(const StoredFormat &wanted, Encoding encoding,
                     std::vector<uint64_t> numbers) {
  parts = {asPart()};
  format = &wanted;
  storedEncoding = std::move(encoding);
  storedNumbers = std::move(numbers);
  type = nullptr;
}

std::string Tensor::shape() const {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i)
    text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

std::string Tensor::typeName() const {
  if (!format)
    return type->name;
  if (format == &kRoundedFormat)
    return roundedType(storedNumbers).name;
  if (format == &kStridedFormat)
    return findGGMLType(uint32_t(storedNumbers[0]))->name;
  if (storedEncoding.isFloat())
    return format->name;
  std::string name = std::string(format->name) + "-";
  if (storedEncoding.spans.empty())
    return name + std::to_string(storedEncoding.bits) + "-g" +
           std::to_string(storedEncoding.group);
  unsigned last = 0;
  for (const Encoding::Span &span : storedEncoding.spans)
    if (span.bits != last) {
      name += (last ? "+" : "") + std::to_string(span.bits);
      last = span.bits;
    }
  // Groups of other sizes are what is left at the end.
  if (last == storedEncoding.spans.front().bits)
    name += "-g" + std::to_string(storedEncoding.spans.front().group);
  return name;
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

Result<Checkpoint::File> Checkpoint::File::map(const std::string &path) {
  Result<MappedFile> mapping = MappedFile::open(path);
  if (!mapping)
    return mapping.takeError();
  File file{path, mapping->bytes(), std::nullopt};
  file.mapping = std::move(*mapping);
  return file;
}

Result<Checkpoint> Checkpoint::create(Contents contents) {
  Checkpoint result;
  result.contents = std::move(contents);
  result.entryOrder = sortedByName(result.metadata(), keyOf);
  result.tensorOrder = sortedByName(result.tensors(), nameOf);
  std::sort(result.contents.nulls.begin(), result.contents.nulls.end());
  if (const MetadataEntry *entry =
          findDuplicate(result.metadata(), result.entryOrder, keyOf))
    return result.configError("key " + quoted(entry->key) + " occurs twice");
  if (const Tensor *tensor =
          findDuplicate(result.tensors(), result.tensorOrder, nameOf))
    return Error(result.files()[tensor->file].path + ": tensor " +
                 quoted(tensor->name) + " occurs twice");
  return result;
}

const Value *Checkpoint::findMetadata(std::string_view key) const {
  const MetadataEntry *entry = findByName(metadata(), entryOrder, key, keyOf);
  return entry ? &entry->value : nullptr;
}

bool Checkpoint::isNull(std::string_view key) const {
  return std::binary_search(contents.nulls.begin(), contents.nulls.end(), key);
}

const Tensor *Checkpoint::findTensor(std::string_view name) const {
  return findByName(tensors(), tensorOrder, name, nameOf);
}

Result<std::string> Checkpoint::architecture() const {
  return get<std::string>(naming() == Naming::GGUF ? "general.architecture"
                                                   : "model_type");
}

Error Checkpoint::error(std::string_view message) const {
  return Error(path() + ": " + std::string(message));
}

Error Checkpoint::configError(std::string_view message) const {
  return Error(contents.configPath + ": " + std::string(message));
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

/// Calls use(slice, first row in it, count, rows before) for the slices that
/// hold rows of a tensor.
template <typename Use>
static void forSlices(const Tensor &tensor, uint64_t firstRow, uint64_t count,
                      Use use) {
  const uint64_t each = tensor.slices.front().rows();
  for (uint64_t done = 0, part; done < count; done += part) {
    const uint64_t row = firstRow + done;
    part = std::min(count - done, each - row % each);
    use(tensor.slices[row / each], row % each, part, done);
  }
}

void Checkpoint::unpackRows(const Tensor &tensor, uint64_t firstRow,
                            unsigned count, Fields *out) const {
  if (!tensor.slices.empty())
    return forSlices(
        tensor, firstRow, count,
        [&](const Tensor &slice, uint64_t row, uint64_t part, uint64_t done) {
          unpackRows(slice, row, unsigned(part), out + done);
        });
  if (!tensor.format) {
    const uint8_t *row = data(tensor) + firstRow * tensor.rowBytes();
    for (unsigned i = 0; i < count; ++i, row += tensor.rowBytes())
      tensor.type->unpackRow(row, tensor.rowElements(), out[i]);
    return;
  }
  std::vector<const uint8_t *> arrays;
  for (const TensorPart &part : tensor.parts)
    arrays.push_back(data(part));
  tensor.format->unpackRows({tensor.storedEncoding, tensor.rows(),
                             tensor.rowElements(), arrays,
                             tensor.storedNumbers},
                            firstRow, count, out);
}

void Checkpoint::decodeRows(const Tensor &tensor, uint64_t firstRow,
                            unsigned count, float *out) const {
  const uint64_t k = tensor.rowElements();
  if (!tensor.slices.empty())
    return forSlices(
        tensor, firstRow, count,
        [&](const Tensor &slice, uint64_t row, uint64_t part, uint64_t done) {
          decodeRows(slice, row, unsigned(part), out + done * k);
        });
  if (!tensor.format) {
    const uint8_t *row = data(tensor) + firstRow * tensor.rowBytes();
    for (unsigned i = 0; i < count; ++i, row += tensor.rowBytes())
      tensor.type->decodeRow(row, k, out + i * k);
    return;
  }
  std::vector<Fields> rows(count);
  unpackRows(tensor, firstRow, count, rows.data());
  for (const Fields &fields : rows)
    for (uint64_t i = 0; i < k; ++i)
      *out++ = decodeElement(tensor.storedEncoding, fields, i);
}

void Checkpoint::release(uint32_t file, uint64_t offset, uint64_t bytes) const {
  if (const std::optional<MappedFile> &mapping = files()[file].mapping)
    mapping->release(offset, bytes);
}

void Checkpoint::release(const Tensor &tensor, uint64_t firstRow,
                         uint64_t count) const {
  if (!tensor.slices.empty())
    return forSlices(tensor, firstRow, count,
                     [&](const Tensor &slice, uint64_t row, uint64_t part,
                         uint64_t) { release(slice, row, part); });
  if (!tensor.format)
    return release(tensor.file, tensor.offset + firstRow * tensor.rowBytes(),
                   count * tensor.rowBytes());
  // Rows may be spread over all of an array. Others that need it fault its
  // pages in again, from the page cache.
  for (const TensorPart &part : tensor.parts)
    release(part.file, part.offset, part.bytes);
}

//===----------------------------------------------------------------------===//
// Opening
//===----------------------------------------------------------------------===//

/// What a file that no reader takes looks like, for the message.
static std::string describeUnknown(std::span<const uint8_t> bytes) {
  std::string_view text(reinterpret_cast<const char *>(bytes.data()),
                        std::min<size_t>(bytes.size(), 4));
  if (text == "lmgg" || text == "tjgg" || text == "fmgg" || text == "algg")
    return "a ggml file from before GGUF (convert it with llama.cpp)";
  return "a file that starts with " + quoted(text);
}

Result<Checkpoint> qcc::openCheckpoint(const std::string &path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    return openHuggingFace(path);
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.takeError();
  if (isGGUF(file->bytes()))
    return openGGUF(path);
  if (isSafetensors(file->bytes()) || isTorchFile(file->bytes()))
    return openHuggingFace(path);
  return mismatchError(path,
                       "a GGUF file, a Hugging Face folder, or a safetensors "
                       "or torch file in one",
                       describeUnknown(file->bytes()));
}
