//===- AddressSpaces.cpp - One flat address space -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "AddressSpaces.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/Intrinsics.h"
#include "llvm/IR/Operator.h"
#include "llvm/IR/ReplaceConstant.h"
#include "llvm/Transforms/Utils/Cloning.h"
#include "llvm/Transforms/Utils/ValueMapper.h"

using namespace llvm;
using namespace qcc::emulator;

namespace {
/// The same type with plain pointers.
class FlatTypes : public ValueMapTypeRemapper {
public:
  Type *remapType(Type *type) override {
    Type *&result = cache[type];
    if (!result) {
      // The map may grow while parts of the type are asked for.
      Type *flat = compute(type);
      return cache[type] = flat;
    }
    return result;
  }

private:
  Type *compute(Type *type) {
    LLVMContext &context = type->getContext();
    if (type->isPointerTy())
      return PointerType::get(context, 0);
    if (auto *array = dyn_cast<ArrayType>(type))
      return ArrayType::get(remapType(array->getElementType()),
                            array->getNumElements());
    if (auto *vector = dyn_cast<VectorType>(type))
      return VectorType::get(remapType(vector->getElementType()),
                             vector->getElementCount());
    if (auto *function = dyn_cast<FunctionType>(type))
      return FunctionType::get(remapType(function->getReturnType()),
                               remapAll(function->params()),
                               function->isVarArg());
    if (auto *structure = dyn_cast<StructType>(type)) {
      if (structure->isOpaque())
        return type;
      SmallVector<Type *> elements = remapAll(structure->elements());
      if (ArrayRef(elements) == structure->elements())
        return type;
      return StructType::get(context, elements, structure->isPacked());
    }
    return type;
  }

  SmallVector<Type *> remapAll(ArrayRef<Type *> types) {
    SmallVector<Type *> result;
    for (Type *type : types)
      result.push_back(remapType(type));
    return result;
  }

  DenseMap<Type *, Type *> cache;
};
} // namespace

/// Casts between address spaces inside constants become instructions, which can
/// be removed; a cast in a variable's initializer cannot.
static Error expandConstantCasts(Module &module) {
  SmallVector<Constant *> casts;
  SmallPtrSet<const Constant *, 16> seen;
  SmallVector<std::pair<const Constant *, bool>> work;
  for (GlobalVariable &variable : module.globals())
    if (variable.hasInitializer())
      work.emplace_back(variable.getInitializer(), true);
  for (Function &function : module)
    for (BasicBlock &block : function)
      for (Instruction &instruction : block)
        for (Value *operand : instruction.operands())
          if (auto *constant = dyn_cast<Constant>(operand))
            work.emplace_back(constant, false);
  while (!work.empty()) {
    auto [constant, initializer] = work.pop_back_val();
    if (isa<GlobalValue>(constant) || !seen.insert(constant).second)
      continue;
    auto *expression = dyn_cast<ConstantExpr>(constant);
    if (expression && expression->getOpcode() == Instruction::AddrSpaceCast) {
      if (initializer)
        return createStringError("a variable's initializer casts between "
                                 "address spaces");
      casts.push_back(const_cast<ConstantExpr *>(expression));
    }
    for (const Value *operand : constant->operands())
      if (auto *inner = dyn_cast<Constant>(operand))
        work.emplace_back(inner, initializer);
  }
  convertUsersOfConstantsToInstructions(casts, nullptr,
                                        /*RemoveDeadConstants=*/true,
                                        /*IncludeSelf=*/true);
  return Error::success();
}

static Expected<SharedVariable> describeShared(const GlobalVariable &variable,
                                               size_t index) {
  const DataLayout &layout = variable.getDataLayout();
  SharedVariable result;
  result.name = variable.getName().str();
  result.symbol = "emulator.shared." + std::to_string(index);
  result.bytes = layout.getTypeAllocSize(variable.getValueType());
  result.alignment = layout
                         .getValueOrABITypeAlignment(variable.getAlign(),
                                                     variable.getValueType())
                         .value();
  if (!result.bytes && !variable.isDeclaration())
    return createStringError(
        "shared variable '%s' has no size and is not external: PTX gives it "
        "one static byte, not the dynamic shared memory",
        result.name.c_str());
  if (variable.hasInitializer() && !isa<UndefValue>(variable.getInitializer()))
    return createStringError("shared variable '%s' has an initializer, which "
                             "PTX does not have",
                             result.name.c_str());
  return result;
}

/// Removes what was a cast between address spaces, and gives intrinsics the
/// names of their new types.
static void repair(Module &module) {
  for (Function &function : module)
    for (BasicBlock &block : function)
      for (Instruction &instruction : make_early_inc_range(block))
        if (auto *cast = dyn_cast<AddrSpaceCastInst>(&instruction)) {
          cast->replaceAllUsesWith(cast->getPointerOperand());
          cast->eraseFromParent();
        }
  for (Function &function : make_early_inc_range(module)) {
    if (!function.isIntrinsic() || function.getName().starts_with("llvm.nvvm."))
      continue;
    if (auto renamed = Intrinsic::remangleIntrinsicFunction(&function)) {
      function.replaceAllUsesWith(*renamed);
      function.eraseFromParent();
    }
  }
}

/// Only what decides how arguments are passed stays: promises about memory are
/// of no use here, and names of processors wrong.
static void keepPassingOnly(Function &function) {
  AttributeList kept;
  LLVMContext &context = function.getContext();
  for (unsigned i = 0; i < function.arg_size(); ++i)
    if (Type *type = function.getParamByValType(i))
      kept = kept.addParamAttribute(context, i,
                                    Attribute::getWithByValType(context, type));
  function.setAttributes(kept);
}

Expected<FlatModule>
qcc::emulator::flattenAddressSpaces(Module &source, const DataLayout &layout,
                                    const Triple &triple) {
  if (Error error = expandConstantCasts(source))
    return error;
  if (!source.alias_empty() || !source.ifunc_empty())
    return createStringError("the module has aliases");
  FlatModule result;
  result.module = std::make_unique<Module>("emulated", source.getContext());
  Module &flat = *result.module;
  flat.setDataLayout(layout);
  flat.setTargetTriple(triple);

  FlatTypes types;
  ValueToValueMapTy map;
  for (GlobalVariable &variable : source.globals()) {
    bool isShared = variable.getAddressSpace() == kSharedSpace;
    auto *made = new GlobalVariable(
        flat, types.remapType(variable.getValueType()),
        !isShared && variable.isConstant(), GlobalValue::ExternalLinkage,
        nullptr, variable.getName());
    made->setAlignment(variable.getAlign());
    if (isShared) {
      auto shared = describeShared(variable, result.shared.size());
      if (!shared)
        return shared.takeError();
      made->setName(shared->symbol);
      result.shared.push_back(std::move(*shared));
    } else if (variable.isDeclaration()) {
      return createStringError("variable '%s' is not defined in the module",
                               variable.getName().str().c_str());
    } else {
      made->setName("emulator.global." + Twine(result.variables.size()));
      result.variables.push_back(
          {made->getName().str(),
           layout.getTypeAllocSize(made->getValueType())});
    }
    map[&variable] = made;
  }
  for (Function &function : source) {
    auto *type =
        cast<FunctionType>(types.remapType(function.getFunctionType()));
    auto *made = Function::Create(type, function.getLinkage(), 0,
                                  function.getName(), &flat);
    map[&function] = made;
    for (auto [from, to] : zip(function.args(), made->args()))
      map[&from] = &to;
  }
  for (GlobalVariable &variable : source.globals())
    if (variable.hasInitializer() && variable.getAddressSpace() != kSharedSpace)
      cast<GlobalVariable>(map[&variable])
          ->setInitializer(
              MapValue(variable.getInitializer(), map, RF_None, &types));
  for (Function &function : source) {
    auto *made = cast<Function>(map[&function]);
    if (function.isDeclaration())
      continue;
    SmallVector<ReturnInst *> returns;
    CloneFunctionInto(made, &function, map,
                      CloneFunctionChangeType::DifferentModule, returns, "",
                      nullptr, &types);
    made->setCallingConv(CallingConv::C);
    keepPassingOnly(*made);
    for (BasicBlock &block : *made)
      for (Instruction &instruction : block)
        if (auto *call = dyn_cast<CallInst>(&instruction))
          call->setCallingConv(CallingConv::C);
  }
  repair(flat);
  return result;
}
