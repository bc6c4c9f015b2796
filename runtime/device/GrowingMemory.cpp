//===- GrowingMemory.cpp - Device memory that grows in place --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "GrowingMemory.h"

namespace qcc::rt::device {

qcc_status GrowingMemory::create(const Device &device, uint32_t count,
                                 std::atomic<uint64_t> &counter,
                                 ErrorText &error) {
  release();
  if (!regions.allocate(count))
    return error.set(QCC_E_NO_MEMORY, "out of memory");
  properties.location.device = device.index();
  owner = &device;
  taken = &counter;
  return QCC_OK;
}

void GrowingMemory::release() {
  for (size_t i = 0; owner && i < regions.size(); ++i) {
    Region &region = regions[i];
    if (region.start)
      owner->release([&](const DriverApi &driver) {
        Result result = resultSuccess;
        if (region.grown)
          result = driver.cuMemUnmap(region.start, region.grown);
        return result == resultSuccess
                   ? driver.cuMemAddressFree(region.start, region.reserved)
                   : result;
      });
    taken->fetch_sub(region.grown, std::memory_order_relaxed);
    region = {};
  }
  owner = nullptr;
}

qcc_status GrowingMemory::reserve(uint32_t index, uint64_t most,
                                  ErrorText &error) {
  Region &region = regions[index];
  uint64_t bytes;
  if (!addInto(bytes, most, owner->info().granule))
    return error.set(QCC_E_DATA, "a region of device memory is too large");
  bytes = owner->wholePieces(most);
  if (bytes == 0)
    return QCC_OK;
  qcc_status status =
      owner->call("reserve addresses", owner->info().name, error,
                  [&](const DriverApi &driver) {
                    return Device::made(driver.cuMemAddressReserve(
                                            &region.start, bytes, 0, 0, 0),
                                        region.start);
                  });
  if (region.start)
    region.reserved = bytes;
  return status;
}

qcc_status GrowingMemory::grow(uint32_t index, uint64_t bytes,
                               const char *purpose, ErrorText &error) {
  Region &region = regions[index];
  if (bytes <= region.grown)
    return QCC_OK;
  if (bytes > region.reserved)
    return error.set(QCC_E_ARGUMENT, "%.64s: no addresses are reserved for it",
                     purpose);
  uint64_t wanted = owner->wholePieces(bytes) - region.grown;
  DevicePointer start = region.start + region.grown;
  bool there = false; // which a failure to leave the context does not change
  qcc_status status =
      owner->take(purpose, wanted, error, [&](const DriverApi &driver) {
        MemoryHandle memory = 0;
        Result result = driver.cuMemCreate(&memory, wanted, &properties, 0);
        if (result != resultSuccess)
          return result;
        result = driver.cuMemMap(start, wanted, 0, memory, 0);
        bool mapped = result == resultSuccess;
        MemoryAccess access;
        access.location = properties.location;
        if (mapped)
          result = driver.cuMemSetAccess(start, wanted, &access, 1);
        if (mapped && result != resultSuccess)
          driver.cuMemUnmap(start, wanted);
        driver.cuMemRelease(memory); // the mapping keeps it
        there = result == resultSuccess;
        return result;
      });
  if (there) {
    region.grown += wanted;
    taken->fetch_add(wanted, std::memory_order_relaxed);
  }
  return status;
}

qcc_status GrowingMemory::copy(uint32_t index, uint64_t to, uint64_t from,
                               uint64_t bytes, const Stream &stream,
                               ErrorText &error) {
  DevicePointer start = regions[index].start;
  return owner->call("copy memory", owner->info().name, error,
                     [&](const DriverApi &driver) {
                       return driver.cuMemcpyDtoDAsync_v2(
                           start + to, start + from, bytes, stream.handle());
                     });
}

qcc_status GrowingMemory::write(uint32_t index, uint64_t offset,
                                const void *host, uint64_t bytes,
                                const Stream &stream, ErrorText &error) {
  return owner->call(
      "write memory", owner->info().name, error, [&](const DriverApi &driver) {
        return driver.cuMemcpyHtoDAsync_v2(regions[index].start + offset, host,
                                           bytes, stream.handle());
      });
}

qcc_status GrowingMemory::read(uint32_t index, uint64_t offset, void *host,
                               uint64_t bytes, const Stream &stream,
                               ErrorText &error) const {
  return owner->call(
      "read memory", owner->info().name, error, [&](const DriverApi &driver) {
        return driver.cuMemcpyDtoHAsync_v2(host, regions[index].start + offset,
                                           bytes, stream.handle());
      });
}

} // namespace qcc::rt::device
