//===- LaunchProgram.h - What a GPU backend makes of a model ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The compiler's form of qcc_gpu.h, whose rules hold for the numbers here:
// kernels, and the launches that are a step.
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_COMMON_LAUNCHPROGRAM_H
#define QCC_CODEGEN_COMMON_LAUNCHPROGRAM_H

#include "qcc-rt/qcc_gpu.h"

#include <cstdint>
#include <string>
#include <vector>

namespace qcc {

/// As in qcc_gpu_image_v1; the data of PTX ends with its NUL.
struct GpuImage {
  uint32_t kind = QCC_GPU_PTX;
  uint32_t architecture = 0;
  bool specific = false;
  uint32_t cudaVersion = 0;
  std::string data;
};

/// As in qcc_gpu_kernel_v1.
struct LaunchKernel {
  std::string name;
  uint32_t threads = 0;
  uint32_t mostSharedBytes = 0;
};

/// As in qcc_gpu_launch_v1.
struct Launch {
  std::string name;
  uint32_t kernel = 0;
  std::vector<qcc_gpu_operand_v1> operands;
  uint32_t per = QCC_GPU_PER_ROW;
  uint32_t units = 1, rowsPerBlock = 1;
  uint32_t sharedBytes = 0, sharedBytesPerRow = 0;
  uint32_t layer = 0;

  uint32_t mostSharedBytes() const {
    return sharedBytes + rowsPerBlock * sharedBytesPerRow;
  }
};

struct LaunchProgram {
  std::vector<GpuImage> images;
  std::vector<LaunchKernel> kernels;
  std::vector<Launch> launches;
  /// Of prompt steps; empty: the same as of others.
  std::vector<Launch> promptLaunches;
  /// Of generating steps with several rows; empty: the same as with one.
  std::vector<Launch> severalLaunches;

  const std::vector<Launch> &launchesOf(bool isPrompt) const {
    return isPrompt && !promptLaunches.empty() ? promptLaunches : launches;
  }
  bool startsEarly = false; ///< QCC_GPU_STARTS_EARLY of all.
  uint64_t residualOffset = 0, residualStride = 0;
};

} // namespace qcc

#endif // QCC_CODEGEN_COMMON_LAUNCHPROGRAM_H
