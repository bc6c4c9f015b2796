//===- ZipArchive.h - Stored members of a zip file --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Finds members of an archive where they lie, Zip64 included. Every number is
// checked: the directory ends where the end records begin, members lie before
// it and do not overlap, and each local header has the name that the directory
// gives. Checksums are not: torch may write files without them, and reads them.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_ZIPARCHIVE_H
#define QCC_LIB_CHECKPOINT_ZIPARCHIVE_H

#include "qcc/Support/Error.h"
#include <cstdint>
#include <span>
#include <vector>

namespace qcc {

/// A file in an archive.
struct ZipMember {
  std::string_view name; ///< Any bytes. A view of the archive.
  uint64_t offset = 0;   ///< Of the content, in the archive.
  uint64_t bytes = 0;    ///< Of the content as it lies there.
  bool isStored = true;  ///< Neither compressed nor encrypted.
};

class ZipArchive {
public:
  /// True when it begins as an archive with members does.
  static bool isZip(std::span<const uint8_t> bytes);

  /// Reads the directory. `path` is named in errors; `bytes` must outlive the
  /// archive.
  static Result<ZipArchive> read(const std::string &path,
                                 std::span<const uint8_t> bytes);

  /// In order of name.
  const std::vector<ZipMember> &members() const { return all; }
  /// Null when absent.
  const ZipMember *find(std::string_view name) const;

private:
  ZipArchive() = default;
  std::vector<ZipMember> all;
};

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_ZIPARCHIVE_H
