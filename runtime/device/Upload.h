//===- Upload.h - Large host regions to a GPU -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Weights are a read-only mapping of a file that may be larger than memory.
// They go to the GPU piece by piece through two pinned buffers: while the GPU
// fetches one, the processor fills the other, which is also what reads the
// file.
//
// Why not directly. A copy from pageable memory makes the driver stage it
// through buffers of its own, and leaves open when the source has been read and
// whether the call waits. Pinning the mapping (cuMemHostRegister) locks all of
// it into memory, which is not there for a large model, and needs an attribute
// for read-only pages that not every system has. Two buffers bound the locked
// memory, and between pieces progress can be told and a user can stop.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_DEVICE_UPLOAD_H
#define QCC_RUNTIME_DEVICE_UPLOAD_H

#include "Buffer.h"

namespace qcc::rt::device {

/// Threads: one at a time. Goes before its Device.
class Uploader {
public:
  /// Far above the cost of a call, far below memory that anybody would miss.
  static constexpr uint64_t defaultPieceBytes = uint64_t(8) << 20;

  Uploader() = default;
  Uploader(const Uploader &) = delete;
  Uploader &operator=(const Uploader &) = delete;
  ~Uploader() { release(); }

  /// Takes 2 * pieceBytes of pinned memory.
  qcc_status create(const Device &device, ErrorText &error,
                    uint64_t pieceBytes = defaultPieceBytes);

  /// Puts the copy into the stream. Returns when the source has been read, so
  /// it may be unmapped; the device has the bytes in the stream's order, so a
  /// kernel that is launched into the stream next may use them, and the next
  /// upload may reuse the buffer that it read. `progress` (may be null) is told
  /// done and total bytes after each piece; if it returns not 0 the rest is
  /// left out and the status is QCC_E_CANCELLED.
  qcc_status upload(Buffer &to, uint64_t offset, const void *source,
                    uint64_t bytes, const Stream &stream, ErrorText &error,
                    qcc_progress_fn progress = nullptr, void *user = nullptr);

  /// Waits for pieces under way and frees the pinned memory.
  void release();

private:
  struct Slot {
    HostBuffer memory;
    Event sent;
    bool busy = false; // until `sent`
  };

  Slot slots[2];
  uint32_t next = 0;
};

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_UPLOAD_H
