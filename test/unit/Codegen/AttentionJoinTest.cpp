//===- AttentionJoinTest.cpp - Faults planted where blocks join parts -----===//
// SPDX-License-Identifier: Apache-2.0
//
// Each change of the kernel whose blocks share the positions of a row must be
// noticed, by its results or by the emulator.
//===----------------------------------------------------------------------===//

#include "AttentionCase.h"
#include "FailingCheck.h"
#include "MutantCheck.h"
#include "Mutants.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicsNVPTX.h"
#include "llvm/IR/PatternMatch.h"

#include <gtest/gtest.h>

using namespace llvm;
using namespace llvm::PatternMatch;
using namespace qcc;
using namespace qcc::test;

namespace {

AtomicRMWInst *countIn(Function &function) {
  for (Instruction &instruction : instructions(function))
    if (auto *atomic = dyn_cast<AtomicRMWInst>(&instruction))
      return atomic;
  return nullptr;
}

/// The n-th instruction that `pattern` matches, of the kernel that joins.
template <typename Pattern>
Instruction *findInJoin(Module &module, unsigned index,
                        const Pattern &pattern) {
  for (Function &function : module)
    if (countIn(function))
      for (Instruction &instruction : instructions(function))
        if (match(&instruction, pattern) && index-- == 0)
          return &instruction;
  return nullptr;
}

/// Each record weighs 1, whatever its maximum.
bool dropRescale(Module &module, unsigned index) {
  Instruction *factor = findInJoin(
      module, index,
      m_Select(m_SpecificFCmp(CmpInst::FCMP_OEQ, m_Value(), m_AnyZeroFP()),
               m_AnyZeroFP(), m_Value()));
  if (factor)
    factor->setOperand(2, ConstantFP::get(factor->getType(), 1.0));
  return factor;
}

/// Outputs are not divided by their sum.
bool dropDivision(Module &module, unsigned index) {
  Instruction *quotient =
      findInJoin(module, index, m_FDiv(m_SpecificFP(1.0), m_Value()));
  if (quotient)
    quotient->replaceAllUsesWith(quotient->getOperand(0));
  return quotient;
}

/// One block less or more is waited for.
bool miscountBlocks(Module &module, unsigned index) {
  for (Function &function : module)
    if (AtomicRMWInst *count = countIn(function); count && index < 2) {
      IRBuilder<> builder(count);
      Value *last = count->getValOperand();
      Value *wrong = builder.CreateAdd(
          last, ConstantInt::getSigned(last->getType(), index ? 1 : -1));
      // The count begins anew there, and is compared with it.
      count->replaceUsesOfWith(last, wrong);
      for (User *user : count->users())
        user->replaceUsesOfWith(last, wrong);
      return true;
    }
  return false;
}

/// The last part is not added.
bool dropPart(Module &module, unsigned index) {
  for (Function &function : module) {
    AtomicRMWInst *count = countIn(function);
    Instruction *parts = nullptr;
    if (!count || index ||
        !match(count->getValOperand(),
               m_Add(m_Instruction(parts), m_AllOnes())))
      continue;
    IRBuilder<> builder(parts->getNextNode());
    Value *fewer = builder.CreateAdd(parts, builder.getInt32(~0u));
    // The join comes after the count.
    bool isJoin = false;
    for (Instruction &instruction : instructions(function)) {
      if (isJoin)
        instruction.replaceUsesOfWith(parts, fewer);
      isJoin |= &instruction == count;
    }
    return true;
  }
  return false;
}

/// Counts begin with what lies in the arena.
bool dropClear(Module &module, unsigned index) {
  for (Function &function : module)
    for (Instruction &instruction : instructions(function)) {
      auto *store = dyn_cast<StoreInst>(&instruction);
      if (store && store->getPointerAddressSpace() == 1 &&
          store->getValueOperand()->getType()->isIntegerTy(32) &&
          match(store->getValueOperand(), m_Zero()) && index-- == 0) {
        store->eraseFromParent();
        return true;
      }
    }
  return false;
}

/// The barriers of other kernels have tests of their own.
bool dropBarrierOfJoin(Module &module, unsigned index) {
  for (Function &function : module)
    if (countIn(function))
      return emulator::dropBarrierOf(module, function.getName(), index);
  return false;
}

/// Whether a step fails: of a row of 33 parts, which are more than a warp has
/// lanes, and of one that has a single part.
bool isCaught(AttentionCase &c) {
  return fails([&] { c.check({{1, 4190}, {2, 40}}, false, 1); });
}

TEST(JoinOfAttentionOnGpu, MutantsAreCaught) {
  const Mutant mutants[] = {{"dropped barrier", dropBarrierOfJoin},
                            {"dropped fence", emulator::dropFence},
                            {"wrong number of blocks", miscountBlocks},
                            {"counts not cleared", dropClear},
                            {"dropped part", dropPart},
                            {"records not rescaled", dropRescale},
                            {"sums not divided by", dropDivision}};
  AttentionCase c(
      {.kvHeads = 1, .group = 2, .headDim = 32, .pairs = 16, .pages = 66},
      "sm_86");
  c.store(1, 4190);
  c.store(2, 40);
  expectCaught(*c.program(), mutants, [&] { return isCaught(c); });
}

} // namespace
