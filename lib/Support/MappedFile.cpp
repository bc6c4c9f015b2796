//===- MappedFile.cpp - A regular file mapped read-only -------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Support/MappedFile.h"
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

using namespace qcc;

namespace {

/// Closes a descriptor at the end of the scope.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0)
      ::close(fd);
  }
};

Error systemError(const std::string &path, const char *what) {
  return Error(path + ": " + what + ": " +
               std::generic_category().message(errno));
}

const char *fileKind(mode_t mode) {
  if (S_ISDIR(mode))
    return "a directory";
  if (S_ISFIFO(mode))
    return "a pipe";
  if (S_ISSOCK(mode))
    return "a socket";
  return "a device";
}

} // namespace

Result<MappedFile> MappedFile::open(const std::string &path) {
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0)
    return systemError(path, "cannot open");
  struct stat info;
  if (::fstat(file.fd, &info) != 0)
    return systemError(path, "cannot read the file's size");
  if (!S_ISREG(info.st_mode))
    return mismatchError(path, "a regular file", fileKind(info.st_mode));
  if (info.st_size <= 0)
    return Error(path + ": the file is empty");
  size_t length = size_t(info.st_size);
  void *base = ::mmap(nullptr, length, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (base == MAP_FAILED)
    return systemError(path, "cannot map");
  return MappedFile(path, static_cast<const uint8_t *>(base), length);
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : filePath(std::move(other.filePath)),
      base(std::exchange(other.base, nullptr)),
      length(std::exchange(other.length, 0)) {}

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  if (this != &other) {
    unmap();
    filePath = std::move(other.filePath);
    base = std::exchange(other.base, nullptr);
    length = std::exchange(other.length, 0);
  }
  return *this;
}

MappedFile::~MappedFile() { unmap(); }

void MappedFile::unmap() {
  if (base)
    ::munmap(const_cast<uint8_t *>(base), length);
}

void MappedFile::release(size_t offset, size_t count) const {
  if (offset >= length)
    return;
  // Only whole pages inside the range: neighbours may still be in use.
  size_t page = size_t(::sysconf(_SC_PAGESIZE));
  size_t end = offset + std::min(count, length - offset);
  size_t begin = (offset + page - 1) / page * page;
  end = end == length ? end : end / page * page;
  if (begin < end)
    ::madvise(const_cast<uint8_t *>(base) + begin, end - begin, MADV_DONTNEED);
}
