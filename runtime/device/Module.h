//===- Module.h - Loaded GPU code and its kernels ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Threads: a loaded Module does not change. A Kernel is a plain value that is
// valid while its Module is loaded; any number of threads may launch it, each
// into its own stream.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_DEVICE_MODULE_H
#define QCC_RUNTIME_DEVICE_MODULE_H

#include "Image.h"
#include "Stream.h"

namespace qcc::rt::device {

/// How many blocks, how many threads each, and the dynamic shared memory of
/// one.
struct LaunchShape {
  uint32_t grid[3] = {1, 1, 1};
  uint32_t block[3] = {1, 1, 1};
  uint32_t sharedBytes = 0;
  /// Blocks may begin before the launch before it in the stream has ended; the
  /// kernel waits for that. Device::startsLaunchesEarly() says where.
  bool startsEarly = false;
};

class Kernel {
public:
  // What the driver made of the code.
  uint32_t registers() const { return registerCount; }
  uint32_t localBytes() const { return localSize; } // 0 without spills
  uint32_t staticSharedBytes() const { return sharedSize; }
  uint32_t threadsPerBlock() const { return mostThreads; } // most

  /// Whether a launch gives what the code takes: `count` parameters, of which
  /// number i has `bytesOf(i)`. True where the driver does not tell.
  template <typename Function>
  bool takes(uint32_t count, Function bytesOf) const {
    bool right = !tellsParameters || count == parameterCount;
    for (uint32_t i = 0; right && tellsParameters && i < count; ++i)
      right = bytesOf(i) == parameterBytes[i];
    return right;
  }

  /// The text that Module::kernel() was given.
  const char *name() const { return symbol; }

  /// Allows launches with up to `bytes` of dynamic shared memory. Only needed
  /// where static and dynamic together exceed 48 KiB; once, after loading.
  qcc_status allowSharedBytes(uint32_t bytes, ErrorText &error);

  /// Puts a launch into a stream of the module's device. `arguments` points to
  /// the value of each parameter; the values are copied. A shape that the
  /// kernel cannot take is QCC_E_ARGUMENT. What goes wrong while it runs is
  /// found when the stream is synchronized.
  qcc_status launch(const LaunchShape &shape, const void *const *arguments,
                    const Stream &stream, ErrorText &error) const;

private:
  friend class Module;

  Result readParameters(const DriverApi &driver);

  static constexpr uint32_t mostParameters = 64;
  uint8_t parameterBytes[mostParameters] = {};
  uint32_t parameterCount = 0;
  bool tellsParameters = false;
  const Device *owner = nullptr;
  FunctionHandle function = nullptr;
  const char *symbol = nullptr;
  uint32_t registerCount = 0, localSize = 0, sharedSize = 0, mostThreads = 0;
  uint32_t dynamicShared = 0; // most that a launch may ask for now
};

class Module {
public:
  Module() = default;
  Module(const Module &) = delete;
  Module &operator=(const Module &) = delete;
  ~Module() { release(); }

  /// Loads an image, which checkImage() has to accept and which is not needed
  /// afterwards. PTX is compiled here, which takes up to seconds the first time
  /// (the driver keeps the result in the user's cache). The error has the start
  /// of the compiler's log; all of it goes to `log`, which may be null.
  qcc_status load(const Device &device, const Image &image, ErrorText &error,
                  char *log = nullptr, size_t logBytes = 0);

  /// Finds a kernel. `name` is not copied and lives as long as the Kernel.
  qcc_status kernel(const char *name, Kernel &kernel, ErrorText &error) const;

  /// Unloads the code; its kernels have finished.
  void release();

private:
  const Device *owner = nullptr;
  ModuleHandle module = nullptr;
};

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_MODULE_H
