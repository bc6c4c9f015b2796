//===- AttendPrompt.cpp - Attention of prompts with products of bf16 ------===//
// SPDX-License-Identifier: Apache-2.0
//
// As AttendRows.cpp, for CPUs that multiply pairs of bf16 twice as fast as f32:
// queries, keys, probabilities and values are rounded to bf16, everything else
// is f32. What is stored is neither bf16 nor in pairs, so that a page is
// converted once for a block of rows, and then met by a tile of queries after
// the other.
//
// Scores are powers of two: queries enter multiplied by log2(e).
//===----------------------------------------------------------------------===//

#include "AttentionKernel.h"

#include "qcc-rt/qcc_abi.h"
#include "qcc/Codegen/Common/VectorMath.h"
#include "RowKernels.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

static constexpr int64_t kPage = QCC_PAGE_TOKENS;
static constexpr double kLog2E = 1.44269504088896341;
/// Tiles that share a converted page.
static constexpr int64_t kTiles = 8;

static int64_t alignTo(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

int64_t qcc::x86::promptBlockRows(const Isa &isa, const AttentionShape &shape) {
  return kTiles * attentionTile(isa, shape);
}

namespace {
/// Where things are in the scratch of a thread, in bytes from its start.
struct Scratch {
  /// `queries` are those of a block, `tile` those of a tile.
  Scratch(const AttentionShape &shape, int64_t queries, int64_t tile)
      : keyPairs((shape.headDim + 1) / 2),
        valueVectors((shape.valueDim + 15) / 16),
        queryBytes(alignTo(shape.headDim, 32) * 2),
        outputBytes(valueVectors * 64) {
    auto take = [&](int64_t size) {
      int64_t at = bytes;
      bytes += alignTo(size, 64);
      return at;
    };
    keys = take(kPage / 16 * keyPairs * 64);
    values = take(kPage / 2 * valueVectors * 64);
    scores = take(tile * kPage * 4);
    probabilities = take(tile * kPage * 2);
    corrections = take(64);
    query = take(queries * queryBytes);
    output = take(queries * outputBytes);
    sum = take(queries * 64);
    maximum = take(queries * 4 + 64);
  }

  int64_t keyPairs;     ///< Of elements of a key.
  int64_t valueVectors; ///< Of 16 elements of a value.
  int64_t queryBytes, outputBytes;
  int64_t keys;          ///< [4][keyPairs][16 positions] pairs of bf16.
  int64_t values;        ///< [32][valueVectors][16] pairs of positions.
  int64_t scores;        ///< [tile][64] f32.
  int64_t probabilities; ///< [tile][64] bf16.
  int64_t corrections;   ///< [tile] f32.
  int64_t query;         ///< [queries][queryBytes] bf16.
  int64_t output;        ///< [queries][valueVectors][16] f32.
  int64_t sum;           ///< [queries][16] f32, which are added at the end.
  int64_t maximum;       ///< [queries] f32.
  int64_t bytes = 0;
};
} // namespace

static Scratch scratchOf(const Isa &isa, const AttentionShape &shape,
                         int64_t heads) {
  return Scratch(shape, promptBlockRows(isa, shape) * heads,
                 attentionTile(isa, shape) * heads);
}

int64_t qcc::x86::attendPromptScratchBytes(const Isa &isa,
                                           const AttentionShape &shape) {
  return scratchOf(isa, shape, headsTogether(isa, shape)).bytes;
}

namespace {
class PromptBlock {
public:
  /// Query q of the block is head q % heads of row q / heads.
  PromptBlock(Emitter &e, const Isa &isa, const AttentionShape &shape,
              int64_t window, const PromptRows &rows, int64_t heads,
              Value memory)
      : e(e), isa(isa), shape(shape), window(window), rows(rows), heads(heads),
        memory(memory), place(scratchOf(isa, shape, heads)),
        vec(e.vec(16, e.f32())), ints(e.vec(16, e.i32())),
        pairs(e.vec(32, e.b.getBF16Type())) {}

  void begin() {
    e.loop(e.c64(0), e.mul(rows.count, heads), 1, [&](Value q) {
      Value row = e.udiv(q, heads), head = e.urem(q, heads);
      Value from = e.offset(rows.query, e.add(e.mul(row, rows.queryStride),
                                              e.mul(head, shape.headDim * 4)));
      Value to = at(place.query, q, place.queryBytes);
      forRow(e, 32, shape.headDim, [&](Value d, int64_t valid) {
        Values x;
        for (int64_t i = 0; i < 2; ++i)
          x.push_back(e.mulf(
              loadPartial(e, 16, e.offset(from, e.add(e.mul(d, 4), 64 * i)),
                          std::clamp<int64_t>(valid - 16 * i, 0, 16)),
              shape.softcap == 0 ? kLog2E : 1.0));
        e.store(isa.halves(e, x[0], x[1]), e.offset(to, e.mul(d, 2)));
      });
      Value output = at(place.output, q, place.outputBytes);
      e.loop(e.c64(0), e.c64(place.valueVectors), 1, [&](Value v) {
        e.store(e.zero(vec), e.offset(output, e.mul(v, 64)));
      });
      // A sink is as a position seen before all others, whose value is 0.
      Value sum = e.zero(vec), maximum = e.constant(e.f32(), kNoScore);
      if (rows.sinks) {
        sum = vector::InsertOp::create(e.b, e.loc, e.constant(e.f32(), 1.0),
                                       sum, 0);
        Value sink = e.load(e.f32(), e.offset(rows.sinks, e.mul(head, 4)));
        maximum = e.mulf(sink, kLog2E);
      }
      e.store(sum, at(place.sum, q, 64));
      e.store(maximum, at(place.maximum, q, 4));
    });
  }

  /// The first position that any row sees, and the last.
  Value first() { return firstOf(position(e.c64(0))); }
  Value last() { return position(e.add(rows.count, -1)); }

  /// One page, whose first position is `base`.
  void page(Value keys, Value base) {
    Value lo = e.maxS(e.sub(first(), base), e.c64(0));
    Value hi = endOf(last(), base);
    convertKeys(keys, lo, hi);
    convertValues(e.offset(keys, shape.valueOffset()), lo, hi);
    int64_t tile = attentionTile(isa, shape);
    Value whole = e.mul(e.udiv(rows.count, tile), tile);
    e.loop(e.c64(0), whole, tile, [&](Value row) { meet(row, tile, base); });
    if (tile > 1)
      e.loop(whole, rows.count, 1, [&](Value row) { meet(row, 1, base); });
  }

  void finish() {
    e.loop(e.c64(0), e.mul(rows.count, heads), 1, [&](Value q) {
      Value row = e.udiv(q, heads), head = e.urem(q, heads);
      Value to = e.offset(rows.out, e.add(e.mul(row, rows.outStride),
                                          e.mul(head, shape.valueDim * 4)));
      Value sum = e.reduceAdd(e.load(vec, at(place.sum, q, 64)));
      Value factor = e.splat(e.divf(e.constant(e.f32(), 1.0), sum), vec);
      Value from = at(place.output, q, place.outputBytes);
      forRow(e, 16, shape.valueDim, [&](Value d, int64_t valid) {
        Value o = e.load(vec, e.offset(from, e.mul(d, 4)));
        storePartial(e, e.mulf(o, factor), e.offset(to, e.mul(d, 4)), valid);
      });
    });
  }

private:
  Value at(int64_t offset, Value index, int64_t stride) {
    return e.offset(e.offset(memory, offset), e.mul(index, stride));
  }
  Value position(Value row) {
    return e.zext(e.load(e.i32(), e.offset(rows.positions, e.mul(row, 4))),
                  e.i64());
  }
  Value firstOf(Value position) {
    return window ? e.maxS(e.add(position, 1 - window), e.c64(0)) : e.c64(0);
  }
  /// Positions of the page at `base` up to and with `position`.
  Value endOf(Value position, Value base) {
    return e.add(arith::MinSIOp::create(e.b, e.loc, e.sub(position, base),
                                        e.c64(kPage - 1)),
                 1);
  }

  /// sum + products of the pairs in `x` with the pair at `pointer`.
  Value multiply(Value sum, Value x, Value pointer, int64_t bytes) {
    return isa.halfProduct(e, sum, x, pointer, bytes);
  }

  void convertKeys(Value keys, Value lo, Value hi) {
    auto load = [&](Value tile, Value pair, int64_t second) {
      return loadKeys(e, shape, tile, e.add(e.mul(pair, 2), second));
    };
    e.loop(e.udiv(lo, 16), e.udiv(e.add(hi, 15), 16), 1, [&](Value t) {
      Value tile = e.offset(keys, e.mul(t, shape.tileBytes()));
      Value to = at(place.keys, t, place.keyPairs * 64);
      auto convert = [&](Value pair, bool isWhole) {
        Value second = isWhole ? load(tile, pair, 1) : e.zero(vec);
        e.store(isa.halfPairs(e, load(tile, pair, 0), second),
                e.offset(to, e.mul(pair, 64)));
      };
      e.loop(e.c64(0), e.c64(shape.headDim / 2), 1,
             [&](Value pair) { convert(pair, true); });
      if (shape.headDim % 2)
        convert(e.c64(shape.headDim / 2), false);
    });
  }

  /// What lies at positions outside of [lo, hi) may be anything, and becomes 0.
  void convertValues(Value values, Value lo, Value hi) {
    e.loop(e.udiv(lo, 2), e.udiv(e.add(hi, 1), 2), 1, [&](Value pair) {
      Value to = at(place.values, pair, place.valueVectors * 64);
      forRow(e, 16, shape.valueDim, [&](Value d, int64_t valid) {
        Values both;
        for (int64_t i = 0; i < 2; ++i) {
          Value j = e.add(e.mul(pair, 2), i);
          Value x = loadValue(e, shape, values, j, d, valid);
          Value isSeen = arith::AndIOp::create(
              e.b, e.loc, e.cmp(arith::CmpIPredicate::sge, j, lo),
              e.cmp(arith::CmpIPredicate::slt, j, hi));
          both.push_back(e.select(isSeen, x, e.zero(vec)));
        }
        e.store(isa.halfPairs(e, both[0], both[1]), e.offset(to, e.mul(d, 4)));
      });
    });
  }

  /// The page meets `count` rows from `row` on, unless none of them sees it.
  void meet(Value row, int64_t count, Value base) {
    Values positions, firsts;
    for (int64_t i = 0; i < count; ++i) {
      positions.push_back(position(e.add(row, i)));
      firsts.push_back(firstOf(positions.back()));
    }
    Value end = e.add(base, kPage);
    Value isSeen = arith::AndIOp::create(
        e.b, e.loc, e.cmp(arith::CmpIPredicate::sge, positions.back(), base),
        e.cmp(arith::CmpIPredicate::slt, firsts.front(), end));
    e.ifThen(isSeen, [&] {
      Value lo = e.maxS(e.sub(firsts.front(), base), e.c64(0));
      Value hi = endOf(positions.back(), base);
      Value query = e.mul(row, heads);
      multiplyKeys(query, count * heads, lo, hi);
      Value isPartial = arith::OrIOp::create(
          e.b, e.loc,
          e.cmp(arith::CmpIPredicate::slt, positions.front(), e.add(end, -1)),
          e.cmp(arith::CmpIPredicate::sgt, firsts.back(), base));
      if (shape.softcap != 0)
        capScores(count * heads);
      e.ifThen(isPartial, [&] { maskScores(positions, firsts, base); });
      exponentiate(query, count * heads);
      addValues(query, count * heads, lo, hi);
    });
  }

  Value score(int64_t q, int64_t t) {
    return e.offset(memory, place.scores + (q * kPage + t * 16) * 4);
  }

  void multiplyKeys(Value query, int64_t count, Value lo, Value hi) {
    e.loop(e.udiv(lo, 16), e.udiv(e.add(hi, 15), 16), 1, [&](Value t) {
      Value keys = at(place.keys, t, place.keyPairs * 64);
      Value from = at(place.query, query, place.queryBytes);
      Values sums = e.loop(
          e.c64(0), e.c64(place.keyPairs), e.c64(1), Values(count, e.zero(vec)),
          [&](Value pair, ValueRange in) {
            Value k = e.load(pairs, e.offset(keys, e.mul(pair, 64)));
            Value x = e.offset(from, e.mul(pair, 4));
            Values next;
            for (int64_t q = 0; q < count; ++q)
              next.push_back(multiply(in[q], k, x, q * place.queryBytes));
            return next;
          });
      for (int64_t q = 0; q < count; ++q)
        e.store(sums[q], e.offset(score(q, 0), e.mul(t, 64)));
    });
  }

  void capScores(int64_t count) {
    e.loop(e.c64(0), e.c64(count * kPage), 16, [&](Value i) {
      Value to = e.offset(score(0, 0), e.mul(i, 4));
      Value capped = emitSoftcap(e, e.load(vec, to), shape.softcap);
      e.store(e.mulf(capped, kLog2E), to);
    });
  }

  void maskScores(const Values &positions, const Values &firsts, Value base) {
    for (auto [row, position] : llvm::enumerate(positions)) {
      Value first = e.sub(firsts[row], base), last = e.sub(position, base);
      for (int64_t t = 0; t < kPage / 16; ++t) {
        Value visible = visiblePositions(e, first, last, t);
        for (int64_t h = 0; h < heads; ++h) {
          Value to = score(int64_t(row) * heads + h, t);
          e.store(
              e.select(visible, e.load(vec, to), e.constant(vec, kMaskedScore)),
              to);
        }
      }
    }
  }

  /// 2^x for x <= 0, 1 for 0, to 3e-6 of it: what follows rounds to bf16.
  Value powerOfTwo(Value x) {
    Value rest = isa.aboveWhole(e, x), power = e.constant(vec, 1.34266843e-2);
    for (double c : {5.22424742e-2, 2.41280205e-1, 6.93044845e-1, 1.0})
      power = e.fma(power, rest, e.constant(vec, c));
    return isa.timesPowerOfTwo(e, power, x);
  }

  /// Turns scores into probabilities, up to a factor of each query.
  void exponentiate(Value query, int64_t count) {
    Value memoryOfMaximum = at(place.maximum, query, 4);
    Values maxima;
    for (int64_t q = 0; q < count; ++q) {
      Value largest;
      for (int64_t t = 0; t < kPage / 16; ++t) {
        Value s = e.load(vec, score(q, t));
        largest = largest ? e.maxf(largest, s) : s;
      }
      Value before = e.load(e.f32(), memoryOfMaximum, q * 4);
      maxima.push_back(e.maxf(before, e.reduceMax(largest)));
    }
    Value maximum = e.zero(vec);
    for (int64_t q = 0; q < count; ++q)
      maximum = vector::InsertOp::create(e.b, e.loc, maxima[q], maximum, q);
    // Lanes behind `count` are other queries' or nothing's.
    Value before = e.load(vec, memoryOfMaximum);
    e.store(powerOfTwo(e.subf(before, maximum)), memory, place.corrections);
    for (int64_t q = 0; q < count; ++q)
      e.store(maxima[q], memoryOfMaximum, q * 4);
    for (int64_t q = 0; q < count; ++q) {
      Value m = e.splat(maxima[q], vec), sum;
      Values p;
      for (int64_t t = 0; t < kPage / 16; ++t) {
        p.push_back(powerOfTwo(e.subf(e.load(vec, score(q, t)), m)));
        sum = sum ? e.addf(sum, p.back()) : p.back();
      }
      for (int64_t t = 0; t < kPage / 16; t += 2)
        e.store(isa.halves(e, p[t], p[t + 1]), memory,
                place.probabilities + (q * kPage + t * 16) * 2);
      Value sums = e.offset(at(place.sum, query, 64), q * 64);
      e.store(e.fma(e.load(vec, sums), correction(q), sum), sums);
    }
  }
  Value correction(int64_t q) {
    return e.loadSplat(vec, memory, place.corrections + q * 4);
  }

  /// outputs = outputs * correction + probabilities * values of [lo, hi).
  void addValues(Value query, int64_t count, Value lo, Value hi) {
    Value outputs = at(place.output, query, place.outputBytes);
    e.loop(e.c64(0), e.c64(place.valueVectors), 1, [&](Value v) {
      Value inRow = e.mul(v, 64), to = e.offset(outputs, inRow);
      Values init;
      for (int64_t q = 0; q < count; ++q)
        init.push_back(
            e.mulf(e.load(vec, to, q * place.outputBytes), correction(q)));
      Values sums =
          e.loop(e.udiv(lo, 2), e.udiv(e.add(hi, 1), 2), e.c64(1), init,
                 [&](Value pair, ValueRange in) {
                   Value x = e.load(pairs, e.offset(at(place.values, pair,
                                                       place.valueVectors * 64),
                                                    inRow));
                   Value p = at(place.probabilities, pair, 4);
                   Values next;
                   for (int64_t q = 0; q < count; ++q)
                     next.push_back(multiply(in[q], x, p, q * kPage * 2));
                   return next;
                 });
      for (int64_t q = 0; q < count; ++q)
        e.store(sums[q], to, q * place.outputBytes);
    });
  }

  Emitter &e;
  const Isa &isa;
  const AttentionShape &shape;
  int64_t window;
  const PromptRows &rows;
  int64_t heads;
  Value memory;
  Scratch place;
  VectorType vec, ints, pairs;
};
} // namespace

void qcc::x86::attendPrompt(Emitter &e, const Isa &isa,
                            const AttentionShape &shape, int64_t window,
                            const PromptRows &rows, Value state, Value head,
                            int64_t heads, Value scratch) {
  PromptBlock block(e, isa, shape, window, rows, heads, scratch);
  block.begin();
  Value lo = e.udiv(block.first(), kPage);
  Value hi = e.add(e.udiv(block.last(), kPage), 1);
  e.loop(lo, hi, 1, [&](Value p) {
    Value number = e.load(e.i32(), e.offset(rows.pages, e.mul(p, 4)));
    Value page =
        e.offset(state, e.mul(e.zext(number, e.i64()), rows.pageStride));
    block.page(e.offset(page, e.mul(head, shape.headBytes())), e.mul(p, kPage));
  });
  block.finish();
}
