//===- DeviceModel.cpp - A model on a GPU ---------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "DeviceModel.h"

#include "DeviceSession.h"
#include "GpuCode.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace qcc::rt::device {

DeviceModel::~DeviceModel() { pthread_mutex_destroy(&mutex); }

void DeviceModel::destroy() {
  this->~DeviceModel();
  free(this);
}

/// Whether the GPU has what each kernel's launches want.
qcc_status DeviceModel::checkKernels(ErrorText &error) const {
  for (uint32_t i = 0; i < code().kernel_count; ++i) {
    const qcc_gpu_kernel_v1 &kernel = code().kernels[i];
    if (kernel.threads > gpu.info().threadsPerBlock)
      return error.set(QCC_E_DEVICE,
                       "kernel %.64s has blocks of %u threads, %.64s takes %u",
                       kernel.name, kernel.threads, gpu.info().name,
                       gpu.info().threadsPerBlock);
    if (kernel.most_shared_bytes > gpu.info().sharedPerBlock)
      return error.set(QCC_E_DEVICE,
                       "kernel %.64s needs %u bytes of shared memory, %.64s "
                       "has %u",
                       kernel.name, kernel.most_shared_bytes, gpu.info().name,
                       gpu.info().sharedPerBlock);
  }
  return QCC_OK;
}

/// QCC_GPU_DEPENDENT_LAUNCH: "0" lets no launch begin early.
static qcc_status readAllowsEarly(bool &allows, ErrorText &error) {
  const char *text = getenv("QCC_GPU_DEPENDENT_LAUNCH");
  if (!text || !*text)
    text = "1";
  allows = strcmp(text, "0") != 0;
  if (allows && strcmp(text, "1") != 0)
    return error.set(QCC_E_ARGUMENT,
                     "QCC_GPU_DEPENDENT_LAUNCH is `%.40s`, expected 0 or 1",
                     text);
  return QCC_OK;
}

qcc_status DeviceModel::open(const qcc_model_v1 &of, const uint8_t *weights,
                             uint64_t weightBytes, ErrorText &error) {
  description = &of;
  source = weights;
  if (qcc_status status = checkGpuCode(of, weightBytes, error))
    return status;
  if (qcc_status status = readAllowsEarly(allowsEarly, error))
    return status;
  if (!images.allocate(of.gpu->image_count))
    return error.set(QCC_E_NO_MEMORY, "out of memory");
  for (uint32_t i = 0; i < of.gpu->image_count; ++i) {
    const qcc_gpu_image_v1 &from = of.gpu->images[i];
    images[i] = {Image::Kind(from.kind), from.architecture, from.specific,
                 from.cuda_version,      from.data,         from.bytes};
  }
  return driver.open({}, error);
}

qcc_status DeviceModel::chooseDevice(int index, ErrorText &error) {
  if (qcc_status status = gpu.open(driver, index, error))
    return status;
  if (qcc_status status =
          chooseImage(images.data(), uint32_t(images.size()), gpu.info(),
                      driver.cudaVersion(), image, error))
    return status;
  return checkKernels(error);
}

qcc_status DeviceModel::plan(LayerRange layers, ErrorText &error) {
  range = layers;
  if (!kept.allocate(description->state_count))
    return error.set(QCC_E_NO_MEMORY, "out of memory");
  for (const qcc_gpu_program_v1 *program : programsOf(code()))
    for (uint32_t i = 0; i < program->launch_count; ++i) {
      const qcc_gpu_launch_v1 &launch = program->launches[i];
      const qcc_gpu_operand_v1 *operands =
          code().operands + launch.first_operand;
      for (uint32_t k = 0; k < launch.operand_count; ++k)
        if (operands[k].kind == QCC_GPU_STATE && isRun(code(), launch, range))
          kept[operands[k].value] = 1;
    }
  return resident.plan(code(), range, error);
}

/// Positions of the one conversation that layers are chosen to leave room for.
static constexpr uint32_t roomPositions = 4096;

qcc_status DeviceModel::needs(bool state, uint64_t &bytes,
                              ErrorText &error) const {
  uint64_t most = 0;
  if (!addInto(bytes, resident.bytes(), description->arena_bytes) ||
      !addInto(most, bytes, 2 * gpu.info().granule))
    return error.set(QCC_E_DATA, "target %s: size of the arena overflows",
                     description->target);
  bytes = gpu.wholePieces(resident.bytes()) +
          gpu.wholePieces(description->arena_bytes);
  if (!state)
    return QCC_OK;
  // One for the inputs of a step, one for the page table.
  bytes += 2 * gpu.info().granule;
  const uint64_t pages =
      (std::min(roomPositions, description->context) + QCC_PAGE_TOKENS - 1) /
      QCC_PAGE_TOKENS;
  if (range.hasOutput())
    bytes += gpu.wholePieces(uint64_t(QCC_GENERATE_ROWS) * description->vocab *
                             sizeof(float));
  for (uint32_t i = 0; i < description->state_count; ++i)
    if (kept[i])
      bytes += gpu.wholePieces(description->states[i].page_bytes * pages);
  return QCC_OK;
}

/// Whether each launch of a program has the operands that its kernel takes.
qcc_status DeviceModel::checkOperands(const qcc_gpu_program_v1 &program,
                                      ErrorText &error) const {
  for (uint32_t i = 0; i < program.launch_count; ++i) {
    const qcc_gpu_launch_v1 &launch = program.launches[i];
    const qcc_gpu_operand_v1 *operands = code().operands + launch.first_operand;
    auto bytesOf = [&](uint32_t k) {
      return operands[k].kind < QCC_GPU_COUNT ? sizeof(DevicePointer)
                                              : sizeof(uint32_t);
    };
    if (!kernels[launch.kernel].takes(launch.operand_count, bytesOf))
      return error.set(QCC_E_DATA,
                       "target %s: launch %u (%.64s) has other operands than "
                       "kernel %.64s takes",
                       description->target, i, launch.name ? launch.name : "",
                       kernels[launch.kernel].name());
  }
  return QCC_OK;
}

/// Brings code and weights to the GPU.
qcc_status DeviceModel::load(ErrorText &error) {
  if (qcc_status status = module.load(gpu, *image, error))
    return status;
  if (!kernels.allocate(code().kernel_count))
    return error.set(QCC_E_NO_MEMORY, "out of memory");
  for (uint32_t i = 0; i < code().kernel_count; ++i) {
    const qcc_gpu_kernel_v1 &wanted = code().kernels[i];
    qcc_status status = module.kernel(wanted.name, kernels[i], error);
    if (status == QCC_OK)
      status = kernels[i].allowSharedBytes(wanted.most_shared_bytes, error);
    if (status)
      return status;
  }
  for (const qcc_gpu_program_v1 *program : programsOf(code()))
    if (qcc_status status = checkOperands(*program, error))
      return status;
  return resident.upload(gpu, source, error);
}

qcc_status DeviceModel::createPart(uint32_t sequences,
                                   uint64_t pagesPerSequence,
                                   DeviceSession *&session, ErrorText &error) {
  pthread_mutex_lock(&mutex);
  qcc_status status = loaded ? QCC_OK : load(error);
  if (status == QCC_OK && !loaded) {
    loaded = true;
    used.fetch_add(resident.bytes(), std::memory_order_relaxed);
  }
  pthread_mutex_unlock(&mutex);
  if (status)
    return status;
  void *memory = malloc(sizeof(DeviceSession));
  if (!memory)
    return error.set(QCC_E_NO_MEMORY, "out of memory");
  auto *made = new (memory) DeviceSession(*this);
  status = made->create(sequences, pagesPerSequence, error);
  if (status)
    made->destroy();
  else
    session = made;
  return status;
}

qcc_status DeviceModel::createSession(uint32_t sequences,
                                      uint64_t pagesPerSequence,
                                      GpuSession *&session, ErrorText &error) {
  DeviceSession *made = nullptr;
  qcc_status status = createPart(sequences, pagesPerSequence, made, error);
  if (status == QCC_OK)
    session = made;
  return status;
}

void DeviceModel::facts(GpuFacts &facts) const {
  uint64_t total = 0;
  ErrorText ignored;
  facts = {gpu.info().name, gpu.info().memoryBytes,    0, resident.bytes(),
           used.load(),     gpu.info().peakBandwidth()};
  if (gpu.memory(facts.freeBytes, total, ignored) != QCC_OK)
    facts.freeBytes = 0;
}

} // namespace qcc::rt::device
