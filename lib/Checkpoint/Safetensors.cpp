//===- Safetensors.cpp - Reader of safetensors files ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The header is read as events, so that nothing of a hostile one is kept but
// what a tensor's description may hold, and nothing recurses.
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/Safetensors.h"
#include "qcc/Formats/Bits.h"
#include <algorithm>
#include <nlohmann/json.hpp>

using namespace qcc;

namespace {

constexpr uint64_t kMaxHeader = 100'000'000; // of the format's own library
constexpr size_t kMaxTensors = 1 << 18;
constexpr size_t kMaxDims = 8;
constexpr size_t kMaxNameBytes = 1024;

constexpr SafetensorsType kTypes[] = {
    {"BOOL", 8},    {"U8", 8},          {"I8", 8},      {"I16", 16},
    {"U16", 16},    {"I32", 32},        {"U32", 32},    {"I64", 64},
    {"U64", 64},    {"F16", 16},        {"BF16", 16},   {"F32", 32},
    {"F64", 64},    {"C64", 64},        {"F8_E4M3", 8}, {"F8_E5M2", 8},
    {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F4", 4},      {"F6_E2M3", 6},
    {"F6_E3M2", 6}, {"F8_E5M2FNUZ", 8},
};

const SafetensorsType *findType(std::string_view name) {
  for (const SafetensorsType &type : kTypes)
    if (type.name == name)
      return &type;
  return nullptr;
}

using Json = nlohmann::json;

/// Takes the header's events. A method returns false after setting `problem`,
/// which ends the parse.
class HeaderReader : public nlohmann::json_sax<Json> {
public:
  std::vector<SafetensorsEntry> entries;
  std::string problem;

  bool start_object(size_t) override {
    if (state == State::Start)
      return to(State::Header);
    if (state == State::Value) {
      if (key_ == kMetadata)
        return to(State::Metadata);
      if (entries.size() == kMaxTensors)
        return fail("more than " + std::to_string(kMaxTensors) + " tensors");
      entries.emplace_back().name = key_;
      has = {};
      return to(State::Entry);
    }
    return unexpected("an object");
  }

  bool key(string_t &text) override {
    if (state == State::Header) {
      if (text.empty() || text.size() > kMaxNameBytes)
        return fail("tensor name " + quoted(text) + ": expected 1 to " +
                    std::to_string(kMaxNameBytes) + " bytes, got " +
                    std::to_string(text.size()));
      if (std::any_of(text.begin(), text.end(), [](char c) {
            return uint8_t(c) < 0x20 || uint8_t(c) == 0x7f;
          }))
        return fail("tensor name " + quoted(text) +
                    ": expected no control characters");
      if (text == kMetadata && std::exchange(hasMetadata, true))
        return fail("key '__metadata__' occurs twice");
      key_ = text;
      return to(State::Value);
    }
    if (state == State::Metadata)
      return true;
    // In an entry.
    static constexpr std::string_view names[] = {"dtype", "shape",
                                                 "data_offsets"};
    for (size_t i = 0; i < 3; ++i) {
      if (text != names[i])
        continue;
      if (std::exchange(has[i], true))
        return fail(what() + ": key " + quoted(text) + " occurs twice");
      return to(i == 0 ? State::Type : i == 1 ? State::Shape : State::Offsets);
    }
    return fail(what() + ": unknown key " + quoted(text));
  }

  bool end_object() override {
    if (state == State::Entry) {
      if (!has[0] || !has[1] || !has[2])
        return fail(what() + ": expected keys dtype, shape and data_offsets");
      return to(State::Header);
    }
    return to(state == State::Metadata ? State::Header : State::End);
  }

  bool string(string_t &text) override {
    if (state == State::Metadata)
      return true;
    if (state != State::Type)
      return unexpected("a string");
    entries.back().type = findType(text);
    if (!entries.back().type)
      return fail(what() + ": unknown dtype " + quoted(text));
    return to(State::Entry);
  }

  bool start_array(size_t) override {
    if (state == State::Shape)
      return to(State::InShape);
    if (state == State::Offsets) {
      offsets.clear();
      return to(State::InOffsets);
    }
    return unexpected("an array");
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (state == State::InShape) {
      if (entries.back().shape.size() == kMaxDims)
        return fail(what() + ": expected at most " + std::to_string(kMaxDims) +
                    " dimensions");
      entries.back().shape.push_back(value);
      return true;
    }
    if (state != State::InOffsets)
      return unexpected("a number");
    if (offsets.size() == 2)
      return fail(what() + " data_offsets: expected 2 numbers, got more");
    offsets.push_back(value);
    return true;
  }

  bool end_array() override {
    if (state == State::InShape)
      return to(State::Entry);
    if (offsets.size() != 2)
      return fail(what() + " data_offsets: expected 2 numbers, got " +
                  std::to_string(offsets.size()));
    if (offsets[1] < offsets[0])
      return fail(what() +
                  " data_offsets: expected an end after the begin, "
                  "got " +
                  shapeText(offsets));
    entries.back().offset = offsets[0];
    entries.back().bytes = offsets[1] - offsets[0];
    return to(State::Entry);
  }

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a bool"); }
  bool number_integer(number_integer_t) override {
    return unexpected("a negative number");
  }
  bool number_float(number_float_t, const string_t &text) override {
    return unexpected("the number " + text);
  }
  bool binary(binary_t &) override { return unexpected("binary data"); }
  bool parse_error(size_t position, const std::string &,
                   const nlohmann::detail::exception &) override {
    return fail("header: not JSON at byte " + std::to_string(8 + position - 1));
  }

private:
  static constexpr const char *kMetadata = "__metadata__";
  enum class State {
    Start,
    Header,   ///< In the outer object, at a name.
    Value,    ///< After a name.
    Metadata, ///< In __metadata__, which holds strings.
    Entry,    ///< In a tensor's description, at a key.
    Type,     ///< After the key of that name, and so on.
    Shape,
    InShape,
    Offsets,
    InOffsets,
    End,
  };

  bool to(State next) {
    state = next;
    return true;
  }
  bool fail(std::string message) {
    if (problem.empty())
      problem = std::move(message);
    return false;
  }
  std::string what() const { return "tensor " + quoted(key_); }
  bool unexpected(const std::string &got) {
    const char *expected = "an object of tensors";
    switch (state) {
    case State::Value:
      expected = "an object";
      break;
    case State::Metadata:
      return fail("__metadata__: expected strings, got " + got);
    case State::Type:
      expected = "a string";
      break;
    case State::Shape:
    case State::Offsets:
      expected = "an array";
      break;
    case State::InShape:
    case State::InOffsets:
      expected = "an integer of at most 64 bits";
      break;
    default:
      return fail("header: expected an object of tensors, got " + got);
    }
    static constexpr const char *names[] = {"", " dtype", " shape",
                                            " data_offsets"};
    size_t i = state == State::Type                               ? 1
               : state == State::Shape || state == State::InShape ? 2
               : state == State::Value                            ? 0
                                                                  : 3;
    return fail(what() + names[i] + ": expected " + expected + ", got " + got);
  }

  State state = State::Start;
  std::string key_;
  bool hasMetadata = false;
  std::array<bool, 3> has{};
  std::vector<uint64_t> offsets;
};

/// Bytes of an entry by type and shape; false when there are 2^61 or more.
bool shapeBytes(const SafetensorsEntry &entry, uint64_t &bytes) {
  uint64_t elements = 1;
  bool isEmpty = false;
  for (uint64_t dim : entry.shape) {
    isEmpty |= dim == 0;
    if (dim != 0 && __builtin_mul_overflow(elements, dim, &elements))
      return false;
  }
  if (isEmpty)
    elements = 0;
  uint64_t bits = 0;
  if (__builtin_mul_overflow(elements, uint64_t(entry.type->bits), &bits))
    return false;
  // A last element of 4 or 6 bits has a byte of its own.
  bytes = bits / 8 + (bits % 8 != 0);
  return true;
}

/// Checks sizes and places, and makes offsets those of the file.
Error checkPlaces(const std::string &path, uint64_t dataStart,
                  uint64_t dataBytes, std::vector<SafetensorsEntry> &entries) {
  auto what = [&](const SafetensorsEntry &entry) {
    return path + ": tensor " + quoted(entry.name);
  };
  for (const SafetensorsEntry &entry : entries) {
    uint64_t bytes = 0;
    if (!shapeBytes(entry, bytes))
      return mismatchError(what(entry), "fewer than 2^61 bytes",
                           std::string(entry.type->name) + " " +
                               shapeText(entry.shape));
    if (bytes != entry.bytes)
      return mismatchError(what(entry),
                           std::to_string(bytes) + " bytes for " +
                               entry.type->name + " " + shapeText(entry.shape),
                           std::to_string(entry.bytes));
    if (entry.offset > dataBytes || entry.bytes > dataBytes - entry.offset)
      return mismatchError(what(entry),
                           std::to_string(entry.bytes) + " bytes at offset " +
                               std::to_string(entry.offset) + " of the data",
                           "a file with " + std::to_string(dataBytes) +
                               " bytes of data (is it truncated?)");
  }
  // Empty tensors first among those that begin at one place.
  std::sort(entries.begin(), entries.end(),
            [](const SafetensorsEntry &a, const SafetensorsEntry &b) {
              return std::tie(a.offset, a.bytes, a.name) <
                     std::tie(b.offset, b.bytes, b.name);
            });
  uint64_t end = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].offset < end)
      return Error(path + ": tensors " + quoted(entries[i - 1].name) + " and " +
                   quoted(entries[i].name) + " overlap");
    if (entries[i].offset > end)
      return mismatchError(what(entries[i]),
                           "data at offset " + std::to_string(end) +
                               ", where the tensor before it ends",
                           std::to_string(entries[i].offset));
    end += entries[i].bytes;
    entries[i].offset += dataStart;
  }
  if (end != dataBytes)
    return mismatchError(path,
                         std::to_string(end) + " bytes of data, by the header",
                         std::to_string(dataBytes));
  return Error();
}

Error checkNames(const std::string &path,
                 const std::vector<SafetensorsEntry> &entries) {
  std::vector<std::string_view> names;
  for (const SafetensorsEntry &entry : entries)
    names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end())
    return Error(path + ": tensor " + quoted(*twice) + " occurs twice");
  return Error();
}

} // namespace

std::string qcc::shapeText(const std::vector<uint64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

bool qcc::isSafetensors(std::span<const uint8_t> bytes) {
  return bytes.size() >= 10 && loadLE<uint64_t>(bytes.data()) <= kMaxHeader &&
         bytes[8] == '{';
}

Result<std::vector<SafetensorsEntry>>
qcc::readSafetensors(const std::string &path, std::span<const uint8_t> bytes) {
  if (bytes.size() < 8)
    return mismatchError(path, "a safetensors file of at least 8 bytes",
                         std::to_string(bytes.size()) + " bytes");
  uint64_t length = loadLE<uint64_t>(bytes.data());
  if (length > kMaxHeader)
    return mismatchError(path + ": header",
                         "at most " + std::to_string(kMaxHeader) + " bytes",
                         std::to_string(length));
  if (length > bytes.size() - 8)
    return mismatchError(path + ": header", std::to_string(length) + " bytes",
                         std::to_string(bytes.size() - 8) +
                             " bytes before the end of the file");
  std::span<const uint8_t> header = bytes.subspan(8, size_t(length));
  // The library skips a byte order mark and white space.
  if (header.empty() || header[0] != '{')
    return Error(path + ": header: expected a JSON object");
  HeaderReader reader;
  if (!Json::sax_parse(header.data(), header.data() + header.size(), &reader)) {
    if (reader.problem.empty())
      reader.problem = "header: not JSON";
    return Error(path + ": " + reader.problem);
  }
  if (Error error = checkNames(path, reader.entries))
    return error;
  if (Error error = checkPlaces(path, 8 + length, bytes.size() - 8 - length,
                                reader.entries))
    return error;
  return std::move(reader.entries);
}
