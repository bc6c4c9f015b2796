//===- RollLayers.cpp - One function for all layers of a kind -------------===//
// SPDX-License-Identifier: Apache-2.0
//
// A layer is first closed: what it takes from the module (weights, states) and
// what is the same for all layers of a step (rotations) become arguments. Then
// equal layers are the same function, and which layers those are needs no
// knowledge of architectures: sliding and full attention, or a matrix in
// another encoding, simply make another body.
//===----------------------------------------------------------------------===//

#include "qcc/Transforms/Passes.h"
#include "StepFunction.h"

#include "mlir/IR/IRMapping.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSet.h"

namespace qcc {
#define GEN_PASS_DEF_ROLLLAYERSPASS
#include "qcc/Transforms/Passes.h.inc"
} // namespace qcc

using namespace mlir;
using namespace qcc;

/// Whether the caller can make the value of `op`: it depends on nothing, or on
/// arguments of the function alone.
static bool canHoist(Operation &op) {
  if (isa<qz::UseOp, llm::StateOp>(op))
    return true;
  auto rotations = dyn_cast<llm::RotationsOp>(op);
  return rotations && isa<BlockArgument>(rotations.getBatch());
}

/// Operations of `func` that the caller can make, in the order of first use;
/// equal ones together.
static SmallVector<SmallVector<Operation *>> hoistable(func::FuncOp func) {
  SmallVector<SmallVector<Operation *>> groups;
  llvm::SmallPtrSet<Operation *, 16> seen;
  for (Operation &user : entryBlock(func))
    for (Value operand : user.getOperands()) {
      Operation *op = operand.getDefiningOp();
      if (!op || !canHoist(*op) || !seen.insert(op).second)
        continue;
      auto *group = llvm::find_if(groups, [&](auto &group) {
        return OperationEquivalence::isEquivalentTo(
            group.front(), op, OperationEquivalence::IgnoreLocations);
      });
      if (group == groups.end())
        groups.push_back({op});
      else
        group->push_back(op);
    }
  return groups;
}

/// Turns the hoistable operations of `func` into arguments; `calls` are all
/// calls of it.
static void closeFunction(func::FuncOp func, ArrayRef<func::CallOp> calls) {
  Block &block = entryBlock(func);
  SmallVector<SmallVector<Operation *>> groups = hoistable(func);
  for (func::CallOp call : calls) {
    OpBuilder builder(call);
    IRMapping mapping;
    mapping.map(block.getArguments(), call.getOperands());
    SmallVector<Value> values;
    for (auto &group : groups) {
      // Rotations are work: it is done before the first layer, so that layers
      // follow each other without a gap.
      bool isWork = isa<llm::RotationsOp>(group.front());
      bool canBeFirst =
          llvm::all_of(group.front()->getOperands(), [&](Value operand) {
            return isa<BlockArgument>(mapping.lookup(operand));
          });
      if (isWork && canBeFirst)
        builder.setInsertionPointToStart(call->getBlock());
      else
        builder.setInsertionPoint(call);
      values.push_back(builder.clone(*group.front(), mapping)->getResult(0));
    }
    call.getOperandsMutable().append(values);
  }
  for (auto &group : groups) {
    Operation *first = group.front();
    BlockArgument argument =
        block.addArgument(first->getResult(0).getType(), first->getLoc());
    for (Operation *op : group) {
      op->getResult(0).replaceAllUsesWith(argument);
      op->erase();
    }
  }
  // Argument attributes keep their places: new arguments come last.
  SmallVector<DictionaryAttr> attributes;
  func.getAllArgAttrs(attributes);
  func.setFunctionType(FunctionType::get(func.getContext(),
                                         block.getArgumentTypes(),
                                         func.getFunctionType().getResults()));
  attributes.resize(block.getNumArguments(),
                    DictionaryAttr::get(func.getContext()));
  if (llvm::any_of(attributes,
                   [](DictionaryAttr a) { return a && !a.empty(); }))
    func.setAllArgAttrs(attributes);
}

/// Whether two closed functions do the same with their arguments.
static bool sameBody(func::FuncOp a, func::FuncOp b) {
  return a.getFunctionType() == b.getFunctionType() &&
         a.getArgAttrsAttr() == b.getArgAttrsAttr() &&
         a.getResAttrsAttr() == b.getResAttrsAttr() &&
         OperationEquivalence::isRegionEquivalentTo(
             &a.getBody(), &b.getBody(), OperationEquivalence::IgnoreLocations);
}

namespace {
struct RollLayersPass : qcc::impl::RollLayersPassBase<RollLayersPass> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    FailureOr<func::FuncOp> step = findStep(module);
    if (failed(step) || failed(findBodies(*step)))
      return signalPassFailure();

    llvm::MapVector<func::FuncOp, SmallVector<func::CallOp>> layers;
    for (auto call : entryBlock(*step).getOps<func::CallOp>())
      layers[calledBody(call)].push_back(call);
    // Functions that something else uses keep their signature and name.
    SymbolTableCollection symbols;
    SymbolUserMap users(symbols, module);
    layers.remove_if([&](auto &layer) {
      return users.getUsers(layer.first).size() != layer.second.size();
    });

    SmallVector<func::FuncOp> bodies;
    for (auto &[layer, calls] : layers) {
      numLayers += calls.size();
      closeFunction(layer, calls);
      auto *body = llvm::find_if(bodies, [&, layer = layer](func::FuncOp body) {
        return sameBody(body, layer);
      });
      if (body == bodies.end()) {
        bodies.push_back(layer);
        continue;
      }
      for (func::CallOp call : calls)
        call.setCallee(body->getSymName());
      layer.erase();
    }
    numBodies += bodies.size();
    nameBodies(module, *step, bodies);
  }

private:
  /// Names the bodies @body.0, @body.1 ... and orders them like that before
  /// @step.
  static void nameBodies(ModuleOp module, func::FuncOp step,
                         ArrayRef<func::FuncOp> bodies) {
    DenseMap<StringRef, func::FuncOp> byName;
    for (func::FuncOp body : bodies)
      byName[body.getSymName()] = body;
    SmallVector<std::pair<func::CallOp, func::FuncOp>> calls;
    for (auto call : entryBlock(step).getOps<func::CallOp>())
      if (func::FuncOp body = byName.lookup(call.getCallee()))
        calls.push_back({call, body});

    llvm::StringSet<> taken;
    for (auto symbol : module.getOps<SymbolOpInterface>())
      if (!byName.contains(symbol.getName()))
        taken.insert(symbol.getName());
    unsigned number = 0;
    for (func::FuncOp body : bodies) {
      std::string name;
      do
        name = "body." + std::to_string(number++);
      while (taken.contains(name));
      body.setSymName(name);
      body.setPrivate();
      body->moveBefore(step);
    }
    for (auto &[call, body] : calls)
      call.setCallee(body.getSymName());
  }
};
} // namespace
