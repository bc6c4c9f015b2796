//===- SelectLayout.cpp - Layout and place of every weight ----------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Chooses only; the values are packed when the artefact is written.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/PackedWeight.h"
#include "qcc/Transforms/Passes.h"
#include "StepFunction.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/Support/MathExtras.h"

namespace qcc {
#define GEN_PASS_DEF_SELECTLAYOUTPASS
#include "qcc/Transforms/Passes.h.inc"
} // namespace qcc

using namespace mlir;
using namespace qcc;

/// A panel starts on a cache line, and on as many DRAM bursts as are prefetched
/// together; vectors need a line only.
static constexpr int64_t kMatrixAlignment = 256;
static constexpr int64_t kVectorAlignment = 64;
/// More than any machine maps; sums of sizes below it cannot overflow.
static constexpr int64_t kMaxBytes = int64_t(1) << 47;

/// Whether `op` reads the weight `value` as a matrix; otherwise as one or more
/// vectors: norms, biases, sinks.
static bool readsMatrix(Operation &op, Value value) {
  auto matmul = dyn_cast<qz::MatmulOp>(op);
  return isa<llm::EmbeddingOp>(op) ||
         (matmul && llvm::is_contained(matmul.getWeights(), value));
}

/// Weights in the order in which a step first uses them, and whether as
/// matrices.
static llvm::MapVector<qz::WeightOp, bool>
weightsInUseOrder(func::FuncOp step) {
  auto module = step->getParentOfType<ModuleOp>();
  SymbolTable symbols(module);
  llvm::MapVector<qz::WeightOp, bool> weights;
  auto visit = [&](Value value, bool isMatrix) {
    if (auto use = value.getDefiningOp<qz::UseOp>())
      weights[symbols.lookup<qz::WeightOp>(use.getWeight())] |= isMatrix;
  };
  for (Operation &op : entryBlock(step)) {
    auto call = dyn_cast<func::CallOp>(op);
    if (!call) {
      for (Value operand : op.getOperands())
        visit(operand, readsMatrix(op, operand));
      continue;
    }
    for (Operation &inner : entryBlock(calledBody(call)))
      for (Value operand : inner.getOperands()) {
        auto argument = dyn_cast<BlockArgument>(operand);
        visit(argument ? call.getOperand(argument.getArgNumber()) : operand,
              readsMatrix(inner, operand));
      }
  }
  return weights;
}

/// Bytes of a weight in `layout`, or failure when that is absurd.
static FailureOr<int64_t> layoutBytes(qz::QTensorType type, qz::Layout layout) {
  // Rows and columns are at most 2^31, and a value at most 4 bytes and its
  // scales.
  int64_t elements = type.getElements();
  if (elements > kMaxBytes / 16)
    return failure();
  switch (layout) {
  case qz::Layout::Plain:
    return elements * int64_t(sizeof(float));
  case qz::Layout::R16K4:
    return type.getMatrices() *
           int64_t(PackedWeight(type.getEncoding().toEncoding(),
                                size_t(type.getColumns()))
                       .bytes(size_t(type.getRows())));
  }
  llvm_unreachable("unknown layout");
}

namespace {
struct SelectLayoutPass : qcc::impl::SelectLayoutPassBase<SelectLayoutPass> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    FailureOr<func::FuncOp> step = findStep(module);
    if (failed(step) || failed(findBodies(*step)))
      return signalPassFailure();

    Builder builder(module);
    int64_t end = 0;
    for (auto [weight, isMatrix] : weightsInUseOrder(*step)) {
      auto type = cast<qz::QTensorType>(weight.getType());
      bool isVector = !isMatrix;
      qz::Layout chosen = isVector ? qz::Layout::Plain : layout;
      FailureOr<int64_t> bytes = layoutBytes(type, chosen);
      int64_t offset = int64_t(llvm::alignTo(
          uint64_t(end), isVector ? kVectorAlignment : kMatrixAlignment));
      if (failed(bytes) || *bytes > kMaxBytes - offset) {
        weight.emitOpError()
            << "does not fit into " << kMaxBytes << " bytes of weights";
        return signalPassFailure();
      }
      weight.setLayoutAttr(qz::LayoutAttr::get(&getContext(), chosen));
      weight.setOffset(offset);
      weight.setBytes(*bytes);
      end = offset + *bytes;
      ++numPlaced;
    }
    for (auto weight : module.getOps<qz::WeightOp>())
      numUnused += !weight.getLayout();
    module->setAttr("qz.weight_bytes",
                    builder.getI64IntegerAttr(int64_t(
                        llvm::alignTo(uint64_t(end), kVectorAlignment))));
  }
};
} // namespace
