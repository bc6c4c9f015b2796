//===- WarpEmitter.h - Short names for what threads of a GPU do -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Emitter plus the operations of a warp. Indices within a block are i32: 64-bit
// arithmetic would cost registers. Pointers are in the global or in the shared
// address space.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_WARPEMITTER_H
#define QCC_LIB_CODEGEN_NVPTX_WARPEMITTER_H

#include "qcc/Codegen/Common/Emitter.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace qcc::nvptx {

using namespace qcc::codegen;

constexpr int64_t kWarpSize = 32;

class WarpEmitter : public Emitter {
public:
  /// Constant data goes to `module`.
  WarpEmitter(mlir::OpBuilder &builder, mlir::Location loc,
              mlir::gpu::GPUModuleOp module)
      : Emitter(builder, loc, module.getBody(), kGlobalSpace) {}

  Value c32(int64_t value) { return constant(i32(), value); }
  Type globalPointer() { return pointerIn(kGlobalSpace); }
  Type sharedPointer() { return pointerIn(3); }
  mlir::VectorType half2() { return vec(2, f16()); }

  Value threadIndex();
  Value blockIndex(mlir::gpu::Dimension dimension);

  Value bitXor(Value a, Value x) {
    return mlir::arith::XOrIOp::create(b, loc, a, x);
  }
  Value shiftLeft(Value a, Value by) {
    return mlir::arith::ShLIOp::create(b, loc, a, by);
  }
  Value shiftRight(Value a, Value by) {
    return mlir::arith::ShRUIOp::create(b, loc, a, by);
  }
  Value lessThan(Value a, Value x) {
    return cmp(mlir::arith::CmpIPredicate::slt, a, x);
  }
  Value minS(Value a, Value x) {
    return mlir::arith::MinSIOp::create(b, loc, a, x);
  }
  Value absf(Value x) { return unary("llvm.fabs", x); }
  /// 2^x within 2 units in the last place, in one instruction; 0 where the
  /// result is no normal number, and of minus infinity.
  Value fastExp2(Value x) { return unary("llvm.nvvm.ex2.approx.ftz", x); }
  /// The larger one, in one instruction; of NaN and a number, the number.
  Value larger(Value a, Value x) {
    return call("llvm.maxnum", a.getType(), {a, x});
  }

  /// Waits for all threads of the block, or of the warp; their writes to memory
  /// are then seen.
  void blockBarrier();
  void warpBarrier();
  /// The value of the lane whose number differs in the bits of `mask`.
  Value shuffleXor(Value value, int64_t mask);

  /// The value of lane `lane` (i32), the same for all lanes of the warp.
  Value shuffleIndex(Value value, Value lane);
  /// The sum and the largest of the values of a warp, in all its lanes.
  Value warpSum(Value value);
  Value warpMax(Value value);

  /// i32: bit i is whether lane i has a true `condition`; all lanes take part.
  Value ballot(Value condition);
  Value popcount(Value bits) { return unary("llvm.ctpop", bits); }

  /// Brings the line of global memory at `address` into the second level of
  /// caches.
  void prefetch(Value address);
  /// Starts copying 16 bytes; both addresses must be 16-aligned. With `bytes`
  /// (i32) only as many are read, and zeros take the place of the others.
  void copyAsync(Value shared, Value global, Value bytes = {});
  /// Makes one group of the copies that this thread started since the last one.
  void commitCopies();
  /// Waits until at most `pending` groups of this thread are under way.
  void waitCopies(int64_t pending);

  /// Lets blocks of the next launch begin once each block of this one came here
  /// or ended. Says nothing of what was stored.
  void allowNextLaunch();
  /// Waits until the launch before has ended; what it stored is then seen. At
  /// once where this one was not begun early.
  void awaitLaunchBefore();

  /// (x & mask) | bits in one instruction. The two constants stay in registers.
  Value maskOr(Value x, uint32_t mask, uint32_t bits);
  /// Two f32 as two f16 (or bf16) in one register, an i32, rounded to nearest.
  Value packHalves(Value low, Value high) { return pack(low, high, f16()); }
  Value pack(Value low, Value high, Type element);

  /// `count` (1, 2 or 4) matrices of 8 x 8 elements of 16 bits from shared
  /// memory, an i32 of each: elements 2 * (lane % 4) and the one after it of
  /// row lane / 4 or, `transposed`, of that column. Lane l gives the address of
  /// row l % 8 of matrix l / 8, 16-aligned.
  Values loadMatrices(Value row, int64_t count, bool transposed);

  /// d = a * b + c on 16x8 results, m16n8k16: `a` is four and `b` two half2,
  /// `c` and the result are four f32.
  Values mma(llvm::ArrayRef<Value> a, llvm::ArrayRef<Value> x, ValueRange c);
  /// The same of i32 that hold two f16 or bf16 each, as `element` says.
  Values mma(llvm::ArrayRef<Value> a, llvm::ArrayRef<Value> x, ValueRange c,
             Type element);

private:
  Values unpack(Value tuple, int64_t count);

  static constexpr unsigned kGlobalSpace = 1;

  Type pointerIn(unsigned addressSpace) {
    return mlir::LLVM::LLVMPointerType::get(b.getContext(), addressSpace);
  }
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_WARPEMITTER_H
