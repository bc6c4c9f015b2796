//===- Metadata.h - Typed views of a checkpoint's metadata ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A Value is a view: numbers and strings stay in the mapped file. Accessors
// convert between numeric types when every value fits and fail otherwise, so
// that a hostile or odd file cannot turn into a wrapped number.
//===----------------------------------------------------------------------===//

#ifndef QCC_CHECKPOINT_METADATA_H
#define QCC_CHECKPOINT_METADATA_H

#include "qcc/Support/Error.h"
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qcc {

/// Numbered as in GGUF.
enum class ValueType : uint32_t {
  U8 = 0,
  I8 = 1,
  U16 = 2,
  I16 = 3,
  U32 = 4,
  I32 = 5,
  F32 = 6,
  Bool = 7,
  String = 8,
  Array = 9,
  U64 = 10,
  I64 = 11,
  F64 = 12,
};

/// "u8" ... "f64", "bool", "string", "array".
const char *valueTypeName(ValueType type);
/// Bytes of a number or bool; 0 for String and Array.
unsigned valueTypeBytes(ValueType type);

/// One number of any width. Integers keep all 64 bits.
struct Number {
  enum class Kind : uint8_t { Unsigned, Signed, Float } kind = Kind::Unsigned;
  uint64_t u = 0;
  int64_t i = 0;
  double f = 0;

  /// Reads a number or bool of `type` at `data`, which need not be aligned.
  static Number read(ValueType type, const uint8_t *data);
  /// Converts when the value fits: integers to any integer type that can hold
  /// them and to a float type that represents them exactly; floats to floats.
  template <typename T>
  bool to(T &out) const;
  std::string str() const;
};

/// An array of numbers or bools, read one by one as T. Every element is known
/// to fit.
template <typename T>
class NumberArray {
public:
  NumberArray() = default;
  NumberArray(ValueType type, const uint8_t *data, size_t count)
      : type(type), data(data), count(count) {}

  size_t size() const { return count; }
  bool empty() const { return count == 0; }
  T operator[](size_t i) const {
    T value{};
    (void)Number::read(type, data + i * valueTypeBytes(type)).to(value);
    return value;
  }

private:
  ValueType type = ValueType::U8;
  const uint8_t *data = nullptr;
  size_t count = 0;
};

using StringArray = std::span<const std::string_view>;

/// One metadata value. Valid as long as its checkpoint.
class Value {
public:
  /// Number or bool at `data`.
  static Value number(ValueType type, const uint8_t *data);
  static Value string(std::string_view text);
  /// Array of numbers or bools; `count` elements of `element` at `data`.
  static Value numbers(ValueType element, const uint8_t *data, size_t count);
  static Value strings(std::vector<std::string_view> texts);

  ValueType type() const { return valueType; }
  bool isArray() const { return valueType == ValueType::Array; }
  /// Type of an array's elements; the type itself otherwise.
  ValueType elementType() const { return element; }
  /// Elements of an array; 1 otherwise.
  size_t size() const { return count; }

  /// The value as T: (u)int8_t to (u)int64_t, float, double, bool,
  /// std::string, std::string_view, StringArray, or NumberArray of one of the
  /// number types. `key` is named in the error ("key 'x': expected u32, got
  /// string").
  template <typename T>
  Result<T> as(std::string_view key) const;
  /// as<NumberArray<T>>: every element is checked once, here.
  template <typename T>
  Result<NumberArray<T>> asNumbers(std::string_view key) const;
  /// as<StringArray>.
  Result<StringArray> asStrings(std::string_view key) const;

  /// Element `i` of an array, or the value itself (i = 0), of numbers or bools.
  Number numberAt(size_t i) const {
    return Number::read(element, data + i * valueTypeBytes(element));
  }
  /// Element `i` of an array of strings, or the string itself (i = 0).
  std::string_view stringAt(size_t i) const {
    return isArray() ? texts[i] : text;
  }

  /// "u32", "array of 3 f32".
  std::string typeName() const;
  /// For people: long strings and arrays are cut.
  std::string str() const;

private:
  ValueType valueType = ValueType::U8;
  ValueType element = ValueType::U8;
  size_t count = 1;
  const uint8_t *data = nullptr;
  std::string_view text;
  std::vector<std::string_view> texts;
};

} // namespace qcc

#endif // QCC_CHECKPOINT_METADATA_H
