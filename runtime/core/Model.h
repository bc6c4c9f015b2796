//===- Model.h - An open compiled model -------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_MODEL_H
#define QCC_RUNTIME_CORE_MODEL_H

#include "Error.h"
#include "Gpu.h"
#include "Text.h"
#include "Weights.h"

#include "qcc-rt/qcc_abi.h"

#include <algorithm>

namespace qcc::rt {

/// Read-only after open(), and so usable by all threads.
struct Model : qcc_model {
  const qcc_bundle_v1 *bundle = nullptr;
  const qcc_model_v1 *code = nullptr; // the target in use
  GpuModel *gpu = nullptr;            // null: `code` is for the CPU
  // With a GPU that runs the last layers only, the CPU's code and how many
  // layers it runs before; else null and 0.
  const qcc_model_v1 *cpuCode = nullptr;
  uint32_t cpuLayers = 0;
  /// Most rows of a prompt step: of both where two targets share the layers.
  uint32_t rowCapacity() const {
    return cpuCode ? std::min(cpuCode->row_capacity, code->row_capacity)
                   : code->row_capacity;
  }
  bool textOnly = false; // `code` may be of any target
  Weights weights;
  Text text;

  Model() = default;
  ~Model() {
    if (gpu)
      gpu->destroy();
  }

  qcc_status open(const qcc_model_options_v1 &options, ErrorText &error);
  void info(qcc_model_info_v1 &result) const;
  /// Of one of code->matmul_count.
  void matmul(uint32_t index, qcc_matmul_info_v1 &result) const;

private:
  qcc_status chooseCode(const char *name, int32_t gpuLayers, ErrorText &error);
  qcc_status openGpu(const char *name, int32_t gpuLayers, ErrorText &error);
  qcc_status openPart(const qcc_model_v1 &model, int32_t gpuLayers,
                      ErrorText &error);

  ErrorText gpuUnused; // why there is code for a GPU and none is used
};

/// Checks a bundle before anything in it is used.
qcc_status checkBundle(const qcc_bundle_v1 &bundle, ErrorText &error);

/// The last target for CPUs that `features` allow, or the one named `name` (may
/// be null).
qcc_status chooseTarget(const qcc_bundle_v1 &bundle, const char *name,
                        uint64_t features, const qcc_model_v1 *&chosen,
                        ErrorText &error);
/// The same, but what needs AMX only if `allowAmx`, which asks the kernel for
/// it, does not fail. It is called when such a target would be chosen.
qcc_status chooseAllowedTarget(const qcc_bundle_v1 &bundle, const char *name,
                               uint64_t features, bool (*allowAmx)(),
                               const qcc_model_v1 *&chosen, ErrorText &error);

/// QCC_GPU_LAYERS's value: "auto" or a number.
qcc_status readGpuLayers(const char *text, int32_t &layers, ErrorText &error);

} // namespace qcc::rt

#endif // QCC_RUNTIME_CORE_MODEL_H
