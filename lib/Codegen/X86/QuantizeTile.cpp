//===- QuantizeTile.cpp - The fixed form of a tile of activations ---------===//
// SPDX-License-Identifier: Apache-2.0
//
// All eight rows of a tile together: their maxima and sums are then lanes of
// one vector, and the integers of a chunk are whole lines.
//===----------------------------------------------------------------------===//

#include "RowKernels.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

static constexpr int64_t kRows = 8, kLine = 64;
static constexpr int64_t kLanes = kRows * 4; ///< Bytes of a number of each row.
/// Far below every activation that matters; 32767 / kTiny is finite.
static constexpr double kTiny = 1e-30;

/// What is kept of a chunk until its slab's bounds are known: its scales and
/// sums, what the rows' halves are multiplied by, and the rows.
static int64_t chunkFactors(const ActivationLayout &layout) {
  return (layout.scalePairs() + layout.sumPairs()) * kLanes;
}
static int64_t chunkRows(const ActivationLayout &layout) {
  return chunkFactors(layout) + 2 * kLanes;
}
static int64_t chunkBytes(const ActivationLayout &layout) {
  return chunkRows(layout) + kRows * 2 * kLine;
}

static int64_t temporaryBytes(const ActivationLayout &layout) {
  return layout.slabBlocks() * 2 * chunkBytes(layout);
}

int64_t qcc::x86::quantizeTileBytes(const ActivationLayout &layout) {
  // Then the mean and the factor of each row.
  return temporaryBytes(layout) + 2 * kLanes;
}

namespace {
class TileWriter {
public:
  TileWriter(Emitter &e, const Isa &isa, const ActivationLayout &layout,
             Value tile, Value scratch)
      : e(e), isa(isa), layout(layout), tile(tile), scratch(scratch),
        floats(e.vec(kRows, e.f32())), ints(e.vec(kRows, e.i32())),
        wide(e.vec(16, e.i32())) {}

  /// Keeps chunk `inSlab` of a slab, of which each row has two vectors in `x`,
  /// for writeChunk(). Returns `bounds`, the largest scale and the sum of all,
  /// with those of the chunk.
  Values measureChunk(ArrayRef<Values> x, Value inSlab, ValueRange bounds) {
    Value to = kept(inSlab);
    Value peak = bounds[0];
    Values scales;
    for (int64_t i = 0; i < 2; ++i) {
      Values sizes;
      for (auto [r, row] : llvm::enumerate(x)) {
        e.store(row[i], to, keptRow(int64_t(r), i));
        Value size = e.unary("llvm.fabs", row[i]);
        if (layout.group() == 32)
          size = e.maxf(size, e.unary("llvm.fabs", row[1]));
        sizes.push_back(size);
      }
      if (i == 1 && layout.group() == 32)
        break;
      Value largest = largestOf(sizes);
      scales.push_back(e.mulf(largest, double(1 / layout.peak())));
      peak = e.maxf(peak, scales.back());
      Value factor =
          e.divf(e.constant(floats, double(layout.peak())), notTiny(largest));
      e.store(factor, to, chunkFactors(layout) + i * kLanes);
    }
    if (scales.size() == 1)
      scales.push_back(scales[0]);
    Value mean = e.mulf(e.addf(scales[0], scales[1]), 0.5);
    auto count = double(layout.scalePairs() + layout.sumPairs());
    for (int64_t i = 0; i < layout.scalePairs(); ++i)
      e.store(scales[i], to, kLanes * i);
    return {peak, e.fma(mean, e.constant(floats, count), bounds[1])};
  }

  /// Writes the integers of chunk `chunk`, number `inSlab` of its slab.
  void writeChunk(Value chunk, Value inSlab) {
    Value from = kept(inSlab);
    VectorType row = e.vec(16, e.f32());
    SmallVector<Values> integers(kRows);
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t i = 0; i < 2; ++i) {
        int64_t number = layout.group() == 16 ? i : 0;
        Value factor = e.loadSplat(
            row, from, chunkFactors(layout) + number * kLanes + r * 4);
        integers[r].push_back(
            toInteger(e.mulf(e.load(row, from, keptRow(r, i)), factor)));
      }
    Values sums = writeDots(integers, chunk);
    Value both = e.add(sums[0], sums[1]);
    if (!layout.hasTerms)
      return writeStarts(chunk, layout.dotGroup() == 32 ? Values{both} : sums);
    auto scale = [&](int64_t i) {
      return e.load(floats, from, i < layout.scalePairs() ? i * kLanes : 0);
    };
    Values products = {product(sums[0], scale(0)), product(sums[1], scale(1))};
    if (layout.sumGroup == 32)
      products = {layout.group() == 32 ? product(both, scale(0))
                                       : e.addf(products[0], products[1])};
    for (auto [i, value] : llvm::enumerate(products))
      e.store(value, from, (layout.scalePairs() + int64_t(i)) * kLanes);
  }

  /// Writes what depends on the bounds of slab `slab` of `whole` blocks, and a
  /// chunk behind them if `hasMore`.
  void finishSlab(Value slab, int64_t whole, bool hasMore, ValueRange bounds) {
    auto most = [&](double value, Value bound) {
      return e.divf(e.constant(floats, value), notTiny(bound));
    };
    Value byPeak = most(32767, bounds[0]),
          bySum = most(double(layout.kFixedSum), bounds[1]);
    Value isPeak = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OLT,
                                         byPeak, bySum);
    Value inverse = e.select(isPeak, byPeak, bySum);
    e.store(e.divf(e.constant(floats, 32768.0), inverse),
            e.offset(tile, e.mul(slab, layout.unitOffset(1, 0))));
    Value sumInverse = e.mulf(inverse, 1.0 / double(128 * layout.sumGroup));
    auto finish = [&](Value block, int64_t chunks) {
      Value from = e.offset(scratch, e.mul(block, 2 * chunkBytes(layout)));
      Value number = e.add(e.mul(slab, layout.slabBlocks()), block);
      Value to = blockAt(number);
      // Number i of the block among the scales, or sums, of `each` a chunk.
      auto word = [&](int64_t i, int64_t each, int64_t first, Value factor) {
        if (i >= each * chunks)
          return e.zero(ints);
        int64_t at =
            i / each * chunkBytes(layout) + (first + i % each) * kLanes;
        return toInteger(e.mulf(e.load(floats, from, at), factor));
      };
      auto pairs = [&](int64_t count, int64_t first, Value factor,
                       function_ref<int64_t(int64_t)> place) {
        for (int64_t pair = 0; pair < count; ++pair)
          e.store(isa.wordPairs(e, word(2 * pair, count, first, factor),
                                word(2 * pair + 1, count, first, factor)),
                  to, place(pair));
      };
      pairs(layout.scalePairs(), 0, inverse,
            [&](int64_t pair) { return layout.scalePairOffset(pair, 0); });
      pairs(layout.sumPairs(), layout.scalePairs(), sumInverse,
            [&](int64_t pair) { return layout.sumPairOffset(pair, 0); });
    };
    e.loop(e.c64(0), e.c64(whole), 1, [&](Value block) { finish(block, 2); });
    if (hasMore)
      finish(e.c64(whole), 1);
  }

private:
  Value kept(Value inSlab) {
    return e.offset(scratch, e.mul(inSlab, chunkBytes(layout)));
  }
  int64_t keptRow(int64_t row, int64_t half) {
    return chunkRows(layout) + (2 * row + half) * kLine;
  }

  Value blockAt(Value block) {
    return e.offset(e.offset(tile, layout.firstBlock()),
                    e.mul(block, layout.blockBytes()));
  }

  /// A group of zeros has scale 0 and any integers do. Where dividing would
  /// give an infinity, the integers are 0 and what is lost is below kTiny.
  Value notTiny(Value x) {
    Value isTiny = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OLT,
                                         x, e.constant(x.getType(), kTiny));
    return e.select(isTiny, e.constant(x.getType(), 1.0), x);
  }

  Value toInteger(Value x) {
    return e.floatToInt(e.unary("llvm.roundeven", x), e.i32());
  }

  Value product(Value sum, Value scale) {
    return e.mulf(e.intToFloat(sum, e.f32()), scale);
  }

  /// Lanes `from` of (a, x), of as many as that are.
  Value shuffle(Value a, Value x, ArrayRef<int64_t> from) {
    return vector::ShuffleOp::create(e.b, e.loc, a, x, from);
  }

  /// The largest lane of each of eight vectors of 16.
  Value largestOf(Values v) {
    auto half = [&](ArrayRef<int64_t> low, ArrayRef<int64_t> high) {
      Values next;
      for (size_t i = 0; i < v.size(); i += 2)
        next.push_back(e.maxf(shuffle(v[i], v[i + 1], low),
                              shuffle(v[i], v[i + 1], high)));
      v = next;
    };
    half({0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23},
         {8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31});
    half({0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27},
         {4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31});
    // Within 16 bytes: rows i and 4 + i have two lanes each.
    half({0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29},
         {2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31});
    return e.maxf(shuffle(v[0], v[0], {0, 4, 8, 12, 2, 6, 10, 14}),
                  shuffle(v[0], v[0], {1, 5, 9, 13, 3, 7, 11, 15}));
  }

  /// Of the sums of a chunk's integers.
  void writeStarts(Value chunk, ArrayRef<Value> sums) {
    auto count = int64_t(sums.size());
    Value to = e.offset(blockAt(e.udiv(chunk, 2)),
                        e.mul(e.urem(chunk, 2), count * kLanes));
    for (int64_t i = 0; i < count; ++i)
      e.store(e.mul(sums[i], -layout.kFixedZero), to, layout.startOffset(i, 0));
  }

  /// Writes the integers, two vectors for each row, of a chunk, and returns the
  /// sums of the first and of the last 16 of each row.
  Values writeDots(ArrayRef<Values> integers, Value chunk) {
    // In 16 bytes: k-group i, then 4 + i, of one row, then of the next.
    Values rowPairs;
    for (int64_t r = 0; r < kRows; r += 2) {
      Values words;
      for (int64_t i = 0; i < 2; ++i)
        words.push_back(e.call("llvm.x86.avx512.packssdw.512",
                               e.vec(32, e.i16()), integers[r + i]));
      Value bytes =
          e.call("llvm.x86.avx512.packsswb.512", e.vec(64, e.i8()), words);
      rowPairs.push_back(e.bitcast(bytes, wide));
    }
    Value to = e.offset(blockAt(e.udiv(chunk, 2)),
                        e.mul(e.urem(chunk, 2), layout.dotOffset(0, 8, 0)));
    Value ones = e.constant(wide, 0x01010101);
    Values sums;
    for (int64_t part = 0; part < 2; ++part) {
      // In 16 bytes: k-group 4 * part + i of four rows.
      int64_t p = part;
      SmallVector<int64_t> from;
      for (int64_t i = 0; i < 16; i += 4)
        from.append({i + p, i + p + 2, 16 + i + p, 16 + i + p + 2});
      Value low = shuffle(rowPairs[0], rowPairs[1], from);
      Value high = shuffle(rowPairs[2], rowPairs[3], from);
      Value sum = e.zero(wide);
      for (int64_t i = 0; i < 2; ++i) {
        SmallVector<int64_t> lanes;
        for (int64_t q = 2 * i; q < 2 * i + 2; ++q)
          for (int64_t other : {0, 16})
            for (int64_t lane = 0; lane < 4; ++lane)
              lanes.push_back(other + 4 * q + lane);
        Value line = shuffle(low, high, lanes);
        e.store(line, to, (2 * part + i) * kLine);
        sum = isa.dotProduct(e, sum, ones, line, 1);
      }
      sums.push_back(e.add(e.slice(sum, 0, kRows), e.slice(sum, kRows, kRows)));
    }
    return sums;
  }

  Emitter &e;
  const Isa &isa;
  const ActivationLayout &layout;
  Value tile, scratch;
  VectorType floats, ints, wide;
};
} // namespace

void qcc::x86::quantizeTile(Emitter &e, const Isa &isa, Value input,
                            int64_t stride, const RowNorm &norm, Value order,
                            int64_t columns, const ActivationLayout &layout,
                            Value buffer, Value tile, Value scratch) {
  assert(layout.tile == kRows && "the fixed form has tiles of eight rows");
  VectorType type = e.vec(16, e.f32());
  Value norms = e.offset(scratch, temporaryBytes(layout));
  Values rows;
  for (int64_t r = 0; r < kRows; ++r) {
    Value row = e.offset(input, e.mul(e.add(e.mul(tile, kRows), r), stride));
    rows.push_back(row);
    Value mean;
    if (norm.isCentered) {
      mean = rowMean(e, isa, row, columns);
      e.store(mean, norms, r * 4);
    }
    if (norm.weight)
      e.store(inverseRms(e, isa, row, columns, norm.eps, mean), norms,
              kLanes + r * 4);
  }
  // From memory, so that the rows' values may have the registers.
  auto normOf = [&](bool isThere, int64_t at) {
    return isThere ? e.loadSplat(type, norms, at) : Value();
  };
  TileWriter writer(e, isa, layout,
                    e.offset(buffer, e.mul(tile, layout.tileBytes())), scratch);
  int64_t each = 2 * layout.slabBlocks();
  auto emitSlab = [&](Value slab, int64_t chunks, int64_t rest) {
    Value first = e.mul(slab, each);
    auto measure = [&](Value inSlab, int64_t valid, ValueRange bounds) {
      Value k = e.mul(e.add(first, inSlab), 32);
      SmallVector<Values> x(kRows);
      for (int64_t r = 0; r < kRows; ++r)
        for (int64_t i = 0; i < 2; ++i)
          x[r].push_back(loadNormed(
              e, rows[r], norm, normOf(norm.isCentered, r * 4),
              normOf(bool(norm.weight), kLanes + r * 4), order,
              e.add(k, 16 * i), std::clamp<int64_t>(valid - 16 * i, 0, 16)));
      return writer.measureChunk(x, inSlab, bounds);
    };
    Values bounds(2, e.zero(e.vec(kRows, e.f32())));
    if (chunks)
      bounds = e.loop(
          e.c64(0), e.c64(chunks), e.c64(1), bounds,
          [&](Value inSlab, ValueRange in) { return measure(inSlab, 32, in); });
    if (rest) {
      bounds = measure(e.c64(chunks), rest, bounds);
      ++chunks;
    }
    e.loop(e.c64(0), e.c64(chunks), 1, [&](Value inSlab) {
      writer.writeChunk(e.add(first, inSlab), inSlab);
    });
    writer.finishSlab(slab, chunks / 2, chunks % 2 != 0, bounds);
  };
  int64_t chunks = columns / 32, rest = columns % 32;
  int64_t slabs = chunks / each;
  e.loop(e.c64(0), e.c64(slabs), 1,
         [&](Value slab) { emitSlab(slab, each, 0); });
  if (chunks % each || rest)
    emitSlab(e.c64(slabs), chunks % each, rest);
}
