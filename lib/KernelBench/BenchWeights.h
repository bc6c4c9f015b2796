//===- BenchWeights.h - Random weights of any format ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_KERNELBENCH_BENCHWEIGHTS_H
#define QCC_LIB_KERNELBENCH_BENCHWEIGHTS_H

#include "qcc/Formats/GGML.h"
#include "qcc/Formats/Quantize.h"

#include "llvm/Support/Error.h"

#include <cstdint>
#include <string>
#include <vector>

namespace qcc::bench {

/// A format by its name: a type of ggml, or one of `--quantize`.
struct BenchFormat {
  const GGMLType *ggml = nullptr;           ///< This one,
  const QuantizationType *rounds = nullptr; ///< or this.

  const char *name() const { return ggml ? ggml->name : rounds->name; }
  static llvm::Expected<BenchFormat> find(const std::string &name);
  /// Of rows with so many elements.
  llvm::Expected<Encoding> encodingFor(size_t columns) const;
};

/// The rows of one random matrix.
class BenchWeights {
public:
  /// `columns` are some that the format has an encoding for. The same numbers
  /// in each call.
  BenchWeights(const BenchFormat &format, const Encoding &encoding, size_t rows,
               size_t columns);

  void fields(size_t row, Fields &fields) const;
  /// The scalar meaning of a row.
  void decode(size_t row, std::vector<float> &values) const;
  /// As ggml has them; of its types only.
  const std::vector<uint8_t> &blocks() const { return ggmlBlocks; }

private:
  BenchFormat format;
  Encoding encoding;
  size_t columns;
  std::vector<uint8_t> ggmlBlocks;
  std::vector<float> floats; ///< One row, which the others have turned.
};

} // namespace qcc::bench

#endif // QCC_LIB_KERNELBENCH_BENCHWEIGHTS_H
