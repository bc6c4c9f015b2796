//===- GgmlMatmul.h - The same matmul by ggml -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_KERNELBENCH_GGMLMATMUL_H
#define QCC_LIB_KERNELBENCH_GGMLMATMUL_H

#include "llvm/Support/Error.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace qcc::bench {

/// A matmul of one thread by a shared library of ggml (libggml.so of
/// llama.cpp), through its public interface: with the layout that it prefers
/// for the weights, as llama.cpp would have it.
class GgmlMatmul {
public:
  struct Shape {
    size_t rows, columns, tokens;
  };

  /// `type` is ggml's number; `weights` are rows as in a file, of which
  /// `copies` copies are made; `input` is [tokens][columns]. Errors say what
  /// the library lacks.
  static llvm::Expected<std::unique_ptr<GgmlMatmul>>
  create(const std::string &library, uint32_t type, const Shape &shape,
         const std::vector<uint8_t> &weights, const std::vector<float> &input,
         size_t copies);
  ~GgmlMatmul();

  /// Multiplies one of the copies; false when ggml failed.
  bool multiply(size_t copy);
  /// [tokens][rows] of the last copy that was multiplied.
  std::vector<float> results() const;
  /// Name of the layout: "CPU_REPACK".
  const std::string &layout() const { return layoutName; }

private:
  GgmlMatmul();
  struct Library;
  std::unique_ptr<Library> library;
  Shape shape;
  std::string layoutName;
  void *backend = nullptr;
  std::vector<void *> graphs, products;
  std::vector<void *> contexts, buffers; ///< To be freed.
  size_t last = 0;
};

} // namespace qcc::bench

#endif // QCC_LIB_KERNELBENCH_GGMLMATMUL_H
