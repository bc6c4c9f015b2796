//===- Deal.cpp - Layers of a model for several GPUs ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Deal.h"

#include <new>

namespace qcc::rt::device {

Deal::~Deal() {
  for (uint32_t i = 0; i < opened; ++i)
    if (gpus[i].model)
      gpus[i].model->destroy();
}

DeviceModel *Deal::take(uint32_t i) {
  DeviceModel *model = gpus[usedGpus[i]].model;
  gpus[usedGpus[i]].model = nullptr;
  return model;
}

/// The next GPU that runs the code; else why the last one does not.
qcc_status Deal::openNext(ErrorText &error) {
  qcc_status status = error.set(QCC_E_DEVICE, "there is no other GPU");
  while (next < devices && opened < mostGpus) {
    void *memory = malloc(sizeof(DeviceModel));
    if (!memory)
      return error.set(QCC_E_NO_MEMORY, "out of memory");
    Gpu gpu = {new (memory) DeviceModel(), 0, 0};
    status = gpu.model->open(code, weights, weightBytes, error);
    if (status) {
      gpu.model->destroy();
      return status;
    }
    devices = gpu.model->deviceCount();
    status = gpu.model->chooseDevice(next++, error);
    if (status == QCC_OK)
      status = gpu.model->device().memory(gpu.free, gpu.total, error);
    if (status == QCC_OK) {
      gpus[opened++] = gpu;
      return QCC_OK;
    }
    gpu.model->destroy();
  }
  return status;
}

//===----------------------------------------------------------------------===//
// Dealing
//===----------------------------------------------------------------------===//

qcc_status Deal::fits(const Gpu &gpu, LayerRange layers, bool state,
                      bool &result, ErrorText &error) const {
  uint64_t need = 0;
  qcc_status status = gpu.model->plan(layers, error);
  if (status == QCC_OK)
    status = gpu.model->needs(state, need, error);
  result = status == QCC_OK && need <= gpu.free;
  return status;
}

/// Plans as many layers from `first` on as fit, but not the model's last;
/// `last` is first - 1 where none does.
qcc_status Deal::giveMost(const Gpu &gpu, uint32_t first, bool state,
                          uint32_t &last, ErrorText &error) const {
  last = first - 1;
  uint32_t tooMany = code.layers;
  while (tooMany - last > 1) {
    uint32_t middle = last + (tooMany - last) / 2;
    bool isThere = false;
    if (qcc_status status = fits(gpu, {first, middle}, state, isThere, error))
      return status;
    (isThere ? last : tooMany) = middle;
  }
  return last < first ? QCC_OK : gpu.model->plan({first, last}, error);
}

/// Whether layers from `first` on fit; if so, they are planned.
qcc_status Deal::dealFrom(uint32_t first, bool state, bool &result,
                          ErrorText &error) {
  used = 0;
  result = false;
  for (uint32_t i = 0; i < mostGpus; ++i) {
    ErrorText none;
    if (i == opened && openNext(none) != QCC_OK)
      return QCC_OK;
    qcc_status status =
        fits(gpus[i], {first, LayerRange::toTheEnd}, state, result, error);
    if (status || result) {
      usedGpus[used++] = i;
      return status;
    }
    uint32_t last = 0;
    if ((status = giveMost(gpus[i], first, state, last, error)))
      return status;
    if (last < first)
      continue;
    usedGpus[used++] = i;
    first = last + 1;
  }
  return QCC_OK;
}

/// The first layer from which on there is room for all and a conversation.
qcc_status Deal::chooseFirst(GpuPart &part, bool &found, ErrorText &error) {
  uint32_t least = part.first, most = part.fits ? code.layers : part.first;
  if (qcc_status status = dealFrom(least, true, found, error))
    return status;
  if (found || least >= most)
    return QCC_OK;
  if (qcc_status status = dealFrom(most, true, found, error))
    return status;
  if (!found)
    return QCC_OK;
  // `least` is too low, `most` is not.
  while (most - least > 1) {
    uint32_t middle = least + (most - least) / 2;
    bool isThere = false;
    if (qcc_status status = dealFrom(middle, true, isThere, error))
      return status;
    (isThere ? most : least) = middle;
  }
  part.first = most;
  return dealFrom(most, true, found, error);
}

qcc_status Deal::tooLittle(uint32_t first, ErrorText &error) const {
  DeviceModel &model = *gpus[0].model;
  uint64_t need = 0, free = 0, total = 0;
  qcc_status status = model.plan({first, LayerRange::toTheEnd}, error);
  if (status == QCC_OK)
    status = model.needs(false, need, error);
  if (status)
    return status;
  if (opened == 1)
    return error.set(QCC_E_NO_MEMORY,
                     "out of device memory: the weights and the arena need %s, "
                     "but of the %s of %.64s only %s are free",
                     ByteText(need).text, ByteText(gpus[0].total).text,
                     model.device().info().name, ByteText(gpus[0].free).text);
  for (uint32_t i = 0; i < opened; ++i) {
    free += gpus[i].free;
    total += gpus[i].total;
  }
  need += (opened - 1) * model.device().wholePieces(code.arena_bytes);
  return error.set(QCC_E_NO_MEMORY,
                   "out of device memory: the weights and the arenas need %s, "
                   "but of the %s of %u GPUs only %s are free",
                   ByteText(need).text, ByteText(total).text, opened,
                   ByteText(free).text);
}

qcc_status Deal::run(GpuPart &part, ErrorText &error) {
  if (qcc_status status = openNext(error))
    return status;
  bool found = false;
  if (qcc_status status = chooseFirst(part, found, error))
    return status;
  if (found)
    return QCC_OK;
  // As asked for, or as much as there is if nothing leaves room for state.
  qcc_status status = dealFrom(part.first, false, found, error);
  return status || found ? status : tooLittle(part.first, error);
}

} // namespace qcc::rt::device
