//===- StepABI.cpp - Generated code's side of qcc_abi.h -------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/Common/StepABI.h"
#include "qcc-rt/qcc_abi.h"
#include "qcc/Codegen/Common/ModelCode.h"

#include "mlir/IR/BuiltinTypes.h"

using namespace mlir;
using namespace qcc;

std::string qcc::stepSymbolName(unsigned index) {
  return "qcc_step_" + std::to_string(index);
}

namespace {
struct FieldInfo {
  size_t offset;
  enum { I32, I64, Pointer } kind;
};
} // namespace

static FieldInfo fieldInfo(StepField field) {
  switch (field) {
  case StepField::Flags:
    return {offsetof(qcc_step_v1, flags), FieldInfo::I32};
  case StepField::Rows:
    return {offsetof(qcc_step_v1, rows), FieldInfo::I32};
  case StepField::Outputs:
    return {offsetof(qcc_step_v1, outputs), FieldInfo::I32};
  case StepField::Token:
    return {offsetof(qcc_step_v1, token), FieldInfo::Pointer};
  case StepField::Position:
    return {offsetof(qcc_step_v1, position), FieldInfo::Pointer};
  case StepField::Sequence:
    return {offsetof(qcc_step_v1, sequence), FieldInfo::Pointer};
  case StepField::Output:
    return {offsetof(qcc_step_v1, output), FieldInfo::Pointer};
  case StepField::PageTable:
    return {offsetof(qcc_step_v1, page_table), FieldInfo::Pointer};
  case StepField::PagesPerSequence:
    return {offsetof(qcc_step_v1, pages_per_sequence), FieldInfo::I64};
  case StepField::Weights:
    return {offsetof(qcc_step_v1, weights), FieldInfo::Pointer};
  case StepField::State:
    return {offsetof(qcc_step_v1, state), FieldInfo::Pointer};
  case StepField::Arena:
    return {offsetof(qcc_step_v1, arena), FieldInfo::Pointer};
  case StepField::Logits:
    return {offsetof(qcc_step_v1, logits), FieldInfo::Pointer};
  case StepField::Trace:
    return {offsetof(qcc_step_v1, trace), FieldInfo::Pointer};
  case StepField::Barrier:
    return {offsetof(qcc_step_v1, barrier), FieldInfo::Pointer};
  case StepField::BarrierContext:
    return {offsetof(qcc_step_v1, barrier_context), FieldInfo::Pointer};
  case StepField::MatmulInputs:
    return {offsetof(qcc_step_v1, matmul_inputs), FieldInfo::Pointer};
  case StepField::Profile:
    return {offsetof(qcc_step_v1, profile), FieldInfo::Pointer};
  case StepField::Layers:
    return {offsetof(qcc_step_v1, layers), FieldInfo::I32};
  case StepField::Residual:
    return {offsetof(qcc_step_v1, residual), FieldInfo::Pointer};
  case StepField::PageStride:
    return {offsetof(qcc_step_v1, page_stride), FieldInfo::I64};
  }
  llvm_unreachable("unknown field");
}

Value qcc::loadStepField(OpBuilder &builder, Location loc, Value step,
                         StepField field) {
  FieldInfo info = fieldInfo(field);
  Type pointer = LLVM::LLVMPointerType::get(builder.getContext());
  Type type = info.kind == FieldInfo::I32   ? Type(builder.getI32Type())
              : info.kind == FieldInfo::I64 ? Type(builder.getI64Type())
                                            : pointer;
  Value address = LLVM::GEPOp::create(
      builder, loc, pointer, builder.getI8Type(), step,
      ArrayRef<LLVM::GEPArg>{LLVM::GEPArg(int32_t(info.offset))});
  return LLVM::LoadOp::create(builder, loc, type, address);
}

Value qcc::callBarrier(OpBuilder &builder, Location loc, Value step,
                       Value thread) {
  Type i32 = builder.getI32Type();
  Type pointer = LLVM::LLVMPointerType::get(builder.getContext());
  Value callee = loadStepField(builder, loc, step, StepField::Barrier);
  Value context = loadStepField(builder, loc, step, StepField::BarrierContext);
  auto type = LLVM::LLVMFunctionType::get(i32, {pointer, i32});
  Value result = LLVM::CallOp::create(builder, loc, type,
                                      ValueRange{callee, context, thread})
                     .getResult();
  Value zero =
      LLVM::ConstantOp::create(builder, loc, i32, builder.getI32IntegerAttr(0));
  return LLVM::ICmpOp::create(builder, loc, LLVM::ICmpPredicate::eq, result,
                              zero);
}

LLVM::LLVMFuncOp qcc::createStepFunction(OpBuilder &builder, Location loc,
                                         StringRef name) {
  Type i32 = builder.getI32Type();
  Type pointer = LLVM::LLVMPointerType::get(builder.getContext());
  auto type = LLVM::LLVMFunctionType::get(
      LLVM::LLVMVoidType::get(builder.getContext()), {pointer, i32, i32});
  auto function = LLVM::LLVMFuncOp::create(builder, loc, name, type);
  function.setVisibility_(LLVM::Visibility::Hidden);
  OpBuilder::InsertionGuard guard(builder);
  function.addEntryBlock(builder);
  return function;
}
