//===- DeviceSession.h - Steps of a session on a GPU ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_DEVICE_DEVICESESSION_H
#define QCC_RUNTIME_DEVICE_DEVICESESSION_H

#include "Buffer.h"
#include "DeviceModel.h"
#include "GraphCache.h"
#include "GrowingMemory.h"

namespace qcc::rt::device {

/// Arena, state, inputs and logits of one session, and the stream that its
/// steps run in. What kernels are given stays where it is for the session's
/// life.
class DeviceSession final : public GpuSession {
public:
  explicit DeviceSession(DeviceModel &of) : owner(of) {}
  ~DeviceSession();

  qcc_status create(uint32_t sequences, uint64_t pagesPerSequence,
                    ErrorText &error);

  bool keeps(uint32_t state) const override { return owner.keeps(state); }
  qcc_status hold(uint32_t pages, ErrorText &error) override;
  qcc_status copy(uint32_t from, uint32_t to, ErrorText &error) override;
  qcc_status read(uint32_t state, uint32_t page, void *to,
                  ErrorText &error) override;
  qcc_status write(uint32_t state, uint32_t page, const void *from,
                   ErrorText &error) override;
  qcc_status step(const qcc_step_v1 &step, uint64_t firstChanged,
                  uint64_t lastChanged, ErrorText &error) override;
  /// The same, for rows that `before`, on another GPU, has left; null: as said
  /// there. The output's logits are given where this has the output.
  qcc_status stepAfter(const DeviceSession *before, const qcc_step_v1 &step,
                       uint64_t firstChanged, uint64_t lastChanged,
                       ErrorText &error);
  void destroy() override;

private:
  enum Input { Token, Position, Sequence, Output, InputCount };

  DevicePointer inputAddress(Input input) const {
    return inputs.address() + input * inputStride;
  }
  DevicePointer address(const qcc_gpu_operand_v1 &operand) const;
  qcc_status finish(qcc_status status, ErrorText &error);
  qcc_status upload(const qcc_step_v1 &step, uint64_t firstChanged,
                    uint64_t lastChanged, ErrorText &error);
  qcc_status uploadResidual(const qcc_step_v1 &step, ErrorText &error);
  qcc_status takeResidual(const DeviceSession &before, const qcc_step_v1 &step,
                          ErrorText &error);
  qcc_status run(const qcc_step_v1 &step, ErrorText &error);
  qcc_status launchAll(const qcc_gpu_program_v1 &program,
                       const qcc_step_v1 &step, ErrorText &error);
  /// `early`: may begin before the launch before it has ended.
  qcc_status launchOne(const qcc_gpu_launch_v1 &launch, const qcc_step_v1 &step,
                       bool early, ErrorText &error);

  DeviceModel &owner;
  uint32_t heldPages = 0;
  uint32_t perSequence = 0; // entries of the page table
  uint64_t inputStride = 0; // bytes
  uint64_t bufferBytes = 0; // what `owner.used` has of the buffers

  Buffer arena, inputs, table;
  HostBuffer staging;             // of `inputs`
  GrowingMemory memory;           // each state, then the logits
  Array<DevicePointer> addresses; // of each operand that is one
  Array<const void *> arguments;  // of a launch
  GraphCache graphs;
  bool startsEarly = false; // launches of programs that say so
  Stream stream;            // goes first, and waits
};

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_DEVICESESSION_H
