//===- GpuCode.h - A model's launches, checked ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_DEVICE_GPUCODE_H
#define QCC_RUNTIME_DEVICE_GPUCODE_H

#include "core/Error.h"

#include "qcc-rt/qcc_gpu.h"

#include <array>

namespace qcc::rt::device {

/// Checks everything in the table of a model's code that a step or an upload
/// relies on: names, indices and ranges. QCC_E_DATA says what is wrong.
qcc_status checkGpuCode(const qcc_model_v1 &model, uint64_t weightBytes,
                        ErrorText &error);

/// The programs of some code, of which one may have no launches.
inline std::array<const qcc_gpu_program_v1 *, 3>
programsOf(const qcc_gpu_code_v1 &code) {
  return {&code.generate, &code.prompt, &code.several};
}

/// The program of a step.
const qcc_gpu_program_v1 &programOf(const qcc_gpu_code_v1 &code,
                                    const qcc_step_v1 &step);

/// Layers that a GPU runs, counted from 1. With `toTheEnd` also the output,
/// which goes with the last layer.
struct LayerRange {
  static constexpr uint32_t toTheEnd = UINT32_MAX;
  uint32_t first = 1, last = toTheEnd;

  bool hasOutput() const { return last == toTheEnd; }
};

/// Whether a GPU that runs `layers` makes a launch of a program: rows come
/// from the layer before, unless the first is 1.
bool isRun(const qcc_gpu_code_v1 &code, const qcc_gpu_launch_v1 &launch,
           LayerRange layers);

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_GPUCODE_H
