//===- PtxMemory.cpp - Instructions of PTX that access memory -------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "PtxFunction.h"

using namespace llvm;
using namespace qcc::emulator;

static constexpr PtxType kWord{PtxType::Bits, 32, 1};

static StringRef spaceOf(PtxFunction &f, const PtxStatement &s) {
  for (StringRef space : {"global", "shared"})
    if (s.has(space))
      return space;
  f.fail("an unknown space");
  return "global";
}

/// The registers of a load or store: as many as the type has parts.
static SmallVector<StringRef, 4>
registersOf(PtxFunction &f, const PtxStatement &s, StringRef operand) {
  SmallVector<StringRef, 4> names = splitPtxOperands(operand);
  size_t count = s.has("v4") ? 4 : s.has("v2") ? 2 : 1;
  if (names.size() != count)
    f.fail("an unexpected count of registers");
  return names;
}

void qcc::emulator::emitPtxLoad(PtxFunction &f, const PtxStatement &s) {
  PtxType type = s.types[0];
  if (s.has("param"))
    return f.write(s.operands[0], type, f.parameter(s.operands[1], type));
  SmallVector<StringRef, 4> names = registersOf(f, s, s.operands[0]);
  Value *from = f.address(s.operands[1], spaceOf(f, s));
  unsigned count = unsigned(names.size());
  Value *loaded = f.ir.CreateAlignedLoad(
      FixedVectorType::get(f.ir.getIntNTy(type.bits), count), from,
      Align(type.bits / 8 * count));
  for (auto [i, name] : enumerate(names))
    f.write(name, type, f.ir.CreateExtractElement(loaded, uint64_t(i)));
}

void qcc::emulator::emitPtxStore(PtxFunction &f, const PtxStatement &s) {
  PtxType type = {PtxType::Bits, s.types[0].bits, 1};
  SmallVector<StringRef, 4> names = registersOf(f, s, s.operands[1]);
  unsigned count = unsigned(names.size());
  Value *stored =
      PoisonValue::get(FixedVectorType::get(f.ir.getIntNTy(type.bits), count));
  for (auto [i, name] : enumerate(names))
    stored = f.ir.CreateInsertElement(stored, f.read(name, type), uint64_t(i));
  f.ir.CreateAlignedStore(stored, f.address(s.operands[0], spaceOf(f, s)),
                          Align(type.bits / 8 * count));
}

void qcc::emulator::emitPtxLoadMatrices(PtxFunction &f, const PtxStatement &s) {
  SmallVector<StringRef, 4> names = splitPtxOperands(s.operands[0]);
  if (!s.has("m8n8") || !s.has("shared") || s.types[0].bits != 16 ||
      !s.has(names.size() == 4 ? "x4" : "x2"))
    return f.fail("an unknown load of matrices");
  std::string name = "llvm.nvvm.ldmatrix.sync.aligned.m8n8.x" +
                     std::to_string(names.size()) +
                     (s.has("trans") ? ".trans" : "") + ".b16";
  Value *from = f.address(s.operands[1], "shared");
  Value *loaded = f.call(name, {from}, {from->getType()});
  for (auto [i, name] : enumerate(names))
    f.write(name, kWord, f.ir.CreateExtractValue(loaded, unsigned(i)));
}

void qcc::emulator::emitPtxCopy(PtxFunction &f, const PtxStatement &s) {
  if (s.has("commit_group") && s.operands.empty()) {
    f.call("llvm.nvvm.cp.async.commit.group", {});
  } else if (s.has("wait_group") && s.operands.size() == 1) {
    f.call("llvm.nvvm.cp.async.wait.group", {f.read(s.operands[0], kWord)});
  } else if (s.has("cg") && s.has("shared") && s.has("global") &&
             (s.operands.size() == 3 || s.operands.size() == 4) &&
             s.operands[2] == "16") {
    SmallVector<Value *> values = {f.address(s.operands[0], "shared"),
                                   f.address(s.operands[1], "global")};
    std::string name = "llvm.nvvm.cp.async.cg.shared.global.16";
    if (s.operands.size() == 4) {
      name += ".s";
      values.push_back(f.read(s.operands[3], kWord));
    }
    f.call(name, values);
  } else {
    f.fail("an unknown copy");
  }
}

void qcc::emulator::emitPtxPrefetch(PtxFunction &f, const PtxStatement &s) {
  if (!s.has("global") || !s.has("L2"))
    return f.fail("an unknown prefetch");
  f.call("llvm.nvvm.prefetch.global.L2", {f.address(s.operands[0], "global")});
}

/// Counts up to the operand, then from 0 again.
void qcc::emulator::emitPtxAtomic(PtxFunction &f, const PtxStatement &s) {
  if (!s.has("global") || !s.has("inc") ||
      s.types[0].kind != PtxType::Unsigned || s.types[0].bits != 32)
    return f.fail("an unknown atomic operation");
  f.write(s.operands[0], kWord,
          f.ir.CreateAtomicRMW(AtomicRMWInst::UIncWrap,
                               f.address(s.operands[1], "global"),
                               f.read(s.operands[2], kWord), Align(4),
                               AtomicOrdering::Monotonic));
}

void qcc::emulator::emitPtxFence(PtxFunction &f, const PtxStatement &s) {
  if (!s.has("acq_rel") || !s.has("gpu"))
    return f.fail("an unknown fence");
  f.ir.CreateFence(AtomicOrdering::AcquireRelease);
}
