//===- MatmulKernel.h - Functions for qz.matmul -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_X86_MATMULKERNEL_H
#define QCC_LIB_CODEGEN_X86_MATMULKERNEL_H

#include "qcc/Transforms/ActivationLayout.h"
#include "Isa.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <map>

namespace qcc::x86 {

/// Where a matmul's results go: rows of `stride` bytes.
struct MatmulOutput {
  int64_t stride;
  /// Only the wanted rows may be written (logits); otherwise whole tiles are,
  /// into the padding of the buffer.
  bool exactRows;
};

/// Makes one function for each distinct combination of weights, activations and
/// epilogue, shared by all layers:
///
///   (activations, out, residual, first unit, last unit, rows, weight...)
///
/// computes units [first, last): panels of 16 output rows, or pairs of panels
/// with a gated epilogue. Pointers, then i64.
class MatmulKernels {
public:
  MatmulKernels(mlir::ModuleOp module, const Isa &isa)
      : module(module), isa(isa) {}

  mlir::func::FuncOp get(qz::MatmulOp op, const ActivationLayout &activations,
                         const MatmulOutput &output);

  /// Work units of a matmul.
  static int64_t units(qz::MatmulOp op);

private:
  void emitBody(Emitter &e, mlir::Block &entry, qz::MatmulOp op,
                const ActivationLayout &activations,
                const MatmulOutput &output);

  mlir::ModuleOp module;
  const Isa &isa;
  std::map<std::string, mlir::func::FuncOp> functions;
};

} // namespace qcc::x86

#endif // QCC_LIB_CODEGEN_X86_MATMULKERNEL_H
