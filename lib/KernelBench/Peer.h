//===- Peer.h - Another engine's matmul -------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_KERNELBENCH_PEER_H
#define QCC_LIB_KERNELBENCH_PEER_H

#include <cstddef>
#include <string>
#include <vector>

namespace qcc::bench {

struct PeerShape {
  size_t rows, columns, tokens;
};

/// A matmul of one thread that is measured beside ours, with copies of the
/// weights.
class Peer {
public:
  virtual ~Peer() = default;
  /// "ggml".
  virtual const char *name() const = 0;
  /// Of the weights: "CPU_REPACK".
  virtual const std::string &layout() const = 0;
  /// Multiplies one of the copies; false when the engine failed.
  virtual bool multiply(size_t copy) = 0;
  /// [tokens][rows] of the last copy that was multiplied.
  virtual std::vector<float> results() const = 0;
};

} // namespace qcc::bench

#endif // QCC_LIB_KERNELBENCH_PEER_H
