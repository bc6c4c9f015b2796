//===- DeviceModel.h - A model on a GPU -------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_DEVICE_DEVICEMODEL_H
#define QCC_RUNTIME_DEVICE_DEVICEMODEL_H

#include "DeviceWeights.h"
#include "Module.h"

#include "core/Gpu.h"

#include <atomic>
#include <pthread.h>

namespace qcc::rt::device {

/// The driver, a GPU, and on it the kernels and weights of one model.
class DeviceModel final : public GpuModel {
public:
  ~DeviceModel();

  qcc_status open(const qcc_model_v1 &code, const uint8_t *weights,
                  uint64_t weightBytes, GpuPart &part, ErrorText &error);

  qcc_status createSession(uint32_t sequences, uint64_t pagesPerSequence,
                           GpuSession *&session, ErrorText &error) override;
  void facts(GpuFacts &facts) const override;
  void destroy() override;

  // Once a session is being made, and then for good:
  const qcc_model_v1 &model() const { return *description; }
  const qcc_gpu_code_v1 &code() const { return *description->gpu; }
  const Device &device() const { return gpu; }
  const Kernel &kernel(uint32_t index) const { return kernels[index]; }
  const DeviceWeights &weights() const { return resident; }
  /// The first layer that it runs, counted from 1.
  uint32_t firstLayer() const { return first; }
  /// Whether its layers have that state.
  bool keeps(uint32_t state) const { return kept[state]; }

  /// Bytes of device memory that the model and its sessions have.
  std::atomic<uint64_t> used{0};

private:
  qcc_status chooseDevice(ErrorText &error);
  qcc_status checkKernels(ErrorText &error) const;
  qcc_status needs(uint64_t &bytes, ErrorText &error) const;
  /// Bytes of a session's state and logits.
  uint64_t room() const;
  qcc_status choosePart(GpuPart &part, ErrorText &error);
  qcc_status plan(uint32_t firstLayer, ErrorText &error);
  qcc_status checkOperands(const qcc_gpu_program_v1 &program,
                           ErrorText &error) const;
  qcc_status load(ErrorText &error);

  const qcc_model_v1 *description = nullptr;
  const uint8_t *source = nullptr; // of the weights
  Driver driver;
  Device gpu;
  Array<Image> images;
  const Image *image = nullptr;
  Module module;
  Array<Kernel> kernels;
  DeviceWeights resident;
  uint32_t first = 1;
  Array<uint8_t> kept; // of each state

  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; // of load()
  bool loaded = false;
};

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_DEVICEMODEL_H
