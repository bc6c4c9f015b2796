//===- CompiledKernel.h - One generated matmul in this process --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_KERNELBENCH_COMPILEDKERNEL_H
#define QCC_LIB_KERNELBENCH_COMPILEDKERNEL_H

#include "dialects/QZ/QZDialect.h"
#include "qcc/Codegen/Common/Target.h"
#include "qcc/Formats/Encoding.h"

#include "llvm/ADT/STLFunctionalExtras.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace qcc::bench {

/// A matmul of `rows` x `columns` weights with `tokens` rows of activations,
/// the same code that a model of this shape gets, with memory to run on. At
/// first all of it holds one byte pattern that is an ordinary number in every
/// type: speed does not depend on values.
class CompiledKernel {
public:
  struct Shape {
    size_t rows, columns, tokens;
  };
  struct Options {
    qz::Activations activations; ///< What the target has none of is replaced.
    bool prompt; ///< The tile of prompt steps, else that of generating ones.
    const TargetSpec
        *target;       ///< A CPU that this machine is, not the reference.
    size_t copies = 1; ///< Of the weights.
  };

  static llvm::Expected<std::unique_ptr<CompiledKernel>>
  create(const Encoding &encoding, const Shape &shape, const Options &options);
  ~CompiledKernel();

  /// Packs the weights: `row` gives the fields of one row after the other.
  void setWeights(llvm::function_ref<void(size_t row, Fields &)> row);
  /// [tokens][columns], for quantize().
  float *input() { return reinterpret_cast<float *>(inputs.get()); }

  /// Makes activations of the input.
  void quantize() {
    quantizeRows(inputs.get(), activations.get(), int64_t(shape.tokens),
                 scratch.get());
  }
  /// Multiplies one of the copies of the weights with the activations.
  void multiply(size_t copy = 0) {
    multiplyPanels(activations.get(), results.get(), nullptr, 0, units,
                   int64_t(shape.tokens), scratch.get(),
                   weights.get() + copy * copyBytes);
  }
  /// [rows] of one of the tokens.
  const float *result(size_t token) const {
    return reinterpret_cast<const float *>(results.get() + token * stride);
  }

  /// How activations really enter.
  qz::Activations kind() const { return usedKind; }
  size_t weightBytes() const { return bytes; }
  size_t macs() const { return shape.rows * shape.columns * shape.tokens; }

private:
  struct FreeBytes {
    void operator()(uint8_t *memory) const { std::free(memory); }
  };
  using Bytes = std::unique_ptr<uint8_t[], FreeBytes>;
  using Multiply = void (*)(const void *activations, void *out,
                            const void *residual, int64_t first, int64_t last,
                            int64_t rows, void *scratch, const void *weights);
  using Quantize = void (*)(const void *input, void *activations, int64_t rows,
                            void *scratch);

  CompiledKernel(const Encoding &encoding, const Shape &shape,
                 const Options &options);
  llvm::Error compile(const Options &options);
  static llvm::Expected<Bytes> allocate(size_t size);

  Encoding encoding;
  Shape shape;
  int64_t units = 0;
  qz::Activations usedKind = qz::Activations::F32;
  size_t copies, bytes, copyBytes, stride;
  struct Code;
  std::unique_ptr<Code> code;
  Multiply multiplyPanels = nullptr;
  Quantize quantizeRows = nullptr;
  Bytes inputs, weights, activations, results, scratch;
};

} // namespace qcc::bench

#endif // QCC_LIB_KERNELBENCH_COMPILEDKERNEL_H
