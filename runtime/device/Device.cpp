//===- Device.cpp - A GPU and what it can do ------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Device.h"

namespace qcc::rt::device {

ByteText::ByteText(uint64_t bytes) {
  static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) {
    snprintf(text, sizeof text, "%u bytes", unsigned(bytes));
    return;
  }
  double value = double(bytes) / 1024;
  size_t unit = 0;
  for (; value >= 1023.995 && unit + 1 < sizeof units / sizeof *units; ++unit)
    value /= 1024;
  snprintf(text, sizeof text, "%.2f %s", value, units[unit]);
}

qcc_status Device::ask(DeviceNumber device, int index, ErrorText &error) {
  const DriverApi &driver = api();
  facts = {};
  qcc_status status = library->check(
      driver.cuDeviceGetName(facts.name, int(sizeof facts.name) - 1, device),
      "ask a GPU for its name", nullptr, error);
  if (status)
    return status;
  uint32_t major = 0, minor = 0;
  const struct {
    DeviceAttribute attribute;
    uint32_t *value;
    int most; // what later arithmetic can take
  } wanted[] = {
      {attributeComputeMajor, &major, 1000},
      {attributeComputeMinor, &minor, 9},
      {attributeMultiprocessors, &facts.multiprocessors, 1 << 20},
      {attributeThreadsPerBlock, &facts.threadsPerBlock, 1 << 20},
      {attributeL2Bytes, &facts.l2Bytes, INT32_MAX},
      {attributeSharedPerBlock, &facts.sharedPerBlock, INT32_MAX},
      {attributeSharedPerMultiprocessor, &facts.sharedPerMultiprocessor,
       INT32_MAX},
      {attributeMemoryClock, &facts.memoryClockKHz, INT32_MAX},
      {attributeMemoryBus, &facts.memoryBusBits, INT32_MAX},
  };
  for (const auto &entry : wanted) {
    int value = 0;
    status = library->check(
        driver.cuDeviceGetAttribute(&value, entry.attribute, device),
        "ask a GPU for an attribute", facts.name, error);
    if (status)
      return status;
    if (value < 0 || value > entry.most)
      return error.set(QCC_E_DEVICE, "%s: attribute %d is %d, expected 0 to %d",
                       facts.name, int(entry.attribute), value, entry.most);
    *entry.value = uint32_t(value);
  }
  facts.architecture = 10 * major + minor;
  size_t bytes = 0;
  status = library->check(driver.cuDeviceTotalMem_v2(&bytes, device),
                          "ask a GPU for its memory", facts.name, error);
  facts.memoryBytes = bytes;
  if (status)
    return status;
  MemoryProperties properties;
  properties.location.device = index;
  bytes = 0;
  status =
      library->check(driver.cuMemGetAllocationGranularity(&bytes, &properties,
                                                          granularityMinimum),
                     "ask for the granularity of memory", facts.name, error);
  if (status)
    return status;
  if (bytes == 0 || bytes > uint64_t(1) << 40)
    return error.set(QCC_E_DEVICE, "%.64s: memory has a granularity of %zu",
                     facts.name, bytes);
  facts.granule = bytes;
  return QCC_OK;
}

qcc_status Device::open(const Driver &driver, int index, ErrorText &error) {
  close();
  if (index < 0 || index >= driver.deviceCount())
    return error.set(QCC_E_ARGUMENT, "there is no GPU %d, expected 0 to %d",
                     index, driver.deviceCount() - 1);
  library = &driver;
  DeviceNumber device = 0;
  qcc_status status = driver.check(driver.api().cuDeviceGet(&device, index),
                                   "open a GPU", nullptr, error);
  if (status == QCC_OK)
    status = ask(device, index, error);
  ContextHandle retained = nullptr;
  if (status == QCC_OK)
    status =
        driver.check(driver.api().cuDevicePrimaryCtxRetain(&retained, device),
                     "make a context", facts.name, error);
  if (status) {
    library = nullptr;
    return status;
  }
  context = retained;
  handle = device;
  number = index;
  return QCC_OK;
}

void Device::close() {
  if (library)
    api().cuDevicePrimaryCtxRelease_v2(handle);
  library = nullptr;
  context = nullptr;
}

qcc_status Device::enter(ErrorText &error) const {
  return library->check(api().cuCtxPushCurrent_v2(context), "enter the context",
                        facts.name, error);
}

qcc_status Device::leave(ErrorText &error) const {
  ContextHandle popped = nullptr;
  return library->check(api().cuCtxPopCurrent_v2(&popped), "leave the context",
                        facts.name, error);
}

qcc_status Device::memory(uint64_t &free, uint64_t &total,
                          ErrorText &error) const {
  size_t freeBytes = 0, totalBytes = 0;
  qcc_status status = call(
      "ask for free memory", facts.name, error, [&](const DriverApi &driver) {
        return driver.cuMemGetInfo_v2(&freeBytes, &totalBytes);
      });
  free = freeBytes;
  total = totalBytes;
  return status;
}

/// The general text stays where the driver does not tell how much there is.
qcc_status Device::noMemory(const char *purpose, uint64_t bytes,
                            ErrorText &error) const {
  uint64_t free = 0, total = 0;
  ErrorText ignored;
  if (memory(free, total, ignored) != QCC_OK)
    return QCC_E_NO_MEMORY;
  return error.set(QCC_E_NO_MEMORY,
                   "out of device memory: %.64s needs %s, but of the %s of "
                   "%.64s only %s are free",
                   purpose, ByteText(bytes).text, ByteText(total).text,
                   facts.name, ByteText(free).text);
}

} // namespace qcc::rt::device
