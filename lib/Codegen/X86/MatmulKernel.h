//===- MatmulKernel.h - Functions for qz.matmul -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_X86_MATMULKERNEL_H
#define QCC_LIB_CODEGEN_X86_MATMULKERNEL_H

#include "qcc/Transforms/ActivationLayout.h"
#include "ExpertKernels.h"
#include "Isa.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <map>
#include <optional>

namespace qcc::x86 {

/// Where a matmul's results go: rows of `stride` bytes.
struct MatmulOutput {
  int64_t stride;
  /// Only the wanted rows may be written (logits); otherwise whole tiles are,
  /// into the padding of the buffer.
  bool exactRows;
};

/// How a matmul with experts finds its rows (ExpertKernels.h).
struct ExpertRows {
  DispatchLayout dispatch;
  /// Slots of a row, the bytes of a slot in the output, and whether activations
  /// are those of rows rather than of slots, which only tiles of 1 can be.
  int64_t slots, slotBytes;
  bool isShared;
};

/// Makes one function for each distinct combination of weights, activations and
/// epilogue, shared by all layers:
///
///   (activations, out, residual, first unit, last unit, rows, scratch,
///    weight...)
///
/// computes units [first, last): panels of 16 output rows, or pairs of panels
/// with a gated epilogue. Pointers, then i64, then pointers. Biases follow the
/// weights. `scratch` points to scratchBytes() of the thread's own.
///
/// With experts the dispatch is a last operand, there is no residual, and a
/// unit is a tile of rows of an expert for one of its panels: a panel belongs
/// to the range that its first tile is in.
class MatmulKernels {
public:
  MatmulKernels(mlir::ModuleOp module, const Isa &isa)
      : module(module), isa(isa) {}

  mlir::func::FuncOp get(qz::MatmulOp op, const ActivationLayout &activations,
                         const MatmulOutput &output,
                         const std::optional<ExpertRows> &experts);

  /// Work units of a matmul, or of one tile of an expert.
  static int64_t units(qz::MatmulOp op);
  /// Bytes, aligned to 64, that a function for at most `rows` rows of such
  /// activations needs.
  static int64_t scratchBytes(qz::MatmulOp op,
                              const ActivationLayout &activations,
                              int64_t rows);

private:
  void emitBody(Emitter &e, mlir::Block &entry, qz::MatmulOp op,
                const ActivationLayout &activations, const MatmulOutput &output,
                const std::optional<ExpertRows> &experts);

  mlir::ModuleOp module;
  const Isa &isa;
  std::map<std::string, mlir::func::FuncOp> functions;
};

} // namespace qcc::x86

#endif // QCC_LIB_CODEGEN_X86_MATMULKERNEL_H
