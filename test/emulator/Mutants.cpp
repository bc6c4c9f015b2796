//===- Mutants.cpp - Faults to plant in GPU code --------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Mutants.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Intrinsics.h"
#include "llvm/IR/IntrinsicsNVPTX.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/PatternMatch.h"

using namespace llvm;
using namespace llvm::PatternMatch;

/// The n-th instruction for which the predicate holds, or null; of `kernel`, if
/// one is named.
static Instruction *findNth(Module &module, unsigned index,
                            function_ref<bool(Instruction &)> predicate,
                            StringRef kernel = {}) {
  for (Function &function : module)
    if (kernel.empty() || function.getName() == kernel)
      for (Instruction &instruction : instructions(function))
        if (predicate(instruction) && index-- == 0)
          return &instruction;
  return nullptr;
}

static Intrinsic::ID intrinsicOf(const Instruction &instruction) {
  auto *call = dyn_cast<CallInst>(&instruction);
  return call ? call->getIntrinsicID() : Intrinsic::not_intrinsic;
}

bool qcc::emulator::dropBarrierOf(Module &module, StringRef kernel,
                                  unsigned index) {
  auto isBarrier = [](Instruction &instruction) {
    switch (intrinsicOf(instruction)) {
    case Intrinsic::nvvm_barrier_cta_sync_aligned_all:
    case Intrinsic::nvvm_barrier_cta_sync_aligned_count:
    case Intrinsic::nvvm_barrier_cta_sync_all:
    case Intrinsic::nvvm_barrier_cta_sync_count:
      return true;
    default:
      return false;
    }
  };
  Instruction *found = findNth(module, index, isBarrier, kernel);
  if (found)
    found->eraseFromParent();
  return found;
}

bool qcc::emulator::dropBarrier(Module &module, unsigned index) {
  return dropBarrierOf(module, {}, index);
}

bool qcc::emulator::dropWarpBarrier(Module &module, unsigned index) {
  Instruction *found = findNth(module, index, [](Instruction &instruction) {
    return intrinsicOf(instruction) == Intrinsic::nvvm_bar_warp_sync;
  });
  if (found)
    found->eraseFromParent();
  return found;
}

bool qcc::emulator::dropFence(Module &module, unsigned index) {
  Instruction *found = findNth(module, index, [](Instruction &instruction) {
    return isa<FenceInst>(instruction);
  });
  if (found)
    found->eraseFromParent();
  return found;
}

static Instruction *findGridWait(Module &module, unsigned index) {
  return findNth(module, index, [](Instruction &instruction) {
    auto *call = dyn_cast<CallInst>(&instruction);
    auto *code = call && call->isInlineAsm()
                     ? cast<InlineAsm>(call->getCalledOperand())
                     : nullptr;
    return intrinsicOf(instruction) == Intrinsic::nvvm_griddepcontrol_wait ||
           (code && code->getAsmString() == "griddepcontrol.wait;");
  });
}

bool qcc::emulator::dropGridWait(Module &module, unsigned index) {
  Instruction *found = findGridWait(module, index);
  if (found)
    found->eraseFromParent();
  return found;
}

bool qcc::emulator::delayGridWait(Module &module, unsigned index) {
  Instruction *found = findGridWait(module, index);
  if (!found)
    return false;
  for (BasicBlock &block : *found->getFunction())
    if (isa<ReturnInst>(block.getTerminator()))
      found->clone()->insertBefore(block.getTerminator()->getIterator());
  found->eraseFromParent();
  return true;
}

bool qcc::emulator::weakenWait(Module &module, unsigned index) {
  Instruction *found = findNth(module, index, [](Instruction &instruction) {
    Intrinsic::ID id = intrinsicOf(instruction);
    return id == Intrinsic::nvvm_cp_async_wait_group ||
           id == Intrinsic::nvvm_cp_async_wait_all;
  });
  if (!found)
    return false;
  IRBuilder<> builder(found);
  uint64_t pending = 0;
  if (intrinsicOf(*found) == Intrinsic::nvvm_cp_async_wait_group)
    pending = cast<ConstantInt>(found->getOperand(0))->getZExtValue();
  builder.CreateIntrinsic(Intrinsic::nvvm_cp_async_wait_group,
                          {builder.getInt32(uint32_t(pending + 1))});
  found->eraseFromParent();
  return true;
}

/// True for a constant (or vector of one) of whole nibbles, each with an empty
/// neighbour: what selects one of the two nibbles of bytes.
static bool isNibbleMask(const Value *value) {
  auto *constant = dyn_cast<Constant>(value);
  if (!constant || !constant->getType()->isIntOrIntVectorTy())
    return false;
  if (constant->getType()->isVectorTy())
    constant = constant->getSplatValue();
  auto *integer = dyn_cast_or_null<ConstantInt>(constant);
  if (!integer || integer->isZero() || integer->getBitWidth() % 8)
    return false;
  // All in the same half of their bytes. A lone 15 in a wider integer is rather
  // an index modulo 16.
  APInt low = APInt::getSplat(integer->getBitWidth(), APInt(8, 0x0f));
  APInt mask = integer->getValue();
  if ((mask & low) != mask && (mask & ~low) != mask)
    return false;
  unsigned nibbles = 0;
  for (unsigned bit = 0; bit < mask.getBitWidth(); bit += 4) {
    uint64_t nibble = mask.extractBitsAsZExtValue(4, bit);
    if (nibble != 0 && nibble != 15)
      return false;
    nibbles += nibble == 15;
  }
  return integer->getBitWidth() == 8 || nibbles > 1;
}

/// The operand that a mask is applied to, or null.
static Use *maskedOperand(Instruction &instruction) {
  MutableArrayRef<Use> sources;
  if (instruction.getOpcode() == Instruction::And) {
    sources = MutableArrayRef(instruction.op_begin(), instruction.op_end());
  } else if (auto *call = dyn_cast<CallInst>(&instruction)) {
    if (!call->isInlineAsm() || !cast<InlineAsm>(call->getCalledOperand())
                                     ->getAsmString()
                                     .trim()
                                     .starts_with("lop3.b32"))
      return nullptr;
    sources = MutableArrayRef(call->arg_begin(), call->arg_end());
  } else {
    return nullptr;
  }
  if (none_of(sources, [](const Use &use) { return isNibbleMask(use); }))
    return nullptr;
  auto *data =
      find_if(sources, [](const Use &use) { return !isa<Constant>(use); });
  return data == sources.end() ? nullptr : data;
}

bool qcc::emulator::swapNibbles(Module &module, unsigned index) {
  Instruction *found = findNth(module, index, [](Instruction &instruction) {
    return maskedOperand(instruction) != nullptr;
  });
  if (!found)
    return false;
  Use *use = maskedOperand(*found);
  Value *data = use->get();
  IRBuilder<> builder(found);
  // Bytes are those of the word before it is shifted into place.
  Value *word = data;
  const APInt *shift = nullptr;
  if (!match(data, m_LShr(m_Value(word), m_APInt(shift))))
    shift = nullptr;
  unsigned width = word->getType()->getScalarSizeInBits();
  Constant *low =
      ConstantInt::get(word->getType(), APInt::getSplat(width, APInt(8, 0x0f)));
  Value *upper = builder.CreateAnd(builder.CreateLShr(word, 4), low);
  Value *lower = builder.CreateShl(builder.CreateAnd(word, low), 4);
  Value *swapped = builder.CreateOr(upper, lower);
  if (shift)
    swapped =
        builder.CreateLShr(swapped, ConstantInt::get(word->getType(), *shift));
  use->set(swapped);
  return true;
}
