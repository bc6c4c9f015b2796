//===- StageKernel.cpp - The kernel of one stage, being made --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

#include "dialects/QZ/QZDialect.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

int64_t nvptx::rowStride(int64_t columns) { return (columns + 15) / 16 * 64; }

int64_t nvptx::columnsOf(Value rows) {
  return cast<RankedTensorType>(rows.getType()).getDimSize(1);
}

int64_t nvptx::rowStride(Value rows) { return rowStride(columnsOf(rows)); }

SmallVector<Value> nvptx::stageOperands(ArrayRef<Operation *> stage) {
  SmallVector<Value> operands;
  for (Operation *op : stage)
    operands.append(op->operand_begin(), op->operand_end());
  return operands;
}

static gpu::GPUFuncOp createFunction(gpu::GPUModuleOp module,
                                     OpBuilder &builder, StringRef name,
                                     int64_t threads) {
  builder.setInsertionPointToEnd(module.getBody());
  auto function =
      gpu::GPUFuncOp::create(builder, module.getLoc(), name,
                             builder.getFunctionType(TypeRange(), TypeRange()));
  function->setAttr(gpu::GPUDialect::getKernelFuncAttrName(),
                    builder.getUnitAttr());
  function.setKnownBlockSize(
      std::optional<SmallVector<int32_t>>({int32_t(threads), 1, 1}));
  return function;
}

StageKernel::StageKernel(gpu::GPUModuleOp module, OpBuilder &builder,
                         ArrayRef<Operation *> stage, GpuKernel &kernel,
                         int64_t threads, bool startsEarly)
    : e(builder, stage.back()->getLoc(), module), kernel(kernel),
      stage(stage.begin(), stage.end()),
      function(createFunction(module, builder, kernel.name, threads)),
      startsEarly(startsEarly) {
  kernel.threads = unsigned(threads);
  builder.setInsertionPointToStart(&function.getBody().front());
  thread = e.threadIndex();
  warp = e.shift(thread, -5);
  lane = e.bitAnd(thread, kWarpSize - 1);
  unit = e.blockIndex(gpu::Dimension::x);
  shared =
      LLVM::AddressOfOp::create(e.b, e.loc, e.sharedPointer(), kSharedSymbol);
  // At once: blocks of the next launch begin when all of this one have, so that
  // they take no room from these.
  if (startsEarly)
    e.allowNextLaunch();
}

void StageKernel::awaitStages() {
  if (startsEarly && !hasWaited)
    e.awaitLaunchBefore();
  hasWaited = true;
}

void StageKernel::setBlocksPerMultiprocessor(int64_t blocks) {
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                    e.b.getI32IntegerAttr(int32_t(blocks)));
}

void StageKernel::finish() { gpu::ReturnOp::create(e.b, e.loc); }

Value StageKernel::parameter(KernelParameter parameter, Type type,
                             bool isReadOnly) {
  auto known = llvm::find(kernel.parameters, parameter);
  auto index = unsigned(known - kernel.parameters.begin());
  if (known != kernel.parameters.end())
    return function.getArgument(index);
  kernel.parameters.push_back(parameter);
  DictionaryAttr attributes;
  if (isa<LLVM::LLVMPointerType>(type)) {
    SmallVector<NamedAttribute> list = {e.b.getNamedAttr(
        LLVM::LLVMDialect::getAlignAttrName(), e.b.getI64IntegerAttr(4))};
    if (parameter.kind != KernelParameter::Field)
      list[0].setValue(e.b.getI64IntegerAttr(16));
    if (isReadOnly)
      for (StringRef name : {LLVM::LLVMDialect::getNoAliasAttrName(),
                             LLVM::LLVMDialect::getReadonlyAttrName()})
        list.push_back(e.b.getNamedAttr(name, e.b.getUnitAttr()));
    attributes = e.b.getDictionaryAttr(list);
  }
  // Cannot fail: the function's type is what it was made with.
  (void)function.insertArgument(index, type, attributes, e.loc);
  return function.getArgument(index);
}

Value StageKernel::address(Value operand) {
  SmallVector<Value> operands = stageOperands(stage);
  auto index = unsigned(llvm::find(operands, operand) - operands.begin());
  // Rows may be changed in place; weights are never written, nor are
  // activations by those who multiply them.
  return parameter(
      {KernelParameter::Operand, index}, e.globalPointer(),
      isa<qz::QTensorType, qz::QActivationType>(operand.getType()));
}

Value StageKernel::result() {
  return parameter({KernelParameter::Result, 0}, e.globalPointer(), false);
}

Value StageKernel::field(uint32_t kind) {
  bool isAddress = kind < QCC_GPU_COUNT;
  // What is known never to change may be read before awaitStages().
  return parameter({KernelParameter::Field, kind},
                   isAddress ? e.globalPointer() : e.i32(),
                   isAddress && kind != QCC_GPU_LOGITS && !startsEarly);
}

Value StageKernel::scratch(unsigned part) {
  return parameter({KernelParameter::Scratch, part}, e.globalPointer(), false);
}

Value StageKernel::rowOf(Value operand, Value row) {
  return e.offset(address(operand),
                  e.mul(e.zext(row, e.i64()), rowStride(operand)));
}

Value StageKernel::resultRow(Value row) {
  return e.offset(result(), e.mul(e.zext(row, e.i64()),
                                  rowStride(stage.back()->getResult(0))));
}
