//===- FoldPermutations.cpp - Rows in the order that a weight wants -------===//
// SPDX-License-Identifier: Apache-2.0
//
// Act-order quantization forms the groups of k in the order of importance. Such
// weights are stored in the order of their groups, and activations follow. It
// is free where whoever makes the activations can make them in that order.
//===----------------------------------------------------------------------===//

#include "qcc/Transforms/Passes.h"

#include "mlir/IR/SymbolTable.h"

namespace qcc {
#define GEN_PASS_DEF_FOLDPERMUTATIONSPASS
#include "qcc/Transforms/Passes.h.inc"
} // namespace qcc

using namespace mlir;
using namespace qcc;

/// The weight that `value` is a use of, if it is the only one.
static qz::WeightOp onlyUseOf(Value value, ModuleOp module) {
  auto use = value.getDefiningOp<qz::UseOp>();
  if (!use || !value.hasOneUse())
    return {};
  auto weight = module.lookupSymbol<qz::WeightOp>(use.getWeight());
  auto uses = SymbolTable::getSymbolUses(weight, module);
  return uses && llvm::hasSingleElement(*uses) ? weight : qz::WeightOp();
}

namespace {
struct FoldPermutationsPass
    : qcc::impl::FoldPermutationsPassBase<FoldPermutationsPass> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<qz::PermuteOp> permutations;
    getOperation().walk([&](qz::PermuteOp op) { permutations.push_back(op); });
    for (qz::PermuteOp op : permutations) {
      if (foldIntoUnit(op))
        ++numFolded;
      else if (foldIntoQuantize(op))
        ++numGathered;
      else
        ++numMissed;
    }
  }

private:
  /// Stores the weights and biases that make the rows in their order.
  bool foldIntoUnit(qz::PermuteOp op) {
    Value rows = op.getInput();
    auto activate = rows.getDefiningOp<llm::ActivateOp>();
    if (activate && activate->hasOneUse())
      rows = activate.getInput();
    auto matmul = rows.getDefiningOp<qz::MatmulOp>();
    auto order = op.getOrder().getDefiningOp<qz::UseOp>();
    if (!order || !matmul || !matmul->hasOneUse())
      return false;
    bool isUnit = activate ? matmul.getWeights().size() == 1 : matmul.isGlu();
    if (!isUnit)
      return false;
    SmallVector<qz::WeightOp> weights;
    SmallVector<Value> values(matmul.getWeights());
    llvm::append_range(values, matmul.getBiases());
    for (Value value : values) {
      qz::WeightOp weight = onlyUseOf(value, getOperation());
      if (!weight || weight.getRowOrder())
        return false;
      // Rows that share a scale stay where they are.
      qz::EncodingAttr encoding = weight.getType().getEncoding();
      if (encoding.getCommonScale() && encoding.getSubBits() == 0)
        return false;
      weights.push_back(weight);
    }
    for (qz::WeightOp weight : weights)
      weight.setRowOrder(order.getWeight());
    op.replaceAllUsesWith(op.getInput());
    op.erase();
    return true;
  }

  bool foldIntoQuantize(qz::PermuteOp op) {
    for (Operation *user : op->getUsers()) {
      auto quantize = dyn_cast<qz::QuantizeOp>(user);
      if (!quantize || quantize.getNorm() || quantize.getOrder() ||
          quantize.getExperts())
        return false;
    }
    for (Operation *user : llvm::make_early_inc_range(op->getUsers())) {
      auto quantize = cast<qz::QuantizeOp>(user);
      quantize.getInputMutable().assign(op.getInput());
      quantize.getOrderMutable().assign(op.getOrder());
    }
    op.erase();
    return true;
  }
};
} // namespace
