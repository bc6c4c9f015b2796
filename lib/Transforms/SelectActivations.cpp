//===- SelectActivations.cpp - How activations enter each matmul ----------===//
// SPDX-License-Identifier: Apache-2.0
//
// The choice is the user's (--activations), bounded by what the weights allow
// and by what the logits need. It is made once here; kernels only read it.
//===----------------------------------------------------------------------===//

#include "qcc/Transforms/Passes.h"
#include "StepFunction.h"

namespace qcc {
#define GEN_PASS_DEF_SELECTACTIVATIONSPASS
#include "qcc/Transforms/Passes.h.inc"
} // namespace qcc

using namespace mlir;
using namespace qcc;

/// The number of k elements under one integer sum that `encoding` allows: 32 or
/// 16; 0 when only f32 activations can be used.
static int64_t sumGroup(const Encoding &encoding) {
  if (encoding.isFloat() || encoding.hasFloatCodes())
    return 0;
  auto ofGroup = [](unsigned group) -> int64_t {
    return group % 16 ? 0 : group % 32 ? 16 : 32;
  };
  if (encoding.spans.empty())
    return ofGroup(encoding.group);
  int64_t least = 32;
  for (const Encoding::Span &span : encoding.spans)
    least = std::min(least, ofGroup(span.group));
  return least;
}

/// Whether each scale of `encoding` is for 64 elements or more.
static bool hasLargeGroups(const Encoding &encoding) {
  if (encoding.isTwoLevel())
    return false;
  if (encoding.spans.empty())
    return encoding.group >= 64;
  return llvm::all_of(encoding.spans, [](const Encoding::Span &span) {
    return span.group >= 64;
  });
}

static bool isEightBit(qz::Activations activations) {
  return activations == qz::Activations::A8 ||
         activations == qz::Activations::A8G16;
}

/// Whether `op` makes rows whose errors are felt most.
static bool isFelt(qz::QuantizeOp op) {
  if (!op.getNorm() && op.getInput().getDefiningOp<qz::MatmulOp>())
    return true;
  return llvm::any_of(op->getUsers(), [](Operation *user) {
    return llvm::any_of(user->getUsers(), llvm::IsaPred<llm::RopeAppendOp>);
  });
}

/// Adds to `outputs` the values of `block` that are made of rows that want
/// logits, and of the bodies called with them.
static void markOutputs(Block &block, DenseSet<Value> &outputs) {
  for (Operation &op : block) {
    bool isOutput = isa<llm::SelectOutputsOp>(op);
    for (Value operand : op.getOperands())
      isOutput |= outputs.contains(operand);
    if (!isOutput)
      continue;
    outputs.insert(op.result_begin(), op.result_end());
    auto call = dyn_cast<func::CallOp>(op);
    if (!call)
      continue;
    Block &body = entryBlock(calledBody(call));
    for (auto [operand, argument] :
         llvm::zip_equal(call.getOperands(), body.getArguments()))
      if (outputs.contains(operand))
        outputs.insert(argument);
    markOutputs(body, outputs);
  }
}

namespace {
struct SelectActivationsPass
    : qcc::impl::SelectActivationsPassBase<SelectActivationsPass> {
  using Base::Base;

  void runOnOperation() override {
    FailureOr<func::FuncOp> step = findStep(getOperation());
    if (failed(step) || failed(findBodies(*step)))
      return signalPassFailure();
    DenseSet<Value> outputs;
    markOutputs(entryBlock(*step), outputs);
    getOperation().walk(
        [&](qz::QuantizeOp op) { select(op, outputs.contains(op)); });
  }

private:
  void select(qz::QuantizeOp op, bool isOutput) {
    int64_t group = 32;
    // More scales of activations cost little where weights have few.
    bool isCheap = true;
    for (Operation *user : op->getUsers())
      if (auto matmul = dyn_cast<qz::MatmulOp>(user))
        for (Value weight : matmul.getWeights()) {
          auto type = cast<qz::QTensorType>(weight.getType());
          Encoding encoding = type.getEncoding().toEncoding();
          group = std::min(group, sumGroup(encoding));
          isCheap &= hasLargeGroups(encoding);
        }

    qz::Activations choice[] = {generate,
                                isFelt(op) || isCheap ? felt : prompt};
    for (qz::Activations &activations : choice) {
      if (group == 0) {
        numFloat += activations != qz::Activations::F32;
        activations = qz::Activations::F32;
      } else if (isOutput && isEightBit(activations)) {
        ++numRaised;
        activations = qz::Activations::A16;
      }
    }
    MLIRContext *context = &getContext();
    op.setGenerateAttr(qz::ActivationsAttr::get(context, choice[0]));
    op.setPromptAttr(qz::ActivationsAttr::get(context, choice[1]));
    op.setSumGroup(group == 16 ? 16 : 32);
  }
};
} // namespace
