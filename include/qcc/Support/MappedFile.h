//===- MappedFile.h - A regular file mapped read-only -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The mapping is private and read-only. Another process that shortens the file
// while it is mapped makes a later access fault (SIGBUS): checkpoints must not
// be rewritten in place while they are being compiled.
//===----------------------------------------------------------------------===//

#ifndef QCC_SUPPORT_MAPPEDFILE_H
#define QCC_SUPPORT_MAPPEDFILE_H

#include "qcc/Support/Error.h"
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace qcc {

/// Owns one mapping; movable. Safe to read from any number of threads.
class MappedFile {
public:
  /// Maps all of `path`, which must be a regular file (or a link to one) and
  /// not empty. The error names the path.
  static Result<MappedFile> open(const std::string &path);

  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  ~MappedFile();

  const std::string &path() const { return filePath; }
  std::span<const uint8_t> bytes() const { return {base, length}; }

  /// Tells the kernel that bytes [offset, offset + count) are no longer
  /// needed, so that a pass over a large file keeps little of it resident.
  void release(size_t offset, size_t count) const;

private:
  MappedFile(std::string path, const uint8_t *base, size_t length)
      : filePath(std::move(path)), base(base), length(length) {}
  void unmap();

  std::string filePath;
  const uint8_t *base = nullptr;
  size_t length = 0;
};

} // namespace qcc

#endif // QCC_SUPPORT_MAPPEDFILE_H
