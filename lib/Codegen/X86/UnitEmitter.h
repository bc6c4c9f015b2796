//===- UnitEmitter.h - One panel of weights with all rows -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The loop over the tiles of a work unit of a matmul (MatmulKernel.h) and what
// becomes of the sums: biases, the epilogue and the store.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_X86_UNITEMITTER_H
#define QCC_LIB_CODEGEN_X86_UNITEMITTER_H

#include "qcc/Formats/PackedWeight.h"
#include "MatmulKernel.h"
#include "TileKernel.h"

namespace qcc::x86 {

inline qz::QTensorType weightType(qz::MatmulOp op, unsigned index) {
  return mlir::cast<qz::QTensorType>(op.getWeights()[index].getType());
}

/// Pointers of one matmul, or of one expert of it, and its range of panels.
struct MatmulOperands {
  Value input, out, residual, first, last, rows, scratch;
  Values weights, biases; ///< A bias is null where a weight has none.
  /// Of experts: the slot of each of the rows.
  Value slots;
};

/// One panel of a unit: its codes, and the biases of its rows, null without.
struct PanelOperand {
  const PackedWeight *weight;
  Value codes, bias;
};

class UnitEmitter {
public:
  UnitEmitter(Emitter &e, const Isa &isa, qz::MatmulOp op,
              const ActivationLayout &activations, const MatmulOutput &output,
              const std::optional<ExpertRows> &experts,
              const MatmulOperands &operands)
      : e(e), isa(isa), op(op), act(activations), output(output),
        experts(experts), operands(operands) {}

  /// `panels` are that of a gate and the one that it gates, or one, or in the
  /// fixed form two that follow each other in memory. `column` (i64) is the
  /// first output column, of which each result has `columns`.
  void emit(llvm::ArrayRef<PanelOperand> panels, Value column, int64_t columns);

  /// MatmulKernels::scratchBytes().
  static int64_t scratchBytes(qz::MatmulOp op,
                              const ActivationLayout &activations,
                              int64_t rows);

private:
  using Panels = llvm::ArrayRef<PanelOperand>;

  /// Passes over k, each with all rows (FixedUnit.cpp).
  void emitFixed(Panels panels, Value column, int64_t columns);
  static int64_t fixedScratchBytes(const ActivationLayout &activations,
                                   int64_t rows);
  /// Where the codes that are read after those of a pass are, for each panel.
  Values nextOfPass(Panels panels, int64_t passes, Value pass);

  /// The first `rows` rows of tile `t`.
  void emitRows(Panels panels, Value column, int64_t columns, Value t,
                int64_t rows);
  /// Makes results of the sums of rows from `firstRow` on, of one panel, or of
  /// a gate and what it gates, and stores them from `column` on.
  void storeRows(llvm::MutableArrayRef<Values> sums,
                 llvm::ArrayRef<Value> biases, Value column, int64_t columns,
                 Value firstRow);
  /// Asks for the `bytes` at `next`, some lines with each tile: those of
  /// `tiles` tiles are all, and later ones ask for the last again.
  void askFor(Value next, int64_t bytes, Value tile, int64_t tiles);
  /// Activations of tile `t`. A tile of one row need not be where its position
  /// says.
  Value tileAt(Value t);
  /// Bytes from the output's start to those of a row, or of its slot.
  Value rowOffset(Value row);
  /// Where panel `index` of those multiplied together is unpacked.
  UnpackedPanel unpackedPanel(size_t index);
  void unpack(const PanelOperand &panel, Value codes);
  Values panelSums(const PanelOperand &panel, size_t index, Value tile,
                   int64_t half, int64_t rows);
  void addBias(Values &sums, Value bias, int64_t valid);
  Value epilogue(llvm::ArrayRef<Values> sums, int64_t row, Value at);

  Emitter &e;
  const Isa &isa;
  qz::MatmulOp op;
  const ActivationLayout &act;
  const MatmulOutput &output;
  const std::optional<ExpertRows> &experts;
  const MatmulOperands &operands;
};

/// Tiles of a prompt's panel in which the next one comes from memory.
constexpr int64_t kAskedTiles = 20;

} // namespace qcc::x86

#endif // QCC_LIB_CODEGEN_X86_UNITEMITTER_H
