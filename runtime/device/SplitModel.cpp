//===- SplitModel.cpp - A model on several GPUs ---------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Each GPU runs the launches of its layers and is given the rows that the one
// before has left. Only one works at a time, since a step needs them in their
// order; what is gained is memory. The archive's entry is here.
//===----------------------------------------------------------------------===//

#include "Deal.h"
#include "DeviceSession.h"

#include <algorithm>
#include <cstdio>
#include <new>
#include <utility>

namespace qcc::rt::device {

namespace {

/// Each state is kept by the GPU that has its layer.
class SplitSession final : public GpuSession {
public:
  ~SplitSession() {
    for (uint32_t i = count; i > 0; --i)
      parts[i - 1]->destroy();
  }

  qcc_status add(DeviceModel &model, uint32_t sequences,
                 uint64_t pagesPerSequence, ErrorText &error) {
    qcc_status status =
        model.createPart(sequences, pagesPerSequence, parts[count], error);
    count += status == QCC_OK;
    return status;
  }

  bool keeps(uint32_t state) const override {
    return std::any_of(parts, parts + count, [&](const DeviceSession *part) {
      return part->keeps(state);
    });
  }
  qcc_status hold(uint32_t pages, ErrorText &error) override {
    return forAll([&](DeviceSession &part) { return part.hold(pages, error); });
  }
  qcc_status copy(uint32_t from, uint32_t to, ErrorText &error) override {
    return forAll(
        [&](DeviceSession &part) { return part.copy(from, to, error); });
  }
  qcc_status read(uint32_t state, uint32_t page, void *to,
                  ErrorText &error) override {
    return keeper(state).read(state, page, to, error);
  }
  qcc_status write(uint32_t state, uint32_t page, const void *from,
                   ErrorText &error) override {
    return keeper(state).write(state, page, from, error);
  }

  /// Each part has ended before the next one takes its rows.
  qcc_status step(const qcc_step_v1 &step, uint64_t firstChanged,
                  uint64_t lastChanged, ErrorText &error) override {
    const DeviceSession *before = nullptr;
    return forAll([&](DeviceSession &part) {
      return part.stepAfter(std::exchange(before, &part), step, firstChanged,
                            lastChanged, error);
    });
  }

  void destroy() override {
    this->~SplitSession();
    free(this);
  }

private:
  template <typename Body>
  qcc_status forAll(Body body) {
    qcc_status status = QCC_OK;
    for (uint32_t i = 0; i < count && status == QCC_OK; ++i)
      status = body(*parts[i]);
    return status;
  }

  /// Of a state that is kept.
  DeviceSession &keeper(uint32_t state) {
    uint32_t i = 0;
    while (!parts[i]->keeps(state))
      ++i;
    return *parts[i];
  }

  DeviceSession *parts[mostGpus] = {};
  uint32_t count = 0;
};

class SplitModel final : public GpuModel {
public:
  explicit SplitModel(Deal &deal) : count(deal.count()) {
    size_t length = 0;
    for (uint32_t i = 0; i < count; ++i) {
      parts[i] = deal.take(i);
      LayerRange layers = parts[i]->layers();
      int written = snprintf(names + length, sizeof names - length,
                             "%s%s (GPU %d, layers %u to %u)", i ? ", " : "",
                             parts[i]->device().info().name,
                             parts[i]->device().index(), layers.first,
                             std::min(layers.last, parts[i]->model().layers));
      length =
          std::min(length + size_t(std::max(written, 0)), sizeof names - 1);
    }
  }
  ~SplitModel() {
    for (uint32_t i = 0; i < count; ++i)
      parts[i]->destroy();
  }

  qcc_status createSession(uint32_t sequences, uint64_t pagesPerSequence,
                           GpuSession *&session, ErrorText &error) override {
    void *memory = malloc(sizeof(SplitSession));
    if (!memory)
      return error.set(QCC_E_NO_MEMORY, "out of memory");
    auto *made = new (memory) SplitSession();
    qcc_status status = QCC_OK;
    for (uint32_t i = 0; i < count && status == QCC_OK; ++i)
      status = made->add(*parts[i], sequences, pagesPerSequence, error);
    if (status)
      made->destroy();
    else
      session = made;
    return status;
  }

  /// Sums; of the bandwidth, what reading all weights one GPU after the other
  /// comes to.
  void facts(GpuFacts &facts) const override {
    facts = {names, 0, 0, 0, 0, 0};
    double seconds = 0;
    for (uint32_t i = 0; i < count; ++i) {
      GpuFacts one;
      parts[i]->facts(one);
      facts.memoryBytes += one.memoryBytes;
      facts.freeBytes += one.freeBytes;
      facts.weightBytes += one.weightBytes;
      facts.usedBytes += one.usedBytes;
      seconds += double(one.weightBytes) / one.bandwidth; // may be infinite
    }
    if (seconds > 0)
      facts.bandwidth = double(facts.weightBytes) / seconds;
  }

  void destroy() override {
    this->~SplitModel();
    free(this);
  }

private:
  DeviceModel *parts[mostGpus] = {};
  uint32_t count;
  char names[mostGpus * 128] = "";
};

} // namespace

static qcc_status openModel(const qcc_model_v1 &code, const uint8_t *weights,
                            uint64_t weightBytes, GpuPart &part,
                            GpuModel *&model, ErrorText &error) {
  Deal deal(code, weights, weightBytes);
  if (qcc_status status = deal.run(part, error))
    return status;
  if (deal.count() == 1) {
    model = deal.take(0);
    return QCC_OK;
  }
  void *memory = malloc(sizeof(SplitModel));
  if (!memory)
    return error.set(QCC_E_NO_MEMORY, "out of memory");
  model = new (memory) SplitModel(deal);
  return QCC_OK;
}

} // namespace qcc::rt::device

extern "C" const qcc::rt::GpuRuntime qcc_gpu_runtime = {
    qcc::rt::device::openModel};
