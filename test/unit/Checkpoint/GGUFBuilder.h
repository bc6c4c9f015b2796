//===- GGUFBuilder.h - Writes GGUF files, bad ones too ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A writer for tests. It remembers where each number of the header lies, so
// that a test can change any of them.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CHECKPOINT_GGUFBUILDER_H
#define QCC_TEST_UNIT_CHECKPOINT_GGUFBUILDER_H

#include "qcc/Checkpoint/GGUF.h"
#include <string>
#include <string_view>
#include <vector>

namespace qcc {

class GGUFBuilder {
public:
  /// What a number of the header is for.
  enum class Role { Version, Count, Length, Type, Dimension, Offset, Value };
  struct Field {
    Role role;
    size_t offset;
    unsigned bytes;
  };

  explicit GGUFBuilder(uint32_t version = 3);

  /// Keys. All keys come before the first tensor.
  template <typename T>
  GGUFBuilder &key(std::string_view name, T value);
  GGUFBuilder &key(std::string_view name, std::string_view value);
  GGUFBuilder &key(std::string_view name, const char *value) {
    return key(name, std::string_view(value));
  }
  template <typename T>
  GGUFBuilder &array(std::string_view name, const std::vector<T> &values);
  GGUFBuilder &array(std::string_view name,
                     const std::vector<std::string> &values);
  /// Name and type of a key, whose value follows as raw bytes.
  GGUFBuilder &rawKey(std::string_view name, uint32_t type,
                      const std::vector<uint8_t> &value);

  /// Adds a tensor after the previous one, at the next aligned offset.
  GGUFBuilder &tensor(std::string_view name, const std::vector<uint64_t> &dims,
                      uint32_t type);
  /// The same at a given offset with `bytes` bytes of data after it.
  GGUFBuilder &tensorAt(std::string_view name,
                        const std::vector<uint64_t> &dims, uint32_t type,
                        uint64_t offset, uint64_t bytes);

  GGUFBuilder &alignment(uint32_t value) {
    align = value;
    return *this;
  }

  /// The file: counts filled in, data appended (byte i is i * 7 + 3).
  std::vector<uint8_t> build();
  /// Bytes before the padding of the data; after build().
  size_t headerBytes() const { return header; }
  /// Numbers of the header, counts first; after build().
  const std::vector<Field> &fields() const { return numbers; }

private:
  template <typename T>
  void put(Role role, T value);
  void putString(std::string_view text);
  void putKey(std::string_view name, ValueType type);

  std::vector<uint8_t> bytes;
  std::vector<Field> numbers;
  uint64_t keys = 0, tensors = 0, dataBytes = 0;
  uint32_t align = 32;
  size_t header = 0;
};

/// One key of every type, and tensors of several types.
GGUFBuilder richFile();

/// Parses a copy of exactly these bytes, so that a read past them is seen.
/// Checks every invariant of what was accepted and reads all of it.
Result<Checkpoint> parseExactly(const std::vector<uint8_t> &bytes);

/// The error of parseExactly, without the file's name; "" when accepted.
std::string errorOf(const std::vector<uint8_t> &bytes);

} // namespace qcc

#endif // QCC_TEST_UNIT_CHECKPOINT_GGUFBUILDER_H
