//===- Deal.h - Layers of a model for several GPUs --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Layers go to GPUs in the driver's order: the first that runs the code takes
// as many as its free memory holds, the next one those that follow. A GPU that
// is not needed is not opened, since a context costs memory and time.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_DEVICE_DEAL_H
#define QCC_RUNTIME_DEVICE_DEAL_H

#include "DeviceModel.h"

namespace qcc::rt::device {

/// GPUs that one model may run on.
constexpr uint32_t mostGpus = 16;

class Deal {
public:
  Deal(const qcc_model_v1 &code, const uint8_t *weights, uint64_t weightBytes)
      : code(code), weights(weights), weightBytes(weightBytes) {}
  Deal(const Deal &) = delete;
  Deal &operator=(const Deal &) = delete;
  /// Closes the GPUs that were not taken.
  ~Deal();

  /// Deals the layers of `part`, which says the same as in GpuRuntime::open, so
  /// that there is room for a conversation, or else without.
  qcc_status run(GpuPart &part, ErrorText &error);

  /// GPUs that have layers, in the order of these.
  uint32_t count() const { return used; }
  /// The i-th, which is the caller's from then on.
  DeviceModel *take(uint32_t i);

private:
  struct Gpu {
    DeviceModel *model;
    uint64_t free, total; // bytes
  };

  qcc_status openNext(ErrorText &error);
  qcc_status fits(const Gpu &gpu, LayerRange layers, bool state, bool &result,
                  ErrorText &error) const;
  qcc_status giveMost(const Gpu &gpu, uint32_t first, bool state,
                      uint32_t &last, ErrorText &error) const;
  qcc_status dealFrom(uint32_t first, bool state, bool &result,
                      ErrorText &error);
  qcc_status chooseFirst(GpuPart &part, bool &found, ErrorText &error);
  qcc_status tooLittle(uint32_t first, ErrorText &error) const;

  const qcc_model_v1 &code;
  const uint8_t *weights;
  uint64_t weightBytes;
  Gpu gpus[mostGpus] = {};
  uint32_t opened = 0;
  int next = 0, devices = 1;        // of the driver; at least
  uint32_t usedGpus[mostGpus] = {}; // of `gpus`
  uint32_t used = 0;
};

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_DEAL_H
