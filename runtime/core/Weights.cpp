//===- Weights.cpp - The weights of the running artefact ------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Weights.h"

#include "qcc-rt/qcc_payload.h"

#include <cerrno>
#include <cinttypes>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

namespace qcc::rt {

namespace {

/// Reads a text file of /proc line by line without allocating.
class ProcLines {
public:
  explicit ProcLines(const char *path)
      : file(::open(path, O_RDONLY | O_CLOEXEC)) {}
  ~ProcLines() {
    if (file >= 0)
      close(file);
  }

  /// The next line without its end, or null. Longer lines are cut.
  char *next() {
    if (file < 0)
      return nullptr;
    if (used) {
      memmove(buffer, buffer + used, filled - used);
      filled -= used;
      used = 0;
    }
    while (true) {
      if (char *end = static_cast<char *>(memchr(buffer, '\n', filled))) {
        *end = '\0';
        used = size_t(end - buffer) + 1;
        return buffer;
      }
      ssize_t n = filled < sizeof buffer - 1
                      ? read(file, buffer + filled, sizeof buffer - 1 - filled)
                      : 0;
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0) {
        buffer[filled] = '\0';
        used = filled;
        return filled ? buffer : nullptr;
      }
      filled += size_t(n);
    }
  }

private:
  int file;
  size_t used = 0, filled = 0;
  char buffer[PATH_MAX + 256];
};

} // namespace

/// Path of the file that is mapped at `address`; false if it has none.
static bool fileAt(const void *address, char *path, size_t bytes) {
  ProcLines maps("/proc/self/maps");
  auto wanted = reinterpret_cast<uintptr_t>(address);
  while (char *line = maps.next()) {
    uintptr_t begin, end;
    int name = 0;
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %*s %n", &begin,
               &end, &name) < 2 ||
        wanted < begin || wanted >= end)
      continue;
    if (name == 0 || line[name] != '/')
      return false;
    int n = snprintf(path, bytes, "%s", line + name);
    return n > 0 && size_t(n) < bytes;
  }
  return false;
}

/// Bytes that can be had without swapping, or 0 if unknown.
static uint64_t availableMemory() {
  ProcLines memory("/proc/meminfo");
  while (char *line = memory.next()) {
    unsigned long long kilobytes;
    if (sscanf(line, "MemAvailable: %llu kB", &kilobytes) == 1)
      return uint64_t(kilobytes) << 10;
  }
  return 0;
}

Weights::~Weights() {
  if (reading) {
    stop.store(true, std::memory_order_relaxed);
    pthread_join(reader, nullptr);
  }
  if (external)
    munmap(external, externalBytes);
}

const uint8_t *Weights::hash() const { return qcc_payload_note.hash; }

qcc_status Weights::open(uint64_t expected, ErrorText &error) {
  const qcc_payload_note_t &note = qcc_payload_note;
  if (!qcc_payload_valid(&note))
    return error.set(QCC_E_DATA, "the note that locates the weights is damaged "
                                 "or of another version");
  if (note.bytes != expected)
    return error.set(QCC_E_DATA,
                     "the code is for %" PRIu64 " bytes of weights, found "
                     "%" PRIu64,
                     expected, note.bytes);
  bytes = note.bytes;
  if (bytes == 0)
    return QCC_OK;
  char path[PATH_MAX];
  bool named = fileAt(&note, path, sizeof path);
  if (note.flags & QCC_PAYLOAD_EXTERNAL) {
    if (!named)
      return error.set(QCC_E_DATA, "cannot find the folder of this model, "
                                   "where its weights are");
    return openExternal(path, error);
  }
  uint64_t offset = 0;
  base = static_cast<const uint8_t *>(qcc_payload_embedded(&note, &offset));
  if (!base)
    return error.set(QCC_E_DATA, "weights missing (was this file stripped?)");
  // Touching pages past the end of a file that was cut raises SIGBUS.
  struct stat info;
  if (named && stat(path, &info) == 0 &&
      (offset > uint64_t(info.st_size) ||
       qcc_payload_external_size(bytes) > uint64_t(info.st_size) - offset))
    return error.set(QCC_E_DATA,
                     "the file was cut: it has %lld bytes, expected %" PRIu64,
                     static_cast<long long>(info.st_size),
                     offset + qcc_payload_external_size(bytes));
  // A tool that was told to remove the section may leave zeros in its place.
  if (!qcc_payload_footer_matches(qcc_payload_footer(base, bytes), &note))
    return error.set(QCC_E_DATA, "weights missing (was this file stripped?)");
  return QCC_OK;
}

/// Maps the weights file beside the artefact.
qcc_status Weights::openExternal(const char *artefact, ErrorText &error) {
  const qcc_payload_note_t &note = qcc_payload_note;
  const char *slash = strrchr(artefact, '/');
  if (!memchr(note.file_name, '\0', sizeof note.file_name) ||
      !note.file_name[0] || strchr(note.file_name, '/') || !slash)
    return error.set(QCC_E_DATA, "the name of the weights file is damaged");
  char path[PATH_MAX];
  int n = snprintf(path, sizeof path, "%.*s/%s", int(slash - artefact),
                   artefact, note.file_name);
  if (n < 0 || size_t(n) >= sizeof path)
    return error.set(QCC_E_DATA, "the path of the weights file is too long");
  int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return error.set(QCC_E_DATA, "%s: cannot open the weights: %s",
                     note.file_name, strerrordesc_np(errno));
  struct stat info;
  uint64_t wanted = qcc_payload_external_size(bytes);
  qcc_payload_footer_t footer;
  qcc_status status = QCC_OK;
  if (fstat(file, &info) != 0 || uint64_t(info.st_size) != wanted)
    status =
        error.set(QCC_E_DATA, "%s: size is %lld, expected %" PRIu64,
                  note.file_name, static_cast<long long>(info.st_size), wanted);
  else if (pread(file, &footer, sizeof footer, off_t(wanted - sizeof footer)) !=
               ssize_t(sizeof footer) ||
           !qcc_payload_footer_matches(&footer, &note))
    status =
        error.set(QCC_E_DATA, "%s: weights of another model", note.file_name);
  if (status == QCC_OK) {
    void *address = mmap(nullptr, wanted, PROT_READ, MAP_PRIVATE, file, 0);
    if (address == MAP_FAILED) {
      status = error.set(QCC_E_NO_MEMORY, "%s: cannot map %" PRIu64 " bytes",
                         note.file_name, wanted);
    } else {
      external = address;
      externalBytes = wanted;
      base = static_cast<const uint8_t *>(address);
    }
  }
  close(file);
  return status;
}

void Weights::populate() {
  if (!base || reading || bytes > availableMemory() / 2)
    return;
  sigset_t all, previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 << 10);
  reading = pthread_create(&reader, &attributes, readAhead, this) == 0;
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
}

void *Weights::readAhead(void *opaque) {
  Weights &self = *static_cast<Weights *>(opaque);
  auto *start = const_cast<uint8_t *>(self.base);
  madvise(start, self.bytes, MADV_HUGEPAGE); // a hint; file systems may refuse
  constexpr uint64_t piece = uint64_t(4) << 20;
  for (uint64_t done = 0; done < self.bytes; done += piece) {
    if (self.stop.load(std::memory_order_relaxed))
      break;
    uint64_t size = self.bytes - done < piece ? self.bytes - done : piece;
    if (madvise(start + done, size, MADV_POPULATE_READ) != 0 &&
        errno != EINTR && errno != EAGAIN)
      break; // a kernel before 5.14: pages come in as they are touched
  }
  return nullptr;
}

} // namespace qcc::rt
