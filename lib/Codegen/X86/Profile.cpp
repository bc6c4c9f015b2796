//===- Profile.cpp - Where the time of a step goes ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Profile.h"

#include "dialects/LLM/LLMDialect.h"
#include "dialects/QZ/QZDialect.h"
#include "qcc/Codegen/Common/StepABI.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

static constexpr StringLiteral kMark = "profile.mark";

namespace {
/// The weights that stand behind a value, one for each run of its function.
class WeightFinder {
public:
  explicit WeightFinder(ModuleOp source) : source(source) {
    source.walk(
        [&](func::CallOp call) { calls[call.getCallee()].push_back(call); });
  }

  uint32_t runs(func::FuncOp function) const {
    auto found = calls.find(function.getName());
    return found == calls.end() ? 1 : uint32_t(found->second.size());
  }

  SmallVector<qz::WeightOp> find(Value value) const {
    if (auto use = value.getDefiningOp<qz::UseOp>())
      return {source.lookupSymbol<qz::WeightOp>(use.getWeight())};
    auto argument = cast<BlockArgument>(value);
    auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
    SmallVector<qz::WeightOp> result;
    for (func::CallOp call : calls.lookup(function.getName()))
      result.append(find(call.getOperand(argument.getArgNumber())));
    return result;
  }

private:
  mutable ModuleOp source; // Symbol lookup is not const.
  llvm::StringMap<SmallVector<func::CallOp>> calls;
};
} // namespace

/// Adds what `op` multiplies to `stage`.
static void describeMatmul(qz::MatmulOp op, const WeightFinder &finder,
                           ProfiledStage &stage) {
  for (Value weight : op.getWeights()) {
    SmallVector<qz::WeightOp> found = finder.find(weight);
    auto type = cast<qz::QTensorType>(weight.getType());
    // Of experts a row reads those that it chose.
    uint64_t chosen = 1, all = 1;
    if (op.getExperts()) {
      all = chosen = uint64_t(type.getMatrices());
      if (auto route = op.getExperts().getDefiningOp<llm::RouteOp>())
        chosen = uint64_t(route.getTopK());
    }
    for (qz::WeightOp each : found)
      stage.weightBytes += uint64_t(each.getBytes().value_or(0)) / all * chosen;
    stage.macs +=
        uint64_t(type.getRows()) * type.getColumns() * chosen * found.size();
    if (!found.empty())
      stage.name += (weight == op.getWeights()[0] ? " " : ", ") +
                    found.front().getSymName().str();
  }
}

Profile::Profile(ModuleOp source) {
  WeightFinder finder(source);
  auto add = [&](Operation *op) {
    if (isa<qz::UseOp, llm::StateOp, func::CallOp>(op) ||
        op->hasTrait<OpTrait::IsTerminator>())
      return;
    ProfiledStage stage;
    stage.name = op->getName().stripDialect().str();
    stage.runs = finder.runs(op->getParentOfType<func::FuncOp>());
    if (auto matmul = dyn_cast<qz::MatmulOp>(op))
      describeMatmul(matmul, finder, stage);
    numbers[op] = int64_t(list.size());
    list.push_back(std::move(stage));
  };
  for (func::FuncOp function : source.getOps<func::FuncOp>())
    for (Operation &op : function.front())
      add(&op);
}

/// (step, offset of the thread's words in the profile, offset in those of the
/// word to add to), in bytes
static LLVM::LLVMFuncOp markFunction(Emitter &e) {
  if (auto existing = e.module.lookupSymbol<LLVM::LLVMFuncOp>(kMark))
    return existing;
  OpBuilder builder = OpBuilder::atBlockEnd(e.module.getBody());
  auto type =
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(builder.getContext()),
                                  {e.ptr(), e.i64(), e.i64()});
  auto function = LLVM::LLVMFuncOp::create(builder, e.loc, kMark, type,
                                           LLVM::Linkage::Private);
  function.setNoInline(true);
  Block *entry = function.addEntryBlock(builder);
  Block *count = &function.getBody().emplaceBlock();
  Block *done = &function.getBody().emplaceBlock();
  Value step = entry->getArgument(0);
  builder.setInsertionPointToStart(entry);
  Emitter in(builder, e.loc, e.module);
  Value profile = loadStepField(builder, e.loc, step, StepField::Profile);
  Value null = LLVM::ZeroOp::create(builder, e.loc, e.ptr());
  Value isOn = LLVM::ICmpOp::create(builder, e.loc, LLVM::ICmpPredicate::ne,
                                    profile, null);
  LLVM::CondBrOp::create(builder, e.loc, isOn, count, done);
  builder.setInsertionPointToStart(count);
  Value last = in.offset(profile, entry->getArgument(1));
  Value sum = in.offset(last, entry->getArgument(2));
  Value now = in.call("llvm.readcyclecounter", e.i64(), {});
  Value ticks = in.sub(now, in.load(e.i64(), last));
  in.store(in.add(in.load(e.i64(), sum), ticks), sum);
  in.store(now, last);
  LLVM::BrOp::create(builder, e.loc, done);
  builder.setInsertionPointToStart(done);
  LLVM::ReturnOp::create(builder, e.loc, ValueRange());
  return function;
}

void Profile::mark(Emitter &e, Value step, Value thread, Operation *op,
                   bool isWait) const {
  LLVM::LLVMFuncOp function = markFunction(e);
  int64_t threadBytes = int64_t(1 + 2 * list.size()) * 8;
  int64_t word = 1 + 2 * numbers.lookup(op) + isWait;
  LLVM::CallOp::create(
      e.b, e.loc, function,
      ValueRange{step, e.mul(thread, threadBytes), e.c64(word * 8)});
}
