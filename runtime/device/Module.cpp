//===- Module.cpp - Loaded GPU code and its kernels -----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Module.h"

#include "core/Memory.h"

#include <cinttypes>
#include <cstring>

namespace qcc::rt::device {

/// Dynamic and static shared memory that every kernel may use unasked.
static constexpr uint32_t unaskedSharedBytes = 48 << 10;

//===----------------------------------------------------------------------===//
// Module
//===----------------------------------------------------------------------===//

/// Makes one line of a log: lines are joined with "; ", other control
/// characters and doubled blanks become one blank.
static void joinLines(const char *log, char *line, size_t bytes) {
  size_t used = 0;
  const char *separator = "";
  for (; *log && used + 4 < bytes; ++log) {
    bool blank = static_cast<unsigned char>(*log) <= ' ';
    if (blank) {
      if (*log == '\n' && used)
        separator = "; ";
      else if (used && !*separator)
        separator = " ";
      continue;
    }
    while (*separator)
      line[used++] = *separator++;
    line[used++] = *log;
  }
  line[used] = '\0';
}

qcc_status Module::load(const Device &device, const Image &image,
                        ErrorText &error, char *log, size_t logBytes) {
  release();
  if (log && logBytes)
    log[0] = '\0';
  if (qcc_status status = checkImage(image, error))
    return status;
  char text[4096] = "";
  JitOption options[] = {jitErrorLog, jitErrorLogBytes};
  void *values[] = {text, reinterpret_cast<void *>(sizeof text)};
  Result result = resultSuccess;
  qcc_status status = device.call(
      "load the GPU code", device.info().name, error,
      [&](const DriverApi &driver) {
        result = Device::made(
            driver.cuModuleLoadDataEx(&module, image.data, 2, options, values),
            module);
        return result;
      });
  owner = module ? &device : nullptr;
  text[sizeof text - 1] = '\0';
  if (log && logBytes)
    snprintf(log, logBytes, "%s", text);
  if (result == resultSuccess || !text[0])
    return status;
  char line[128];
  joinLines(text, line, sizeof line);
  return error.set(status, "cannot compile the code for sm_%u%s on %.64s: %s",
                   image.architecture, image.specific ? "a" : "",
                   device.info().name, line);
}

qcc_status Module::kernel(const char *name, Kernel &kernel,
                          ErrorText &error) const {
  kernel = {};
  const struct {
    FunctionAttribute attribute;
    uint32_t *value;
  } wanted[] = {{functionRegisters, &kernel.registerCount},
                {functionLocalBytes, &kernel.localSize},
                {functionSharedBytes, &kernel.sharedSize},
                {functionThreadsPerBlock, &kernel.mostThreads}};
  FunctionHandle function = nullptr;
  qcc_status status =
      owner->call("find a kernel", name, error, [&](const DriverApi &driver) {
        Result result = driver.cuModuleGetFunction(&function, module, name);
        for (const auto &entry : wanted) {
          int value = 0;
          if (result == resultSuccess)
            result =
                driver.cuFuncGetAttribute(&value, entry.attribute, function);
          *entry.value = value > 0 ? uint32_t(value) : 0;
        }
        kernel.function = function;
        return result == resultSuccess ? kernel.readParameters(driver) : result;
      });
  if (status)
    return status;
  kernel.owner = owner;
  kernel.symbol = name;
  kernel.dynamicShared = kernel.sharedSize < unaskedSharedBytes
                             ? unaskedSharedBytes - kernel.sharedSize
                             : 0;
  return QCC_OK;
}

void Module::release() {
  if (module)
    owner->release(
        [&](const DriverApi &driver) { return driver.cuModuleUnload(module); });
  module = nullptr;
  owner = nullptr;
}

//===----------------------------------------------------------------------===//
// Kernel
//===----------------------------------------------------------------------===//

Result Kernel::readParameters(const DriverApi &driver) {
  if (!driver.cuFuncGetParamInfo)
    return resultSuccess;
  tellsParameters = true;
  for (; parameterCount < mostParameters; ++parameterCount) {
    size_t offset = 0, bytes = 0;
    Result result =
        driver.cuFuncGetParamInfo(function, parameterCount, &offset, &bytes);
    if (result == resultInvalidValue) // there is no such parameter
      return resultSuccess;
    if (result != resultSuccess)
      return result;
    parameterBytes[parameterCount] = uint8_t(bytes < 255 ? bytes : 255);
  }
  tellsParameters = false; // more than any of ours has
  return resultSuccess;
}

qcc_status Kernel::allowSharedBytes(uint32_t bytes, ErrorText &error) {
  if (bytes <= dynamicShared)
    return QCC_OK;
  uint32_t most = owner->info().sharedPerBlock;
  if (uint64_t(bytes) + sharedSize > most)
    return error.set(QCC_E_DEVICE,
                     "kernel %.64s needs %" PRIu64 " bytes of shared memory, "
                     "%.64s has %u",
                     symbol, uint64_t(bytes) + sharedSize, owner->info().name,
                     most);
  qcc_status status =
      owner->call("raise the shared memory of a kernel", symbol, error,
                  [&](const DriverApi &driver) {
                    return driver.cuFuncSetAttribute(
                        function, functionDynamicSharedLimit, int(bytes));
                  });
  if (status == QCC_OK)
    dynamicShared = bytes;
  return status;
}

qcc_status Kernel::launch(const LaunchShape &shape,
                          const void *const *arguments, const Stream &stream,
                          ErrorText &error) const {
  if (stream.device() != owner)
    return error.set(QCC_E_ARGUMENT,
                     "cannot launch kernel %.64s into a stream of another "
                     "device",
                     symbol);
  const uint32_t *grid = shape.grid, *block = shape.block;
  uint64_t threads = 0;
  bool fits = grid[0] && grid[1] && grid[2] &&
              multiplyInto(threads, uint64_t(block[0]) * block[1], block[2]) &&
              threads >= 1 && threads <= mostThreads;
  if (!fits)
    return error.set(QCC_E_ARGUMENT,
                     "kernel %.64s: %u x %u x %u blocks of %u x %u x %u "
                     "threads, expected 1 or more, and at most %u threads",
                     symbol, grid[0], grid[1], grid[2], block[0], block[1],
                     block[2], mostThreads);
  if (shape.sharedBytes > dynamicShared)
    return error.set(
        QCC_E_ARGUMENT,
        "kernel %.64s: %u bytes of dynamic shared memory, expected "
        "at most %u",
        symbol, shape.sharedBytes, dynamicShared);
  LaunchAttribute early;
  LaunchConfig config = {grid[0],  grid[1],  grid[2],           block[0],
                         block[1], block[2], shape.sharedBytes, stream.handle(),
                         &early,   1};
  return owner->call(
      "launch a kernel", symbol, error, [&](const DriverApi &driver) {
        // A driver that refuses it has launched nothing.
        if (shape.startsEarly &&
            driver.cuLaunchKernelEx(&config, function,
                                    const_cast<void **>(arguments),
                                    nullptr) == resultSuccess)
          return resultSuccess;
        return driver.cuLaunchKernel(function, grid[0], grid[1], grid[2],
                                     block[0], block[1], block[2],
                                     shape.sharedBytes, stream.handle(),
                                     const_cast<void **>(arguments), nullptr);
      });
}

} // namespace qcc::rt::device
