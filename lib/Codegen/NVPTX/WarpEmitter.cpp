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

void WarpEmitter::copyAsync(Value shared, Value global) {
  // Past L1, since no other thread of the SM reads these bytes.
  NVVM::CpAsyncOp::create(b, loc, shared, global, 16,
                          NVVM::LoadCacheModifierKind::CG, Value());
}

void WarpEmitter::commitCopies() { NVVM::CpAsyncCommitGroupOp::create(b, loc); }

void WarpEmitter::waitCopies(int64_t pending) {
  NVVM::CpAsyncWaitGroupOp::create(b, loc, uint32_t(pending));
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

Value WarpEmitter::packHalves(Value low, Value high) {
  Value pair = call("llvm.nvvm.ff2f16x2.rn", half2(), {high, low});
  return bitcast(pair, i32());
}

Values WarpEmitter::mma(ArrayRef<Value> a, ArrayRef<Value> x, ValueRange c) {
  Type result = LLVM::LLVMStructType::getLiteral(b.getContext(),
                                                 SmallVector<Type>(4, f32()));
  Value sums = NVVM::MmaOp::create(
      b, loc, result, a, x, c, ArrayRef<int64_t>{16, 8, 16}, std::nullopt,
      std::nullopt, std::nullopt,
      std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
  Values values;
  for (int64_t i = 0; i < 4; ++i)
    values.push_back(LLVM::ExtractValueOp::create(b, loc, sums, i));
  return values;
}
