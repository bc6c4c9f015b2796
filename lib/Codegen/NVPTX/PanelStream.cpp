//===- PanelStream.cpp - Packed panels through a ring into mma ------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "PanelStream.h"

#include "qcc/Codegen/Common/PanelScales.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

PanelStream::PanelStream(WarpEmitter &e, const MatmulPlan &plan,
                         const WeightRun &run, const BlockContext &block,
                         Values panels)
    : e(e), plan(plan), run(run), block(block), panels(std::move(panels)),
      codes(e, block.lane) {
  ring = e.offset(e.offset(block.shared, plan.ringOffset()),
                  e.mul(block.warp, run.ringSlots * run.slotBytes()));
  group = e.shift(block.lane, -2);
  quad = e.bitAnd(block.lane, 3);
  // Lanes of rows that do not exist read the last one; nothing of it reaches
  // the rows that do.
  Value last = e.add(block.valid, -1);
  auto rowAt = [&](Value row) {
    return e.offset(e.offset(block.shared, plan.rowsOffset()),
                    e.mul(e.minU(row, last), plan.rowBytes));
  };
  rowFragment = e.offset(rowAt(group), e.mul(quad, 8));
  for (int64_t i = 0; i < 2; ++i)
    rowSums[i] = e.offset(rowAt(e.add(e.mul(quad, 2), i)), plan.sumsOffset());
}

void PanelStream::copyStep(Value step, Value slot) {
  for (unsigned s = 0; s < panels.size(); ++s) {
    int64_t bytes = run.stepBytes(s), pieces = bytes / 16;
    Value from = e.offset(panels[s], e.mul(step, bytes));
    Value to = e.offset(slot, run.slotOffset(s));
    for (int64_t first = 0; first < pieces; first += kWarpSize) {
      Value piece = e.add(block.lane, first);
      auto copy = [&] {
        const PackedLayout &layout = run.streams[s];
        Value inUnit = e.urem(piece, int64_t(layout.unitBytes / 16));
        Value bytes = e.mul(piece, 16);
        e.copyAsync(
            e.offset(to, e.add(bytes, PanelCodes::exchange(e, layout, inUnit))),
            e.offset(from, bytes));
      };
      if (first + kWarpSize <= pieces)
        copy();
      else
        e.ifThen(e.lessThan(piece, e.c32(pieces)), copy);
    }
  }
}

void PanelStream::emitPrefetch() {
  for (int64_t i = 0; i + 1 < run.ringSlots; ++i) {
    Value step = e.add(block.warp, i * plan.warps);
    e.ifThen(e.lessThan(step, e.c32(steps())),
             [&] { copyStep(step, e.offset(ring, i * run.slotBytes())); });
    e.commitCopies();
  }
}

Values PanelStream::emit() {
  Values zeros(4 * panels.size(), e.zero(e.f32()));
  return e.loop(block.warp, e.c32(steps()), e.c32(plan.warps), zeros,
                [&](Value step, ValueRange sums) {
                  auto slotOf = [&](Value turn) {
                    return e.offset(ring, e.mul(e.urem(turn, run.ringSlots),
                                                run.slotBytes()));
                  };
                  Value turn = e.udiv(step, plan.warps);
                  e.waitCopies(run.ringSlots - 2);
                  // The copies of all lanes are there, and all have read the
                  // slot that the next copy overwrites.
                  e.warpBarrier();
                  Value ahead = e.add(step, (run.ringSlots - 1) * plan.warps);
                  e.ifThen(e.lessThan(ahead, e.c32(steps())), [&] {
                    copyStep(ahead, slotOf(e.add(turn, run.ringSlots - 1)));
                  });
                  e.commitCopies();
                  return computeStep(step, slotOf(turn), Values(sums));
                });
}

Values PanelStream::computeStep(Value step, Value slot, Values sums) {
  Value rowStep = e.offset(rowFragment, e.mul(step, run.stepK * 2));
  Value sumsStep = e.mul(step, run.stepK / plan.sumGroup * 4);
  for (unsigned s = 0; s < panels.size(); ++s) {
    const PackedLayout &layout = run.streams[s];
    Values own(sums.begin() + 4 * s, sums.begin() + 4 * s + 4);
    for (int64_t u = 0; u < run.stepUnits(s); ++u) {
      Value unit = e.offset(e.offset(slot, run.slotOffset(s)),
                            u * int64_t(layout.unitBytes));
      own = computeUnit(
          s, unit, e.offset(rowStep, u * int64_t(layout.unitK) * 2),
          e.add(sumsStep, u * int64_t(layout.unitK) / plan.sumGroup * 4), own);
    }
    std::copy(own.begin(), own.end(), sums.begin() + 4 * s);
  }
  return sums;
}

Values PanelStream::computeUnit(unsigned stream, Value unit, Value rowUnit,
                                Value sumsUnit, Values sums) {
  const PackedLayout &layout = run.streams[stream];
  const Encoding &encoding = layout.encoding;
  ScaleReader reader(e, layout);
  // Columns lane / 4 and lane / 4 + 8.
  const Value columns[] = {group, e.add(group, 8)};
  PanelScales unitScales[2];
  for (int64_t h = 0; h < 2; ++h)
    unitScales[h] = reader.unit(unit, columns[h], e.f32());

  // Products are added unscaled as long as the scale stays the same.
  bool scaleOfUnit = layout.scaleInUnit && !encoding.isTwoLevel();
  const Values zeros(4, e.zero(e.f32()));
  Values products = zeros;
  auto applyScale = [&](const PanelScales *scales) {
    for (int64_t i = 0; i < 4; ++i)
      sums[i] = e.fma(scales[i / 2].factor, products[i], sums[i]);
    products = zeros;
  };
  // Zero points meet the sums of activations, as minima do.
  auto applyMin = [&](const PanelScales *scales, int64_t index) {
    Value terms[2];
    for (int64_t h = 0; h < 2; ++h) {
      terms[h] = scales[h].min;
      if (!encoding.hasZeros())
        continue;
      Value zero = arith::NegFOp::create(
          e.b, e.loc,
          e.mulf(scales[h].factor, e.intToFloat(scales[h].zero, e.f32())));
      terms[h] = terms[h] ? e.addf(terms[h], zero) : zero;
    }
    for (int64_t i = 0; i < 4; ++i) {
      Value sum = e.load(
          e.f32(), e.offset(e.offset(rowSums[i % 2], sumsUnit), index * 4),
          llvm::Align(4));
      sums[i] = e.fma(terms[i / 2], sum, sums[i]);
    }
  };

  int64_t chunks = layout.unitK / PackedLayout::kChunk;
  int64_t sumsPerChunk = PackedLayout::kChunk / plan.sumGroup;
  for (int64_t c = 0; c < chunks; ++c) {
    Value chunk =
        e.offset(unit, int64_t(layout.chunkOffset + c * layout.chunkBytes));
    // What differs by group is not subtracted here.
    PanelCodes::Fragments weights = codes.fragments(layout, chunk);
    PanelScales chunkScales[2], scales[2];
    for (int64_t h = 0; h < 2; ++h)
      scales[h] = chunkScales[h] = reader.chunk(
          unitScales[h], c ? e.c32(c) : Value(), columns[h], e.f32());
    auto readScales = [&](int64_t g) {
      for (int64_t h = 0; h < 2; ++h)
        scales[h] = reader.group(chunkScales[h], chunk, g, columns[h], e.f32());
    };
    if (!scaleOfUnit)
      readScales(0);
    for (int64_t m = 0; m < 2; ++m) {
      Value pair = e.load(e.vec(2, e.i32()),
                          e.offset(rowUnit, (c * 2 + m) * 32), llvm::Align(8));
      Value rows[] = {e.bitcast(e.extract(pair, 0), e.half2()),
                      e.bitcast(e.extract(pair, 1), e.half2())};
      products = e.mma(weights[m], rows, products);
      bool isGroupEnd = layout.groupsPerChunk == 2 || m == 1;
      if (!isGroupEnd)
        continue;
      if (!scaleOfUnit)
        applyScale(scales);
      if (encoding.hasMin() || encoding.hasZeros()) {
        // One sum may cover several groups, or a group several sums.
        int64_t first = layout.groupsPerChunk == 2 ? m * sumsPerChunk / 2 : 0;
        int64_t count = sumsPerChunk / layout.groupsPerChunk;
        for (int64_t i = 0; i < count; ++i)
          applyMin(scales, c * sumsPerChunk + first + i);
      }
      if (!scaleOfUnit && layout.groupsPerChunk == 2 && m == 0)
        readScales(1);
    }
  }
  if (scaleOfUnit)
    applyScale(unitScales);
  return sums;
}
