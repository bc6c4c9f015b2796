//===- Function.cpp - One function as scalar loops ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Everything but the operations' own loops (Operations.cpp): arguments,
// buffers, calls, barriers, trace.
//===----------------------------------------------------------------------===//

#include "Function.h"

#include "qcc/Codegen/Common/StepABI.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qcc;

LLVM::LLVMFuncOp ReferenceModule::declare(func::FuncOp function) {
  OpBuilder builder = OpBuilder::atBlockEnd(result.getBody());
  Type pointer = LLVM::LLVMPointerType::get(builder.getContext());
  Type i32 = builder.getI32Type();
  SmallVector<Type> arguments = {pointer, i32, i32};
  for (Type type : function.getArgumentTypes())
    if (isa<RankedTensorType>(type))
      arguments.push_back(pointer);
  arguments.push_back(pointer);
  auto type = LLVM::LLVMFunctionType::get(builder.getI1Type(), arguments);
  auto lowered = LLVM::LLVMFuncOp::create(
      builder, function.getLoc(), function.getName(), type,
      LLVM::Linkage::Internal);
  functions[function.getName()] = lowered;
  return lowered;
}

LLVM::GlobalOp ReferenceModule::constant(DenseF32ArrayAttr values) {
  LLVM::GlobalOp &global = constants[values];
  if (global)
    return global;
  OpBuilder builder = OpBuilder::atBlockBegin(result.getBody());
  Type f32 = builder.getF32Type();
  int64_t count = values.size();
  auto type = LLVM::LLVMArrayType::get(f32, count);
  auto elements = DenseElementsAttr::get(RankedTensorType::get({count}, f32),
                                         values.asArrayRef());
  global = LLVM::GlobalOp::create(
      builder, result.getLoc(), type, /*isConstant=*/true,
      LLVM::Linkage::Internal,
      "constant." + std::to_string(constants.size() - 1), elements);
  return global;
}

FunctionLowering::FunctionLowering(ReferenceModule &module,
                                   func::FuncOp source, uint64_t base,
                                   bool trace)
    : module(module), source(source),
      target(module.functions.lookup(source.getName())),
      builder(source.getContext()), e(builder, source.getLoc()), base(base),
      trace(trace) {}

bool FunctionLowering::hasBuffer(Value value) const {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.getRank() == 2 && type.isDynamicDim(0);
}

LogicalResult FunctionLowering::run() {
  Block *entry = target.addEntryBlock(builder);
  builder.setInsertionPointToStart(entry);
  step = entry->getArgument(0);
  threadI32 = entry->getArgument(1);
  Type i64 = builder.getI64Type();
  thread = arith::ExtUIOp::create(builder, e.loc, i64, threadI32);
  threads = arith::ExtUIOp::create(builder, e.loc, i64, entry->getArgument(2));
  result = entry->getArguments().back();

  auto field = [&](StepField field) {
    Value value = loadStepField(builder, e.loc, step, field);
    if (value.getType().isInteger(32))
      value = arith::ExtUIOp::create(builder, e.loc, i64, value);
    return value;
  };
  rows = field(StepField::Rows);
  outputs = field(StepField::Outputs);
  token = field(StepField::Token);
  position = field(StepField::Position);
  sequence = field(StepField::Sequence);
  output = field(StepField::Output);
  pageTable = field(StepField::PageTable);
  pagesPerSequence = field(StepField::PagesPerSequence);
  weights = field(StepField::Weights);
  states = field(StepField::State);
  Value memory = field(StepField::Arena);
  Value own = e.i64(int64_t(module.threadBytes));
  ownMemory = e.byteOffset(memory, e.mul(thread, own));
  sharedMemory = e.byteOffset(memory, e.mul(threads, own));

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

  for (Operation &op : source.getBody().front()) {
    e.loc = op.getLoc();
    if (failed(lower(&op)))
      return failure();
    releaseDead(&op);
  }
  return success();
}

LogicalResult FunctionLowering::lower(Operation *op) {
  for (Value value : op->getResults())
    if (hasBuffer(value))
      allocateResult(op);
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](func::ReturnOp op) { return lowerReturn(op); })
      .Case([&](func::CallOp op) { return lowerCall(op); })
      .Case([&](qz::UseOp op) { return lowerUse(op); })
      .Case([&](qz::DequantizeOp op) {
        pointers[op.getResult()] = pointerOf(op.getWeight());
        return success();
      })
      .Case([&](llm::StateOp) { return success(); })
      .Case([&](llm::EmbeddingOp op) { return lowerEmbedding(op), success(); })
      .Case([&](llm::RMSNormOp op) { return lowerRMSNorm(op), success(); })
      .Case([&](llm::LinearOp op) { return lowerLinear(op), success(); })
      .Case([&](llm::AddOp op) { return lowerAdd(op), success(); })
      .Case([&](llm::GluOp op) { return lowerGlu(op), success(); })
      .Case([&](llm::RopeOp op) { return lowerRope(op), success(); })
      .Case([&](llm::AttentionOp op) { return lowerAttention(op), success(); })
      .Case([&](llm::SelectOutputsOp op) {
        return lowerSelectOutputs(op), success();
      })
      .Default([](Operation *op) {
        return op->emitOpError() << "has no reference lowering";
      });
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

void FunctionLowering::barrier() {
  Value goOn = callBarrier(builder, e.loc, step, threadI32);
  Block *next = builder.createBlock(exit);
  builder.setInsertionPointToEnd(next->getPrevNode());
  LLVM::CondBrOp::create(builder, e.loc, goOn, next, exit);
  builder.setInsertionPointToStart(next);
}

void FunctionLowering::forRows(Value count,
                               llvm::function_ref<void(Value)> body) {
  e.loop(thread, count, threads, body);
}

void FunctionLowering::copyRows(Value from, Value to, Value count,
                                int64_t width) {
  forRows(count, [&](Value m) {
    Value start = e.mul(m, e.i64(width));
    e.loop(width, [&](Value i) {
      Value at = e.add(start, i);
      e.storeF32(e.loadF32(from, at), to, at);
    });
  });
}

void FunctionLowering::writeTrace(Value value, unsigned index) {
  Value target = loadStepField(builder, e.loc, step, StepField::Trace);
  Value null = LLVM::ZeroOp::create(builder, e.loc, target.getType());
  Value wanted = LLVM::ICmpOp::create(builder, e.loc, LLVM::ICmpPredicate::ne,
                                      target, null);
  auto branch = scf::IfOp::create(builder, e.loc, wanted, /*withElse=*/false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  int64_t width = widthOf(value);
  Value slot = e.mul(rows, e.i64(int64_t(index) * width));
  copyRows(pointerOf(value), e.element(target, slot), rows, width);
}

LogicalResult FunctionLowering::lowerReturn(func::ReturnOp op) {
  Value value = op.getOperand(0);
  if (pointerOf(value) != result) {
    copyRows(pointerOf(value), result, rowsOf(value), widthOf(value));
    barrier();
  }
  Value yes = LLVM::ConstantOp::create(builder, e.loc, builder.getI1Type(),
                                       builder.getBoolAttr(true));
  LLVM::ReturnOp::create(builder, e.loc, yes);
  return success();
}

LogicalResult FunctionLowering::lowerCall(func::CallOp op) {
  LLVM::LLVMFuncOp callee = module.functions.lookup(op.getCallee());
  if (!callee)
    return op.emitOpError() << "calls a function that has no body";
  SmallVector<Value> operands = {step, threadI32, target.getArgument(2)};
  Value input;
  for (Value operand : op.getOperands())
    if (isa<RankedTensorType>(operand.getType())) {
      input = operand;
      operands.push_back(pointerOf(operand));
    }
  operands.push_back(pointerOf(op.getResult(0)));
  if (trace && calls == 0 && input)
    writeTrace(input, 0);
  Value goOn =
      LLVM::CallOp::create(builder, e.loc, callee, operands).getResult();
  Block *next = builder.createBlock(exit);
  builder.setInsertionPointToEnd(next->getPrevNode());
  LLVM::CondBrOp::create(builder, e.loc, goOn, next, exit);
  builder.setInsertionPointToStart(next);
  if (trace)
    writeTrace(op.getResult(0), calls + 1);
  ++calls;
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
