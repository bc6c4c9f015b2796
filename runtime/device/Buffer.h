//===- Buffer.h - Memory of a GPU, and of the host for it -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Threads: one thread at a time changes a buffer; copies of different threads
// go through their own streams. A buffer goes before its Device, and after the
// work that uses it has finished (freeing waits for it, which costs time).
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_DEVICE_BUFFER_H
#define QCC_RUNTIME_DEVICE_BUFFER_H

#include "Stream.h"

namespace qcc::rt::device {

/// Device memory, aligned to 256 bytes, with undefined contents.
class Buffer {
public:
  Buffer() = default;
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  ~Buffer() { release(); }

  /// `purpose` is for the text of an error, "the weights" say. Too little
  /// memory is QCC_E_NO_MEMORY with the need and the free amount. 0 bytes are
  /// allowed and have the address 0.
  qcc_status allocate(const Device &device, uint64_t bytes, const char *purpose,
                      ErrorText &error);
  void release();

  DevicePointer address() const { return start; }
  uint64_t size() const { return length; }

  // The copies below are put into a stream of the same device and return before
  // they are done. Host memory stays as it is until the stream was
  // synchronized; a copy is only truly asynchronous where that memory is a
  // HostBuffer. A range outside of the buffer is QCC_E_ARGUMENT.

  qcc_status write(uint64_t offset, const void *host, uint64_t bytes,
                   const Stream &stream, ErrorText &error);
  qcc_status read(uint64_t offset, void *host, uint64_t bytes,
                  const Stream &stream, ErrorText &error) const;
  qcc_status fill(uint64_t offset, uint8_t value, uint64_t bytes,
                  const Stream &stream, ErrorText &error);
  /// Of the same bytes of a buffer of another device, which are there already.
  qcc_status copyFrom(const Buffer &other, uint64_t offset, uint64_t bytes,
                      const Stream &stream, ErrorText &error);

private:
  qcc_status checkRange(const char *action, uint64_t offset, uint64_t bytes,
                        const Stream &stream, ErrorText &error) const;

  const Device *owner = nullptr;
  DevicePointer start = 0;
  uint64_t length = 0;
};

/// Host memory that stays in place, which a GPU can read and write by itself.
/// Such memory is taken from the whole system: keep it small.
class HostBuffer {
public:
  HostBuffer() = default;
  HostBuffer(const HostBuffer &) = delete;
  HostBuffer &operator=(const HostBuffer &) = delete;
  ~HostBuffer() { release(); }

  qcc_status allocate(const Device &device, uint64_t bytes, ErrorText &error);
  void release();

  uint8_t *data() const { return static_cast<uint8_t *>(start); }
  uint64_t size() const { return length; }

private:
  const Device *owner = nullptr;
  void *start = nullptr;
  uint64_t length = 0;
};

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_BUFFER_H
