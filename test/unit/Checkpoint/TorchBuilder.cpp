//===- TorchBuilder.cpp - Writes torch files, bad ones too ----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "TorchBuilder.h"
#include <cstring>
#include "FolderBuilder.h"

using namespace qcc;

//===----------------------------------------------------------------------===//
// Zip
//===----------------------------------------------------------------------===//

template <typename T>
static std::string le(T value) {
  return std::string(reinterpret_cast<const char *>(&value), sizeof(T));
}
static std::string u16(size_t value) { return le(uint16_t(value)); }
static std::string u64(uint64_t value) { return le(value); }

ZipBuilder::Member &ZipBuilder::add(std::string name, std::string content) {
  members.emplace_back();
  members.back().name = std::move(name);
  members.back().content = std::move(content);
  return members.back();
}

std::string ZipBuilder::build() const {
  using pickle::u32;
  std::string file, directory;
  for (const Member &member : members) {
    const uint64_t header = file.size() + member.header;
    const uint64_t packed = member.content.size() + member.moreBytes;
    const uint64_t plain = packed + member.morePlain;
    const std::string &localName =
        member.localName.empty() ? member.name : member.localName;
    // Sizes follow in a descriptor, as torch writes them.
    file += "PK\x03\x04" + u16(20) + u16(member.flags | 8) +
            u16(member.method) + u32(0) + u32(0) + u32(0) + u32(0) +
            u16(localName.size()) + u16(member.extra.size()) + localName +
            member.extra + member.content + "PK\x07\x08" + u32(0) + u32(0) +
            u32(0);
    std::string fields64;
    if (member.hasFields64)
      fields64 = u16(99) + u16(2) + "ab" + u16(1) + u16(24) + u64(plain) +
                 u64(packed) + u64(header);
    auto field = [&](uint64_t value) {
      return u32(member.hasFields64 ? ~uint32_t(0) : uint32_t(value));
    };
    directory += "PK\x01\x02" + u16(20) + u16(20) + u16(member.flags | 8) +
                 u16(member.method) + u32(0) + u32(0) + field(packed) +
                 field(plain) + u16(member.name.size()) + u16(fields64.size()) +
                 u16(3) + u16(0) + u16(0) + u32(0) + field(header) +
                 member.name + fields64 + "xyz";
  }
  const size_t start = file.size();
  file += directory;
  if (hasRecord64) {
    const size_t record = file.size();
    file += "PK\x06\x06" + u64(44) + u16(20) + u16(20) + u32(0) + u32(0) +
            u64(members.size()) + u64(members.size()) + u64(directory.size()) +
            u64(start) + "PK\x06\x07" + u32(0) + u64(record) + u32(1);
  }
  const uint32_t none = ~uint32_t(0);
  file += "PK\x05\x06" + u16(0) + u16(0) +
          u16(hasRecord64 ? none : members.size()) +
          u16(hasRecord64 ? none : members.size()) +
          u32(hasRecord64 ? none : uint32_t(directory.size())) +
          u32(hasRecord64 ? none : uint32_t(start)) + u16(comment.size()) +
          comment;
  return file;
}

//===----------------------------------------------------------------------===//
// Pickle
//===----------------------------------------------------------------------===//

std::string pickle::u32(uint32_t value) { return le(value); }

std::string pickle::text(std::string_view value) {
  return "X" + u32(uint32_t(value.size())) + std::string(value);
}

std::string pickle::global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}

std::string pickle::integer(int64_t value) {
  if (value >= 0 && value < 256)
    return "K" + le(uint8_t(value));
  if (value >= 0 && value < 65536)
    return "M" + le(uint16_t(value));
  if (value == int32_t(value))
    return "J" + le(int32_t(value));
  return "\x8a\x08" + le(value);
}

std::string pickle::tuple(const std::vector<std::string> &items) {
  std::string result = "(";
  for (const std::string &item : items)
    result += item;
  return result + "t";
}

std::string pickle::dict(const std::vector<std::string> &items) {
  std::string result = "}(";
  for (const std::string &item : items)
    result += item;
  return result + "u";
}

std::string pickle::storage(std::string_view type, std::string_view key,
                            int64_t elements) {
  return tuple({text("storage"), global("torch", type), text(key), text("cpu"),
                integer(elements)}) +
         "Q";
}

std::string pickle::tensor(const std::string &storage, int64_t offset,
                           const std::vector<int64_t> &shape,
                           const std::vector<int64_t> &strides) {
  auto numbers = [](const std::vector<int64_t> &values) {
    std::vector<std::string> items;
    for (int64_t value : values)
      items.push_back(integer(value));
    return tuple(items);
  };
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple({storage, integer(offset), numbers(shape), numbers(strides),
                "\x89", global("collections", "OrderedDict") + ")R"}) +
         "R";
}

std::string pickle::program(const std::string &value) {
  return "\x80\x02" + value + ".";
}

//===----------------------------------------------------------------------===//
// Torch
//===----------------------------------------------------------------------===//

ZipBuilder qcc::torchFile(const std::string &pickle,
                          const std::vector<std::string> &storages) {
  ZipBuilder zip;
  zip.add("top/data.pkl", pickle);
  zip.add("top/byteorder", "little");
  for (size_t i = 0; i < storages.size(); ++i)
    zip.add("top/data/" + std::to_string(i), storages[i]);
  zip.add("top/version", "3\n");
  return zip;
}

ZipBuilder qcc::smallTorchFile() {
  using namespace pickle;
  return torchFile(
      program(
          dict({text("a"),
                tensor(storage("FloatStorage", "0", 6), 0, {2, 3}, {3, 1}),
                text("b"), tensor(storage("HalfStorage", "1", 4), 0, {4}, {1}),
                text("a.tied"),
                tensor(storage("FloatStorage", "0", 6), 3, {3}, {1})})),
      {someBytes(24), someBytes(8)});
}
