//===- Image.h - Compiled GPU code and where it runs ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A model file carries its GPU code several times: PTX text that the driver
// compiles for any newer GPU, and ready machine code (a cubin) for some. This
// chooses one, and says what the file has where none will do.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_DEVICE_IMAGE_H
#define QCC_RUNTIME_DEVICE_IMAGE_H

#include "core/Error.h"

#include <cstdint>

namespace qcc::rt::device {

struct DeviceInfo;

struct Image {
  enum Kind : uint32_t {
    Ptx,  // text, with a NUL as its last byte
    Cubin // an ELF file
  };
  Kind kind;
  uint32_t architecture; // 86 for sm_86, 120 for sm_120
  uint32_t specific;     // 1: sm_90a and the like, which run on no other GPU
  uint32_t cudaVersion; // the oldest CUDA whose driver takes it: 11010 for 11.1
  const void *data;
  uint64_t bytes;
};

/// Whether the code runs on GPUs of compute capability `architecture` (86
/// is 8.6): PTX on all that are not older, a cubin on those of the same major
/// version.
bool runsOn(const Image &image, uint32_t architecture);

/// Chooses the image that was made for the GPU nearest to this one; at the same
/// distance architecture-specific code before plain code, and a cubin before
/// PTX. QCC_E_DEVICE if no image runs on the GPU (names its compute capability
/// and what the file has) or those that do need a newer driver (names both
/// versions).
qcc_status chooseImage(const Image *images, uint32_t count,
                       const DeviceInfo &device, int driverCudaVersion,
                       const Image *&chosen, ErrorText &error);

/// Checks that an image is what it says, as the driver is not told its size:
/// PTX ends with its only NUL; a cubin is an ELF file for NVIDIA GPUs whose
/// headers and sections lie inside. QCC_E_DATA otherwise.
qcc_status checkImage(const Image &image, ErrorText &error);

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_IMAGE_H
