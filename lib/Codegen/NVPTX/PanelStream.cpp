//===- PanelStream.cpp - Packed panels through a ring into mma ------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "PanelStream.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

PanelStream::PanelStream(WarpEmitter &e, const MatmulPlan &plan,
                         const WeightRun &run, const BlockContext &block,
                         Values panels)
    : e(e), plan(plan), run(run), block(block), panels(std::move(panels)),
      codes(e, block.lane) {
  ring = e.offset(e.offset(block.shared, plan.ringOffset()),
                  e.mul(block.warp, run.ringSlots * slotBytes()));
  group = e.shift(block.lane, -2);
}

void PanelStream::copyStep(Value step, Value slot) {
  for (unsigned s = 0; s < panels.size(); ++s) {
    int64_t bytes = run.stepBytes(streamOf(s)), pieces = bytes / 16;
    Value from = e.offset(panels[s], e.mul(step, bytes));
    Value to = e.offset(slot, slotOffset(s));
    for (int64_t first = 0; first < pieces; first += kWarpSize) {
      Value piece = e.add(block.lane, first);
      auto copy = [&] {
        const PackedLayout &layout = run.streams[streamOf(s)];
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
             [&] { copyStep(step, e.offset(ring, i * slotBytes())); });
    e.commitCopies();
  }
}

Values PanelStream::emit(BlockRows &rows) {
  Values zeros(4 * panels.size() * size_t(rows.tiles()), e.zero(e.f32()));
  // Without a branch, as where each warp has one step, LLVM would make all
  // products before it adds any, and have them in registers.
  Value end =
      e.select(e.lessThan(e.c32(0), block.valid), e.c32(steps()), e.c32(0));
  return e.loop(block.warp, end, e.c32(plan.warps), zeros,
                [&](Value step, ValueRange sums) {
                  auto slotOf = [&](Value turn) {
                    return e.offset(
                        ring, e.mul(e.urem(turn, run.ringSlots), slotBytes()));
                  };
                  Value turn = e.udiv(step, plan.warps);
                  rows.beginStep(step);
                  e.waitCopies(run.ringSlots - 2);
                  // The copies of all lanes are there, and all have read the
                  // slot that the next copy overwrites.
                  e.warpBarrier();
                  Value ahead = e.add(step, (run.ringSlots - 1) * plan.warps);
                  e.ifThen(e.lessThan(ahead, e.c32(steps())), [&] {
                    copyStep(ahead, slotOf(e.add(turn, run.ringSlots - 1)));
                  });
                  e.commitCopies();
                  return computeStep(slotOf(turn), rows, Values(sums));
                });
}

/// A panel's part of a step, from chunk to chunk.
struct PanelStream::Panel {
  const PackedLayout &layout;
  ScaleReader reader;
  Value units;      ///< Of the step, in the ring.
  Value unit;       ///< The current one.
  Value columns[2]; ///< Those of the lane.
  /// Four for each tile of rows. Products are added unscaled as long as the
  /// scale stays the same.
  Values sums, products;
  bool hasProducts = false; ///< Otherwise they are zero.
  PanelScales unitScales[2];

  void clearProducts(Value zero) {
    products.assign(sums.size(), zero);
    hasProducts = false;
  }

  int64_t chunks() const { return layout.unitK / PackedLayout::kChunk; }
  bool scaleOfUnit() const {
    return layout.scaleInUnit && !layout.encoding.isTwoLevel();
  }
};

Values PanelStream::computeStep(Value slot, BlockRows &rows, Values sums) {
  const size_t ofPanel = 4 * size_t(rows.tiles());
  std::vector<Panel> all;
  for (size_t p = 0; p < panels.size(); ++p) {
    const PackedLayout &layout = run.streams[streamOf(p)];
    auto first = sums.begin() + ptrdiff_t(ofPanel * p);
    all.push_back({layout,
                   ScaleReader(e, layout),
                   e.offset(slot, slotOffset(p)),
                   Value(),
                   {group, e.add(group, 8)},
                   Values(first, first + ptrdiff_t(ofPanel)),
                   Values(),
                   false,
                   {}});
  }
  const int64_t chunks = run.stepK / PackedLayout::kChunk;
  // Panels take turns, since the rows of a chunk stay in registers meanwhile.
  for (int64_t c = 0; c < chunks; ++c)
    for (Panel &panel : all)
      computeChunk(panel, c, rows);
  sums.clear();
  for (Panel &panel : all)
    sums.append(panel.sums);
  return sums;
}

void PanelStream::applyScale(Panel &panel, const PanelScales *scales) {
  for (size_t i = 0; i < panel.sums.size(); ++i)
    panel.sums[i] =
        e.fma(scales[i % 4 / 2].factor, panel.products[i], panel.sums[i]);
  panel.clearProducts(e.zero(e.f32()));
}

/// The encoding's zero, times the sums of activations, is what the products
/// that follow are added to.
void PanelStream::subtractZero(Panel &panel, BlockRows &rows,
                               int64_t sumGroup) {
  Value zero = e.constant(e.f32(), -double(panel.layout.encoding.zero));
  for (int64_t tile = 0; tile < rows.tiles(); ++tile) {
    Values ofRows = rows.sums(tile, sumGroup);
    for (size_t i = 0; i < 4; ++i) {
      Value &product = panel.products[4 * size_t(tile) + i];
      product = panel.hasProducts ? e.fma(zero, ofRows[i % 2], product)
                                  : e.mulf(zero, ofRows[i % 2]);
    }
  }
}

/// Zero points of groups meet the sums of activations, as minima do.
void PanelStream::applyMin(Panel &panel, const PanelScales *scales,
                           BlockRows &rows, int64_t sumGroup) {
  Value terms[2];
  for (int64_t h = 0; h < 2; ++h) {
    terms[h] = scales[h].min;
    if (!panel.layout.encoding.hasZeros())
      continue;
    Value zero = arith::NegFOp::create(
        e.b, e.loc,
        e.mulf(scales[h].factor, e.intToFloat(scales[h].zero, e.f32())));
    terms[h] = terms[h] ? e.addf(terms[h], zero) : zero;
  }
  for (int64_t tile = 0; tile < rows.tiles(); ++tile) {
    Values ofRows = rows.sums(tile, sumGroup);
    for (size_t i = 0; i < 4; ++i) {
      Value &sum = panel.sums[4 * size_t(tile) + i];
      sum = e.fma(terms[i / 2], ofRows[i % 2], sum);
    }
  }
}

/// Chunk `index` of the step.
void PanelStream::computeChunk(Panel &panel, int64_t index, BlockRows &rows) {
  const PackedLayout &layout = panel.layout;
  const Encoding &encoding = layout.encoding;
  const int64_t c = index % panel.chunks();
  if (c == 0) {
    panel.unit = e.offset(panel.units,
                          index / panel.chunks() * int64_t(layout.unitBytes));
    for (int64_t h = 0; h < 2; ++h)
      panel.unitScales[h] =
          panel.reader.unit(panel.unit, panel.columns[h], e.f32());
    panel.clearProducts(e.zero(e.f32()));
  }
  Value chunk =
      e.offset(panel.unit, int64_t(layout.chunkOffset + c * layout.chunkBytes));
  PanelCodes::Fragments weights = codes.bits(layout, chunk, plan.hasSixteenths);
  PanelScales chunkScales[2], scales[2];
  for (int64_t h = 0; h < 2; ++h)
    scales[h] = chunkScales[h] = panel.reader.chunk(
        panel.unitScales[h], c ? e.c32(c) : Value(), panel.columns[h], e.f32());
  auto readScales = [&](int64_t g) {
    for (int64_t h = 0; h < 2; ++h)
      scales[h] = panel.reader.group(chunkScales[h], chunk, g, panel.columns[h],
                                     e.f32());
  };
  if (!panel.scaleOfUnit())
    readScales(0);
  for (int64_t m = 0; m < 2; ++m) {
    // Elements of the step before and after this product.
    const int64_t begin = index * PackedLayout::kChunk + m * 16,
                  end = begin + 16;
    if (encoding.zero && !encoding.hasZeros() && begin % plan.sumGroup == 0)
      subtractZero(panel, rows, begin / plan.sumGroup);
    for (int64_t tile = 0; tile < rows.tiles(); ++tile) {
      auto own = panel.products.begin() + ptrdiff_t(4 * tile);
      Values made = e.mma(weights[size_t(m)], rows.operand(tile, begin),
                          Values(own, own + 4));
      std::copy(made.begin(), made.end(), own);
    }
    panel.hasProducts = true;
    bool isGroupEnd = layout.groupsPerChunk == 2 || m == 1;
    if (!isGroupEnd)
      continue;
    if (!panel.scaleOfUnit())
      applyScale(panel, scales);
    if (encoding.hasMin() || encoding.hasZeros()) {
      // Sums that end since the last time: a group has one or several.
      int64_t since = end - PackedLayout::kChunk / layout.groupsPerChunk;
      for (int64_t i = since / plan.sumGroup; i < end / plan.sumGroup; ++i)
        applyMin(panel, scales, rows, i);
    }
    if (!panel.scaleOfUnit() && layout.groupsPerChunk == 2 && m == 0)
      readScales(1);
  }
  if (panel.scaleOfUnit() && c + 1 == panel.chunks())
    applyScale(panel, panel.unitScales);
}

//===----------------------------------------------------------------------===//
// Rows in shared memory
//===----------------------------------------------------------------------===//

SharedRows::SharedRows(WarpEmitter &e, const MatmulPlan &plan,
                       const WeightRun &run, const BlockContext &block)
    : e(e), plan(plan), run(run) {
  Value group = e.shift(block.lane, -2), quad = e.bitAnd(block.lane, 3);
  // Lanes of rows that do not exist read the last one; nothing of it reaches
  // the rows that do.
  Value last = e.add(block.valid, -1);
  auto rowAt = [&](Value row) {
    return e.offset(e.offset(block.shared, plan.rowsOffset()),
                    e.mul(e.minU(row, last), plan.rowBytes));
  };
  fragment = e.offset(rowAt(group), e.mul(quad, 16));
  for (int64_t i = 0; i < 2; ++i)
    groups[i] = e.offset(rowAt(e.add(e.mul(quad, 2), i)), plan.sumsOffset());
}

void SharedRows::beginStep(Value of) {
  step = of;
  chunk = -1;
}

Values SharedRows::operand(int64_t, int64_t k) {
  const int64_t first = k % PackedLayout::kChunk / 16 * 2;
  if (int64_t wanted = k / PackedLayout::kChunk; wanted != chunk) {
    chunk = wanted;
    Value start = e.offset(fragment, e.mul(step, run.stepK * 2));
    Value four = e.load(e.vec(4, e.i32()),
                        e.offset(start, chunk * PackedLayout::kChunk * 2),
                        llvm::Align(16));
    halves.clear();
    for (int64_t i = 0; i < 4; ++i)
      halves.push_back(e.bitcast(e.extract(four, i), e.half2()));
  }
  return {halves[size_t(first)], halves[size_t(first) + 1]};
}

Values SharedRows::sums(int64_t, int64_t group) {
  Value at = e.mul(step, run.stepK / plan.sumGroup * 4);
  Values result;
  for (Value start : groups)
    result.push_back(e.load(e.f32(), e.offset(e.offset(start, at), group * 4),
                            llvm::Align(4)));
  return result;
}

void SharedRows::storeInShared(WarpEmitter &e, const MatmulPlan &plan,
                               BlockContext &block) {
  auto rowAt = [&e, &plan, shared = block.shared](Value row) {
    return e.offset(e.offset(shared, plan.rowsOffset()),
                    e.mul(row, plan.rowBytes));
  };
  block.storeQuad = [&e, rowAt](Value row, Value quad, Value pair) {
    e.store(pair,
            e.offset(rowAt(row),
                     e.add(e.mul(e.shift(quad, -3), PackedLayout::kChunk * 2),
                           placeInChunk(e, quad))),
            llvm::Align(8));
  };
  block.storeSum = [&e, &plan, rowAt](Value row, Value group, Value sum) {
    e.store(sum,
            e.offset(e.offset(rowAt(row), plan.sumsOffset()), e.mul(group, 4)),
            llvm::Align(4));
  };
}
