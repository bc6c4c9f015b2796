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

class DeviceSession;

/// The driver, a GPU, and on it the kernels and weights of some layers of one
/// model.
class DeviceModel final : public GpuModel {
public:
  ~DeviceModel();

  /// The driver, for a model whose code is checked.
  qcc_status open(const qcc_model_v1 &code, const uint8_t *weights,
                  uint64_t weightBytes, ErrorText &error);
  /// GPUs that the driver knows, once it is open.
  int deviceCount() const { return driver.deviceCount(); }
  /// QCC_E_DEVICE says why GPU `index` does not run the code.
  qcc_status chooseDevice(int index, ErrorText &error);

  /// Which layers are to be run. Can be called again before there is a session.
  qcc_status plan(LayerRange layers, ErrorText &error);
  /// Bytes of the weights and the arena of the planned layers; with `state`
  /// also of one conversation (4096 positions, or the model's fewer), the
  /// inputs of a step and the logits of 16 rows. All come in whole pieces of
  /// the memory (Device::wholePieces()).
  qcc_status needs(bool state, uint64_t &bytes, ErrorText &error) const;

  qcc_status createSession(uint32_t sequences, uint64_t pagesPerSequence,
                           GpuSession *&session, ErrorText &error) override;
  /// The same, for those who give it rows of other GPUs.
  qcc_status createPart(uint32_t sequences, uint64_t pagesPerSequence,
                        DeviceSession *&session, ErrorText &error);
  void facts(GpuFacts &facts) const override;
  void destroy() override;

  // Once a session is being made, and then for good:
  const qcc_model_v1 &model() const { return *description; }
  const qcc_gpu_code_v1 &code() const { return *description->gpu; }
  const Device &device() const { return gpu; }
  const Kernel &kernel(uint32_t index) const { return kernels[index]; }
  const DeviceWeights &weights() const { return resident; }
  LayerRange layers() const { return range; }
  /// Whether launches may begin early, where their program says so.
  bool startsLaunchesEarly() const {
    return allowsEarly && gpu.startsLaunchesEarly();
  }
  /// Whether its layers have that state.
  bool keeps(uint32_t state) const { return kept[state]; }

  /// Bytes of device memory that the model and its sessions have.
  std::atomic<uint64_t> used{0};

private:
  qcc_status checkKernels(ErrorText &error) const;
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
  LayerRange range;
  Array<uint8_t> kept; // of each state
  bool allowsEarly = true;

  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; // of load()
  bool loaded = false;
};

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_DEVICEMODEL_H
