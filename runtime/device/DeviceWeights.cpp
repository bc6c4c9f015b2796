//===- DeviceWeights.cpp - The weights that launches name -----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "DeviceWeights.h"

#include "Upload.h"

#include <algorithm>

namespace qcc::rt::device {

static constexpr uint64_t alignment = 256;

qcc_status DeviceWeights::plan(const qcc_gpu_code_v1 &code, LayerRange layers,
                               ErrorText &error) {
  if (!pieces.allocate(code.operand_count))
    return error.set(QCC_E_NO_MEMORY, "out of memory");
  size_t named = 0;
  Array<uint8_t> isNamed; // operands may be those of several launches
  if (!isNamed.allocate(code.operand_count))
    return error.set(QCC_E_NO_MEMORY, "out of memory");
  for (const qcc_gpu_program_v1 *program : programsOf(code))
    for (uint32_t i = 0; i < program->launch_count; ++i) {
      const qcc_gpu_launch_v1 &launch = program->launches[i];
      if (isRun(code, launch, layers))
        std::fill_n(isNamed.data() + launch.first_operand, launch.operand_count,
                    uint8_t(1));
    }
  for (uint32_t i = 0; i < code.operand_count; ++i) {
    const qcc_gpu_operand_v1 &operand = code.operands[i];
    if (operand.kind == QCC_GPU_WEIGHTS && isNamed[i])
      pieces[named++] = {operand.value, operand.value + operand.bytes, 0};
  }
  std::sort(pieces.data(), pieces.data() + named,
            [](const Piece &a, const Piece &b) { return a.begin < b.begin; });
  count = 0;
  for (size_t i = 0; i < named; ++i) {
    if (count && pieces[i].begin <= pieces[count - 1].end)
      pieces[count - 1].end = std::max(pieces[count - 1].end, pieces[i].end);
    else
      pieces[count++] = pieces[i];
  }
  total = 0;
  for (size_t i = 0; i < count; ++i) {
    Piece &piece = pieces[i];
    piece.place = (total + alignment - 1) / alignment * alignment +
                  piece.begin % alignment;
    total = piece.place + (piece.end - piece.begin);
  }
  return QCC_OK;
}

qcc_status DeviceWeights::upload(const Device &device, const uint8_t *weights,
                                 ErrorText &error) {
  if (qcc_status status = buffer.allocate(device, total, "the weights", error))
    return status;
  qcc_status status = fill(device, weights, error);
  if (status)
    buffer.release();
  return status;
}

qcc_status DeviceWeights::fill(const Device &device, const uint8_t *weights,
                               ErrorText &error) {
  Uploader uploader;
  Stream stream;
  if (qcc_status status = uploader.create(device, error))
    return status;
  if (qcc_status status = stream.create(device, error))
    return status;
  for (size_t i = 0; i < count; ++i)
    if (qcc_status status =
            uploader.upload(buffer, pieces[i].place, weights + pieces[i].begin,
                            pieces[i].end - pieces[i].begin, stream, error))
      return status;
  return stream.synchronize(error);
}

DevicePointer DeviceWeights::address(uint64_t offset, uint64_t bytes) const {
  const Piece *after = std::upper_bound(
      pieces.data(), pieces.data() + count, offset,
      [](uint64_t value, const Piece &piece) { return value < piece.begin; });
  if (after == pieces.data())
    return 0;
  const Piece &piece = after[-1];
  if (offset > piece.end || bytes > piece.end - offset)
    return 0;
  return buffer.address() + piece.place + (offset - piece.begin);
}

} // namespace qcc::rt::device
