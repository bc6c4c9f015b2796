//===- Device.h - A GPU and what it can do ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The runtime uses a GPU's primary context: the one that CUDA's own runtime,
// and with it most other libraries of a host program, use too, so that one
// process has one context per GPU. The host's choice of context is left alone:
// each call pushes ours, works, and pops it again, also when it fails. Nothing
// is current between calls, so any thread may make the next one.
//
// Threads: an open Device does not change; any number of threads may use it. It
// outlives the buffers, streams, events and modules that were made on it, and
// its Driver outlives it.
//
// After an error of a running kernel (an illegal address, say) CUDA refuses all
// further work in the context. Every call then fails with the same text;
// freeing is still tried.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_DEVICE_DEVICE_H
#define QCC_RUNTIME_DEVICE_DEVICE_H

#include "Driver.h"

#include <cstdint>

namespace qcc::rt::device {

/// What the driver tells of a GPU.
struct DeviceInfo {
  char name[96];
  uint32_t architecture;    // 10 * major + minor: 86 is compute capability 8.6
  uint32_t multiprocessors; // SMs
  uint32_t threadsPerBlock; // most
  uint32_t l2Bytes;
  uint32_t
      sharedPerBlock; // most, static and dynamic, when a kernel asks for it
  uint32_t sharedPerMultiprocessor;
  uint32_t memoryClockKHz; // 0: not told
  uint32_t memoryBusBits;  // 0: not told
  uint64_t memoryBytes;
  uint64_t granule; // memory is handed out in pieces of as many bytes

  /// Bytes a second between memory and chip at best, two transfers a clock as
  /// all of today's GPU memories do; 0 if the driver does not tell.
  double peakBandwidth() const {
    return 2e3 * double(memoryClockKHz) * (double(memoryBusBits) / 8);
  }
};

class Device {
public:
  Device() = default;
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;
  ~Device() { close(); }

  /// Opens GPU `index` of driver.deviceCount(), in the driver's order. Opening
  /// one twice gives two Devices that share the context.
  qcc_status open(const Driver &driver, int index, ErrorText &error);
  void close();

  const DeviceInfo &info() const { return facts; }
  const Driver &driver() const { return *library; }
  const DriverApi &api() const { return library->api(); }
  int index() const { return number; }
  ContextHandle contextHandle() const { return context; }

  /// Whether a launch may begin before the one before it has ended: GPUs of
  /// compute capability 9.0, and drivers that make graphs of such launches
  /// (CUDA 12.3).
  bool startsLaunchesEarly() const {
    return facts.architecture >= 90 && api().cuLaunchKernelEx &&
           library->cudaVersion() >= 12030;
  }

  /// What `bytes` take of the memory: whole pieces of it.
  uint64_t wholePieces(uint64_t bytes) const {
    return (bytes + facts.granule - 1) / facts.granule * facts.granule;
  }

  /// Bytes of device memory that are free and that there are, of all processes.
  qcc_status memory(uint64_t &free, uint64_t &total, ErrorText &error) const;

  /// Runs `body(api)`, which returns a Result, with the context current.
  /// `action` and `object` are for the text of an error, as Driver::check()
  /// takes them. When this fails after `body` succeeded, because the context
  /// cannot be popped, what `body` made belongs to the caller all the same.
  template <typename Body>
  qcc_status call(const char *action, const char *object, ErrorText &error,
                  Body body) const {
    if (qcc_status status = enter(error))
      return status;
    Result result = body(api());
    qcc_status left = leave(error);
    qcc_status status = library->check(result, action, object, error);
    return status ? status : left;
  }

  /// Like call(), for bodies that take `bytes` of device memory for `purpose`:
  /// too little is QCC_E_NO_MEMORY with the need and the free amount.
  template <typename Body>
  qcc_status take(const char *purpose, uint64_t bytes, ErrorText &error,
                  Body body) const {
    Result result = resultSuccess;
    qcc_status status =
        call("allocate memory", facts.name, error,
             [&](const DriverApi &driver) { return result = body(driver); });
    return result == resultOutOfMemory ? noMemory(purpose, bytes, error)
                                       : status;
  }

  /// For bodies that make something: what a failed call leaves in `handle` is
  /// not a handle.
  template <typename Handle>
  static Result made(Result result, Handle &handle) {
    if (result != resultSuccess)
      handle = {};
    return result;
  }

  /// Like call(), for what releases a resource: nobody is told of a failure.
  template <typename Body>
  void release(Body body) const {
    ErrorText ignored;
    call("release", nullptr, ignored, body);
  }

private:
  qcc_status enter(ErrorText &error) const;
  qcc_status leave(ErrorText &error) const;
  qcc_status ask(DeviceNumber device, int index, ErrorText &error);
  qcc_status noMemory(const char *purpose, uint64_t bytes,
                      ErrorText &error) const;

  const Driver *library = nullptr; // null: not open
  ContextHandle context = nullptr;
  DeviceNumber handle = 0;
  int number = 0;
  DeviceInfo facts = {};
};

/// "3.25 GiB" and the like for texts.
struct ByteText {
  explicit ByteText(uint64_t bytes);
  char text[24];
};

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_DEVICE_H
