//===- Function.cpp - One function as calls of kernels --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Function.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qcc;

static int64_t widthOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape().back();
}

/// Whether a value is rows that live in the arena.
static bool hasBuffer(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.getRank() == 2 && type.isDynamicDim(0);
}

LLVM::LLVMFuncOp ReferenceModule::declare(func::FuncOp function) {
  OpBuilder builder = OpBuilder::atBlockEnd(kernels.module.getBody());
  Type pointer = LLVM::LLVMPointerType::get(builder.getContext());
  Type i32 = builder.getI32Type();
  SmallVector<Type> arguments = {pointer, i32, i32};
  for (Type type : function.getArgumentTypes())
    if (isa<RankedTensorType>(type))
      arguments.push_back(pointer);
  arguments.push_back(pointer);
  auto type = LLVM::LLVMFunctionType::get(builder.getI1Type(), arguments);
  auto lowered =
      LLVM::LLVMFuncOp::create(builder, function.getLoc(), function.getName(),
                               type, LLVM::Linkage::Internal);
  functions[function.getName()] = lowered;
  return lowered;
}

FunctionLowering::FunctionLowering(ReferenceModule &module, func::FuncOp source,
                                   uint64_t base, bool trace)
    : module(module), source(source),
      target(module.functions.lookup(source.getName())),
      builder(source.getContext()), e(builder, source.getLoc()), base(base),
      trace(trace) {}

LogicalResult FunctionLowering::run() {
  Block *entry = target.addEntryBlock(builder);
  builder.setInsertionPointToStart(entry);
  step = entry->getArgument(0);
  thread = entry->getArgument(1);
  threads = entry->getArgument(2);
  result = entry->getArguments().back();

  Type i64 = builder.getI64Type();
  auto extend = [&](Value value) -> Value {
    return arith::ExtUIOp::create(builder, e.loc, i64, value);
  };
  auto field = [&](StepField field) {
    return loadStepField(builder, e.loc, step, field);
  };
  rows = extend(field(StepField::Rows));
  outputs = extend(field(StepField::Outputs));
  weights = field(StepField::Weights);
  states = field(StepField::State);
  Value own = e.i64(int64_t(module.kernels.threadBytes));
  sharedMemory =
      e.byteOffset(field(StepField::Arena), e.mul(extend(threads), own));

  unsigned next = 3;
  for (BlockArgument argument : source.getArguments())
    if (isa<RankedTensorType>(argument.getType()))
      pointers[argument] = entry->getArgument(next++);

  {
    OpBuilder::InsertionGuard guard(builder);
    exit = builder.createBlock(&target.getBody());
    Value no = LLVM::ConstantOp::create(builder, e.loc, builder.getI1Type(),
                                        builder.getBoolAttr(false));
    LLVM::ReturnOp::create(builder, e.loc, no);
  }

  if (failed(placeInputs()))
    return failure();
  for (BlockArgument argument : source.getArguments())
    writeInput(argument);
  for (Operation &op : source.getBody().front()) {
    e.loc = op.getLoc();
    if (failed(lower(&op)))
      return failure();
    for (Value value : op.getResults())
      writeInput(value);
    releaseDead(&op);
  }
  return success();
}

LogicalResult FunctionLowering::lower(Operation *op) {
  if (op->getNumResults() == 1 && hasBuffer(op->getResult(0)))
    allocateResult(op);
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](func::ReturnOp op) { return lowerReturn(op); })
      .Case([&](func::CallOp op) { return lowerCall(op); })
      .Case([&](qz::UseOp op) { return lowerUse(op); })
      .Case([&](qz::DequantizeOp op) {
        // Stored as plain values.
        pointers[op.getResult()] = pointerOf(op.getWeight());
        return success();
      })
      .Case([&](llm::StateOp op) { return lowerState(op); })
      .Default([&](Operation *op) { return lowerKernel(op); });
}

void FunctionLowering::allocateResult(Operation *op) {
  Value value = op->getResult(0);
  // One row for each output: what selects outputs, and all that follows from
  // it.
  if (isa<llm::SelectOutputsOp>(op) ||
      llvm::any_of(op->getOperands(),
                   [&](Value operand) { return ofOutputs.contains(operand); }))
    ofOutputs.insert(value);
  // What the function returns is made in place.
  if (value.hasOneUse() && isa<func::ReturnOp>(*value.user_begin())) {
    pointers[value] = result;
    return;
  }
  uint64_t place =
      arena.allocate(module.rowCapacity * widthOf(value) * sizeof(float));
  places[value] = place;
  pointers[value] = e.byteOffset(sharedMemory, e.i64(int64_t(base + place)));
}

void FunctionLowering::releaseDead(Operation *op) {
  auto isDead = [&](Value value) {
    return llvm::all_of(value.getUsers(), [&](Operation *user) {
      return user == op || user->isBeforeInBlock(op);
    });
  };
  auto release = [&](Value value) {
    auto place = places.find(value);
    if (place == places.end() || !isDead(value))
      return;
    arena.release(place->second,
                  module.rowCapacity * widthOf(value) * sizeof(float));
    places.erase(place);
  };
  for (Value operand : op->getOperands())
    release(operand);
  for (Value value : op->getResults())
    release(value);
}

void FunctionLowering::call(LLVM::LLVMFuncOp callee, ValueRange operands) {
  Value goOn =
      LLVM::CallOp::create(builder, e.loc, callee, operands).getResult();
  Block *here = builder.getInsertionBlock();
  Block *next = builder.createBlock(exit);
  builder.setInsertionPointToEnd(here);
  LLVM::CondBrOp::create(builder, e.loc, goOn, next, exit);
  builder.setInsertionPointToStart(next);
}

void FunctionLowering::copyRows(Value from, Value to, Value count,
                                int64_t width) {
  call(module.kernels.getCopy(e.loc, width),
       {step, thread, threads, count, from, to});
}

void FunctionLowering::copyIfWanted(StepField field, Value value, Value at) {
  Value array = loadStepField(builder, e.loc, step, field);
  Value null = LLVM::ZeroOp::create(builder, e.loc, array.getType());
  Value isWanted = LLVM::ICmpOp::create(builder, e.loc, LLVM::ICmpPredicate::ne,
                                        array, null);
  Block *here = builder.getInsertionBlock();
  Block *copy = builder.createBlock(exit);
  copyRows(pointerOf(value), e.element(array, at), rowsOf(value),
           widthOf(value));
  Block *copied = builder.getInsertionBlock();
  Block *next = builder.createBlock(exit);
  builder.setInsertionPointToEnd(here);
  LLVM::CondBrOp::create(builder, e.loc, isWanted, copy, next);
  builder.setInsertionPointToEnd(copied);
  LLVM::BrOp::create(builder, e.loc, next);
  builder.setInsertionPointToStart(next);
}

void FunctionLowering::writeTrace(Value value, unsigned index) {
  copyIfWanted(StepField::Trace, value,
               e.mul(rows, e.i64(int64_t(index) * widthOf(value))));
}

LogicalResult FunctionLowering::placeInputs() {
  for (auto matmul : source.getOps<llm::LinearOp>()) {
    auto dequantize = matmul.getWeight().getDefiningOp<qz::DequantizeOp>();
    auto use = dequantize ? dequantize.getWeight().getDefiningOp<qz::UseOp>()
                          : qz::UseOp();
    if (!use)
      return matmul.emitOpError() << "expected the values of a qz.use";
    // In the order of the model, whatever the weight's is.
    Value input = matmul.getInput();
    if (auto permute = input.getDefiningOp<qz::PermuteOp>())
      input = permute.getInput();
    uint32_t columns = uint32_t(widthOf(input));
    auto [place, isNew] = inputs.try_emplace(input, module.matmulColumns);
    if (isNew)
      module.matmulColumns += columns;
    std::string weight = use.getWeight().str();
    if (llvm::is_contained(llvm::map_range(module.matmuls,
                                           [](const MatmulInput &known) {
                                             return known.weight;
                                           }),
                           weight))
      return matmul.emitOpError()
             << "expected one matmul with " << use.getWeightAttr();
    module.matmuls.push_back({std::move(weight), place->second, columns});
  }
  return success();
}

void FunctionLowering::writeInput(Value value) {
  auto place = inputs.find(value);
  if (place != inputs.end())
    copyIfWanted(StepField::MatmulInputs, value,
                 e.mul(rows, e.i64(int64_t(place->second))));
}

LogicalResult FunctionLowering::lowerReturn(func::ReturnOp op) {
  Value value = op.getOperand(0);
  if (pointerOf(value) != result)
    copyRows(pointerOf(value), result, rowsOf(value), widthOf(value));
  Value yes = LLVM::ConstantOp::create(builder, e.loc, builder.getI1Type(),
                                       builder.getBoolAttr(true));
  LLVM::ReturnOp::create(builder, e.loc, yes);
  return success();
}

LogicalResult FunctionLowering::lowerCall(func::CallOp op) {
  SmallVector<Value> operands = {step, thread, threads};
  Value input;
  for (Value operand : op.getOperands())
    if (isa<RankedTensorType>(operand.getType())) {
      input = operand;
      operands.push_back(pointerOf(operand));
    }
  operands.push_back(pointerOf(op.getResult(0)));
  if (trace && calls == 0 && input)
    writeTrace(input, 0);
  call(module.functions.lookup(op.getCallee()), operands);
  ++calls;
  if (trace)
    writeTrace(op.getResult(0), calls);
  return success();
}

LogicalResult FunctionLowering::lowerUse(qz::UseOp op) {
  auto weight = module.sourceSymbols.lookup<qz::WeightOp>(op.getWeight());
  if (weight.getLayout() != qz::Layout::Plain || !weight.getOffset())
    return op.emitOpError() << "expected " << op.getWeightAttr()
                            << " in the plain layout with an offset";
  pointers[op.getResult()] =
      e.byteOffset(weights, e.i64(int64_t(*weight.getOffset())));
  return success();
}

LogicalResult FunctionLowering::lowerState(llm::StateOp op) {
  unsigned index = module.stateIndex.lookup(op.getState());
  pointers[op.getResult()] = e.loadPointer(states, e.i64(index));
  return success();
}

LogicalResult FunctionLowering::lowerKernel(Operation *op) {
  LLVM::LLVMFuncOp kernel = module.kernels.get(op);
  if (!kernel)
    return op->emitOpError() << "has no reference lowering";
  Value value = op->getResult(0);
  SmallVector<Value> operands = {step, thread, threads, rowsOf(value)};
  for (Value operand : op->getOperands())
    if (isKernelOperand(operand))
      operands.push_back(pointerOf(operand));
  operands.push_back(pointerOf(value));
  call(kernel, operands);
  return success();
}
