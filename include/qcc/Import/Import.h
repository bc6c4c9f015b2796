//===- Import.h - From a checkpoint to the plain meaning --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_IMPORT_IMPORT_H
#define QCC_IMPORT_IMPORT_H

#include "qcc/Checkpoint/Checkpoint.h"
#include "qcc/Import/Architecture.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

namespace qcc {

struct ImportOptions {
  /// Most positions of a sequence; 0: what the checkpoint states.
  uint32_t context = 0;
  /// Rows beside those of architectures(), searched first.
  std::span<const Architecture> extraArchitectures;
};

/// The names of a checkpoint's tensors; nothing if its architecture is not
/// supported.
std::optional<WeightNames> weightNames(const Checkpoint &checkpoint,
                                       const ImportOptions &options);

/// Builds the module that says what the model computes, in plain operations:
/// a `qz.weight` for each tensor (its symbol is the tensor's name), one
/// function for each layer and `@step`, which maps a batch to logits. The
/// values of weights stay in the checkpoint.
///
/// Fails, naming the file, on an unsupported architecture, a missing, extra or
/// misshaped tensor, an unsupported tensor type or an impossible configuration.
Result<mlir::OwningOpRef<mlir::ModuleOp>>
importCheckpoint(mlir::MLIRContext &context, const Checkpoint &checkpoint,
                 const ImportOptions &options);

} // namespace qcc

#endif // QCC_IMPORT_IMPORT_H
