//===- AtomicFile.h - Files that appear complete or not at all --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Output is written to an unnamed (or, where the file system has none,
// temporary) file in the folder of its destination, synced, then moved into
// place. Until commit() succeeds the destination keeps what it had.
//===----------------------------------------------------------------------===//

#ifndef QCC_PACKAGE_ATOMICFILE_H
#define QCC_PACKAGE_ATOMICFILE_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>
#include <string>

namespace qcc {

/// One output file. Not thread-safe. Destroying it without commit() leaves
/// nothing behind, and so does SIGINT, SIGTERM or SIGHUP; while the file has no
/// name (Linux O_TMPFILE), so does any other end of the process.
class AtomicFile {
public:
  /// Opens the output. `path` must name a regular file, a symbolic link (which
  /// is replaced, not followed) or nothing. `mode` is subject to the umask.
  static llvm::Expected<std::unique_ptr<AtomicFile>>
  create(llvm::StringRef path, unsigned mode);

  ~AtomicFile();
  AtomicFile(const AtomicFile &) = delete;
  AtomicFile &operator=(const AtomicFile &) = delete;

  /// Sets the size and, where the file system can, reserves the blocks, so that
  /// a full disk is an error now and not after minutes of work.
  llvm::Error resize(uint64_t bytes);

  /// Writes `size` bytes at `offset`. Bytes never written read as zero.
  llvm::Error write(const void *data, uint64_t size, uint64_t offset);

  /// Starts writing [offset, offset + size) back to the disk without waiting,
  /// so that commit() has less to wait for.
  void startWriteback(uint64_t offset, uint64_t size);

  /// Syncs and moves the file to its destination.
  llvm::Error commit();

private:
  AtomicFile(std::string path, std::string folder, int fd, unsigned mode);

  llvm::Error fail(int error) const;
  std::string temporaryName() const;
  int openNamed();
  int publish();
  void discardName();

  std::string path;      // destination, as the user wrote it
  std::string folder;    // its folder, never empty
  std::string temporary; // name on disk before commit(); empty while unnamed
  uint64_t size = 0;
  int fd;
  unsigned mode;
};

} // namespace qcc

#endif // QCC_PACKAGE_ATOMICFILE_H
