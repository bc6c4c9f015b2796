//===- Kernel.cpp - One operation as scalar loops -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Everything but the operations' own loops (Operations.cpp).
//===----------------------------------------------------------------------===//

#include "Kernel.h"

#include "qcc/Codegen/Common/StepABI.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qcc;

bool qcc::isKernelOperand(Value value) {
  return !isa<llm::BatchType>(value.getType());
}

LLVM::LLVMFuncOp KernelSet::create(Location loc, StringRef name,
                                   unsigned pointers) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  Type pointer = LLVM::LLVMPointerType::get(builder.getContext());
  Type i32 = builder.getI32Type();
  SmallVector<Type> arguments = {pointer, i32, i32, builder.getI64Type()};
  arguments.append(pointers, pointer);
  auto function = LLVM::LLVMFuncOp::create(
      builder, loc, (name + "." + Twine(kernels.size())).str(),
      LLVM::LLVMFunctionType::get(builder.getI1Type(), arguments),
      LLVM::Linkage::Internal);
  // Inlining would undo the sharing.
  function.setNoInline(true);
  return function;
}

LLVM::LLVMFuncOp KernelSet::get(Operation *op) {
  std::string key;
  llvm::raw_string_ostream stream(key);
  stream << op->getName() << op->getAttrDictionary();
  unsigned pointers = 1;
  for (Value operand : op->getOperands()) {
    stream << ' ' << operand.getType();
    pointers += isKernelOperand(operand);
  }
  // Which state it is comes as an operand.
  LLVM::LLVMFuncOp &kernel = kernels[key];
  if (kernel)
    return kernel;
  kernel = create(op->getLoc(), op->getName().stripDialect(), pointers);
  if (!Kernel(*this, kernel, op->getLoc()).emit(op)) {
    kernel.erase();
    kernel = {};
  }
  return kernel;
}

LLVM::LLVMFuncOp KernelSet::getCopy(Location loc, int64_t width) {
  LLVM::LLVMFuncOp &kernel = kernels["copy " + std::to_string(width)];
  if (!kernel) {
    kernel = create(loc, "copy", 2);
    Kernel(*this, kernel, loc).emitCopy(width);
  }
  return kernel;
}

LLVM::GlobalOp KernelSet::constant(DenseF32ArrayAttr values) {
  LLVM::GlobalOp &global = constants[values];
  if (global)
    return global;
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  Type f32 = builder.getF32Type();
  int64_t count = values.size();
  auto elements = DenseElementsAttr::get(RankedTensorType::get({count}, f32),
                                         values.asArrayRef());
  global = LLVM::GlobalOp::create(
      builder, module.getLoc(), LLVM::LLVMArrayType::get(f32, count),
      /*isConstant=*/true, LLVM::Linkage::Internal,
      "constant." + std::to_string(constants.size() - 1), elements);
  return global;
}

Kernel::Kernel(KernelSet &set, LLVM::LLVMFuncOp function, Location loc)
    : set(set), function(function), builder(function.getContext()),
      e(builder, loc) {
  Block *entry = function.addEntryBlock(builder);
  builder.setInsertionPointToStart(entry);
  Type i64 = builder.getI64Type();
  step = entry->getArgument(0);
  threadI32 = entry->getArgument(1);
  thread = arith::ExtUIOp::create(builder, loc, i64, threadI32);
  threads = arith::ExtUIOp::create(builder, loc, i64, entry->getArgument(2));
  rows = entry->getArgument(3);
  auto field = [&](StepField field) {
    return loadStepField(builder, loc, step, field);
  };
  token = field(StepField::Token);
  position = field(StepField::Position);
  sequence = field(StepField::Sequence);
  output = field(StepField::Output);
  pageTable = field(StepField::PageTable);
  pagesPerSequence = field(StepField::PagesPerSequence);
  pageFloats = e.div(field(StepField::PageStride), e.i64(sizeof(float)));
  ownMemory = e.byteOffset(field(StepField::Arena),
                           e.mul(thread, e.i64(int64_t(set.threadBytes))));
}

bool Kernel::emit(Operation *op) {
  unsigned next = 4;
  for (Value operand : op->getOperands())
    if (isKernelOperand(operand))
      pointers[operand] = function.getArgument(next++);
  pointers[op->getResult(0)] = function.getArgument(next);
  bool known =
      TypeSwitch<Operation *, bool>(op)
          .Case([&](llm::EmbeddingOp op) { return emitEmbedding(op), true; })
          .Case([&](llm::RMSNormOp op) { return emitRMSNorm(op), true; })
          .Case([&](llm::LayerNormOp op) { return emitLayerNorm(op), true; })
          .Case([&](llm::LinearOp op) { return emitLinear(op), true; })
          .Case([&](llm::AddOp op) { return emitAdd(op), true; })
          .Case([&](qz::PermuteOp op) { return emitPermute(op), true; })
          .Case([&](llm::ActivateOp op) { return emitActivate(op), true; })
          .Case([&](llm::GluOp op) { return emitGlu(op), true; })
          .Case([&](llm::RopeOp op) { return emitRope(op), true; })
          .Case(
              [&](llm::ConcatHeadsOp op) { return emitConcatHeads(op), true; })
          .Case([&](llm::AttentionOp op) { return emitAttention(op), true; })
          .Case(
              [&](llm::ScaleLogitsOp op) { return emitScaleLogits(op), true; })
          .Case([&](llm::RouteOp op) { return emitRoute(op), true; })
          .Case([&](llm::RouteAllOp op) { return emitRouteAll(op), true; })
          .Case([&](llm::ExpertLinearOp op) {
            return emitExpertLinear(op), true;
          })
          .Case([&](llm::CombineOp op) { return emitCombine(op), true; })
          .Case([&](llm::SelectOutputsOp op) {
            return emitSelectOutputs(op), true;
          })
          .Default([](Operation *) { return false; });
  if (known)
    finish();
  return known;
}

void Kernel::emitCopy(int64_t width) {
  Value from = function.getArgument(4), to = function.getArgument(5);
  forRows([&](Value m) {
    Value start = e.mul(m, e.i64(width));
    e.loop(width, [&](Value i) {
      Value at = e.add(start, i);
      e.storeF32(e.loadF32(from, at), to, at);
    });
  });
  finish();
}

void Kernel::barrier() {
  Value goOn = callBarrier(builder, e.loc, step, threadI32);
  Region &body = function.getBody();
  Block *here = builder.getInsertionBlock();
  Block *exit = builder.createBlock(&body, body.end());
  Value no = LLVM::ConstantOp::create(builder, e.loc, builder.getI1Type(),
                                      builder.getBoolAttr(false));
  LLVM::ReturnOp::create(builder, e.loc, no);
  Block *next = builder.createBlock(&body, body.end());
  builder.setInsertionPointToEnd(here);
  LLVM::CondBrOp::create(builder, e.loc, goOn, next, exit);
  builder.setInsertionPointToStart(next);
}

void Kernel::finish() {
  LLVM::ReturnOp::create(builder, e.loc,
                         callBarrier(builder, e.loc, step, threadI32));
}

void Kernel::forRows(llvm::function_ref<void(Value)> body) {
  e.loop(thread, rows, threads, body);
}
