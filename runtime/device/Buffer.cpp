//===- Buffer.cpp - Memory of a GPU, and of the host for it ---------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Buffer.h"

#include <cinttypes>

namespace qcc::rt::device {

//===----------------------------------------------------------------------===//
// Buffer
//===----------------------------------------------------------------------===//

qcc_status Buffer::allocate(const Device &device, uint64_t bytes,
                            const char *purpose, ErrorText &error) {
  release();
  owner = &device;
  if (bytes == 0)
    return QCC_OK;
  qcc_status status =
      device.take(purpose, bytes, error, [&](const DriverApi &driver) {
        return Device::made(driver.cuMemAlloc_v2(&start, bytes), start);
      });
  if (start)
    length = bytes;
  return status;
}

void Buffer::release() {
  if (start)
    owner->release(
        [&](const DriverApi &driver) { return driver.cuMemFree_v2(start); });
  owner = nullptr;
  start = 0;
  length = 0;
}

qcc_status Buffer::checkRange(const char *action, uint64_t offset,
                              uint64_t bytes, const Stream &stream,
                              ErrorText &error) const {
  if (offset > length || bytes > length - offset)
    return error.set(QCC_E_ARGUMENT,
                     "cannot %s %" PRIu64 " bytes at %" PRIu64
                     " of a device buffer of %" PRIu64 " bytes",
                     action, bytes, offset, length);
  if (bytes && stream.device() != owner)
    return error.set(QCC_E_ARGUMENT,
                     "cannot %s a device buffer through a stream of another "
                     "device",
                     action);
  return QCC_OK;
}

qcc_status Buffer::write(uint64_t offset, const void *host, uint64_t bytes,
                         const Stream &stream, ErrorText &error) {
  if (qcc_status status = checkRange("write", offset, bytes, stream, error))
    return status;
  if (bytes == 0)
    return QCC_OK;
  return owner->call("write memory", owner->info().name, error,
                     [&](const DriverApi &driver) {
                       return driver.cuMemcpyHtoDAsync_v2(
                           start + offset, host, bytes, stream.handle());
                     });
}

qcc_status Buffer::read(uint64_t offset, void *host, uint64_t bytes,
                        const Stream &stream, ErrorText &error) const {
  if (qcc_status status = checkRange("read", offset, bytes, stream, error))
    return status;
  if (bytes == 0)
    return QCC_OK;
  return owner->call("read memory", owner->info().name, error,
                     [&](const DriverApi &driver) {
                       return driver.cuMemcpyDtoHAsync_v2(
                           host, start + offset, bytes, stream.handle());
                     });
}

qcc_status Buffer::fill(uint64_t offset, uint8_t value, uint64_t bytes,
                        const Stream &stream, ErrorText &error) {
  if (qcc_status status = checkRange("fill", offset, bytes, stream, error))
    return status;
  if (bytes == 0)
    return QCC_OK;
  return owner->call("fill memory", owner->info().name, error,
                     [&](const DriverApi &driver) {
                       return driver.cuMemsetD8Async(start + offset, value,
                                                     bytes, stream.handle());
                     });
}

qcc_status Buffer::copyFrom(const Buffer &other, uint64_t offset,
                            uint64_t bytes, const Stream &stream,
                            ErrorText &error) {
  if (qcc_status status = checkRange("write", offset, bytes, stream, error))
    return status;
  if (offset > other.length || bytes > other.length - offset)
    return error.set(QCC_E_ARGUMENT, "cannot read what a device buffer of "
                                     "another device has not");
  if (bytes == 0)
    return QCC_OK;
  return owner->call("copy memory from another GPU to", owner->info().name,
                     error, [&](const DriverApi &driver) {
                       return driver.cuMemcpyPeerAsync(
                           start + offset, owner->contextHandle(),
                           other.start + offset, other.owner->contextHandle(),
                           bytes, stream.handle());
                     });
}

//===----------------------------------------------------------------------===//
// HostBuffer
//===----------------------------------------------------------------------===//

qcc_status HostBuffer::allocate(const Device &device, uint64_t bytes,
                                ErrorText &error) {
  release();
  owner = &device;
  if (bytes == 0)
    return QCC_OK;
  qcc_status status = device.call(
      "allocate host memory for transfers", device.info().name, error,
      [&](const DriverApi &driver) {
        return Device::made(driver.cuMemHostAlloc(&start, bytes, 0), start);
      });
  if (start)
    length = bytes;
  return status;
}

void HostBuffer::release() {
  if (start)
    owner->release(
        [&](const DriverApi &driver) { return driver.cuMemFreeHost(start); });
  owner = nullptr;
  start = nullptr;
  length = 0;
}

} // namespace qcc::rt::device
