//===- DeviceStage.h - A matmul stage through the CUDA driver ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Runs a kernel as a runtime does: PTX is loaded, weights are uploaded, rows
// are copied there and results back, all through the runtime's device
// interface.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CODEGEN_DEVICESTAGE_H
#define QCC_TEST_UNIT_CODEGEN_DEVICESTAGE_H

#include "EmulatedStage.h"

#include "device/Device.h"
#include "device/Stream.h"

namespace qcc::test {

class DeviceStage {
public:
  /// Opens the first GPU of the driver; `library` null: the machine's own.
  explicit DeviceStage(const char *library);

  /// Empty when there is a GPU; otherwise why not.
  const std::string &whyNot() const { return reason; }
  std::string gpuName() const { return device.info().name; }

  /// Rows of the result of kernel `index` of `stage`. Throws
  /// std::runtime_error when a call fails.
  std::vector<std::vector<float>>
  run(const EmulatedStage &stage, const StageRows &rows, unsigned index = 0);

private:
  void require(qcc_status status) const;

  rt::ErrorText error;
  rt::device::Driver driver;
  rt::device::Device device;
  std::string reason;
};

} // namespace qcc::test

#endif // QCC_TEST_UNIT_CODEGEN_DEVICESTAGE_H
