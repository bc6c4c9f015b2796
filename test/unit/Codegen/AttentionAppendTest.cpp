//===- AttentionAppendTest.cpp - Faults planted where attention appends ---===//
// SPDX-License-Identifier: Apache-2.0
//
// In steps of one row, blocks of attention make the row's queries, key and
// value and one of them appends these. Each change of that kernel must be
// noticed, by its results, by the state or by the emulator. That rows have the
// same bits as in company is tested in AttentionPartsTest.cpp.
//===----------------------------------------------------------------------===//

#include "AttentionCase.h"
#include "FailingCheck.h"
#include "MutantCheck.h"
#include "Mutants.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicsNVPTX.h"
#include "llvm/IR/PatternMatch.h"

#include <gtest/gtest.h>

using namespace llvm;
using namespace llvm::PatternMatch;
using namespace qcc;
using namespace qcc::test;

namespace {

/// The n-th instruction of the kernel that `is` says yes to.
Instruction *find(Module &module, unsigned index,
                  function_ref<bool(Instruction &)> is) {
  for (Function &function : module)
    if (function.getName().starts_with("attend_append"))
      for (Instruction &instruction : instructions(function))
        if (is(instruction) && index-- == 0)
          return &instruction;
  return nullptr;
}

bool dropBarrier(Module &module, unsigned index) {
  Instruction *found = find(module, index, [](Instruction &instruction) {
    return match(&instruction,
                 m_Intrinsic<Intrinsic::nvvm_barrier_cta_sync_aligned_all>());
  });
  if (found)
    found->eraseFromParent();
  return found;
}

/// The kernel that appends.
Function &kernelOf(Module &module) {
  for (Function &function : module)
    if (function.getName().starts_with("attend_append"))
      return function;
  throw std::runtime_error("no kernel appends");
}

/// Elements of a vector of halves; 0 of other types.
unsigned halvesOf(Type *type) {
  auto *vector = dyn_cast<FixedVectorType>(type);
  return vector && vector->getElementType()->isHalfTy()
             ? vector->getNumElements()
             : 0;
}

/// Each select of `type` becomes the operand that `isOther` says yes to.
template <typename Predicate>
bool replaceSelects(Module &module, function_ref<bool(Type *)> isType,
                    Predicate isOther) {
  bool isChanged = false;
  for (Instruction &instruction : instructions(kernelOf(module))) {
    auto *select = dyn_cast<SelectInst>(&instruction);
    if (!select || !isType(select->getType()))
      continue;
    for (Value *operand : {select->getTrueValue(), select->getFalseValue()})
      if (isOther(operand)) {
        select->replaceAllUsesWith(operand);
        isChanged = true;
        break;
      }
  }
  return isChanged;
}

/// Elements of the row's own key, or then value, are what was loaded in their
/// place.
bool loadOthers(Module &module, unsigned index) {
  return index < 2 &&
         replaceSelects(
             module,
             // A lane reads eight elements of a key, and one of a value.
             [&](Type *type) { return halvesOf(type) == (index ? 1 : 8); },
             [](Value *value) {
               auto *load = dyn_cast<LoadInst>(value);
               return load && load->getPointerAddressSpace() == 1;
             });
}

/// The row's own key and value are loaded where a block appends them.
bool loadAppended(Module &module, unsigned index) {
  // What is loaded instead is the same for all.
  auto isOwn = [](Value *value) {
    return count_if(value->users(), IsaPred<SelectInst>) < 4;
  };
  return index == 0 &&
         replaceSelects(
             module, [](Type *type) { return type->isPointerTy(); }, isOwn) &&
         loadOthers(module, 0) && loadOthers(module, 1);
}

StoreInst *findAppend(Module &module, unsigned index) {
  return cast_or_null<StoreInst>(
      find(module, index, [](Instruction &instruction) {
        auto *store = dyn_cast<StoreInst>(&instruction);
        return store && store->getPointerAddressSpace() == 1 &&
               store->getValueOperand()->getType()->isHalfTy();
      }));
}

bool dropAppend(Module &module, unsigned index) {
  StoreInst *store = findAppend(module, index);
  if (store)
    store->eraseFromParent();
  return store;
}

/// All blocks that have a head append its elements.
bool appendByAll(Module &module, unsigned index) {
  StoreInst *store = findAppend(module, index);
  if (!store)
    return false;
  BasicBlock *block = store->getParent();
  auto *branch =
      cast<BranchInst>(block->getSinglePredecessor()->getTerminator());
  branch->setCondition(ConstantInt::getBool(module.getContext(),
                                            branch->getSuccessor(0) == block));
  return true;
}

/// Two positions: the first of a tile, and one of the second part.
bool isCaught(AttentionCase &c) {
  return fails([&] {
    for (unsigned position : {64, 200}) {
      c.store(1, position + 1);
      c.check({{1, position}}, false, 1);
    }
  });
}

TEST(AppendOfAttentionOnGpu, MutantsAreCaught) {
  const Mutant mutants[] = {{"dropped barrier", dropBarrier},
                            {"own elements not loaded", loadOthers},
                            {"own elements loaded where they go", loadAppended},
                            {"elements not appended", dropAppend},
                            {"appended by all", appendByAll}};
  AttentionCase c({.kvHeads = 1,
                   .group = 11,
                   .headDim = 32,
                   .pairs = 12,
                   .norms = true,
                   .kv = ScalarType::F16},
                  "sm_86");
  expectCaught(*c.program(), mutants, [&] { return isCaught(c); });
}

} // namespace
