//===- Upload.cpp - Large host regions to a GPU ---------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Upload.h"

#include <cinttypes>
#include <cstring>

namespace qcc::rt::device {

qcc_status Uploader::create(const Device &device, ErrorText &error,
                            uint64_t pieceBytes) {
  release();
  if (pieceBytes == 0)
    return error.set(QCC_E_ARGUMENT, "pieces of an upload have 0 bytes");
  for (Slot &slot : slots) {
    qcc_status status = slot.memory.allocate(device, pieceBytes, error);
    if (status == QCC_OK)
      status = slot.sent.create(device, Event::Order, error);
    if (status) {
      release();
      return status;
    }
  }
  return QCC_OK;
}

qcc_status Uploader::upload(Buffer &to, uint64_t offset, const void *source,
                            uint64_t bytes, const Stream &stream,
                            ErrorText &error, qcc_progress_fn progress,
                            void *user) {
  if (slots[0].memory.size() == 0)
    return error.set(QCC_E_ARGUMENT, "this uploader was not created");
  // At once, and not after the pieces that fit.
  if (offset > to.size() || bytes > to.size() - offset)
    return error.set(QCC_E_ARGUMENT,
                     "cannot upload %" PRIu64 " bytes at %" PRIu64
                     " of a device buffer of %" PRIu64 " bytes",
                     bytes, offset, to.size());
  for (uint64_t done = 0; done < bytes;) {
    Slot &slot = slots[next];
    if (slot.busy) {
      if (qcc_status status = slot.sent.wait(error))
        return status;
      slot.busy = false;
    }
    uint64_t size = bytes - done;
    if (size > slot.memory.size())
      size = slot.memory.size();
    memcpy(slot.memory.data(), static_cast<const uint8_t *>(source) + done,
           size);
    qcc_status status =
        to.write(offset + done, slot.memory.data(), size, stream, error);
    if (status == QCC_OK)
      status = slot.sent.record(stream, error);
    if (status) {
      // Without its event nothing else says when the slot is free again.
      ErrorText ignored;
      if (stream.device())
        stream.synchronize(ignored);
      return status;
    }
    slot.busy = true;
    next ^= 1;
    done += size;
    if (progress && progress(user, done, bytes) != 0 && done < bytes)
      return error.set(QCC_E_CANCELLED, "cancelled");
  }
  return QCC_OK;
}

void Uploader::release() {
  ErrorText ignored;
  for (Slot &slot : slots) {
    if (slot.busy)
      slot.sent.wait(ignored);
    slot.busy = false;
    slot.memory.release();
    slot.sent.release();
  }
  next = 0;
}

} // namespace qcc::rt::device
