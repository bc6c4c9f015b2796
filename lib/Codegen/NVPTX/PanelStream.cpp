//===- PanelStream.cpp - Packed panels through a ring into mma ------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "PanelStream.h"

#include "qcc/Codegen/Common/PanelScales.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

/// Bits of the f16 1024 in both halves: a code below 1024 in the low bits makes
/// 1024 + code.
static constexpr uint32_t kMagic = 0x64006400;

PanelStream::PanelStream(WarpEmitter &e, const MatmulPlan &plan,
                         const WeightRun &run, const BlockContext &block,
                         Values panels)
    : e(e), plan(plan), run(run), block(block), panels(std::move(panels)) {
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
  // See swizzled(): lines 2 and 3 have their halves exchanged.
  Value flip = e.mul(e.bitAnd(quad, 2), 16);
  Value word = e.add(e.mul(quad, 64), e.mul(group, 4));
  wideOffset[0] = e.add(word, flip);
  wideOffset[1] = e.bitXor(wideOffset[0], e.c32(32));
}

/// Where piece `piece` (16 bytes) of a unit goes in its slot, in bytes. In
/// planes of 4 or 8 lines a warp reads the same 8 words of four lines at once;
/// lines 2 and 3 would meet the banks of 0 and 1.
Value PanelStream::swizzled(const PackedLayout &layout, Value piece) {
  Value bytes = e.mul(piece, 16);
  int64_t unitPieces = layout.unitBytes / 16;
  Value inUnit = e.urem(piece, unitPieces);
  int64_t chunkOffset = layout.chunkOffset / 16;
  Value inChunks = e.add(inUnit, -chunkOffset);
  Value inChunk = e.urem(inChunks, layout.chunkBytes / 16);
  Value isPlane = e.cmp(arith::CmpIPredicate::sge, inChunks, e.c32(0));
  for (const PackedLayout::Plane &plane : layout.planes) {
    if (plane.width < 4)
      continue;
    Value inPlane = e.add(inChunk, -int64_t(plane.offset / 16));
    Value within = e.cmp(arith::CmpIPredicate::ult, inPlane,
                         e.c32(int64_t(plane.width) * 4));
    within = arith::AndIOp::create(e.b, e.loc, within, isPlane);
    // Two pieces up or down, by the piece's place in its line.
    Value by = e.sub(e.c32(32), e.mul(e.bitAnd(inPlane, 2), 32));
    Value exchanged =
        e.cmp(arith::CmpIPredicate::ne, e.bitAnd(inPlane, 8), e.c32(0));
    within = arith::AndIOp::create(e.b, e.loc, within, exchanged);
    bytes = e.add(bytes, e.select(within, by, e.c32(0)));
  }
  return bytes;
}

void PanelStream::copyStep(Value step, Value slot) {
  for (unsigned s = 0; s < panels.size(); ++s) {
    int64_t bytes = run.stepBytes(s), pieces = bytes / 16;
    Value from = e.offset(panels[s], e.mul(step, bytes));
    Value to = e.offset(slot, run.slotOffset(s));
    for (int64_t first = 0; first < pieces; first += kWarpSize) {
      Value piece = e.add(block.lane, first);
      auto copy = [&] {
        e.copyAsync(e.offset(to, swizzled(run.streams[s], piece)),
                    e.offset(from, e.mul(piece, 16)));
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
                    return e.offset(ring,
                                    e.mul(e.bitAnd(turn, run.ringSlots - 1),
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
    Fragments weights = fragments(layout, chunk);
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

/// Two codes less the zero point, from the nibbles of both halves of `word`.
Value PanelStream::nibbles(Value word, bool high, int64_t zero) {
  VectorType type = e.half2();
  if (!high)
    return e.subf(e.bitcast(e.maskOr(word, 0x000f000f, kMagic), type),
                  e.constant(type, double(1024 + zero)));
  // 1024 + 16 * code; exact, as is everything below 2048.
  Value wide = e.bitcast(e.maskOr(word, 0x00f000f0, kMagic), type);
  return e.fma(wide, e.constant(type, 1.0 / 16),
               e.constant(type, -double(64 + zero)));
}

/// The codes' bits of a plane for both mma of a chunk, four in the bytes of a
/// word, at their place in the code.
std::array<Value, 2> PanelStream::planeBytes(const PackedLayout::Plane &plane,
                                             Value chunk, unsigned half) {
  Value base = e.offset(chunk, int64_t(plane.offset));
  if (plane.width == 8) {
    Value at = e.offset(base, wideOffset[half]);
    return {e.load(e.i32(), at, llvm::Align(4)),
            e.load(e.i32(), e.offset(at, 256), llvm::Align(4))};
  }
  // k-group q is in line q % width at bit width * (q / width); the quads of the
  // first mma are q = 0..3, those of the second four bits further.
  Value offset = wideOffset[half], word;
  if (plane.width < 4) {
    Value line = plane.width == 2 ? e.bitAnd(quad, 1) : e.c32(0);
    offset = e.add(e.add(e.mul(line, 64), e.mul(group, 4)), half * 32);
  }
  word = e.load(e.i32(), e.offset(base, offset), llvm::Align(4));
  if (plane.width == 2)
    word = e.shiftRight(word, e.mul(e.shift(quad, -1), 2));
  else if (plane.width == 1)
    word = e.shiftRight(word, quad);
  std::array<Value, 2> result;
  uint32_t mask = (((1u << plane.width) - 1) << plane.shift) * 0x01010101u;
  for (int m = 0; m < 2; ++m)
    result[size_t(m)] =
        e.bitAnd(e.shift(word, int(plane.shift) - 4 * m), int32_t(mask));
  return result;
}

PanelStream::Fragments PanelStream::fragments(const PackedLayout &layout,
                                              Value chunk) {
  Fragments result;
  // What differs by group is not subtracted here.
  int64_t zero = layout.encoding.hasZeros() ? 0 : layout.encoding.zero;
  for (unsigned half = 0; half < 2; ++half) {
    // Registers 0 and 1 hold the first pair of columns lane / 4 and + 8, 2 and
    // 3 the second.
    if (layout.planes.size() == 1 && layout.planes.front().width == 4) {
      Value word = e.load(
          e.i32(),
          e.offset(e.offset(chunk, int64_t(layout.planes.front().offset)),
                   wideOffset[half]),
          llvm::Align(4));
      Value odd = e.shift(word, -8);
      for (int m = 0; m < 2; ++m) {
        result[size_t(m)][half] = nibbles(word, m == 1, zero);
        result[size_t(m)][half + 2] = nibbles(odd, m == 1, zero);
      }
      continue;
    }
    std::array<Value, 2> codes;
    for (const PackedLayout::Plane &plane : layout.planes) {
      std::array<Value, 2> bytes = planeBytes(plane, chunk, half);
      for (size_t m = 0; m < 2; ++m)
        codes[m] = codes[m] ? e.bitOr(codes[m], bytes[m]) : bytes[m];
    }
    for (size_t m = 0; m < 2; ++m)
      for (unsigned pair = 0; pair < 2; ++pair) {
        Value word = pair ? e.shift(codes[m], -8) : codes[m];
        result[m][half + 2 * pair] =
            e.subf(e.bitcast(e.maskOr(word, 0x00ff00ff, kMagic), e.half2()),
                   e.constant(e.half2(), double(1024 + zero)));
      }
  }
  return result;
}
