//===- StepFunction.cpp - Walking @step and its bodies --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "StepFunction.h"

#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace qcc;

FailureOr<func::FuncOp> qcc::findStep(ModuleOp module) {
  auto step = module.lookupSymbol<func::FuncOp>(kStepName);
  if (!step || !step.getBody().hasOneBlock())
    return module.emitError()
           << "expected a function @" << kStepName << " of one block";
  return step;
}

func::FuncOp qcc::calledBody(func::CallOp call) {
  return call->getParentOfType<ModuleOp>().lookupSymbol<func::FuncOp>(
      call.getCalleeAttr());
}

FailureOr<SmallVector<func::FuncOp>> qcc::findBodies(func::FuncOp step) {
  llvm::SetVector<func::FuncOp> bodies;
  for (auto call : entryBlock(step).getOps<func::CallOp>()) {
    func::FuncOp body = calledBody(call);
    if (!body || !body.getBody().hasOneBlock())
      return call.emitOpError() << "expected @" << call.getCallee()
                                << " to be a function of one block";
    if (body == step || !entryBlock(body).getOps<func::CallOp>().empty())
      return call.emitOpError()
             << "expected @" << call.getCallee() << " to call nothing";
    bodies.insert(body);
  }
  return SmallVector<func::FuncOp>(bodies.getArrayRef());
}
