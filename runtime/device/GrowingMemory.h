//===- GrowingMemory.h - Device memory that grows in place ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Kernels are given addresses once, in a graph even for good, but how much
// state a session holds is known only as it grows. So addresses are reserved
// for the most, and memory is put behind them when it is needed: a long context
// costs nothing until it is filled.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_DEVICE_GROWINGMEMORY_H
#define QCC_RUNTIME_DEVICE_GROWINGMEMORY_H

#include "Stream.h"

#include "core/Memory.h"

#include <atomic>

namespace qcc::rt::device {

/// Some regions of device memory, each aligned to 256 bytes and more, with
/// undefined contents. One thread at a time; goes before its Device, and after
/// the work that uses it has finished.
class GrowingMemory {
public:
  GrowingMemory() = default;
  GrowingMemory(const GrowingMemory &) = delete;
  GrowingMemory &operator=(const GrowingMemory &) = delete;
  ~GrowingMemory() { release(); }

  /// `counter` is told of bytes that are taken and given back.
  qcc_status create(const Device &device, uint32_t regions,
                    std::atomic<uint64_t> &counter, ErrorText &error);
  void release();

  /// Once for each region: its address, and how far it may grow.
  qcc_status reserve(uint32_t region, uint64_t most, ErrorText &error);

  /// Sees to it that the region has `bytes` bytes, at most what was reserved.
  /// `purpose` is for the text of an error, as in Buffer.
  qcc_status grow(uint32_t region, uint64_t bytes, const char *purpose,
                  ErrorText &error);

  DevicePointer address(uint32_t region) const { return regions[region].start; }

  // Put into the stream, as the copies of Buffer are. Ranges lie in what has
  // grown.

  qcc_status copy(uint32_t region, uint64_t to, uint64_t from, uint64_t bytes,
                  const Stream &stream, ErrorText &error);
  qcc_status write(uint32_t region, uint64_t offset, const void *host,
                   uint64_t bytes, const Stream &stream, ErrorText &error);
  qcc_status read(uint32_t region, uint64_t offset, void *host, uint64_t bytes,
                  const Stream &stream, ErrorText &error) const;

private:
  struct Region {
    DevicePointer start;
    uint64_t reserved;
    uint64_t grown;
  };

  const Device *owner = nullptr;
  std::atomic<uint64_t> *taken = nullptr;
  MemoryProperties properties;
  Array<Region> regions;
};

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_GROWINGMEMORY_H
