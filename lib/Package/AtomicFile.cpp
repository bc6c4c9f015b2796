//===- AtomicFile.cpp - Files that appear complete or not at all ----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Package/AtomicFile.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Errno.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Signals.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace qcc;

namespace {

/// While it lives, a write beyond RLIMIT_FSIZE fails with EFBIG instead of
/// ending the process. The signal is directed at the writing thread, so that
/// blocking it here is enough; what arrived is taken away before unblocking.
class FileSizeSignalBlock {
public:
  FileSizeSignalBlock() {
    sigemptyset(&signals);
    sigaddset(&signals, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &signals, &previous);
  }
  ~FileSizeSignalBlock() {
    if (sigismember(&previous, SIGXFSZ))
      return;
    int error = errno;
    timespec none = {0, 0};
    while (sigtimedwait(&signals, nullptr, &none) == SIGXFSZ) {
    }
    pthread_sigmask(SIG_SETMASK, &previous, nullptr);
    errno = error;
  }

private:
  sigset_t signals, previous;
};

} // namespace

/// Calls `operation` until a signal no longer interrupts it.
template <typename Operation>
static auto retry(Operation operation) {
  return llvm::sys::RetryAfterSignal(-1, operation);
}

/// "cannot write 'path': reason" with the system's text for `error`.
static llvm::Error writeError(llvm::StringRef path, int error,
                              llvm::Twine more = "") {
  std::error_code code(error, std::generic_category());
  std::string reason = code.message();
  if (!reason.empty())
    reason[0] = llvm::toLower(reason[0]);
  return llvm::createStringError(code, "cannot write '" + path +
                                           "': " + reason + more);
}

AtomicFile::AtomicFile(std::string path, std::string folder, int fd,
                       unsigned mode)
    : path(std::move(path)), folder(std::move(folder)), fd(fd), mode(mode) {}

AtomicFile::~AtomicFile() {
  discardName();
  if (fd >= 0)
    ::close(fd);
}

llvm::Error AtomicFile::fail(int error) const {
  if (error == ENOSPC || error == EDQUOT || error == EFBIG)
    return writeError(path, error,
                      " (the file needs " + llvm::Twine(size) + " bytes)");
  return writeError(path, error);
}

/// A name beside the destination that no other process or thread picks.
std::string AtomicFile::temporaryName() const {
  static std::atomic<unsigned> counter{0};
  llvm::SmallString<256> name(folder);
  // The destination's own name is left out: it may be as long as names can be.
  llvm::sys::path::append(
      name, ".qcc-" + llvm::Twine(::getpid()) + "-" +
                llvm::Twine(counter.fetch_add(1)) + "-" +
                llvm::utohexstr(llvm::sys::Process::GetRandomNumber()) +
                ".tmp");
  return std::string(name);
}

void AtomicFile::discardName() {
  if (temporary.empty())
    return;
  ::unlink(temporary.c_str());
  llvm::sys::DontRemoveFileOnSignal(temporary);
  temporary.clear();
}

/// For file systems without unnamed files: a temporary name that a signal
/// removes. It is registered before it exists, so that there is no gap.
int AtomicFile::openNamed() {
  for (int attempt = 0; attempt < 16; ++attempt) {
    temporary = temporaryName();
    llvm::sys::RemoveFileOnSignal(temporary);
    int file = retry([&] {
      return ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                    mode);
    });
    if (file >= 0)
      return file;
    int error = errno;
    llvm::sys::DontRemoveFileOnSignal(temporary);
    temporary.clear();
    errno = error;
    if (error != EEXIST)
      break;
  }
  return -1;
}

llvm::Expected<std::unique_ptr<AtomicFile>>
AtomicFile::create(llvm::StringRef path, unsigned mode) {
  if (path.empty() || path.contains('\0') ||
      llvm::sys::path::filename(path) == "." || path.ends_with("/"))
    return llvm::createStringError(
        std::make_error_code(std::errc::invalid_argument),
        "cannot write '" + path + "': not a file name");

  llvm::StringRef parent = llvm::sys::path::parent_path(path);
  std::unique_ptr<AtomicFile> file(new AtomicFile(
      path.str(), parent.empty() ? "." : parent.str(), -1, mode));

  // A rename would replace a device or a pipe by a file.
  struct stat status;
  if (::lstat(file->path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode))
      return writeError(path, EISDIR);
    if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode))
      return llvm::createStringError(
          std::make_error_code(std::errc::invalid_argument),
          "cannot write '" + path + "': not a regular file");
  } else if (errno != ENOENT) {
    return file->fail(errno);
  }

  file->fd = retry([&] {
    return ::open(file->folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
  });
  // Each file system without O_TMPFILE refuses in its own way; the named file
  // gives the true reason when the folder itself is at fault.
  if (file->fd < 0)
    file->fd = file->openNamed();
  if (file->fd < 0)
    return file->fail(errno);
  return file;
}

llvm::Error AtomicFile::resize(uint64_t bytes) {
  size = bytes;
  if (bytes > static_cast<uint64_t>(INT64_MAX))
    return fail(EFBIG);
  FileSizeSignalBlock block;
  if (retry([&] { return ::ftruncate(fd, static_cast<off_t>(bytes)); }) != 0)
    return fail(errno);
  if (bytes == 0)
    return llvm::Error::success();
  if (retry([&] { return ::fallocate(fd, 0, 0, static_cast<off_t>(bytes)); }) ==
      0)
    return llvm::Error::success();
  // Not every file system reserves; then write() reports a full disk.
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO)
    return fail(errno);
  return llvm::Error::success();
}

llvm::Error AtomicFile::write(const void *data, uint64_t bytes,
                              uint64_t offset) {
  FileSizeSignalBlock block;
  const char *next = static_cast<const char *>(data);
  while (bytes > 0) {
    // Linux writes at most 2^31 - 4096 bytes a call.
    size_t part = std::min<uint64_t>(bytes, uint64_t(1) << 30);
    ssize_t done = retry(
        [&] { return ::pwrite(fd, next, part, static_cast<off_t>(offset)); });
    if (done < 0)
      return fail(errno);
    if (done == 0)
      return fail(EIO);
    next += done;
    offset += done;
    bytes -= done;
  }
  return llvm::Error::success();
}

void AtomicFile::startWriteback(uint64_t offset, uint64_t bytes) {
  // A hint: errors come back from fsync.
  (void)::sync_file_range(fd, static_cast<off_t>(offset),
                          static_cast<off_t>(bytes), SYNC_FILE_RANGE_WRITE);
}

/// Moves the synced file to its destination; an errno value, 0 on success.
int AtomicFile::publish() {
  if (temporary.empty()) {
    // An unnamed file gets its name through its descriptor. A link cannot
    // replace a file, so that an existing destination takes a detour.
    std::string self = "/proc/self/fd/" + std::to_string(fd);
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(),
                 AT_SYMLINK_FOLLOW) == 0)
      return 0;
    if (errno != EEXIST)
      return errno;
    temporary = temporaryName();
    llvm::sys::RemoveFileOnSignal(temporary);
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, temporary.c_str(),
                 AT_SYMLINK_FOLLOW) != 0)
      return errno;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0)
    return errno;
  llvm::sys::DontRemoveFileOnSignal(temporary);
  temporary.clear();
  return 0;
}

llvm::Error AtomicFile::commit() {
  if (retry([&] { return ::fsync(fd); }) != 0)
    return fail(errno);
  if (int error = publish())
    return fail(error);

  // Makes the name durable as well. Where a folder cannot be synced the file
  // is complete all the same.
  int directory = retry([&] {
    return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  });
  if (directory >= 0) {
    (void)::fsync(directory);
    ::close(directory);
  }
  int file = std::exchange(fd, -1);
  if (::close(file) != 0 && errno != EINTR)
    return fail(errno);
  return llvm::Error::success();
}
