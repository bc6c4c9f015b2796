//===- CompiledKernel.h - One generated matmul in this process --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_BENCHMARKS_KERNELS_COMPILEDKERNEL_H
#define QCC_BENCHMARKS_KERNELS_COMPILEDKERNEL_H

#include "qcc/Codegen/Common/Target.h"
#include "qcc/Formats/Encoding.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

namespace qcc::bench {

/// A matmul of `rows` x `columns` weights with `tokens` rows of activations,
/// the same code that a model of this shape gets, with memory to run on.
/// Weights and activations hold one byte pattern that is an ordinary number in
/// every type: speed does not depend on values, and the tests check those.
class CompiledKernel {
public:
  struct Shape {
    size_t rows, columns, tokens;
  };

  /// `activations`: a8, a8g16, a16 or f32. `prompt` takes the tile of prompt
  /// steps, otherwise that of generating ones. Throws std::runtime_error.
  CompiledKernel(const Encoding &encoding, const Shape &shape,
                 const std::string &activations, bool prompt,
                 const TargetSpec &target);
  ~CompiledKernel();

  void run() {
    function(activations.get(), results.get(), nullptr, 0, units,
             int64_t(shape.tokens), weights.get());
  }
  size_t weightBytes() const { return bytes; }
  size_t macs() const { return shape.rows * shape.columns * shape.tokens; }

private:
  struct FreeBytes {
    void operator()(uint8_t *memory) const { std::free(memory); }
  };
  using Bytes = std::unique_ptr<uint8_t[], FreeBytes>;
  using Function = void (*)(const void *activations, void *out,
                            const void *residual, int64_t first, int64_t last,
                            int64_t rows, const void *weights);
  static Bytes allocate(size_t size);

  Shape shape;
  int64_t units = 0;
  size_t bytes = 0;
  struct Code;
  std::unique_ptr<Code> code;
  Function function = nullptr;
  Bytes weights, activations, results;
};

} // namespace qcc::bench

#endif // QCC_BENCHMARKS_KERNELS_COMPILEDKERNEL_H
