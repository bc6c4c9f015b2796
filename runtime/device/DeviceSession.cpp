//===- DeviceSession.cpp - Steps of a session on a GPU --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "DeviceSession.h"

#include "GpuCode.h"

#include <algorithm>
#include <cstring>

namespace qcc::rt::device {

static constexpr uint64_t alignment = 256;

DeviceSession::~DeviceSession() {
  owner.used.fetch_sub(bufferBytes, std::memory_order_relaxed);
}

void DeviceSession::destroy() {
  this->~DeviceSession();
  free(this);
}

qcc_status DeviceSession::create(uint32_t sequences, uint64_t pagesPerSequence,
                                 ErrorText &error) {
  const qcc_model_v1 &model = owner.model();
  const Device &device = owner.device();
  perSequence = uint32_t(pagesPerSequence);
  startsEarly = owner.startsLaunchesEarly();
  inputStride = (model.row_capacity * sizeof(int32_t) + alignment - 1) /
                alignment * alignment;
  uint64_t pages, tableBytes, logitsBytes;
  if (!multiplyInto(pages, pagesPerSequence, sequences) ||
      !multiplyInto(tableBytes, pages, sizeof(uint32_t)) ||
      !multiplyInto(logitsBytes, model.vocab,
                    uint64_t(model.row_capacity) * sizeof(float)))
    return error.set(QCC_E_DATA, "target %s: size of the state overflows",
                     model.target);
  uint32_t mostOperands = 0;
  auto count = [&](const qcc_gpu_program_v1 &program) {
    for (uint32_t i = 0; i < program.launch_count; ++i)
      mostOperands = std::max(mostOperands, program.launches[i].operand_count);
  };
  for (const qcc_gpu_program_v1 *program : programsOf(owner.code()))
    count(*program);
  if (!addresses.allocate(owner.code().operand_count) ||
      !arguments.allocate(mostOperands))
    return error.set(QCC_E_NO_MEMORY, "out of memory");

  qcc_status status = stream.create(device, error);
  auto then = [&](auto make) {
    if (status == QCC_OK)
      status = make();
  };
  auto allocate = [&](Buffer &buffer, uint64_t bytes, const char *purpose) {
    then([&] { return buffer.allocate(device, bytes, purpose, error); });
    if (status == QCC_OK) {
      bufferBytes += bytes;
      owner.used.fetch_add(bytes, std::memory_order_relaxed);
    }
  };
  allocate(arena, model.arena_bytes, "the arena");
  allocate(inputs, InputCount * inputStride, "the inputs of a step");
  allocate(table, tableBytes, "the page table");
  then([&] {
    return staging.allocate(device, InputCount * inputStride, error);
  });
  then([&] {
    return memory.create(device, model.state_count + 1, owner.used, error);
  });
  for (uint32_t i = 0; i < model.state_count; ++i)
    then([&] {
      if (!keeps(i))
        return QCC_OK;
      uint64_t bytes;
      if (!multiplyInto(bytes, pages, model.states[i].page_bytes))
        return error.set(QCC_E_DATA, "target %s: state %u overflows",
                         model.target, i);
      return memory.reserve(i, bytes, error);
    });
  const bool hasOutput = owner.layers().hasOutput();
  then([&] {
    return hasOutput ? memory.reserve(model.state_count, logitsBytes, error)
                     : QCC_OK;
  });
  // State must leave what the answers of a step need.
  const uint64_t rows = std::min(model.row_capacity, QCC_GENERATE_ROWS);
  then([&] {
    if (!hasOutput)
      return QCC_OK;
    return memory.grow(model.state_count, rows * model.vocab * sizeof(float),
                       "the logits", error);
  });
  if (status)
    return status;
  for (uint32_t i = 0; i < owner.code().operand_count; ++i)
    addresses[i] = address(owner.code().operands[i]);
  return QCC_OK;
}

/// 0 for what is a number.
DevicePointer DeviceSession::address(const qcc_gpu_operand_v1 &operand) const {
  switch (operand.kind) {
  case QCC_GPU_ARENA:
    return arena.address() + operand.value;
  case QCC_GPU_WEIGHTS:
    return owner.weights().address(operand.value, operand.bytes);
  case QCC_GPU_STATE:
    return memory.address(uint32_t(operand.value));
  case QCC_GPU_TOKEN:
    return inputAddress(Token);
  case QCC_GPU_POSITION:
    return inputAddress(Position);
  case QCC_GPU_SEQUENCE:
    return inputAddress(Sequence);
  case QCC_GPU_OUTPUT:
    return inputAddress(Output);
  case QCC_GPU_PAGE_TABLE:
    return table.address();
  case QCC_GPU_LOGITS:
    return memory.address(owner.model().state_count);
  default:
    return 0;
  }
}

/// Waits for what was put in, also after a failure: it uses the caller's
/// memory. A second time where that fails, as only a context that was lost, and
/// does nothing any more, refuses twice.
qcc_status DeviceSession::finish(qcc_status status, ErrorText &error) {
  ErrorText later;
  qcc_status waited = stream.synchronize(status ? later : error);
  if (waited)
    stream.synchronize(later);
  return status ? status : waited;
}

//===----------------------------------------------------------------------===//
// Pages
//===----------------------------------------------------------------------===//

qcc_status DeviceSession::hold(uint32_t pages, ErrorText &error) {
  if (pages <= heldPages)
    return QCC_OK;
  const qcc_model_v1 &model = owner.model();
  for (uint32_t i = 0; i < model.state_count; ++i)
    if (qcc_status status =
            !keeps(i) ? QCC_OK
                      : memory.grow(i, pages * model.states[i].page_bytes,
                                    "the state of the sequences", error))
      return status;
  heldPages = pages;
  return QCC_OK;
}

qcc_status DeviceSession::copy(uint32_t from, uint32_t to, ErrorText &error) {
  const qcc_model_v1 &model = owner.model();
  for (uint32_t i = 0; i < model.state_count; ++i) {
    if (!keeps(i))
      continue;
    uint64_t bytes = model.states[i].page_bytes;
    if (qcc_status status =
            memory.copy(i, to * bytes, from * bytes, bytes, stream, error))
      return status;
  }
  return QCC_OK;
}

qcc_status DeviceSession::read(uint32_t state, uint32_t page, void *to,
                               ErrorText &error) {
  uint64_t bytes = owner.model().states[state].page_bytes;
  qcc_status status =
      memory.read(state, page * bytes, to, bytes, stream, error);
  return finish(status, error);
}

qcc_status DeviceSession::write(uint32_t state, uint32_t page, const void *from,
                                ErrorText &error) {
  uint64_t bytes = owner.model().states[state].page_bytes;
  qcc_status status =
      memory.write(state, page * bytes, from, bytes, stream, error);
  return finish(status, error);
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

qcc_status DeviceSession::upload(const qcc_step_v1 &step, uint64_t firstChanged,
                                 uint64_t lastChanged, ErrorText &error) {
  auto put = [&](Input input, const void *from, uint32_t count) {
    if (count)
      memcpy(staging.data() + input * inputStride, from,
             count * sizeof(uint32_t));
  };
  put(Token, step.token, step.rows);
  put(Position, step.position, step.rows);
  put(Sequence, step.sequence, step.rows);
  put(Output, step.output, step.outputs);
  if (qcc_status status =
          inputs.write(0, staging.data(), staging.size(), stream, error))
    return status;
  return table.write(
      firstChanged * sizeof(uint32_t), step.page_table + firstChanged,
      (lastChanged - firstChanged) * sizeof(uint32_t), stream, error);
}

qcc_status DeviceSession::launchOne(const qcc_gpu_launch_v1 &launch,
                                    const qcc_step_v1 &step, bool early,
                                    ErrorText &error) {
  uint32_t count = launch.per == QCC_GPU_PER_ROW ? step.rows : step.outputs;
  uint32_t rows = std::min(count, launch.rows_per_block);
  for (uint32_t i = 0; i < launch.operand_count; ++i) {
    uint32_t index = launch.first_operand + i;
    switch (owner.code().operands[index].kind) {
    case QCC_GPU_COUNT:
      arguments[i] = &count;
      break;
    case QCC_GPU_ROWS_PER_BLOCK:
      arguments[i] = &rows;
      break;
    case QCC_GPU_PAGES_PER_SEQUENCE:
      arguments[i] = &perSequence;
      break;
    default:
      arguments[i] = &addresses[index];
    }
  }
  LaunchShape shape;
  shape.grid[0] = launch.units;
  shape.grid[1] = (count + rows - 1) / rows;
  shape.block[0] = owner.code().kernels[launch.kernel].threads;
  shape.sharedBytes = launch.shared_bytes + rows * launch.shared_bytes_per_row;
  shape.startsEarly = early;
  return owner.kernel(launch.kernel)
      .launch(shape, arguments.data(), stream, error);
}

qcc_status DeviceSession::launchAll(const qcc_gpu_program_v1 &program,
                                    const qcc_step_v1 &step, ErrorText &error) {
  // The first may follow a copy, which it must not overtake.
  bool early = false;
  for (uint32_t i = 0; i < program.launch_count; ++i) {
    const qcc_gpu_launch_v1 &launch = program.launches[i];
    uint32_t count = launch.per == QCC_GPU_PER_ROW ? step.rows : step.outputs;
    if (count == 0 || !isRun(owner.code(), launch, owner.layers()))
      continue;
    if (qcc_status status = launchOne(launch, step, early, error))
      return status;
    early = startsEarly && program.flags & QCC_GPU_STARTS_EARLY;
  }
  return QCC_OK;
}

/// The rows that the layers before have made.
qcc_status DeviceSession::uploadResidual(const qcc_step_v1 &step,
                                         ErrorText &error) {
  const uint64_t rowBytes = owner.model().hidden * sizeof(float),
                 stride = owner.code().residual_stride;
  uint64_t at = owner.code().residual_offset;
  if (stride == rowBytes)
    return arena.write(at, step.residual, step.rows * rowBytes, stream, error);
  for (uint32_t row = 0; row < step.rows; ++row, at += stride)
    if (qcc_status status = arena.write(
            at, step.residual + uint64_t(row) * owner.model().hidden, rowBytes,
            stream, error))
      return status;
  return QCC_OK;
}

/// The same of another GPU's, at the same place there.
qcc_status DeviceSession::takeResidual(const DeviceSession &before,
                                       const qcc_step_v1 &step,
                                       ErrorText &error) {
  return arena.copyFrom(before.arena, owner.code().residual_offset,
                        step.rows * owner.code().residual_stride, stream,
                        error);
}

/// Puts a step into the stream.
qcc_status DeviceSession::run(const qcc_step_v1 &step, ErrorText &error) {
  const qcc_gpu_program_v1 &program = programOf(owner.code(), step);
  auto launch = [&](ErrorText &why) { return launchAll(program, step, why); };
  const GraphCache::Key key = {program.launches, step.rows, step.outputs};
  const Graph *graph = graphs.find(key, stream, launch);
  if (startsEarly && graphs.failed()) {
    // One of launches that wait for each other may still be made.
    startsEarly = false;
    graphs.tryAgain();
    graph = graphs.find(key, stream, launch);
  }
  return graph ? graph->launch(stream, error) : launch(error);
}

qcc_status DeviceSession::step(const qcc_step_v1 &step, uint64_t firstChanged,
                               uint64_t lastChanged, ErrorText &error) {
  return stepAfter(nullptr, step, firstChanged, lastChanged, error);
}

qcc_status DeviceSession::stepAfter(const DeviceSession *before,
                                    const qcc_step_v1 &step,
                                    uint64_t firstChanged, uint64_t lastChanged,
                                    ErrorText &error) {
  uint32_t logits = owner.model().state_count;
  uint64_t bytes = 0;
  if (owner.layers().hasOutput())
    bytes = uint64_t(step.outputs) * owner.model().vocab * sizeof(float);
  qcc_status status = memory.grow(logits, bytes, "the logits", error);
  if (status)
    return status;
  status = upload(step, firstChanged, lastChanged, error);
  if (status == QCC_OK && before)
    status = takeResidual(*before, step, error);
  else if (status == QCC_OK && owner.layers().first > 1)
    status = uploadResidual(step, error);
  if (status == QCC_OK)
    status = run(step, error);
  if (status == QCC_OK && bytes)
    status = memory.read(logits, 0, step.logits, bytes, stream, error);
  return finish(status, error);
}

} // namespace qcc::rt::device
