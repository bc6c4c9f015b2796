//===- GgmlMatmul.h - The same matmul by ggml -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_KERNELBENCH_GGMLMATMUL_H
#define QCC_LIB_KERNELBENCH_GGMLMATMUL_H

#include "Peer.h"

#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>

namespace qcc::bench {

/// A matmul of one thread by a shared library of ggml (libggml.so of
/// llama.cpp), through its public interface: with the layout that it prefers
/// for the weights, as llama.cpp would have it.
class GgmlMatmul : public Peer {
public:
  /// `type` is ggml's number; `weights` are rows as in a file, of which
  /// `copies` copies are made; `input` is [tokens][columns]. Errors say what
  /// the library lacks.
  static llvm::Expected<std::unique_ptr<Peer>>
  create(const std::string &library, uint32_t type, const PeerShape &shape,
         const std::vector<uint8_t> &weights, const std::vector<float> &input,
         size_t copies);
  ~GgmlMatmul() override;

  const char *name() const override { return "ggml"; }
  const std::string &layout() const override { return layoutName; }
  bool multiply(size_t copy) override;
  std::vector<float> results() const override;

private:
  GgmlMatmul();
  struct Library;
  std::unique_ptr<Library> library;
  PeerShape shape = {};
  std::string layoutName;
  void *backend = nullptr;
  std::vector<void *> graphs, products;
  std::vector<void *> contexts, buffers; ///< To be freed.
  size_t last = 0;
};

} // namespace qcc::bench

#endif // QCC_LIB_KERNELBENCH_GGMLMATMUL_H
