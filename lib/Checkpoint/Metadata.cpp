//===- Metadata.cpp - Typed views of a checkpoint's metadata --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/Metadata.h"
#include "qcc/Formats/Bits.h"
#include <charconv>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

using namespace qcc;

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

namespace {

struct TypeInfo {
  const char *name;
  unsigned bytes;
};

constexpr TypeInfo kTypes[] = {
    {"u8", 1},  {"i8", 1},  {"u16", 2},  {"i16", 2},    {"u32", 4},
    {"i32", 4}, {"f32", 4}, {"bool", 1}, {"string", 0}, {"array", 0},
    {"u64", 8}, {"i64", 8}, {"f64", 8},
};

/// The ValueType that holds a T.
template <typename T>
constexpr ValueType typeOf() {
  if constexpr (std::is_same_v<T, bool>)
    return ValueType::Bool;
  else if constexpr (std::is_same_v<T, float>)
    return ValueType::F32;
  else if constexpr (std::is_same_v<T, double>)
    return ValueType::F64;
  else if constexpr (std::is_signed_v<T>)
    return sizeof(T) == 1   ? ValueType::I8
           : sizeof(T) == 2 ? ValueType::I16
           : sizeof(T) == 4 ? ValueType::I32
                            : ValueType::I64;
  else
    return sizeof(T) == 1   ? ValueType::U8
           : sizeof(T) == 2 ? ValueType::U16
           : sizeof(T) == 4 ? ValueType::U32
                            : ValueType::U64;
}

bool isNumber(ValueType type) {
  return type != ValueType::Bool && type != ValueType::String &&
         type != ValueType::Array;
}

} // namespace

const char *qcc::valueTypeName(ValueType type) {
  return kTypes[size_t(type)].name;
}
unsigned qcc::valueTypeBytes(ValueType type) {
  return kTypes[size_t(type)].bytes;
}

//===----------------------------------------------------------------------===//
// Number
//===----------------------------------------------------------------------===//

static Number unsignedNumber(uint64_t value) {
  Number number;
  number.u = value;
  return number;
}
static Number signedNumber(int64_t value) {
  Number number;
  number.kind = Number::Kind::Signed;
  number.i = value;
  return number;
}
static Number floatNumber(double value) {
  Number number;
  number.kind = Number::Kind::Float;
  number.f = value;
  return number;
}

Number Number::read(ValueType type, const uint8_t *data) {
  switch (type) {
  case ValueType::U8:
  case ValueType::Bool:
    return unsignedNumber(*data);
  case ValueType::I8:
    return signedNumber(loadLE<int8_t>(data));
  case ValueType::U16:
    return unsignedNumber(loadLE<uint16_t>(data));
  case ValueType::I16:
    return signedNumber(loadLE<int16_t>(data));
  case ValueType::U32:
    return unsignedNumber(loadLE<uint32_t>(data));
  case ValueType::I32:
    return signedNumber(loadLE<int32_t>(data));
  case ValueType::U64:
    return unsignedNumber(loadLE<uint64_t>(data));
  case ValueType::I64:
    return signedNumber(loadLE<int64_t>(data));
  case ValueType::F32:
    return floatNumber(double(loadLE<float>(data)));
  case ValueType::F64:
    return floatNumber(loadLE<double>(data));
  case ValueType::String:
  case ValueType::Array:
    break;
  }
  return unsignedNumber(0);
}

/// True when a float type with `digits` bits of mantissa holds `magnitude`.
static bool isExact(uint64_t magnitude, int digits) {
  int trailing = magnitude ? std::countr_zero(magnitude) : 0;
  return int(std::bit_width(magnitude)) - trailing <= digits;
}

template <typename T>
bool Number::to(T &out) const {
  if constexpr (std::is_same_v<T, bool>) {
    out = u != 0;
    return kind == Kind::Unsigned && u <= 1;
  } else if constexpr (std::is_integral_v<T>) {
    if (kind == Kind::Float ||
        (kind == Kind::Unsigned ? !std::in_range<T>(u) : !std::in_range<T>(i)))
      return false;
    out = kind == Kind::Unsigned ? static_cast<T>(u) : static_cast<T>(i);
    return true;
  } else {
    if (kind == Kind::Float) {
      // A finite f64 must not become an infinite f32.
      if (std::isfinite(f) &&
          std::abs(f) > double(std::numeric_limits<T>::max()))
        return false;
      out = static_cast<T>(f);
      return true;
    }
    bool negative = kind == Kind::Signed && i < 0;
    uint64_t magnitude = kind == Kind::Unsigned ? u
                         : negative             ? 0 - uint64_t(i)
                                                : uint64_t(i);
    if (!isExact(magnitude, std::numeric_limits<T>::digits))
      return false;
    out = negative ? -static_cast<T>(magnitude) : static_cast<T>(magnitude);
    return true;
  }
}

std::string Number::str() const {
  if (kind == Kind::Unsigned)
    return std::to_string(u);
  if (kind == Kind::Signed)
    return std::to_string(i);
  if (std::isnan(f))
    return "nan"; // of either sign
  // Shortest text that reads back as the same number. A number that an f32
  // holds is nearly always one, so it is printed as such: 1e-05, not
  // 9.999999747378752e-06.
  char buffer[32];
  float narrow = std::isfinite(f) && std::abs(f) < 3e38 ? float(f) : 0.0f;
  std::to_chars_result end =
      double(narrow) == f
          ? std::to_chars(buffer, buffer + sizeof(buffer), narrow)
          : std::to_chars(buffer, buffer + sizeof(buffer), f);
  return std::string(buffer, end.ptr);
}

//===----------------------------------------------------------------------===//
// Value
//===----------------------------------------------------------------------===//

Value Value::number(ValueType type, const uint8_t *data) {
  Value value;
  value.valueType = value.element = type;
  value.data = data;
  return value;
}

Value Value::string(std::string_view text) {
  Value value;
  value.valueType = value.element = ValueType::String;
  value.text = text;
  return value;
}

Value Value::numbers(ValueType element, const uint8_t *data, size_t count) {
  Value value;
  value.valueType = ValueType::Array;
  value.element = element;
  value.data = data;
  value.count = count;
  return value;
}

Value Value::strings(std::vector<std::string_view> texts) {
  Value value;
  value.valueType = ValueType::Array;
  value.element = ValueType::String;
  value.count = texts.size();
  value.texts = std::move(texts);
  return value;
}

std::string Value::typeName() const {
  if (!isArray())
    return valueTypeName(valueType);
  return "array of " + std::to_string(count) + " " + valueTypeName(element);
}

std::string Value::str() const {
  constexpr size_t kMaxElements = 8;
  auto one = [&](size_t i) -> std::string {
    if (element == ValueType::String)
      return quoted(stringAt(i));
    if (element == ValueType::Bool)
      return numberAt(i).u ? "true" : "false";
    return numberAt(i).str();
  };
  if (!isArray())
    return one(0);
  std::string text = "[";
  for (size_t i = 0; i < count && i < kMaxElements; ++i)
    text += (i ? ", " : "") + one(i);
  if (count > kMaxElements)
    text += ", ... " + std::to_string(count) + " in all";
  return text + "]";
}

static Error wrongType(std::string_view key, std::string_view expected,
                       const Value &value) {
  return mismatchError("key " + quoted(key), expected, value.typeName());
}

namespace {

/// Value::as<T> by kind of T.
template <typename T>
struct Reader {
  static Result<T> read(const Value &value, std::string_view key) {
    const char *expected = valueTypeName(typeOf<T>());
    constexpr bool isBool = std::is_same_v<T, bool>;
    if (isBool ? value.type() != ValueType::Bool : !isNumber(value.type()))
      return wrongType(key, expected, value);
    T out{};
    if (!value.numberAt(0).to(out))
      return mismatchError("key " + quoted(key), expected,
                           value.str() + " (" + value.typeName() + ")");
    return out;
  }
};

template <>
struct Reader<std::string_view> {
  static Result<std::string_view> read(const Value &value,
                                       std::string_view key) {
    if (value.type() != ValueType::String)
      return wrongType(key, "string", value);
    return value.stringAt(0);
  }
};

template <>
struct Reader<std::string> {
  static Result<std::string> read(const Value &value, std::string_view key) {
    Result<std::string_view> text = value.as<std::string_view>(key);
    if (!text)
      return text.takeError();
    return std::string(*text);
  }
};

} // namespace

template <typename T>
Result<NumberArray<T>> Value::asNumbers(std::string_view key) const {
  std::string expected = std::string("array of ") + valueTypeName(typeOf<T>());
  constexpr bool isBool = std::is_same_v<T, bool>;
  if (!isArray() || (isBool ? element != ValueType::Bool : !isNumber(element)))
    return wrongType(key, expected, *this);
  for (size_t i = 0; i < count; ++i) {
    T out{};
    if (!numberAt(i).to(out))
      return mismatchError(
          "key " + quoted(key) + " element " + std::to_string(i),
          valueTypeName(typeOf<T>()),
          numberAt(i).str() + " (" + valueTypeName(element) + ")");
  }
  return NumberArray<T>(element, data, count);
}

Result<StringArray> Value::asStrings(std::string_view key) const {
  if (!isArray() || element != ValueType::String)
    return wrongType(key, "array of string", *this);
  return StringArray(texts);
}

namespace {

template <typename T>
struct Reader<NumberArray<T>> {
  static Result<NumberArray<T>> read(const Value &value, std::string_view key) {
    return value.asNumbers<T>(key);
  }
};

template <>
struct Reader<StringArray> {
  static Result<StringArray> read(const Value &value, std::string_view key) {
    return value.asStrings(key);
  }
};

} // namespace

template <typename T>
Result<T> Value::as(std::string_view key) const {
  return Reader<T>::read(*this, key);
}

// What the headers promise.
#define QCC_INSTANTIATE(T)                                                     \
  template bool Number::to<T>(T &) const;                                      \
  template Result<T> Value::as<T>(std::string_view) const;                     \
  template Result<NumberArray<T>> Value::as<NumberArray<T>>(std::string_view)  \
      const;
QCC_INSTANTIATE(bool)
QCC_INSTANTIATE(uint8_t)
QCC_INSTANTIATE(int8_t)
QCC_INSTANTIATE(uint16_t)
QCC_INSTANTIATE(int16_t)
QCC_INSTANTIATE(uint32_t)
QCC_INSTANTIATE(int32_t)
QCC_INSTANTIATE(uint64_t)
QCC_INSTANTIATE(int64_t)
QCC_INSTANTIATE(float)
QCC_INSTANTIATE(double)
#undef QCC_INSTANTIATE
template Result<std::string> Value::as<std::string>(std::string_view) const;
template Result<std::string_view>
    Value::as<std::string_view>(std::string_view) const;
template Result<StringArray> Value::as<StringArray>(std::string_view) const;
