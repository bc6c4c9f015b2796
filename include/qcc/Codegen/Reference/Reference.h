//===- Reference.h - The definition of correct ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Lowers an imported module straight to scalar f32 loops: every operation as
// its description says, one after the other, weights decoded to f32. Shares no
// pass with the fast pipelines, so that the two can be compared.
//
// Threads split the rows of each operation (linear: the columns of the result)
// and meet after it. Code calls expf, tanhf, sinf and cosf of libm.
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_REFERENCE_REFERENCE_H
#define QCC_CODEGEN_REFERENCE_REFERENCE_H

#include "qcc/Codegen/Common/ModelCode.h"

#include "llvm/Support/LogicalResult.h"

namespace qcc {

struct ReferenceOptions {
  /// Position in the bundle: names the step function.
  unsigned index = 0;
  /// Most rows of a step.
  uint32_t rowCapacity = 64;
  /// What is kept of keys and values: f32, or q8, the numbers of which stay
  /// f32.
  std::string kv = "f32";
};

/// Gives every qz.weight of `module` the plain layout, one after the other from
/// byte `base` on, 64-aligned. Returns the end.
uint64_t layoutReferenceWeights(mlir::ModuleOp module, uint64_t base);

/// Lowers `module` (imported, weights laid out), which stays as it is. Reports
/// what it cannot lower as a diagnostic of the operation.
llvm::LogicalResult lowerToReference(mlir::ModuleOp module,
                                     const ReferenceOptions &options,
                                     ModelCode &code);

} // namespace qcc

#endif // QCC_CODEGEN_REFERENCE_REFERENCE_H
