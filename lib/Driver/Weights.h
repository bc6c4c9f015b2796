//===- Weights.h - From the checkpoint's bytes to the model's ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The weights region of a compiled model is what the `qz.weight` operations of
// its modules say: which tensor, in which layout, where. It is never held in
// memory: worker threads make pieces of it while earlier ones are written.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_DRIVER_WEIGHTS_H
#define QCC_LIB_DRIVER_WEIGHTS_H

#include "dialects/QZ/QZDialect.h"
#include "qcc/Checkpoint/Checkpoint.h"
#include "qcc/Package/Package.h"

#include "mlir/IR/BuiltinOps.h"

namespace qcc {

/// One weight's place in the weights region.
struct PlacedWeight {
  const Tensor *tensor = nullptr;
  Encoding encoding; ///< In the artefact, unless the layout is plain.
  uint64_t rows = 0, columns = 0; ///< Of all experts. A vector is one row.
  uint64_t matrixRows = 0;        ///< Of one expert's matrix, or all.
  qz::Layout layout = qz::Layout::Plain;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  /// Row r (element r of a vector) is row rowOrder[r] of the tensor; empty: the
  /// weight is the tensor as it stands.
  std::vector<uint32_t> rowOrder;
  /// What rowOrder says is said of the columns of the matrices, one after the
  /// other.
  bool isTurned = false;

  bool isVector() const {
    return tensor->dims.size() == 1 && layout == qz::Layout::Plain;
  }
  uint64_t rowOf(uint64_t r) const {
    return rowOrder.empty() ? r : rowOrder[r];
  }
};

class WeightRegion {
public:
  explicit WeightRegion(const Checkpoint &checkpoint)
      : checkpoint(checkpoint) {}

  /// Adds the weights of a module whose layout is chosen. A weight that an
  /// earlier module has in the same layout at the same place is shared; other
  /// overlaps are errors.
  llvm::Error add(mlir::ModuleOp module);

  /// End of the last weight.
  uint64_t bytes() const;
  /// In order of offset.
  const std::vector<PlacedWeight> &weights() const { return placed; }

  /// The stream of the region; refers to `this`.
  WeightStream stream(unsigned threads) const;

private:
  const Checkpoint &checkpoint;
  std::vector<PlacedWeight> placed;
};

/// Number of weights of a module.
uint64_t countParameters(mlir::ModuleOp module);

/// Bytes that a one-row step reads from the weights of `imported`, given the
/// bytes that each weight takes in `laidOut`: all but the rest of a table of
/// which only a row is looked up.
uint64_t bytesPerToken(mlir::ModuleOp imported, mlir::ModuleOp laidOut);

} // namespace qcc

#endif // QCC_LIB_DRIVER_WEIGHTS_H
