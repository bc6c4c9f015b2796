//===- Weights.h - The weights of the running artefact ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Finds the weights that the packager put into this file (or beside it) and
// reads them ahead in the background if memory allows. Nothing is copied.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_WEIGHTS_H
#define QCC_RUNTIME_CORE_WEIGHTS_H

#include "Error.h"

#include <atomic>
#include <pthread.h>

namespace qcc::rt {

class Weights {
public:
  Weights() = default;
  Weights(const Weights &) = delete;
  Weights &operator=(const Weights &) = delete;
  ~Weights();

  /// `expected` is the size that the code was compiled for.
  qcc_status open(uint64_t expected, ErrorText &error);

  /// Starts a thread that brings the weights into memory, if they fit in half
  /// of what is free. Failing to do so is no error.
  void populate();

  const uint8_t *data() const { return base; }
  uint64_t size() const { return bytes; }

  /// 32 bytes that identify the weights.
  const uint8_t *hash() const;

private:
  qcc_status openExternal(const char *artefact, ErrorText &error);
  static void *readAhead(void *weights);

  const uint8_t *base = nullptr;
  uint64_t bytes = 0;
  void *external = nullptr; // mapping of an external file
  uint64_t externalBytes = 0;
  pthread_t reader = {};
  bool reading = false;
  std::atomic<bool> stop{false};
};

} // namespace qcc::rt

#endif // QCC_RUNTIME_CORE_WEIGHTS_H
