//===- Json.cpp - JSON files of a model's folder --------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Json.h"
#include <algorithm>
#include <set>

using namespace qcc;

static constexpr size_t kMaxDepth = 32;

namespace {

/// Looks for what the JSON library lets pass, and for where a text stops being
/// JSON. Its own callback of a parse does so too, in time that is quadratic in
/// the number of objects of an array.
class Checker : public nlohmann::json_sax<Json> {
public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t &) override { return true; }
  bool string(string_t &) override { return true; }
  bool binary(binary_t &) override { return true; }
  bool start_object(size_t) override { return start(); }
  bool start_array(size_t) override { return start(); }
  bool key(string_t &name) override {
    if (keys.back().insert(name).second)
      return true;
    problem = "key " + quoted(name) + " occurs twice";
    return false;
  }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }
  bool parse_error(size_t position, const std::string &,
                   const nlohmann::detail::exception &) override {
    problem = "not JSON at byte " + std::to_string(position);
    return false;
  }

  std::string problem;

private:
  bool start() {
    if (keys.size() < kMaxDepth) {
      keys.emplace_back();
      return true;
    }
    problem = "nested deeper than " + std::to_string(kMaxDepth);
    return false;
  }
  bool end() {
    keys.pop_back();
    return true;
  }

  std::vector<std::set<std::string>> keys; ///< Of each open object or array.
};

} // namespace

Result<Json> qcc::parseJsonObject(const Checkpoint::File &file,
                                  size_t maxBytes) {
  const uint8_t *begin = file.bytes.data(), *end = begin + file.bytes.size();
  if (file.bytes.size() > maxBytes)
    return mismatchError(file.path,
                         "at most " + std::to_string(maxBytes) + " bytes",
                         std::to_string(file.bytes.size()));
  Checker checker;
  if (!Json::sax_parse(begin, end, &checker))
    return Error(file.path + ": " + checker.problem);
  Json json = Json::parse(begin, end, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return mismatchError(file.path, "a JSON object", json.type_name());
  return json;
}

//===----------------------------------------------------------------------===//
// Flattening
//===----------------------------------------------------------------------===//

namespace {

/// The metadata type of a scalar.
ValueType scalarType(const Json &value) {
  if (value.is_string())
    return ValueType::String;
  if (value.is_boolean())
    return ValueType::Bool;
  if (value.is_number_float())
    return ValueType::F64;
  return value.is_number_unsigned() ? ValueType::U64 : ValueType::I64;
}

/// The type that holds each element of an array; Array when there is none.
ValueType elementType(const Json &array) {
  size_t strings = 0, bools = 0, floats = 0, negative = 0, large = 0;
  for (const Json &element : array) {
    strings += element.is_string();
    bools += element.is_boolean();
    floats += element.is_number_float();
    negative += element.is_number_integer() && !element.is_number_unsigned();
    large += element.is_number_unsigned() &&
             element.get<uint64_t>() > uint64_t(INT64_MAX);
    if (!element.is_primitive() || element.is_null())
      return ValueType::Array;
  }
  if (strings || bools)
    return strings == array.size() ? ValueType::String
           : bools == array.size() ? ValueType::Bool
                                   : ValueType::Array;
  if (floats || (negative && large))
    return ValueType::F64;
  return negative ? ValueType::I64 : ValueType::U64;
}

template <typename T>
Value numbers(ValueType type, const Json &array, TextPool &texts) {
  std::vector<T> values;
  for (const Json &element : array)
    values.push_back(element.get<T>());
  return Value::numbers(type, texts.keep(values), values.size());
}

Value arrayMetadata(ValueType type, const Json &array, TextPool &texts) {
  switch (type) {
  case ValueType::String: {
    std::vector<std::string_view> values;
    for (const Json &element : array)
      values.push_back(texts.keep(element.get_ref<const std::string &>()));
    return Value::strings(std::move(values));
  }
  case ValueType::Bool: {
    std::vector<uint8_t> values;
    for (const Json &element : array)
      values.push_back(element.get<bool>());
    return Value::numbers(type, texts.keep(values), values.size());
  }
  case ValueType::F64:
    return numbers<double>(type, array, texts);
  case ValueType::I64:
    return numbers<int64_t>(type, array, texts);
  default:
    return numbers<uint64_t>(ValueType::U64, array, texts);
  }
}

Value scalarMetadata(const Json &value, TextPool &texts) {
  ValueType type = scalarType(value);
  switch (type) {
  case ValueType::String:
    return Value::string(texts.keep(value.get_ref<const std::string &>()));
  case ValueType::Bool:
    return Value::number(type,
                         texts.keep(std::vector<uint8_t>{value.get<bool>()}));
  case ValueType::F64:
    return Value::number(type, texts.keep(std::vector{value.get<double>()}));
  default:
    // Signed and unsigned numbers are kept alike.
    return Value::number(type, texts.keep(std::vector{value.get<uint64_t>()}));
  }
}

} // namespace

/// Nobody asks for longer ones.
static constexpr size_t kMaxFlatKey = 256;

// The depth is bounded by the parser's limit.
void qcc::flattenJson(const Json &object, const std::string &prefix,
                      TextPool &texts, std::vector<MetadataEntry> &out,
                      std::vector<std::string_view> *nulls) {
  for (auto it = object.begin(); it != object.end(); ++it) {
    const Json &value = *it;
    std::string key =
        prefix +
        (object.is_array() ? std::to_string(it - object.begin()) : it.key());
    // Each key holds those that it stands under: a long one would be kept once
    // for each value in it.
    if (key.size() > kMaxFlatKey)
      continue;
    ValueType type = value.is_array() ? elementType(value) : ValueType::Array;
    if (value.is_null() && nulls)
      nulls->push_back(texts.keep(key));
    if (value.is_null() || (value.is_array() && value.empty()))
      continue;
    if (value.is_object() || (value.is_array() && type == ValueType::Array))
      flattenJson(value, key + ".", texts, out, nulls);
    else if (value.is_array())
      out.push_back({texts.keep(key), arrayMetadata(type, value, texts)});
    else
      out.push_back({texts.keep(key), scalarMetadata(value, texts)});
  }
}

//===----------------------------------------------------------------------===//
// Order of members
//===----------------------------------------------------------------------===//

namespace {

/// Collects the keys of the object at a path.
class KeyCollector : public nlohmann::json_sax<Json> {
public:
  explicit KeyCollector(std::span<const std::string> path) : path(path) {}

  bool null() override { return scalar(); }
  bool boolean(bool) override { return scalar(); }
  bool number_integer(number_integer_t) override { return scalar(); }
  bool number_unsigned(number_unsigned_t) override { return scalar(); }
  bool number_float(number_float_t, const string_t &) override {
    return scalar();
  }
  bool string(string_t &) override { return scalar(); }
  bool binary(binary_t &) override { return scalar(); }
  bool start_object(size_t) override {
    ++depth;
    found += isNext;
    return scalar();
  }
  bool end_object() override { return end(); }
  bool start_array(size_t) override {
    ++depth;
    return scalar();
  }
  bool end_array() override { return end(); }
  bool key(string_t &name) override {
    if (depth != found + 1)
      return true;
    if (found == path.size())
      keys.push_back(name);
    else
      isNext = name == path[found];
    return true;
  }
  bool parse_error(size_t, const std::string &,
                   const nlohmann::detail::exception &) override {
    return false;
  }

  std::vector<std::string> keys;

private:
  bool scalar() {
    isNext = false;
    return true;
  }
  bool end() {
    --depth;
    found = std::min(found, depth > 0 ? depth - 1 : 0);
    return true;
  }

  const std::span<const std::string> path;
  size_t depth = 0;    ///< Open objects and arrays.
  size_t found = 0;    ///< How much of the path leads to the open ones.
  bool isNext = false; ///< The next value continues the path.
};

} // namespace

std::vector<std::string> qcc::keysInOrder(const Checkpoint::File &file,
                                          std::span<const std::string> path) {
  KeyCollector collector(path);
  Json::sax_parse(file.bytes.begin(), file.bytes.end(), &collector);
  return std::move(collector.keys);
}

//===----------------------------------------------------------------------===//
// JsonFields
//===----------------------------------------------------------------------===//

const Json *JsonFields::find(const char *key) const {
  auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

void JsonFields::fail(const std::string &message) {
  if (!error)
    error = Error(where + ": " + message);
}

void JsonFields::mismatch(const char *key, const char *expected,
                          const Json &got) {
  fail("key " + quoted(key) + ": expected " + expected + ", got " +
       quoted(got.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

int64_t JsonFields::integer(const char *key, int64_t fallback) {
  const Json *value = find(key);
  if (!value)
    return fallback;
  bool fits = value->is_number_unsigned()
                  ? value->get<uint64_t>() <= uint64_t(INT64_MAX)
                  : value->is_number_integer();
  if (fits)
    return value->get<int64_t>();
  mismatch(key, "an integer", *value);
  return fallback;
}

bool JsonFields::flag(const char *key, bool fallback) {
  const Json *value = find(key);
  if (value && !value->is_boolean())
    mismatch(key, "true or false", *value);
  return value && value->is_boolean() ? value->get<bool>() : fallback;
}

std::string JsonFields::text(const char *key, const std::string &fallback) {
  const Json *value = find(key);
  if (value && !value->is_string())
    mismatch(key, "a string", *value);
  return value && value->is_string() ? value->get_ref<const std::string &>()
                                     : fallback;
}
