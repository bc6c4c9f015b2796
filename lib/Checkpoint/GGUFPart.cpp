//===- GGUFPart.cpp - Reading of one GGUF file ----------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
//   "GGUF" u32 version u64 tensors u64 keys
//   keys x    { string key, u32 type, value }
//   tensors x { string name, u32 dims, u64 dim[dims], u32 type, u64 offset }
//   padding to general.alignment, then the data that offsets refer to
//
// Nothing here trusts a count: one is compared with what the rest of the file
// can hold before anything is allocated for it, and sizes are computed with
// overflow checks. The work is linear in the size of the header (sorting apart)
// and nothing recurses.
//===----------------------------------------------------------------------===//

#include "GGUFPart.h"
#include "qcc/Formats/Bits.h"
#include "qcc/Support/UTF8.h"
#include <algorithm>
#include <bit>

using namespace qcc;
using namespace qcc::gguf;

namespace {

constexpr uint64_t kMaxKeys = 1 << 16;
constexpr uint64_t kMaxTensors = 1 << 18;
constexpr size_t kMaxKeyBytes = 65535;
constexpr size_t kMaxNameBytes = 63; // ggml keeps names in 64 bytes
constexpr uint32_t kMaxDims = 4;
constexpr uint32_t kDefaultAlignment = 32;
constexpr uint32_t kMinAlignment = 8, kMaxAlignment = 65536;

// The smallest entries: key of one byte with a value of one byte; tensor with a
// name of one byte and no dimension.
constexpr size_t kMinKeyEntry = 8 + 1 + 4 + 1;
constexpr size_t kMinTensorEntry = 8 + 1 + 4 + 4 + 8;

std::string hex(uint64_t value) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  do
    text.insert(text.begin(), digits[value & 15]);
  while (value >>= 4);
  return "0x" + text;
}

bool hasControlCharacter(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return uint8_t(c) < 0x20 || uint8_t(c) == 0x7f;
  });
}

/// Reads a header front to back. Every method returns false after setting
/// `error`, and is not called again then.
class PartReader {
public:
  PartReader(const std::string &path, std::span<const uint8_t> bytes)
      : path(path), bytes(bytes) {}

  Result<Part> read() {
    if (!readCounts() || !readMetadata() || !readAlignment() ||
        !readTensors() || !checkOverlaps())
      return std::move(error);
    return std::move(part);
  }

private:
  //===--- errors ---------------------------------------------------------===//

  bool fail(std::string_view what, std::string_view expected,
            std::string_view got) {
    error = mismatchError(path + ": " + std::string(what), expected, got);
    return false;
  }
  bool fail(std::string_view message) {
    error = Error(path + ": " + std::string(message));
    return false;
  }

  //===--- bytes ----------------------------------------------------------===//

  size_t remaining() const { return bytes.size() - position; }

  /// Takes `count` elements of `size` bytes each.
  bool take(std::string_view what, uint64_t count, size_t size,
            const uint8_t *&data) {
    if (count > remaining() / size)
      return fail(std::string(what) + " at byte " + std::to_string(position),
                  std::to_string(count) +
                      (size == 1 ? " bytes"
                                 : " times " + std::to_string(size) + " bytes"),
                  std::to_string(remaining()) +
                      " bytes before the end of the file");
    data = bytes.data() + position;
    position += size_t(count) * size;
    return true;
  }

  template <typename T>
  bool number(std::string_view what, T &out) {
    const uint8_t *data = nullptr;
    if (!take(what, sizeof(T), 1, data))
      return false;
    out = loadLE<T>(data);
    return true;
  }

  bool string(std::string_view what, std::string_view &out) {
    uint64_t length = 0;
    const uint8_t *data = nullptr;
    if (!number(what, length) || !take(what, length, 1, data))
      return false;
    out = {reinterpret_cast<const char *>(data), size_t(length)};
    return true;
  }

  /// A key or a tensor's name.
  bool identifier(std::string_view what, size_t maxBytes,
                  std::string_view &out) {
    size_t begin = position;
    if (!string(what, out))
      return false;
    std::string where = std::string(what) + " at byte " + std::to_string(begin);
    if (out.empty() || out.size() > maxBytes)
      return fail(where, "1 to " + std::to_string(maxBytes) + " bytes",
                  std::to_string(out.size()) + " bytes");
    if (!isValidUTF8(out))
      return fail(where, "UTF-8", quoted(out));
    if (hasControlCharacter(out))
      return fail(where, "no control characters", quoted(out));
    return true;
  }

  //===--- sections -------------------------------------------------------===//

  bool readCounts() {
    const uint8_t *magic = nullptr;
    if (!take("magic", 4, 1, magic))
      return false;
    std::string_view text(reinterpret_cast<const char *>(magic), 4);
    if (text != "GGUF")
      return fail("magic", "'GGUF'", quoted(text));
    if (!number("version", part.version))
      return false;
    if (part.version != 0 && (part.version & 0xffff) == 0)
      return fail("byte order", "a little-endian GGUF file",
                  "a big-endian one");
    if (part.version == 1)
      return fail("GGUF version 1 is obsolete; convert the model again");
    if (part.version != 2 && part.version != 3)
      return fail("GGUF version", "2 or 3", std::to_string(part.version));
    return number("number of tensors", tensorCount) &&
           number("number of keys", keyCount) &&
           checkCount("number of keys", keyCount, kMaxKeys, kMinKeyEntry) &&
           checkCount("number of tensors", tensorCount, kMaxTensors,
                      kMinTensorEntry);
  }

  bool checkCount(std::string_view what, uint64_t count, uint64_t limit,
                  size_t entryBytes) {
    if (count > limit)
      return fail(what, "at most " + std::to_string(limit),
                  std::to_string(count));
    if (count > remaining() / entryBytes)
      return fail(what,
                  "at most " + std::to_string(remaining() / entryBytes) +
                      " in the rest of the file",
                  std::to_string(count));
    return true;
  }

  bool readMetadata() {
    for (uint64_t i = 0; i < keyCount; ++i) {
      MetadataEntry entry;
      uint32_t type = 0;
      if (!identifier("key", kMaxKeyBytes, entry.key))
        return false;
      std::string what = "key " + quoted(entry.key);
      if (!number(what, type) || !readValue(what, type, entry.value))
        return false;
      part.metadata.push_back(std::move(entry));
    }
    return true;
  }

  bool readValue(const std::string &what, uint32_t type, Value &value) {
    if (!checkType(what, type, uint32_t(ValueType::F64)))
      return false;
    ValueType valueType = ValueType(type);
    if (valueType == ValueType::Array)
      return readArray(what, value);
    if (valueType == ValueType::String) {
      std::string_view text;
      if (!string(what, text))
        return false;
      value = Value::string(text);
      return true;
    }
    const uint8_t *data = nullptr;
    if (!take(what, 1, valueTypeBytes(valueType), data) ||
        (valueType == ValueType::Bool && !checkBools(what, data, 1)))
      return false;
    value = Value::number(valueType, data);
    return true;
  }

  bool readArray(const std::string &what, Value &value) {
    uint32_t type = 0;
    uint64_t count = 0;
    if (!number(what, type) ||
        !checkType(what + " element", type, uint32_t(ValueType::F64)) ||
        !number(what, count))
      return false;
    ValueType element = ValueType(type);
    if (element == ValueType::Array)
      return fail(what, "an array of numbers, bools or strings",
                  "an array of arrays");
    if (element == ValueType::String)
      return readStrings(what, count, value);
    const uint8_t *data = nullptr;
    if (!take(what, count, valueTypeBytes(element), data) ||
        (element == ValueType::Bool && !checkBools(what, data, count)))
      return false;
    value = Value::numbers(element, data, size_t(count));
    return true;
  }

  bool readStrings(const std::string &what, uint64_t count, Value &value) {
    if (count > remaining() / 8)
      return fail(what,
                  "at most " + std::to_string(remaining() / 8) +
                      " strings in the rest of the file",
                  std::to_string(count));
    std::vector<std::string_view> texts(static_cast<size_t>(count));
    for (std::string_view &text : texts)
      if (!string(what, text))
        return false;
    value = Value::strings(std::move(texts));
    return true;
  }

  bool checkType(const std::string &what, uint32_t type, uint32_t last) {
    return type <= last || fail(what + " type", "0 to " + std::to_string(last),
                                std::to_string(type));
  }

  bool checkBools(const std::string &what, const uint8_t *data,
                  uint64_t count) {
    for (uint64_t i = 0; i < count; ++i)
      if (data[i] > 1)
        return fail(what, "a bool of 0 or 1", std::to_string(data[i]));
    return true;
  }

  bool readAlignment() {
    const Value *value = find(part, "general.alignment");
    if (!value)
      return true;
    // Written as u32 by every tool; another type would be read differently by
    // different readers.
    if (value->type() != ValueType::U32)
      return fail("key 'general.alignment'", "u32", value->typeName());
    uint64_t got = value->numberAt(0).u;
    if (!std::has_single_bit(got) || got < kMinAlignment || got > kMaxAlignment)
      return fail("key 'general.alignment'",
                  "a power of two from " + std::to_string(kMinAlignment) +
                      " to " + std::to_string(kMaxAlignment),
                  std::to_string(got));
    alignment = uint32_t(got);
    return true;
  }

  bool readTensors() {
    // Entries of the table were counted before the metadata took its part.
    if (!checkCount("number of tensors", tensorCount, kMaxTensors,
                    kMinTensorEntry))
      return false;
    for (uint64_t i = 0; i < tensorCount; ++i) {
      Tensor tensor;
      if (!readTensor(tensor))
        return false;
      part.tensors.push_back(std::move(tensor));
    }
    // The data begins after the table. A file without tensors may end there.
    uint64_t dataStart =
        (uint64_t(position) + alignment - 1) / alignment * alignment;
    uint64_t dataBytes =
        bytes.size() > dataStart ? bytes.size() - dataStart : 0;
    for (Tensor &tensor : part.tensors) {
      if (tensor.offset > dataBytes || tensor.bytes > dataBytes - tensor.offset)
        return fail("tensor " + quoted(tensor.name),
                    std::to_string(tensor.bytes) + " bytes at offset " +
                        std::to_string(tensor.offset) + " of the data",
                    "a file with " + std::to_string(dataBytes) +
                        " bytes of data (is it truncated?)");
      tensor.offset += dataStart;
    }
    return true;
  }

  bool readTensor(Tensor &tensor) {
    uint32_t dimCount = 0, type = 0;
    if (!identifier("tensor name", kMaxNameBytes, tensor.name))
      return false;
    std::string what = "tensor " + quoted(tensor.name);
    if (!number(what, dimCount))
      return false;
    if (dimCount > kMaxDims)
      return fail(what, "at most 4 dimensions", std::to_string(dimCount));
    tensor.dims.resize(dimCount);
    for (uint64_t &dim : tensor.dims)
      if (!number(what, dim))
        return false;
    if (!number(what, type) || !number(what, tensor.offset))
      return false;

    tensor.type = findGGMLType(type);
    if (!tensor.type)
      return fail(what + ": " + unknownGGMLType(type));
    if (tensor.offset % alignment != 0)
      return fail(what + " offset",
                  "a multiple of " + std::to_string(alignment),
                  hex(tensor.offset));
    return checkShape(what, tensor);
  }

  /// Computes the tensor's bytes.
  bool checkShape(const std::string &what, Tensor &tensor) {
    uint64_t elements = 1;
    for (uint64_t dim : tensor.dims) {
      if (dim == 0)
        return fail(what, "no dimension of 0", tensor.shape());
      if (__builtin_mul_overflow(elements, dim, &elements))
        return fail(what, "fewer than 2^64 elements", tensor.shape());
    }
    unsigned block = tensor.type->blockElements;
    if (tensor.rowElements() % block != 0)
      return fail(what,
                  "a first dimension that is a multiple of " +
                      std::to_string(block) + " (" + tensor.type->name + ")",
                  tensor.shape());
    if (__builtin_mul_overflow(
            elements / block, uint64_t(tensor.type->blockBytes), &tensor.bytes))
      return fail(what, "fewer than 2^64 bytes", tensor.shape());
    return true;
  }

  bool checkOverlaps() {
    std::vector<const Tensor *> order;
    order.reserve(part.tensors.size());
    for (const Tensor &tensor : part.tensors)
      order.push_back(&tensor);
    std::sort(order.begin(), order.end(), [](const Tensor *a, const Tensor *b) {
      return a->offset < b->offset;
    });
    for (size_t i = 1; i < order.size(); ++i)
      if (order[i - 1]->offset + order[i - 1]->bytes > order[i]->offset)
        return fail("tensors " + quoted(order[i - 1]->name) + " and " +
                    quoted(order[i]->name) + " overlap");
    return true;
  }

  const std::string &path;
  std::span<const uint8_t> bytes;
  size_t position = 0;
  Error error;
  uint64_t tensorCount = 0, keyCount = 0;
  uint32_t alignment = kDefaultAlignment;
  Part part;
};

} // namespace

Result<Part> qcc::gguf::readPart(const std::string &path,
                                 std::span<const uint8_t> bytes) {
  return PartReader(path, bytes).read();
}

const Value *qcc::gguf::find(const Part &part, std::string_view key) {
  for (const MetadataEntry &entry : part.metadata)
    if (entry.key == key)
      return &entry.value;
  return nullptr;
}
