//===- Driver.h - The NVIDIA driver, opened at run time ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A compiled model must start on a machine without a GPU, so nothing links
// libcuda: it is opened when a GPU is wanted, and what is missing is said in
// one line. The CUDA runtime library (libcudart) is not used at all.
//
// Threads: an open Driver does not change; any number of threads may use it. It
// outlives every Device that was opened through it. A child made by fork()
// cannot use its parent's driver: that is a limit of CUDA.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_DEVICE_DRIVER_H
#define QCC_RUNTIME_DEVICE_DRIVER_H

#include "DriverApi.h"

#include "core/Error.h"

namespace qcc::rt::device {

struct DriverOptions {
  /// Looked for as dlopen() does. Tests name another one here; there is no
  /// environment variable, which would let a user's shell load code into a
  /// host.
  const char *library = "libcuda.so.1";
  /// The oldest CUDA version (1000 * major + 10 * minor) whose driver will do.
  /// 11.0 is the first that knows sm_80, the oldest target.
  int oldestCuda = 11000;
};

class Driver {
public:
  Driver() = default;
  Driver(const Driver &) = delete;
  Driver &operator=(const Driver &) = delete;
  ~Driver();

  /// QCC_E_DEVICE says what is missing: the library, a function of it, a newer
  /// driver, or a GPU. A driver that failed to open can be opened again.
  qcc_status open(const DriverOptions &options, ErrorText &error);

  const DriverApi &api() const { return functions; }

  /// The newest CUDA version that this driver supports, 12040 for 12.4.
  int cudaVersion() const { return version; }

  /// GPUs that this process may use; at least 1.
  int deviceCount() const { return devices; }

  /// Puts "cannot `action` (`object`): the driver's text (its name)" into
  /// `error` unless the call succeeded. `object` may be null. Out of memory is
  /// QCC_E_NO_MEMORY, everything else QCC_E_DEVICE.
  qcc_status check(Result result, const char *action, const char *object,
                   ErrorText &error) const;

private:
  void close();
  qcc_status resolve(const char *library, ErrorText &error);

  DriverApi functions;
  void *handle = nullptr;
  int version = 0;
  int devices = 0;
};

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_DRIVER_H
