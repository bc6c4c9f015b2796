//===- WarpEmitter.cpp - Short names for what threads of a GPU do ---------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "WarpEmitter.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace qcc::nvptx;

Value WarpEmitter::threadIndex() {
  Value index = gpu::ThreadIdOp::create(b, loc, gpu::Dimension::x);
  return arith::IndexCastOp::create(b, loc, i32(), index);
}

Value WarpEmitter::blockIndex(gpu::Dimension dimension) {
  Value index = gpu::BlockIdOp::create(b, loc, dimension);
  return arith::IndexCastOp::create(b, loc, i32(), index);
}

void WarpEmitter::blockBarrier() { gpu::BarrierOp::create(b, loc); }

void WarpEmitter::warpBarrier() {
  NVVM::SyncWarpOp::create(b, loc, constant(i32(), -1));
}

Value WarpEmitter::shuffleXor(Value value, int64_t mask) {
  return gpu::ShuffleOp::create(b, loc, value, int32_t(mask), kWarpSize,
                                gpu::ShuffleMode::XOR)
      .getShuffleResult();
}

Value WarpEmitter::shuffleIndex(Value value, Value lane) {
  return gpu::ShuffleOp::create(b, loc, value, lane, c32(kWarpSize),
                                gpu::ShuffleMode::IDX)
      .getShuffleResult();
}

Value WarpEmitter::warpSum(Value value) {
  for (int64_t mask = kWarpSize / 2; mask; mask /= 2)
    value = addf(value, shuffleXor(value, mask));
  return value;
}

Value WarpEmitter::warpMax(Value value) {
  for (int64_t mask = kWarpSize / 2; mask; mask /= 2)
    value = larger(shuffleXor(value, mask), value);
  return value;
}

Value WarpEmitter::ballot(Value condition) {
  return NVVM::VoteSyncOp::create(b, loc, i32(), c32(-1), condition,
                                  NVVM::VoteSyncKind::ballot);
}

void WarpEmitter::prefetch(Value address) {
  // LLVM 22 has the intrinsic for sm_90 alone, and with PTX 8.0.
  LLVM::InlineAsmOp::create(b, loc, TypeRange(), ValueRange(address),
                            "prefetch.global.L2 [$0];", "l",
                            /*has_side_effects=*/true,
                            /*is_align_stack=*/false, LLVM::TailCallKind::None,
                            LLVM::AsmDialectAttr(), ArrayAttr());
}

void WarpEmitter::copyAsync(Value shared, Value global, Value bytes) {
  // Past L1, since no other thread of the SM reads these bytes.
  NVVM::CpAsyncOp::create(b, loc, shared, global, 16,
                          NVVM::LoadCacheModifierKind::CG, bytes);
}

void WarpEmitter::commitCopies() { NVVM::CpAsyncCommitGroupOp::create(b, loc); }

void WarpEmitter::waitCopies(int64_t pending) {
  NVVM::CpAsyncWaitGroupOp::create(b, loc, uint32_t(pending));
}

void WarpEmitter::allowNextLaunch() {
  NVVM::GriddepcontrolOp::create(b, loc,
                                 NVVM::GridDepActionKind::launch_dependents);
}

void WarpEmitter::awaitLaunchBefore() {
  // To LLVM the intrinsic accesses no memory, so that loads could be moved
  // before it.
  LLVM::InlineAsmOp::create(b, loc, TypeRange(), ValueRange(),
                            "griddepcontrol.wait;", "~{memory}",
                            /*has_side_effects=*/true,
                            /*is_align_stack=*/false, LLVM::TailCallKind::None,
                            LLVM::AsmDialectAttr(), ArrayAttr());
}

Value WarpEmitter::maskOr(Value x, uint32_t mask, uint32_t bits) {
  // ptxas does not join the two operations when both constants are immediate.
  Value operands[] = {x, c32(int32_t(mask)), c32(int32_t(bits))};
  return LLVM::InlineAsmOp::create(
             b, loc, TypeRange{i32()}, ValueRange(operands),
             "lop3.b32 $0, $1, $2, $3, 0xea;", "=r,r,r,r",
             /*has_side_effects=*/false, /*is_align_stack=*/false,
             LLVM::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr())
      .getResult(0);
}

Value WarpEmitter::pack(Value low, Value high, Type element) {
  StringRef name =
      element.isF16() ? "llvm.nvvm.ff2f16x2.rn" : "llvm.nvvm.ff2bf16x2.rn";
  return bitcast(call(name, vec(2, element), {high, low}), i32());
}

Values WarpEmitter::unpack(Value tuple, int64_t count) {
  Values values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(LLVM::ExtractValueOp::create(b, loc, tuple, i));
  return values;
}

Values WarpEmitter::loadMatrices(Value row, int64_t count, bool transposed) {
  Type result = i32();
  if (count > 1)
    result = LLVM::LLVMStructType::getLiteral(
        b.getContext(), SmallVector<Type>(size_t(count), i32()));
  Value loaded = NVVM::LdMatrixOp::create(
      b, loc, result, row, uint32_t(count),
      transposed ? NVVM::MMALayout::col : NVVM::MMALayout::row,
      NVVM::LdStMatrixShapeAttr::get(b.getContext(), 8, 8),
      NVVM::LdStMatrixEltType::B16);
  return count > 1 ? unpack(loaded, count) : Values{loaded};
}

Values WarpEmitter::mma(ArrayRef<Value> a, ArrayRef<Value> x, ValueRange c) {
  Type result = LLVM::LLVMStructType::getLiteral(b.getContext(),
                                                 SmallVector<Type>(4, f32()));
  Value sums = NVVM::MmaOp::create(
      b, loc, result, a, x, c, ArrayRef<int64_t>{16, 8, 16}, std::nullopt,
      std::nullopt, std::nullopt,
      std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
  return unpack(sums, 4);
}

Values WarpEmitter::mma(ArrayRef<Value> a, ArrayRef<Value> x, ValueRange c,
                        Type element) {
  if (element.isF16()) {
    // Its type says which floats they are.
    auto halves = [&](ArrayRef<Value> words) {
      Values pairs;
      for (Value word : words)
        pairs.push_back(bitcast(word, half2()));
      return pairs;
    };
    return mma(halves(a), halves(x), c);
  }
  Type result = LLVM::LLVMStructType::getLiteral(b.getContext(),
                                                 SmallVector<Type>(4, f32()));
  Value sums = NVVM::MmaOp::create(
      b, loc, result, a, x, c, ArrayRef<int64_t>{16, 8, 16}, std::nullopt,
      std::nullopt, std::array{NVVM::MMATypes::bf16, NVVM::MMATypes::bf16},
      std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
  return unpack(sums, 4);
}
