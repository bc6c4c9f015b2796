//===- StageLowering.cpp - One function of stages as SPMD code ------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Every thread runs the same function. A stage's units are dealt to the
// threads; a barrier follows it before the next stage that needs it starts.
// Which thread does a unit never changes its result.
//===----------------------------------------------------------------------===//

#include "StageLowering.h"

#include "qcc/Codegen/Common/StepABI.h"
#include "RowKernels.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

//===----------------------------------------------------------------------===//
// Shared facts
//===----------------------------------------------------------------------===//

int64_t qcc::x86::columnsOf(Value rows) {
  return cast<RankedTensorType>(rows.getType()).getDimSize(1);
}

int64_t qcc::x86::rowStride(Value rows) {
  return (columnsOf(rows) + 15) / 16 * 16 * 4;
}

int64_t qcc::x86::moduleNumber(ModuleOp module, StringRef name) {
  auto attr = module->getAttrOfType<IntegerAttr>(name);
  return attr ? attr.getInt() : 0;
}

static int64_t alignUp(int64_t value, int64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

int64_t LoweringContext::arenaBytes() const {
  return alignUp(sharedBytes, 4096);
}

int64_t LoweringContext::threadBytes() const {
  return alignUp(scratchOffset + scratchBytes + routeBytes, 4096);
}

AttentionShape LoweringContext::attentionShape(llm::StateType state,
                                               int64_t queryColumns) const {
  return {queryColumns / state.getHeadDim(), state.getKvHeads(),
          state.getHeadDim(), state.getValueDim(), kvElement};
}

LLVM::GlobalOp LoweringContext::constantData(StringRef name,
                                             DenseElementsAttr values) {
  if (auto existing = module.lookupSymbol<LLVM::GlobalOp>(name))
    return existing;
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  Type type = LLVM::LLVMArrayType::get(values.getElementType(),
                                       values.getNumElements());
  return LLVM::GlobalOp::create(builder, module.getLoc(), type,
                                /*isConstant=*/true, LLVM::Linkage::Private,
                                name, values, /*alignment=*/64);
}

//===----------------------------------------------------------------------===//
// Functions, arguments and barriers
//===----------------------------------------------------------------------===//

StageLowering::StageLowering(LoweringContext &context, const StepMode &mode,
                             func::FuncOp source)
    : context(context), mode(mode), source(source),
      builder(context.module.getContext()),
      e(builder, source.getLoc(), context.module) {}

func::FuncOp StageLowering::lower() {
  builder.setInsertionPointToEnd(context.module.getBody());
  Type i1 = builder.getI1Type();
  function = func::FuncOp::create(
      builder, e.loc, (source.getName() + "." + mode.name).str(),
      builder.getFunctionType({e.ptr(), e.i64(), e.i64(), e.ptr()}, {i1}));
  function.setPrivate();
  Block *entry = function.addEntryBlock();
  exit = function.addBlock();
  builder.setInsertionPointToStart(exit);
  func::ReturnOp::create(builder, e.loc, e.constant(i1, 0));

  builder.setInsertionPointToStart(entry);
  step = entry->getArgument(0);
  thread = entry->getArgument(1);
  threads = entry->getArgument(2);
  auto field = [&](StepField f) {
    return loadStepField(builder, e.loc, step, f);
  };
  rows = e.zext(field(StepField::Rows), e.i64());
  outputCount = e.zext(field(StepField::Outputs), e.i64());
  arena = field(StepField::Arena);
  weights = field(StepField::Weights);
  scratch = e.offset(
      arena, e.add(e.mul(thread, context.threadBytes()), context.arenaBytes()));
  bindArguments(entry->getArgument(3));
  if (source.getName() == "step" && !mode.prompt)
    clearPartsDone();

  SmallVector<func::CallOp> calls;
  auto flush = [&]() -> LogicalResult {
    if (calls.empty())
      return success();
    LogicalResult result = lowerLayers(calls);
    calls.clear();
    return result;
  };
  for (Operation &op : source.front().without_terminator()) {
    if (auto call = dyn_cast<func::CallOp>(op)) {
      calls.push_back(call);
      continue;
    }
    if (!calls.empty() && !isa<qz::UseOp, llm::StateOp>(op) && failed(flush()))
      return {};
    if (isLeftToAttend(&op))
      continue;
    if (failed(lowerOp(&op)))
      return {};
    if (context.profile.contains(&op)) {
      lastStage = &op;
      context.profile.mark(e, step, thread, &op, /*isWait=*/false);
    }
  }
  if (failed(flush()))
    return {};
  if (pendingBarrier)
    barrier();
  func::ReturnOp::create(builder, e.loc, e.constant(i1, 1));
  return function;
}

int64_t StageLowering::stateNumber(llm::StateOp state) {
  auto states = context.source.getOps<llm::KVStateOp>();
  auto found = llvm::find_if(states, [&](llm::KVStateOp op) {
    return op.getSymName() == state.getState();
  });
  return std::distance(states.begin(), found);
}

Value StageLowering::loadState(Value number) {
  Value states = loadStepField(builder, e.loc, step, StepField::State);
  return e.load(e.ptr(), e.offset(states, e.mul(number, 8)));
}

void StageLowering::bindArguments(Value row) {
  unsigned slot = 1; // After the body's number.
  for (BlockArgument argument : source.getArguments()) {
    if (isa<llm::BatchType>(argument.getType()))
      continue;
    Value entry = e.load(e.i64(), row, int64_t(slot++) * 8, llvm::Align(8));
    if (isa<qz::QTensorType>(argument.getType()))
      places[argument] = e.offset(weights, entry);
    else if (isa<llm::StateType>(argument.getType()))
      places[argument] = loadState(entry);
    else
      places[argument] = e.offset(arena, entry);
  }
  // Pointers are made here, so that they dominate every later block.
  for (Operation &op : source.front().without_terminator()) {
    if (auto use = dyn_cast<qz::UseOp>(op)) {
      auto weight = context.source.lookupSymbol<qz::WeightOp>(use.getWeight());
      places[use.getResult()] =
          e.offset(weights, int64_t(weight.getOffset().value_or(0)));
    } else if (auto state = dyn_cast<llm::StateOp>(op)) {
      places[state.getResult()] = loadState(e.c64(stateNumber(state)));
    } else if (auto buffer = op.getAttrOfType<IntegerAttr>("buffer")) {
      places[op.getResult(0)] = e.offset(arena, buffer.getInt());
    }
    // Rows that come from selected outputs are as many as those.
    bool selected = isa<llm::SelectOutputsOp>(op) ||
                    llvm::any_of(op.getOperands(), [&](Value operand) {
                      return outputs.contains(operand);
                    });
    if (selected)
      outputs.insert(op.result_begin(), op.result_end());
  }
}

void StageLowering::barrier() {
  pendingBarrier = false;
  Value go = callBarrier(builder, e.loc, step, e.trunc(thread, e.i32()));
  Block *current = builder.getInsertionBlock();
  Block *next = builder.createBlock(current->getNextNode());
  builder.setInsertionPointToEnd(current);
  cf::CondBranchOp::create(builder, e.loc, go, next, exit);
  builder.setInsertionPointToEnd(next);
  if (lastStage)
    context.profile.mark(e, step, thread, lastStage, /*isWait=*/true);
}

void StageLowering::forUnits(Value count, function_ref<void(Value)> body) {
  auto bound = [&](Value number) -> Value {
    return LLVM::UDivOp::create(builder, e.loc, e.mul(number, count), threads);
  };
  e.loop(bound(thread), bound(e.add(thread, 1)), 1, body);
  pendingBarrier = true;
}

void StageLowering::forUnitsInTurn(Value count,
                                   function_ref<void(Value)> body) {
  e.loop(thread, count, threads, {}, [&](Value unit, ValueRange) {
    body(unit);
    return Values();
  });
  pendingBarrier = true;
}

void StageLowering::forUnitsThereAndBack(Value count,
                                         function_ref<void(Value)> body) {
  Value last = e.add(threads, -1);
  e.loop(e.c64(0), count, threads, thread, [&](Value first, ValueRange place) {
    Value unit = e.add(first, place[0]);
    e.ifThen(e.cmp(arith::CmpIPredicate::ult, unit, count),
             [&] { body(unit); });
    return Values{e.sub(last, place[0])};
  });
  pendingBarrier = true;
}

int64_t StageLowering::arenaOffset(Value value) {
  // A call's result is in the buffer of its first operand.
  while (auto call = value.getDefiningOp<func::CallOp>())
    value = call.getOperand(0);
  return value.getDefiningOp()->getAttrOfType<IntegerAttr>("buffer").getInt();
}

LogicalResult StageLowering::lowerOp(Operation *op) {
  // Stages at the start that need nothing of each other share a barrier.
  bool independent =
      isa<llm::EmbeddingOp, llm::RotationsOp, qz::UseOp, llm::StateOp>(op);
  if (pendingBarrier && !independent)
    barrier();
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<qz::UseOp, llm::StateOp>([](auto) { return success(); })
      .Case([&](llm::EmbeddingOp o) { return lowerEmbedding(o), success(); })
      .Case([&](llm::RotationsOp o) { return lowerRotations(o), success(); })
      .Case([&](qz::QuantizeOp o) { return lowerQuantize(o), success(); })
      .Case([&](qz::MatmulOp o) { return lowerMatmul(o), success(); })
      .Case([&](llm::RopeAppendOp o) { return lowerRopeAppend(o), success(); })
      .Case([&](llm::LatentAppendOp o) {
        return lowerLatentAppend(o), success();
      })
      .Case([&](llm::AttendOp o) { return lowerAttend(o), success(); })
      .Case([&](llm::AddNormOp o) { return lowerAddNorm(o), success(); })
      .Case([&](llm::RouteOp o) { return lowerRoute(o), success(); })
      .Case([&](llm::RouteAllOp o) { return lowerRouteAll(o), success(); })
      .Case([&](llm::CombineOp o) { return lowerCombine(o), success(); })
      .Case([&](llm::SelectOutputsOp o) {
        return lowerSelectOutputs(o), success();
      })
      .Default([](Operation *other) {
        return other->emitError("is not a stage that this target lowers; "
                                "qcc-verify-fused should have refused it");
      });
}

//===----------------------------------------------------------------------===//
// Layers
//===----------------------------------------------------------------------===//

void StageLowering::copyResidual(Value residual, StepField field, Value index) {
  Value base = loadStepField(builder, e.loc, step, field);
  Value null = LLVM::ZeroOp::create(builder, e.loc, e.ptr());
  Value wanted =
      LLVM::ICmpOp::create(builder, e.loc, LLVM::ICmpPredicate::ne, base, null);
  Block *current = builder.getInsertionBlock();
  Block *next = builder.createBlock(current->getNextNode());
  Block *copy = builder.createBlock(next);
  builder.setInsertionPointToEnd(current);
  cf::CondBranchOp::create(builder, e.loc, wanted, copy, next);
  builder.setInsertionPointToEnd(copy);
  int64_t columns = moduleNumber(context.source, "llm.hidden");
  int64_t stride = (columns + 15) / 16 * 16 * 4;
  forUnits(rows, [&](Value row) {
    Value to = e.mul(e.add(e.mul(index, rows), row), columns * 4);
    copyRow(e, context.isa, e.offset(residual, e.mul(row, stride)),
            e.offset(base, to), columns);
  });
  barrier();
  cf::BranchOp::create(builder, e.loc, next);
  builder.setInsertionPointToEnd(next);
}

LogicalResult StageLowering::lowerLayers(ArrayRef<func::CallOp> calls) {
  if (pendingBarrier)
    barrier();
  // The table: one row for each layer.
  SmallVector<StringRef> bodies;
  unsigned slots = 1;
  for (func::CallOp call : calls) {
    if (!llvm::is_contained(bodies, call.getCallee()))
      bodies.push_back(call.getCallee());
    slots = std::max<unsigned>(slots, call.getNumOperands());
  }
  SmallVector<int64_t> table;
  for (func::CallOp call : calls) {
    size_t start = table.size();
    table.push_back(llvm::find(bodies, call.getCallee()) - bodies.begin());
    for (Value operand : call.getOperands()) {
      if (isa<llm::BatchType>(operand.getType()))
        continue;
      if (auto use = operand.getDefiningOp<qz::UseOp>()) {
        auto weight =
            context.source.lookupSymbol<qz::WeightOp>(use.getWeight());
        table.push_back(weight.getOffset().value_or(0));
      } else if (auto state = operand.getDefiningOp<llm::StateOp>()) {
        table.push_back(stateNumber(state));
      } else {
        table.push_back(arenaOffset(operand));
      }
    }
    table.resize(start + slots);
  }
  auto type = RankedTensorType::get({int64_t(table.size())}, e.i64());
  LLVM::GlobalOp global = context.constantData(
      "layers." + std::to_string(firstLayer),
      DenseElementsAttr::get(type, ArrayRef<int64_t>(table)));
  Value base = LLVM::AddressOfOp::create(builder, e.loc, global);

  func::CallOp firstCall = calls.front();
  Value residual = e.offset(arena, arenaOffset(firstCall.getOperand(0)));
  auto trace = [&](Value index) {
    copyResidual(residual, StepField::Trace, index);
  };
  if (firstLayer == 0)
    trace(e.c64(0));
  // Where a GPU runs the others, only the first so many layers.
  Value all = e.c64(int64_t(calls.size()));
  Value wanted =
      e.zext(loadStepField(builder, e.loc, step, StepField::Layers), e.i64());
  Value some =
      e.minU(e.sub(e.maxU(wanted, e.c64(firstLayer)), e.c64(firstLayer)), all);
  Value isAll = e.cmp(arith::CmpIPredicate::eq, wanted, e.c64(0));
  Value first = e.c64(0), count = e.select(isAll, all, some);
  Value none = e.cmp(arith::CmpIPredicate::eq, count, first);
  Block *before = builder.getInsertionBlock();
  Block *head = builder.createBlock(exit, {e.i64()}, {e.loc});
  Block *done = builder.createBlock(exit);
  builder.setInsertionPointToEnd(before);
  cf::CondBranchOp::create(builder, e.loc, none, done, ValueRange(), head,
                           ValueRange{first});

  builder.setInsertionPointToEnd(head);
  Value layer = head->getArgument(0);
  Value row = e.offset(base, e.mul(layer, int64_t(slots) * 8));
  Value kind = e.load(e.i64(), row, llvm::Align(8));
  SmallVector<Block *> cases;
  SmallVector<int64_t> numbers;
  Block *join = builder.createBlock(done, {builder.getI1Type()}, {e.loc});
  for (auto [number, body] : llvm::enumerate(bodies)) {
    cases.push_back(builder.createBlock(join));
    numbers.push_back(int64_t(number));
    auto call = func::CallOp::create(
        builder, e.loc, (body + "." + mode.name).str(), builder.getI1Type(),
        ValueRange{step, thread, threads, row});
    cf::BranchOp::create(builder, e.loc, join, call.getResults());
  }
  builder.setInsertionPointToEnd(head);
  if (cases.size() == 1) {
    cf::BranchOp::create(builder, e.loc, cases[0]);
  } else {
    SmallVector<ValueRange> none(cases.size() - 1);
    cf::SwitchOp::create(
        builder, e.loc, kind, cases[0], ValueRange(),
        DenseIntElementsAttr::get(
            VectorType::get({int64_t(numbers.size()) - 1}, e.i64()),
            ArrayRef<int64_t>(numbers).drop_front()),
        BlockRange(ArrayRef<Block *>(cases).drop_front()), none);
  }
  builder.setInsertionPointToEnd(join);
  Block *go = builder.createBlock(done);
  builder.setInsertionPointToEnd(join);
  cf::CondBranchOp::create(builder, e.loc, join->getArgument(0), go, exit);
  builder.setInsertionPointToEnd(go);
  Value next = e.add(layer, 1);
  trace(e.add(next, firstLayer));
  firstLayer += int64_t(calls.size());
  Value more = e.cmp(arith::CmpIPredicate::ult, next, count);
  cf::CondBranchOp::create(builder, e.loc, more, head, ValueRange{next}, done,
                           ValueRange());
  builder.setInsertionPointToEnd(done);
  copyResidual(residual, StepField::Residual, e.c64(0));
  return success();
}
