//===- ZipArchive.cpp - Stored members of a zip file ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "ZipArchive.h"
#include "qcc/Formats/Bits.h"
#include <algorithm>
#include <tuple>

using namespace qcc;

namespace {

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kDirectoryHeader = 0x02014b50;
constexpr uint32_t kEndRecord = 0x06054b50;
constexpr uint32_t kEnd64Record = 0x06064b50;
constexpr uint32_t kEnd64Locator = 0x07064b50;

constexpr size_t kLocalBytes = 30, kDirectoryBytes = 46, kEndBytes = 22,
                 kEnd64Bytes = 56, kLocatorBytes = 20;
constexpr size_t kMaxComment = 65535;
constexpr uint64_t kMaxMembers = 1 << 20;

/// Marks a field whose value is in the Zip64 fields.
constexpr uint32_t kIn64 = 0xffffffff;
constexpr uint16_t kIn64Short = 0xffff;
constexpr uint16_t kExtra64 = 1;

class DirectoryReader {
public:
  DirectoryReader(const std::string &path, std::span<const uint8_t> bytes)
      : path(path), bytes(bytes) {}

  bool read() {
    return findEnd() && readMembers() && checkNames() && checkPlaces();
  }

  std::vector<ZipMember> members;
  Error error;

private:
  bool fail(const std::string &message) {
    error = Error(path + ": " + message);
    return false;
  }
  bool fail(const std::string &what, const std::string &expected,
            const std::string &got) {
    error = mismatchError(path + ": " + what, expected, got);
    return false;
  }
  template <typename T>
  T at(uint64_t offset) const {
    return loadLE<T>(bytes.data() + offset);
  }
  std::string_view text(uint64_t offset, uint64_t length) const {
    return {reinterpret_cast<const char *>(bytes.data()) + offset,
            size_t(length)};
  }

  //===--- end records ----------------------------------------------------===//

  /// Finds the record that ends the file, and through it the directory.
  bool findEnd() {
    if (bytes.size() < kEndBytes)
      return fail("zip end record", "at least 22 bytes",
                  std::to_string(bytes.size()));
    // The last one whose comment ends with the file.
    uint64_t end = bytes.size() - kEndBytes;
    const uint64_t first = end > kMaxComment ? end - kMaxComment : 0;
    while (at<uint32_t>(end) != kEndRecord ||
           end + kEndBytes + at<uint16_t>(end + 20) != bytes.size())
      if (end-- == first)
        return fail("the file has no zip directory at its end (is it "
                    "truncated?)");

    uint64_t disks = uint64_t(at<uint16_t>(end + 4)) + at<uint16_t>(end + 6);
    uint64_t here = at<uint16_t>(end + 8);
    count = at<uint16_t>(end + 10);
    size = at<uint32_t>(end + 12);
    start = at<uint32_t>(end + 16);
    uint64_t limit = end;
    if (end >= kLocatorBytes &&
        at<uint32_t>(end - kLocatorBytes) == kEnd64Locator) {
      if (!readEnd64(end - kLocatorBytes, disks, here, limit))
        return false;
    } else if (count == kIn64Short || size == kIn64 || start == kIn64) {
      return fail("zip end record: the Zip64 record that it needs is missing");
    }
    if (disks != 0 || here != count)
      return fail("a zip archive in several files is not supported");
    if (count > kMaxMembers)
      return fail("zip directory",
                  "at most " + std::to_string(kMaxMembers) + " members",
                  std::to_string(count));
    if (start > limit || size != limit - start)
      return fail("zip directory",
                  std::to_string(size) + " bytes from " +
                      std::to_string(start) + " up to the end record",
                  "an end record at " + std::to_string(limit));
    return true;
  }

  /// Takes numbers from the Zip64 record that the locator names.
  bool readEnd64(uint64_t locator, uint64_t &disks, uint64_t &here,
                 uint64_t &limit) {
    const uint64_t record = at<uint64_t>(locator + 8);
    if (at<uint32_t>(locator + 4) != 0 || at<uint32_t>(locator + 16) > 1)
      return fail("a zip archive in several files is not supported");
    if (record > locator || locator - record < kEnd64Bytes ||
        at<uint32_t>(record) != kEnd64Record ||
        at<uint64_t>(record + 4) != locator - record - 12)
      return fail("zip end record",
                  "a Zip64 record that ends at " + std::to_string(locator),
                  "none at " + std::to_string(record));
    disks = uint64_t(at<uint32_t>(record + 16)) + at<uint32_t>(record + 20);
    here = at<uint64_t>(record + 24);
    count = at<uint64_t>(record + 32);
    size = at<uint64_t>(record + 40);
    start = at<uint64_t>(record + 48);
    limit = record;
    return true;
  }

  //===--- members --------------------------------------------------------===//

  bool readMembers() {
    uint64_t position = start;
    const uint64_t end = start + size;
    for (uint64_t i = 0; i < count; ++i) {
      if (end - position < kDirectoryBytes ||
          at<uint32_t>(position) != kDirectoryHeader)
        return fail("zip directory", std::to_string(count) + " members",
                    "none at byte " + std::to_string(position) + " after " +
                        std::to_string(i));
      const uint64_t name = at<uint16_t>(position + 28),
                     extra = at<uint16_t>(position + 30),
                     comment = at<uint16_t>(position + 32);
      if (end - position - kDirectoryBytes < name + extra + comment)
        return fail("zip directory: member " + std::to_string(i) +
                    " reaches past the directory's end");
      if (!readMember(position, name, extra))
        return false;
      position += kDirectoryBytes + name + extra + comment;
    }
    if (position != end)
      return fail("zip directory",
                  std::to_string(size) + " bytes for " + std::to_string(count) +
                      " members",
                  std::to_string(position - start));
    return true;
  }

  bool readMember(uint64_t position, uint64_t nameBytes, uint64_t extraBytes) {
    ZipMember member;
    member.name = text(position + kDirectoryBytes, nameBytes);
    const std::string what = "member " + quoted(member.name);
    const uint16_t flags = at<uint16_t>(position + 8);
    member.isStored = at<uint16_t>(position + 10) == 0 && !(flags & 0x2041);
    uint64_t packed = at<uint32_t>(position + 20);
    uint64_t plain = at<uint32_t>(position + 24);
    uint64_t header = at<uint32_t>(position + 42);
    if (!readExtra64(position + kDirectoryBytes + nameBytes, extraBytes,
                     {&plain, &packed, &header}))
      return fail(what + ": the Zip64 fields that it needs are missing");
    if (member.isStored && packed != plain)
      return fail(
          what, "as many stored bytes as plain ones, " + std::to_string(plain),
          std::to_string(packed));
    member.bytes = packed;
    if (start < kLocalBytes || header > start - kLocalBytes ||
        at<uint32_t>(header) != kLocalHeader)
      return fail(what, "a local header at " + std::to_string(header), "none");
    const uint64_t localName = at<uint16_t>(header + 26),
                   localExtra = at<uint16_t>(header + 28);
    member.offset = header + kLocalBytes + localName + localExtra;
    if (member.offset > start || member.bytes > start - member.offset)
      return fail(what,
                  std::to_string(member.bytes) + " bytes at " +
                      std::to_string(member.offset),
                  "a directory at " + std::to_string(start));
    if (text(header + kLocalBytes, localName) != member.name ||
        at<uint16_t>(header + 8) != at<uint16_t>(position + 10))
      return fail(what + ": the local header disagrees with the directory");
    headers.push_back(header);
    members.push_back(member);
    return true;
  }

  /// Replaces those of the values that say so by Zip64 fields, which come in
  /// this order.
  bool readExtra64(uint64_t position, uint64_t bytesLeft,
                   std::initializer_list<uint64_t *> values) {
    uint64_t field = 0, fieldBytes = 0;
    while (bytesLeft >= 4) {
      const uint64_t length = at<uint16_t>(position + 2);
      if (length > bytesLeft - 4)
        break;
      if (at<uint16_t>(position) == kExtra64) {
        field = position + 4;
        fieldBytes = length;
        break;
      }
      position += 4 + length;
      bytesLeft -= 4 + length;
    }
    for (uint64_t *value : values) {
      if (*value != kIn64)
        continue;
      if (fieldBytes < 8)
        return false;
      *value = at<uint64_t>(field);
      field += 8;
      fieldBytes -= 8;
    }
    return true;
  }

  /// No two members share a byte.
  bool checkPlaces() {
    std::vector<std::pair<uint64_t, const ZipMember *>> places;
    for (size_t i = 0; i < members.size(); ++i)
      places.emplace_back(headers[i], &members[i]);
    std::sort(places.begin(), places.end());
    for (size_t i = 1; i < places.size(); ++i) {
      const ZipMember &before = *places[i - 1].second;
      if (places[i].first < before.offset + before.bytes)
        return fail("members " + quoted(before.name) + " and " +
                    quoted(places[i].second->name) + " overlap");
    }
    return true;
  }

  bool checkNames() {
    std::vector<std::string_view> names;
    for (const ZipMember &member : members)
      names.push_back(member.name);
    std::sort(names.begin(), names.end());
    auto twice = std::adjacent_find(names.begin(), names.end());
    return twice == names.end() ||
           fail("member " + quoted(*twice) + " occurs twice");
  }

  const std::string &path;
  const std::span<const uint8_t> bytes;
  uint64_t count = 0, size = 0, start = 0; // of the directory
  std::vector<uint64_t> headers;           // of members, in their order
};

} // namespace

bool ZipArchive::isZip(std::span<const uint8_t> bytes) {
  return bytes.size() >= 4 && loadLE<uint32_t>(bytes.data()) == kLocalHeader;
}

Result<ZipArchive> ZipArchive::read(const std::string &path,
                                    std::span<const uint8_t> bytes) {
  DirectoryReader reader(path, bytes);
  if (!reader.read())
    return std::move(reader.error);
  ZipArchive archive;
  archive.all = std::move(reader.members);
  std::sort(
      archive.all.begin(), archive.all.end(),
      [](const ZipMember &a, const ZipMember &b) { return a.name < b.name; });
  return archive;
}

const ZipMember *ZipArchive::find(std::string_view name) const {
  auto it = std::lower_bound(all.begin(), all.end(), name,
                             [](const ZipMember &member, std::string_view w) {
                               return member.name < w;
                             });
  return it != all.end() && it->name == name ? &*it : nullptr;
}
