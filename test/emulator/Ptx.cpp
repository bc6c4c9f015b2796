//===- Ptx.cpp - PTX as a module that the emulator runs -------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Ptx.h"

#include "PtxFunction.h"

using namespace llvm;
using namespace qcc::emulator;

static void addVariable(Module &module, const PtxVariable &variable) {
  LLVMContext &context = module.getContext();
  bool isShared = variable.space == "shared";
  Type *element = Type::getIntNTy(context, variable.elementBytes * 8);
  auto *type = ArrayType::get(element, variable.count);
  Constant *initializer = nullptr;
  if (isShared && !variable.isExternal)
    initializer = PoisonValue::get(type);
  if (!isShared) {
    SmallVector<Constant *> values;
    for (uint64_t value : variable.values)
      values.push_back(ConstantInt::get(
          context, APInt(64, value).zextOrTrunc(variable.elementBytes * 8)));
    values.resize(variable.count, Constant::getNullValue(element));
    initializer = ConstantArray::get(type, values);
  }
  auto *made = new GlobalVariable(
      module, type, /*isConstant=*/false, GlobalValue::ExternalLinkage,
      initializer, variable.name, nullptr, GlobalValue::NotThreadLocal,
      isShared ? 3 : 1);
  made->setAlignment(Align(variable.alignment));
}

Expected<PtxModule> qcc::emulator::readPtx(StringRef text,
                                           LLVMContext &context) {
  PtxFile file;
  if (Error error = parsePtx(text, file))
    return error;
  PtxModule result;
  result.target = file.target.str();
  result.module = std::make_unique<Module>("ptx", context);
  result.module->setTargetTriple(Triple("nvptx64-nvidia-cuda"));
  for (const PtxVariable &variable : file.variables)
    addVariable(*result.module, variable);
  for (const PtxEntry &entry : file.entries) {
    PtxFunction function(*result.module, entry);
    if (Error error = function.emit())
      return error;
    PtxKernel kernel{entry.name.str(), {}, entry.threads};
    for (const PtxEntry::Parameter &parameter : entry.parameters)
      kernel.parameterBytes.push_back(parameter.bits / 8);
    result.kernels.push_back(std::move(kernel));
  }
  return result;
}
