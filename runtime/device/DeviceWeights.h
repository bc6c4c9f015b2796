//===- DeviceWeights.h - The weights that launches name ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_DEVICE_DEVICEWEIGHTS_H
#define QCC_RUNTIME_DEVICE_DEVICEWEIGHTS_H

#include "Buffer.h"

#include "GpuCode.h"

#include "core/Memory.h"

namespace qcc::rt::device {

/// Those bytes of a model's weights that its launches name, on a GPU: once
/// each, whatever the file has between them. Each piece keeps its alignment up
/// to 256 bytes.
class DeviceWeights {
public:
  /// Finds the pieces that `layers` need. The code was checked. Can be called
  /// again before upload().
  qcc_status plan(const qcc_gpu_code_v1 &code, LayerRange layers,
                  ErrorText &error);

  uint64_t bytes() const { return total; }

  /// Returns when all of it is there, or nothing is.
  qcc_status upload(const Device &device, const uint8_t *weights,
                    ErrorText &error);

  /// Where [offset, offset + bytes) of the weights has come to be; 0 where no
  /// launch of the part names it.
  DevicePointer address(uint64_t offset, uint64_t bytes) const;

private:
  qcc_status fill(const Device &device, const uint8_t *weights,
                  ErrorText &error);

  struct Piece {
    uint64_t begin, end; // in the weights
    uint64_t place;      // in the buffer
  };

  Array<Piece> pieces; // ascending
  size_t count = 0;
  uint64_t total = 0;
  Buffer buffer;
};

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_DEVICEWEIGHTS_H
