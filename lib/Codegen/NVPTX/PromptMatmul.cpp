//===- PromptMatmul.cpp - Products of prompts with weights in bf16 --------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "PromptMatmul.h"

#include "MatmulUnits.h"

#include <vector>

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

static constexpr int64_t kRows = MatmulPlan::kPromptRows;
static constexpr int64_t kPanels = 4; ///< Of a block.
static constexpr int64_t kStepK = MatmulPlan::kPromptStepK;
static constexpr int64_t kSlots = 4; ///< Steps in shared memory.
/// Bytes of 16 bf16, of a panel's part of a step, and of a step.
static constexpr int64_t kLine = 32, kPanelBytes = kStepK * kLine,
                         kSlotBytes = kPanels * kPanelBytes;
/// Bytes between rows of sums, which spreads them over banks.
static constexpr int64_t kSumsStride = 96;
static constexpr int64_t kFactorsOffset = kSlots * kSlotBytes,
                         kSumsOffset = kFactorsOffset + kRows * 4;

static int64_t unitsOfBlock(const MatmulPlan &plan) {
  return kPanels / plan.streams();
}

namespace {
class PromptMatmul {
public:
  PromptMatmul(StageKernel &stage, const MatmulPlan &plan);
  void emit();

private:
  int64_t steps() const { return plan.k / kStepK; }
  void copyStep(Value step);
  Values loadRows(Value step);
  Values multiply(Value step, ValueRange rows, ValueRange sums);
  void storeFactors(ValueRange squares);
  void emitUnit(int64_t number, ValueRange sums);

  StageKernel &stage;
  WarpEmitter &e;
  const MatmulPlan &plan;
  qz::QuantizeOp quantize;
  std::vector<MatmulUnits> units;
  Values exists; ///< Of units: i1.
  Values panels;
  Value group, quad;  ///< lane / 4 and lane % 4.
  Value slot[2];      ///< The lane's rows, among those of the block.
  Value rowStart[2];  ///< Their elements 2 * quad.
  Value normStart;    ///< Weight 2 * quad of the norm, or null.
  Value matrixOffset; ///< Of a lane's row of matrices, in a panel of a step.
};
} // namespace

PromptMatmul::PromptMatmul(StageKernel &stage, const MatmulPlan &plan)
    : stage(stage), e(stage.e), plan(plan), quantize(plan.quantize) {
  const int64_t count = unitsOfBlock(plan);
  for (int64_t i = 0; i < count; ++i) {
    // Behind the last unit, that one is made again and not stored.
    Value number = e.add(e.mul(stage.unit, count), i);
    exists.push_back(e.lessThan(number, e.c32(plan.units)));
    units.emplace_back(stage, plan, e.minS(number, e.c32(plan.units - 1)));
    panels.append(units.back().panels(plan.runs.front()));
  }
  group = e.shift(stage.lane, -2);
  quad = e.bitAnd(stage.lane, 3);
  for (int64_t half = 0; half < 2; ++half) {
    slot[half] =
        e.add(e.mul(stage.warp, kRows / kWarps), e.add(group, half * 8));
    Value existing = e.minS(slot[half], e.add(units.front().valid, -1));
    rowStart[half] = e.offset(units.front().inputRow(existing), e.mul(quad, 8));
  }
  if (quantize.getNorm())
    normStart = e.offset(stage.address(quantize.getNorm()), e.mul(quad, 8));
  // Matrices 0 and 1 have the first eight columns, 1 and 3 the last eight k.
  // See copyStep() for the exchange.
  Value k = e.bitAnd(stage.lane, 15), half = e.shift(stage.lane, -4);
  half = e.bitXor(half, e.bitAnd(e.shift(k, -2), 1));
  matrixOffset = e.add(e.mul(k, kLine), e.mul(half, 16));
}

/// Starts copying a step to its slot. Four lines of 32 bytes have all banks, so
/// that every other four have their halves exchanged.
void PromptMatmul::copyStep(Value step) {
  constexpr int64_t kPieces = kPanelBytes / 16, kTogether = kThreads / kPieces;
  static_assert(kTogether == 2 && kPanels % kTogether == 0);
  Value to =
      e.offset(stage.shared, e.mul(e.bitAnd(step, kSlots - 1), kSlotBytes));
  Value which = e.udiv(stage.thread, kPieces),
        piece = e.urem(stage.thread, kPieces);
  Value isFirst = e.cmp(arith::CmpIPredicate::eq, which, e.c32(0));
  Value k = e.shift(piece, -1);
  Value half = e.bitXor(e.bitAnd(piece, 1), e.bitAnd(e.shift(k, -2), 1));
  Value place = e.add(e.mul(k, kLine), e.mul(half, 16));
  place = e.add(place, e.mul(which, kPanelBytes));
  Value from = e.add(e.mul(step, kPanelBytes), e.mul(piece, 16));
  for (int64_t i = 0; i < kPanels; i += kTogether) {
    Value panel = e.select(isFirst, panels[size_t(i)], panels[size_t(i + 1)]);
    e.copyAsync(e.offset(e.offset(to, i * kPanelBytes), place),
                e.offset(panel, from));
  }
}

/// The lane's elements of a step: of each of its rows, two of each eight.
Values PromptMatmul::loadRows(Value step) {
  Values result;
  for (Value row : rowStart)
    for (int64_t k = 0; k < kStepK; k += 8) {
      Value pair =
          e.load(e.vec(2, e.f32()), e.offset(row, e.mul(step, kStepK * 4)),
                 k * 4, llvm::Align(8));
      for (int64_t i = 0; i < 2; ++i)
        result.push_back(e.extract(pair, i));
    }
  return result;
}

Values PromptMatmul::multiply(Value step, ValueRange rows, ValueRange in) {
  constexpr int64_t kEights = kStepK / 8;
  const Type bf16 = e.b.getBF16Type();
  Values words[2], sums(in.begin(), in.end());
  for (int64_t eight = 0; eight < kEights; ++eight) {
    Value norm;
    if (normStart)
      norm = e.load(e.vec(2, e.f32()),
                    e.offset(normStart, e.mul(step, kStepK * 4)), eight * 32,
                    llvm::Align(8));
    for (int64_t half = 0; half < 2; ++half) {
      Values pair;
      for (int64_t i = 0; i < 2; ++i) {
        Value x = rows[unsigned(half * 2 * kEights + 2 * eight + i)];
        if (norm) {
          Value &squares = sums[sums.size() - 2 + size_t(half)];
          squares = e.fma(x, x, squares);
          x = e.mulf(x, e.extract(norm, i));
        }
        pair.push_back(x);
      }
      words[half].push_back(e.pack(pair[0], pair[1], bf16));
    }
  }
  Value weights =
      e.offset(stage.shared, e.mul(e.bitAnd(step, kSlots - 1), kSlotBytes));
  weights = e.offset(weights, matrixOffset);
  for (int64_t k = 0; k < kStepK / 16; ++k) {
    Value a[] = {words[0][size_t(2 * k)], words[1][size_t(2 * k)],
                 words[0][size_t(2 * k + 1)], words[1][size_t(2 * k + 1)]};
    for (int64_t panel = 0; panel < kPanels; ++panel) {
      Values loaded = e.loadMatrices(
          e.offset(weights, panel * kPanelBytes + k * 16 * kLine), 4,
          /*transposed=*/true);
      for (int64_t i = 0; i < 2; ++i) {
        auto *first = sums.begin() + (2 * panel + i) * 4;
        Values next = e.mma(a, ArrayRef(loaded).slice(size_t(2 * i), 2),
                            ValueRange(ArrayRef(first, 4)), bf16);
        std::copy(next.begin(), next.end(), first);
      }
    }
  }
  return sums;
}

/// One over the root of each row's norm.
void PromptMatmul::storeFactors(ValueRange squares) {
  double eps = quantize.getEps()->convertToDouble();
  for (int64_t half = 0; half < 2; ++half) {
    Value sum = squares[unsigned(half)];
    for (int64_t mask : {1, 2})
      sum = e.addf(sum, e.shuffleXor(sum, mask));
    Value root = e.unary("llvm.sqrt", e.addf(e.mulf(sum, 1.0 / double(plan.k)),
                                             e.constant(e.f32(), eps)));
    e.ifThen(e.cmp(arith::CmpIPredicate::eq, quad, e.c32(0)), [&] {
      e.store(e.divf(e.constant(e.f32(), 1.0), root),
              e.offset(stage.shared, e.mul(slot[half], 4)), kFactorsOffset,
              llvm::Align(4));
    });
  }
}

/// Sums go through shared memory, so that results are stored row by row.
void PromptMatmul::emitUnit(int64_t number, ValueRange sums) {
  const int64_t streams = plan.streams(), streamBytes = kRows * kSumsStride;
  Value start = e.offset(stage.shared, kSumsOffset);
  if (number)
    e.blockBarrier(); // The unit before is stored.
  for (int64_t s = 0; s < streams; ++s)
    for (int64_t i = 0; i < 2; ++i)
      for (int64_t half = 0; half < 2; ++half) {
        int64_t first = (2 * (number * streams + s) + i) * 4 + half * 2;
        Value pair = LLVM::PoisonOp::create(e.b, e.loc, e.vec(2, e.f32()));
        for (int64_t j = 0; j < 2; ++j)
          pair = vector::InsertOp::create(e.b, e.loc, sums[unsigned(first + j)],
                                          pair, j);
        Value at = e.add(e.mul(slot[half], kSumsStride), e.mul(quad, 8));
        e.store(pair, e.offset(start, at), s * streamBytes + i * 32,
                llvm::Align(8));
      }
  e.blockBarrier();
  MatmulUnits &unit = units[size_t(number)];
  e.ifThen(exists[size_t(number)], [&] {
    constexpr int64_t kColumns = PackedLayout::kRows;
    e.loop(stage.thread, e.c32(kRows * kColumns), kThreads, [&](Value index) {
      Value column = e.bitAnd(index, kColumns - 1),
            row = e.udiv(index, kColumns);
      unit.emitEpilogue(column, row, [&](unsigned stream) {
        Value at = e.add(e.mul(row, kSumsStride), e.mul(column, 4));
        Value sum = e.load(e.f32(), e.offset(start, at),
                           int64_t(stream) * streamBytes, llvm::Align(4));
        if (!normStart)
          return sum;
        return e.mulf(sum,
                      e.load(e.f32(), e.offset(stage.shared, e.mul(row, 4)),
                             kFactorsOffset, llvm::Align(4)));
      });
    });
  });
}

void PromptMatmul::emit() {
  for (int64_t i = 0; i + 1 < kSlots; ++i) {
    if (i < steps())
      copyStep(e.c32(i));
    e.commitCopies();
  }
  const size_t sumCount = kPanels * 8 + (normStart ? 2 : 0);
  Values state(sumCount, e.zero(e.f32()));
  state.append(loadRows(e.c32(0)));
  Values done = e.loop(
      e.c32(0), e.c32(steps()), e.c32(1), state,
      [&](Value step, ValueRange in) {
        e.waitCopies(kSlots - 2);
        // The step's copies of all threads are there, and all have read the
        // slot that the next copy overwrites.
        e.blockBarrier();
        Value ahead = e.add(step, kSlots - 1);
        e.ifThen(e.lessThan(ahead, e.c32(steps())), [&] { copyStep(ahead); });
        e.commitCopies();
        Values next = loadRows(e.minS(e.add(step, 1), e.c32(steps() - 1)));
        Values sums =
            multiply(step, in.drop_front(sumCount), in.take_front(sumCount));
        sums.append(next);
        return sums;
      });
  if (normStart)
    storeFactors(ValueRange(done).slice(sumCount - 2, 2));
  for (int64_t i = 0; i < unitsOfBlock(plan); ++i)
    emitUnit(i, done);
}

void nvptx::describePromptMatmul(const MatmulPlan &plan, GpuKernel &kernel) {
  const int64_t count = unitsOfBlock(plan);
  kernel.units = unsigned((plan.units + count - 1) / count);
  kernel.rowsPerBlock = unsigned(kRows);
  kernel.sharedBytes =
      unsigned(kSumsOffset + plan.streams() * kRows * kSumsStride);
}

void nvptx::emitPromptMatmul(StageKernel &stage, const MatmulPlan &plan) {
  stage.setBlocksPerMultiprocessor(3);
  PromptMatmul(stage, plan).emit();
}
