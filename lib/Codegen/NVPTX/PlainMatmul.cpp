//===- PlainMatmul.cpp - Products without tensor cores --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "PlainMatmul.h"

#include "MatmulUnits.h"
#include "PanelDecoder.h"
#include "RowNorm.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

static constexpr int64_t kRows = kPlainRows;
static constexpr int64_t kColumns = PackedLayout::kRows;
static constexpr int64_t kShares = kThreads / kColumns;

// Shared memory: [factor of each row][mean of each row][sums: stream, share,
// row, column].
static constexpr int64_t kMeanOffset = kRows * 4, kSumsOffset = 2 * kRows * 4;

namespace {
class PlainMatmul {
public:
  PlainMatmul(StageKernel &stage, const MatmulPlan &plan)
      : stage(stage), e(stage.e), plan(plan), quantize(plan.quantize),
        units(stage, plan) {
    column = e.bitAnd(stage.thread, kColumns - 1);
    share = e.udiv(stage.thread, kColumns);
  }

  void emit() {
    units.forTiles([&] { emitTile(); });
  }

private:
  void emitTile();
  void emitNorms();
  void loadNorms(int64_t rows);
  void emitSums(int64_t rows);
  Values addRun(const PackedWeight &weight, const PackedWeight::Run &run,
                Value panel, Values sums);
  Values addWord(PanelDecoder &decoder, const PackedWeight::Run &run,
                 Value panel, Value word, int64_t elements, Values sums);
  Value element(int64_t row, Value k);
  Value sumAt(unsigned stream, Value share, Value row);

  StageKernel &stage;
  WarpEmitter &e;
  const MatmulPlan &plan;
  qz::QuantizeOp quantize;
  MatmulUnits units;
  Value column, share;
  Values rows, factors, means; ///< Of the rows that sums are made for.
};
} // namespace

/// Writes each row's norm to shared memory, a row for each warp.
void PlainMatmul::emitNorms() {
  if (!quantize.getNorm())
    return;
  e.loop(stage.warp, units.valid, kWarps, [&](Value r) {
    Value row = units.inputRow(r);
    RowNorm norm = emitRowNorm(stage, row, plan.k, quantize.getCentered(),
                               quantize.getEps()->convertToFloat());
    Value at = e.offset(stage.shared, e.mul(r, 4));
    e.ifThen(stage.isFirstLane(), [&] {
      e.store(norm.factor, at, llvm::Align(4));
      if (norm.mean)
        e.store(norm.mean, at, kMeanOffset, llvm::Align(4));
    });
  });
  e.blockBarrier();
}

void PlainMatmul::loadNorms(int64_t count) {
  rows.clear();
  factors.clear();
  means.clear();
  for (int64_t r = 0; r < count; ++r) {
    // Rows that do not exist are the last one again.
    Value row = e.minU(e.c32(r), e.add(units.valid, -1));
    rows.push_back(units.inputRow(row));
    if (!quantize.getNorm())
      continue;
    Value at = e.offset(stage.shared, e.mul(row, 4));
    factors.push_back(e.load(e.f32(), at, llvm::Align(4)));
    if (quantize.getCentered())
      means.push_back(e.load(e.f32(), at, kMeanOffset, llvm::Align(4)));
  }
}

/// Element `k` of what the matmul multiplies.
Value PlainMatmul::element(int64_t row, Value k) {
  auto load = [&](Value base, Value index) {
    return e.load(e.f32(), e.offset(base, e.mul(index, 4)), llvm::Align(4));
  };
  if (quantize.getOrder())
    k = e.floatToInt(load(stage.address(quantize.getOrder()), k), e.i32());
  Value x = load(rows[size_t(row)], k);
  if (quantize.getCentered())
    x = e.subf(x, means[size_t(row)]);
  if (quantize.getNorm())
    x = e.mulf(e.mulf(x, factors[size_t(row)]),
               load(stage.address(quantize.getNorm()), k));
  if (quantize.getNormBias())
    x = e.addf(x, load(stage.address(quantize.getNormBias()), k));
  return x;
}

/// Adds the products of the first `elements` of a word.
Values PlainMatmul::addWord(PanelDecoder &decoder, const PackedWeight::Run &run,
                            Value panel, Value word, int64_t elements,
                            Values sums) {
  Values weights = decoder.word(panel, column, word);
  Value first = e.add(e.mul(word, 4), int64_t(run.begin.element));
  for (int64_t i = 0; i < elements; ++i)
    for (size_t r = 0; r < sums.size(); ++r)
      sums[r] = e.fma(weights[size_t(i)], element(int64_t(r), e.add(first, i)),
                      sums[r]);
  return sums;
}

/// Chunks of 32 elements are dealt to the shares in turn.
Values PlainMatmul::addRun(const PackedWeight &weight,
                           const PackedWeight::Run &run, Value panel,
                           Values sums) {
  PanelDecoder decoder(e, weight, run);
  constexpr int64_t kChunk = PackedLayout::kChunk, kWords = kChunk / 4;
  int64_t whole = int64_t(run.columns) / kChunk,
          rest = int64_t(run.columns) % kChunk;
  if (whole)
    sums = e.loop(share, e.c32(whole), e.c32(kShares), sums,
                  [&](Value chunk, ValueRange in) {
                    Values next(in);
                    for (int64_t w = 0; w < kWords; ++w)
                      next = addWord(decoder, run, panel,
                                     e.add(e.mul(chunk, kWords), w), 4, next);
                    return next;
                  });
  if (!rest)
    return sums;
  Value isOwner =
      e.cmp(arith::CmpIPredicate::eq, share, e.c32(whole % kShares));
  Value turns = e.zext(isOwner, e.i32());
  return e.loop(e.c32(0), turns, e.c32(1), sums, [&](Value, ValueRange in) {
    Values next(in);
    for (int64_t k = 0; k < rest; k += 4)
      next = addWord(decoder, run, panel, e.c32(whole * kWords + k / 4),
                     std::min<int64_t>(4, rest - k), next);
    return next;
  });
}

Value PlainMatmul::sumAt(unsigned stream, Value shareOf, Value row) {
  Value slot = e.add(shareOf, int64_t(stream) * kShares);
  slot = e.add(e.mul(slot, kRows), row);
  slot = e.add(e.mul(slot, kColumns), column);
  return e.offset(e.offset(stage.shared, kSumsOffset), e.mul(slot, 4));
}

void PlainMatmul::emitSums(int64_t count) {
  loadNorms(count);
  units.forRun([&](const WeightRun &run) {
    Values panels = units.panels(run);
    for (unsigned s = 0; s < run.packed.size(); ++s) {
      Values sums(size_t(count), e.zero(e.f32()));
      for (const PackedWeight::Run &part : run.packed[s].runs)
        sums = addRun(run.packed[s], part,
                      e.offset(panels[s], int64_t(part.offset)), sums);
      for (int64_t r = 0; r < count; ++r)
        e.store(sums[size_t(r)], sumAt(s, share, e.c32(r)), llvm::Align(4));
    }
  });
}

void PlainMatmul::emitTile() {
  emitNorms();
  if (plan.tileRows == 1) {
    emitSums(1);
  } else {
    Value isOne = e.cmp(arith::CmpIPredicate::eq, units.valid, e.c32(1));
    e.ifThen(isOne, [&] { emitSums(1); });
    e.ifThen(e.cmp(arith::CmpIPredicate::ne, units.valid, e.c32(1)),
             [&] { emitSums(kRows); });
  }
  e.blockBarrier();
  Value row = share;
  Value residual = units.loadResidual(column, row);
  units.emitEpilogue(column, row, residual, [&](unsigned stream) {
    Value sum;
    for (int64_t s = 0; s < kShares; ++s) {
      Value part =
          e.load(e.f32(), sumAt(stream, e.c32(s), row), llvm::Align(4));
      sum = sum ? e.addf(sum, part) : part;
    }
    return sum;
  });
}

void nvptx::describePlainMatmul(const MatmulPlan &plan, GpuKernel &kernel) {
  kernel.units = unsigned(plan.units);
  kernel.rowsPerBlock = unsigned(plan.tileRows);
  kernel.sharedBytes =
      unsigned(kSumsOffset + plan.streams() * kShares * kRows * kColumns * 4);
}

void nvptx::emitPlainMatmul(StageKernel &stage, const MatmulPlan &plan) {
  PlainMatmul(stage, plan).emit();
}
