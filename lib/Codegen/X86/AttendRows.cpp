//===- AttendRows.cpp - Attention over pages of state ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Several queries (the query heads of a KV head, of one row or a tile of rows)
// go through the state together, a page of 64 positions at a time: scores, one
// step of the online softmax, then the weighted sum of values. Each load of a
// key or value serves all queries.
//
// A position that a query does not see gets probability 0 exactly, and a page
// of such positions changes nothing. So a row's result does not depend on the
// rows that it goes together with.
//===----------------------------------------------------------------------===//

#include "AttentionKernel.h"

#include "qcc-rt/qcc_abi.h"
#include "qcc/Codegen/Common/VectorMath.h"
#include "RowKernels.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

static constexpr int64_t kBlock = QCC_PAGE_TOKENS;

/// Queries that fit the registers with one accumulator each.
static int64_t mostQueries(const Isa &isa) { return isa.lanes == 16 ? 16 : 4; }

int64_t qcc::x86::headsTogether(const Isa &isa, const AttentionShape &shape) {
  return std::min(shape.group(), mostQueries(isa) / (isa.lanes == 16 ? 2 : 1));
}

int64_t qcc::x86::attentionTile(const Isa &isa, const AttentionShape &shape) {
  return std::max<int64_t>(1, mostQueries(isa) / headsTogether(isa, shape));
}

static int64_t paddedDim(const AttentionShape &shape) {
  return (shape.valueDim + 15) / 16 * 16;
}

int64_t qcc::x86::attendScratchBytes(const Isa &isa,
                                     const AttentionShape &shape) {
  // Outputs and scores of each query, and the corrections.
  return (mostQueries(isa) * (paddedDim(shape) + kBlock) + 16) * 4;
}

namespace {
class QueryBlock {
public:
  /// Query q is head q % heads of row q / heads.
  QueryBlock(Emitter &e, const AttentionShape &shape, int64_t window,
             const AttentionRows &rows, int64_t heads, Value scratch)
      : e(e), shape(shape), rows(rows), heads(heads),
        count(int64_t(rows.positions.size()) * heads), outputs(scratch),
        scores(e.offset(scratch, count * paddedDim(shape) * 4)),
        corrections(e.offset(scores, count * kBlock * 4)),
        vec(e.vec(16, e.f32())) {
    for (Value position : rows.positions) {
      Value first = e.c64(0);
      if (window)
        first = e.maxS(e.add(position, 1 - window), e.c64(0));
      firsts.push_back(first);
    }
  }

  /// The first and the last position that any query sees.
  Value begin() { return firsts.front(); }
  Value last() { return rows.positions.back(); }

  void clear() {
    e.loop(e.c64(0), e.c64(count * paddedDim(shape)), 16, [&](Value i) {
      e.store(e.zero(vec), e.offset(outputs, e.mul(i, 4)));
    });
  }

  /// (maximum, sum) of each query as lanes. A sink is as a position seen before
  /// all others, whose value is 0.
  Values initialState() {
    Value maximum = e.constant(vec, kNoScore), sum = e.zero(vec);
    for (int64_t q = 0; rows.sinks && q < count; ++q) {
      maximum = insert(maximum, e.load(e.f32(), rows.sinks, head(q) * 4), q);
      sum = insert(sum, e.constant(e.f32(), 1.0), q);
    }
    return {maximum, sum};
  }

  /// One page, whose first position is `base`.
  Values page(Value keys, Value base, ValueRange state) {
    Value lo = e.maxS(e.sub(begin(), base), e.c64(0));
    Value hi = e.add(arith::MinSIOp::create(e.b, e.loc, e.sub(last(), base),
                                            e.c64(kBlock - 1)),
                     1);
    Value tiles = e.udiv(e.add(hi, 15), 16);
    e.loop(e.udiv(lo, 16), tiles, 1, [&](Value t) {
      Values sums = multiplyKeys(e.offset(keys, e.mul(t, shape.tileBytes())));
      for (int64_t q = 0; q < count; ++q)
        e.store(sums[q], e.offset(scores, e.mul(t, 64)), q * kBlock * 4);
    });

    Value maximum = state[0];
    for (int64_t q = 0; q < count; ++q)
      maximum = insert(maximum, maskScores(q, base, e.extract(state[0], q)), q);
    Value correction = emitExp(e, e.subf(state[0], maximum));
    e.store(correction, corrections);
    Value sums = e.zero(vec);
    for (int64_t q = 0; q < count; ++q)
      sums =
          insert(sums, exponentiate(q, e.splat(e.extract(maximum, q), vec)), q);
    addValues(e.offset(keys, shape.valueOffset()), lo, hi);
    return {maximum, e.fma(state[1], correction, sums)};
  }

  void finish(ValueRange state) {
    for (int64_t q = 0; q < count; ++q) {
      Value sum = e.extract(state[1], q);
      Value factor = e.splat(e.divf(e.constant(e.f32(), 1.0), sum), vec);
      forRow(e, 16, shape.valueDim, [&](Value d, int64_t valid) {
        Value o = e.mulf(e.load(vec, output(q, d)), factor);
        Value to = e.offset(rows.out, (q / heads) * rows.outStride +
                                          head(q) * shape.valueDim * 4);
        storePartial(e, o, e.offset(to, e.mul(d, 4)), valid);
      });
    }
  }

private:
  int64_t head(int64_t q) const { return q % heads; }
  Value output(int64_t q, Value d) {
    return e.offset(e.offset(outputs, q * paddedDim(shape) * 4), e.mul(d, 4));
  }
  Value insert(Value vector, Value scalar, int64_t lane) {
    return vector::InsertOp::create(e.b, e.loc, scalar, vector, lane);
  }

  /// Scores of 16 positions.
  Values multiplyKeys(Value keys) {
    Type stored = e.vec(16, shape.element);
    return e.loop(
        e.c64(0), e.c64(shape.headDim), e.c64(1), Values(count, e.zero(vec)),
        [&](Value d, ValueRange acc) {
          Value at = e.mul(d, 16 * shape.elementBytes());
          Value k = fromStateElement(e, e.load(stored, e.offset(keys, at)));
          Value query = e.offset(rows.query, e.mul(d, 4));
          Values next;
          for (int64_t q = 0; q < count; ++q) {
            int64_t place =
                (q / heads) * rows.queryStride + head(q) * shape.headDim * 4;
            next.push_back(e.fma(k, e.loadSplat(vec, query, place), acc[q]));
          }
          return next;
        });
  }

  /// Masks the scores of query q and returns the maximum with `before`.
  Value maskScores(int64_t q, Value base, Value before) {
    Value first = e.sub(firsts[q / heads], base);
    Value last = e.sub(rows.positions[q / heads], base);
    Value largest;
    for (int64_t t = 0; t < kBlock / 16; ++t) {
      int64_t at = (q * kBlock + t * 16) * 4;
      Value s = e.load(vec, scores, at);
      if (shape.softcap != 0)
        s = emitSoftcap(e, s, shape.softcap);
      s = e.select(visiblePositions(e, first, last, t), s,
                   e.constant(vec, kMaskedScore));
      e.store(s, scores, at);
      largest = largest ? e.maxf(largest, s) : s;
    }
    return e.maxf(before, e.reduceMax(largest));
  }

  /// Turns the scores of query q into exp(score - maximum); returns their sum.
  Value exponentiate(int64_t q, Value maximum) {
    Value sum;
    for (int64_t t = 0; t < kBlock / 16; ++t) {
      int64_t at = (q * kBlock + t * 16) * 4;
      Value p = emitExp(e, e.subf(e.load(vec, scores, at), maximum));
      e.store(p, scores, at);
      sum = sum ? e.addf(sum, p) : p;
    }
    return e.reduceAdd(sum);
  }

  /// outputs = outputs * correction + probabilities * values of positions [lo,
  /// hi) of the page: what lies at others may be anything.
  void addValues(Value values, Value lo, Value hi) {
    int64_t size = shape.elementBytes();
    forRow(e, 16, shape.valueDim, [&](Value d, int64_t valid) {
      Values init;
      for (int64_t q = 0; q < count; ++q)
        init.push_back(e.mulf(e.load(vec, output(q, d)),
                              e.loadSplat(vec, corrections, q * 4)));
      Values sums =
          e.loop(lo, hi, e.c64(1), init, [&](Value j, ValueRange acc) {
            Value row = e.offset(values, e.mul(j, shape.valueDim * size));
            Value v = fromStateElement(
                e, loadPartialOf(e, e.vec(16, shape.element),
                                 e.offset(row, e.mul(d, size)), valid));
            Value p = e.offset(scores, e.mul(j, 4));
            Values next;
            for (int64_t q = 0; q < count; ++q)
              next.push_back(
                  e.fma(v, e.loadSplat(vec, p, q * kBlock * 4), acc[q]));
            return next;
          });
      for (int64_t q = 0; q < count; ++q)
        e.store(sums[q], output(q, d));
    });
  }

  Emitter &e;
  const AttentionShape &shape;
  const AttentionRows &rows;
  int64_t heads, count;
  Value outputs, scores, corrections;
  VectorType vec;
  Values firsts;
};
} // namespace

void qcc::x86::attendRows(Emitter &e, const AttentionShape &shape,
                          int64_t window, const AttentionRows &rows,
                          Value state, Value head, int64_t heads,
                          Value scratch) {
  QueryBlock block(e, shape, window, rows, heads, scratch);
  block.clear();
  Value lo = e.udiv(block.begin(), kBlock);
  Value hi = e.add(e.udiv(block.last(), kBlock), 1);
  Values last = e.loop(
      lo, hi, e.c64(1), block.initialState(), [&](Value p, ValueRange in) {
        Value number = e.load(e.i32(), e.offset(rows.pages, e.mul(p, 4)));
        Value page =
            e.offset(state, e.mul(e.zext(number, e.i64()), shape.pageBytes()));
        return block.page(e.offset(page, e.mul(head, shape.headBytes())),
                          e.mul(p, kBlock), in);
      });
  block.finish(last);
}
