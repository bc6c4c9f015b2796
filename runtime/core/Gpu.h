//===- Gpu.h - What the core asks of code for GPUs --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The core knows no driver. A model with code for GPUs brings an archive of its
// own (runtime/device), which the bundle names (qcc_gpu_code_v1.runtime); the
// core calls it through these classes. Objects end by destroy(), since nothing
// here is made by operator new.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_GPU_H
#define QCC_RUNTIME_CORE_GPU_H

#include "Error.h"

#include "qcc-rt/qcc_gpu.h"

namespace qcc::rt {

/// Keeps the pages of a session's state, or of a part of it, outside of this
/// process's memory. A page is one number: that page of every state. Calls of
/// one thread at a time.
class PageMemory {
public:
  /// Whether this keeps a state. What follows is about those that it keeps.
  virtual bool keeps(uint32_t state) const = 0;
  /// Sees to it that there are pages [0, pages).
  virtual qcc_status hold(uint32_t pages, ErrorText &error) = 0;
  virtual qcc_status copy(uint32_t from, uint32_t to, ErrorText &error) = 0;
  // One state's part of a page; done when they return.
  virtual qcc_status read(uint32_t state, uint32_t page, void *to,
                          ErrorText &error) = 0;
  virtual qcc_status write(uint32_t state, uint32_t page, const void *from,
                           ErrorText &error) = 0;

protected:
  ~PageMemory() = default;
};

/// What a session has on a GPU.
class GpuSession : public PageMemory {
public:
  /// Runs a step to its end, with the fields of `step` up to page_table,
  /// pages_per_sequence, logits and, unless the GPU runs all layers, residual,
  /// which it begins with. Of the page table, entries [firstChanged,
  /// lastChanged) may differ from the last complete step.
  virtual qcc_status step(const qcc_step_v1 &step, uint64_t firstChanged,
                          uint64_t lastChanged, ErrorText &error) = 0;
  virtual void destroy() = 0;

protected:
  ~GpuSession() = default;
};

/// A GPU in use, or several, whose bytes are added, for people and programs.
struct GpuFacts {
  const char *name;     // "NVIDIA H200"; of several, with their layers
  uint64_t memoryBytes; // that it has
  uint64_t freeBytes;   // now; 0 where it does not tell
  uint64_t weightBytes; // of the model there
  uint64_t usedBytes;   // of the model and all its sessions
  double bandwidth;     // bytes a second at best; 0 where it does not tell
};

/// A model on one GPU or more: its code and weights. Any number of threads.
class GpuModel {
public:
  /// For `sequences` of `pagesPerSequence` pages. The first one brings code and
  /// weights to the GPU. The session goes before its model.
  virtual qcc_status createSession(uint32_t sequences,
                                   uint64_t pagesPerSequence,
                                   GpuSession *&session, ErrorText &error) = 0;
  virtual void facts(GpuFacts &facts) const = 0;
  virtual void destroy() = 0;

protected:
  ~GpuModel() = default;
};

/// What of a model a GPU runs: layers `first` (counted from 1) to the last, and
/// the output. With `fits` as many as there is memory for, so that `first` is
/// what it is at least.
struct GpuPart {
  uint32_t first = 1;
  bool fits = false;
};

/// The archive's entry.
struct GpuRuntime {
  /// Opens GPUs that run the code, the first or as many as it takes, for `part`
  /// of it, and says which that came to be. QCC_E_DEVICE: there is none; says
  /// what is missing. QCC_E_NO_MEMORY: the weights that the part names do not
  /// fit into what is free, or with `fits`, not those of one layer.
  qcc_status (*open)(const qcc_model_v1 &code, const uint8_t *weights,
                     uint64_t weightBytes, GpuPart &part, GpuModel *&model,
                     ErrorText &error);
};

} // namespace qcc::rt

/// Named by bundles with code for GPUs.
extern "C" __attribute__((visibility("hidden")))
const qcc::rt::GpuRuntime qcc_gpu_runtime;

#endif // QCC_RUNTIME_CORE_GPU_H
