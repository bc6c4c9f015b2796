//===- AttendRows.cpp - Attention over pages of state ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Several queries (the query heads of a KV head, of one row or a tile of rows)
// go through the state together, a page of 64 positions at a time: scores, one
// step of the online softmax, then the weighted sum of values. Each load of a
// key or value serves all queries, and asks for the line of the next page that
// will be read in its place.
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
/// Pages that a part has at least.
static constexpr int64_t kPartPages = 2;
/// Bytes of the maxima and of the sums of a part: 16 lanes each.
static constexpr int64_t kLanesBytes = 64;

/// Accumulators that fit the registers beside what they are fed with.
static int64_t mostSums(const Isa &isa) { return isa.lanes == 16 ? 16 : 4; }

int64_t qcc::x86::headsTogether(const Isa &isa, const AttentionShape &shape) {
  return std::min(shape.group(), mostSums(isa) / (isa.lanes == 16 ? 2 : 1));
}

int64_t qcc::x86::attentionTile(const Isa &isa, const AttentionShape &shape) {
  return std::max<int64_t>(1, mostSums(isa) / headsTogether(isa, shape));
}

static int64_t paddedDim(const AttentionShape &shape) {
  return (shape.valueDim + 15) / 16 * 16;
}

int64_t qcc::x86::attendScratchBytes(const Isa &isa,
                                     const AttentionShape &shape) {
  // Outputs and scores of each query, and the corrections; with scales, what
  // values are multiplied by.
  const int64_t weights = shape.isQuantized() ? kBlock : 0;
  return (mostSums(isa) * (paddedDim(shape) + kBlock + weights) + 16) * 4;
}

int64_t qcc::x86::attentionPartBytes(const Isa &isa,
                                     const AttentionShape &shape) {
  return 2 * kLanesBytes + headsTogether(isa, shape) * paddedDim(shape) * 4;
}

static Value minS(Emitter &e, Value a, Value x) {
  return arith::MinSIOp::create(e.b, e.loc, a, x);
}

/// The first position that a row at `position` sees.
static Value firstSeen(Emitter &e, int64_t window, Value position) {
  return window ? e.maxS(e.add(position, 1 - window), e.c64(0)) : e.c64(0);
}

AttentionParts qcc::x86::attentionParts(Emitter &e, int64_t window,
                                        Value position) {
  AttentionParts parts;
  parts.first = e.udiv(firstSeen(e, window, position), kBlock);
  parts.end = e.add(e.udiv(position, kBlock), 1);
  Value count = e.sub(parts.end, parts.first);
  auto over = [&](Value a, Value b) -> Value {
    return arith::CeilDivUIOp::create(e.b, e.loc, a, b);
  };
  parts.pages = e.maxS(over(count, e.c64(kMostParts)), e.c64(kPartPages));
  parts.count = over(count, parts.pages);
  return parts;
}

namespace {
class QueryBlock {
public:
  /// Query q is head q % heads of row q / heads. Null `outputs` are in scratch.
  QueryBlock(Emitter &e, const Isa &isa, const AttentionShape &shape,
             int64_t window, const AttentionRows &rows, int64_t heads,
             Value state, Value head, Value scratch, Value outputs = Value())
      : e(e), shape(shape), rows(rows), heads(heads),
        count(int64_t(rows.positions.size()) * heads), state(state),
        headOffset(e.mul(head, shape.headBytes())),
        scores(e.offset(scratch, mostSums(isa) * paddedDim(shape) * 4)),
        corrections(e.offset(scores, mostSums(isa) * kBlock * 4)),
        weights(e.offset(corrections, 64)),
        outputs(outputs ? outputs : scratch), vec(e.vec(16, e.f32())) {
    for (Value position : rows.positions)
      firsts.push_back(firstSeen(e, window, position));
    together = 1;
    while (together < kBlock / 16 && 2 * together * count <= mostSums(isa))
      together *= 2;
  }

  /// Pages [lo, hi) of the sequence; returns the (maximum, sum) of each query
  /// as lanes. `isFirst` (i1, or null for true): whether nothing was seen
  /// before; a sink is as a position before all others, whose value is 0.
  /// `after` is what will be read after them, or null.
  Values pages(Value lo, Value hi, Value isFirst, Value after) {
    e.loop(e.c64(0), e.c64(count * paddedDim(shape)), 16, [&](Value i) {
      e.store(e.zero(vec), e.offset(outputs, e.mul(i, 4)));
    });
    Value last = e.add(hi, -1);
    return e.loop(
        lo, hi, e.c64(1), initialState(isFirst), [&](Value p, ValueRange in) {
          Value next = pageAt(minS(e, e.add(p, 1), last));
          if (after)
            next =
                e.select(e.cmp(arith::CmpIPredicate::eq, p, last), after, next);
          return page(pageAt(p), next, e.mul(p, kBlock), in);
        });
  }

  /// Pages that any row sees.
  Value firstPage() { return e.udiv(firsts.front(), kBlock); }
  Value endPage() { return e.add(e.udiv(rows.positions.back(), kBlock), 1); }

  void finish(ValueRange lanes) {
    for (int64_t q = 0; q < count; ++q) {
      Value sum = e.extract(lanes[1], q);
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

  /// What the KV head has in page `p` of the sequence.
  Value pageAt(Value p) {
    Value number = e.load(e.i32(), e.offset(rows.pages, e.mul(p, 4)));
    Value page =
        e.offset(state, e.mul(e.zext(number, e.i64()), rows.pageStride));
    return e.offset(page, headOffset);
  }

  Values initialState(Value isFirst) {
    Value maximum = e.constant(vec, kNoScore), sum = e.zero(vec);
    Values empty = {maximum, sum};
    if (!rows.sinks)
      return empty;
    for (int64_t q = 0; q < count; ++q) {
      maximum = insert(maximum, e.load(e.f32(), rows.sinks, head(q) * 4), q);
      sum = insert(sum, e.constant(e.f32(), 1.0), q);
    }
    if (!isFirst)
      return {maximum, sum};
    return {e.select(isFirst, maximum, empty[0]),
            e.select(isFirst, sum, empty[1])};
  }

  /// One page, whose first position is `base`; after it comes `next`.
  Values page(Value keys, Value next, Value base, ValueRange before) {
    Value lo = e.maxS(e.sub(firsts.front(), base), e.c64(0));
    Value hi = e.add(
        minS(e, e.sub(rows.positions.back(), base), e.c64(kBlock - 1)), 1);
    int64_t positions = 16 * together;
    Value groups = e.udiv(e.add(hi, positions - 1), positions);
    e.loop(e.udiv(lo, positions), groups, 1, [&](Value g) {
      Value at = e.mul(g, together * shape.tileBytes());
      multiplyKeys(e.offset(keys, at), e.offset(next, at),
                   e.offset(scores, e.mul(g, positions * 4)));
    });

    Value maximum = before[0];
    for (int64_t q = 0; q < count; ++q)
      maximum =
          insert(maximum, maskScores(q, base, e.extract(before[0], q)), q);
    Value correction = emitExp(e, e.subf(before[0], maximum));
    e.store(correction, corrections);
    Value sums = e.zero(vec);
    for (int64_t q = 0; q < count; ++q)
      sums =
          insert(sums, exponentiate(q, e.splat(e.extract(maximum, q), vec)), q);
    addValues(e.offset(keys, shape.valueOffset()),
              e.offset(next, shape.valueOffset()), lo, hi);
    return {maximum, e.fma(before[1], correction, sums)};
  }

  /// Asks for `bytes` from `pointer` on.
  void prefetch(Value pointer, int64_t bytes) {
    for (int64_t at = 0; at < bytes; at += 64)
      e.prefetch(pointer, at, /*level=*/2);
  }

  /// Writes the scores of 16 positions for each tile of those together: of each
  /// query, those of each tile.
  void multiplyKeys(Value keys, Value next, Value to) {
    auto each = [&](function_ref<void(Value, int64_t, int64_t)> body) {
      for (int64_t q = 0; q < count; ++q)
        for (int64_t t = 0; t < together; ++t)
          body(e.offset(to, (q * kBlock + t * 16) * 4), t, q * together + t);
    };
    if (!shape.isQuantized()) {
      Values sums = multiplyKeys(keys, next, e.c64(0), e.c64(shape.headDim));
      return each([&](Value place, int64_t, int64_t i) {
        e.store(sums[size_t(i)], place);
      });
    }
    // Each group has a sum of its own, which its scale multiplies.
    auto group = [&](Value first, int64_t columns, bool isFirst) {
      Values sums = multiplyKeys(keys, next, first, e.add(first, columns));
      const int64_t line = AttentionShape::kScaleLine;
      Value number = e.udiv(first, kStateGroup);
      prefetch(e.offset(e.offset(next, together * shape.keyScalesOffset()),
                        e.mul(number, together * line)),
               together * line);
      Values scales;
      for (int64_t t = 0; t < together; ++t)
        scales.push_back(loadScales(
            e, e.offset(e.offset(keys, e.mul(number, line)),
                        t * shape.tileBytes() + shape.keyScalesOffset())));
      each([&](Value place, int64_t t, int64_t i) {
        Value scale = scales[size_t(t)], sum = sums[size_t(i)];
        e.store(isFirst ? e.mulf(sum, scale)
                        : e.fma(sum, scale, e.load(vec, place)),
                place);
      });
    };
    const int64_t whole = shape.headDim / kStateGroup * kStateGroup;
    const int64_t start = std::min<int64_t>(shape.headDim, kStateGroup);
    group(e.c64(0), start, true);
    if (start < whole)
      e.loop(e.c64(start), e.c64(whole), kStateGroup,
             [&](Value first) { group(first, kStateGroup, false); });
    if (start < shape.headDim && whole < shape.headDim)
      group(e.c64(whole), shape.headDim - whole, false);
  }

  /// Queries times elements [lo, hi) of the keys: a vector for each of those
  /// scores. One tile alone would wait for each multiply-add.
  Values multiplyKeys(Value keys, Value next, Value lo, Value hi) {
    Type stored = e.vec(16, shape.element);
    const int64_t bytes = 16 * shape.elementBytes();
    return e.loop(lo, hi, e.c64(1),
                  Values(size_t(count * together), e.zero(vec)),
                  [&](Value d, ValueRange acc) {
                    prefetch(e.offset(next, e.mul(d, together * bytes)),
                             together * bytes);
                    Value at = e.offset(keys, e.mul(d, bytes));
                    Values tiles;
                    for (int64_t t = 0; t < together; ++t)
                      tiles.push_back(fromStateElement(
                          e, e.load(stored, at, t * shape.tileBytes())));
                    Value query = e.offset(rows.query, e.mul(d, 4));
                    Values sums;
                    for (int64_t q = 0; q < count; ++q) {
                      Value x = e.loadSplat(vec, query,
                                            (q / heads) * rows.queryStride +
                                                head(q) * shape.headDim * 4);
                      for (Value tile : tiles)
                        sums.push_back(e.fma(tile, x, acc[sums.size()]));
                    }
                    return sums;
                  });
  }

  /// Masks the scores of query q and returns the maximum with `before`.
  Value maskScores(int64_t q, Value base, Value before) {
    Value first = e.sub(firsts[size_t(q / heads)], base);
    Value last = e.sub(rows.positions[size_t(q / heads)], base);
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
  /// hi) of the page: what lies at others may be anything. As many vectors of a
  /// value go together as tiles of keys.
  void addValues(Value values, Value next, Value lo, Value hi) {
    const int64_t wide = 16 * together;
    e.loop(e.c64(0), e.c64(shape.valueDim / wide * wide), wide,
           [&](Value d) { addValueColumns(values, next, lo, hi, d, wide); });
    if (int64_t rest = shape.valueDim % wide)
      addValueColumns(values, next, lo, hi, e.c64(shape.valueDim - rest), rest);
  }

  /// The same for `columns` of a value, from d on.
  void addValueColumns(Value values, Value next, Value lo, Value hi, Value d,
                       int64_t columns) {
    const int64_t size = shape.elementBytes(), vectors = (columns + 15) / 16;
    // Of scales: vectors of one group follow each other.
    const int64_t groups = shape.groups(columns);
    auto place = [&](int64_t q, int64_t v) {
      return e.offset(output(q, d), v * 64);
    };
    Values init;
    for (int64_t q = 0; q < count; ++q)
      for (int64_t v = 0; v < vectors; ++v)
        init.push_back(e.mulf(e.load(vec, place(q, v)),
                              e.loadSplat(vec, corrections, q * 4)));
    if (shape.isQuantized())
      weighValues(values, next, d, groups);
    Values sums = e.loop(lo, hi, e.c64(1), init, [&](Value j, ValueRange acc) {
      Value at = e.mul(e.add(e.mul(j, shape.valueDim), d), size);
      prefetch(e.offset(next, at), columns * size);
      Value row = e.offset(values, at);
      Values parts;
      for (int64_t v = 0; v < vectors; ++v)
        parts.push_back(fromStateElement(
            e, loadPartialOf(e, e.vec(16, shape.element),
                             e.offset(row, v * 16 * size),
                             std::min<int64_t>(16, columns - 16 * v))));
      Value p = e.offset(groups ? weights : scores, e.mul(j, 4));
      Values result;
      for (int64_t q = 0; q < count; ++q) {
        Value weight;
        for (int64_t v = 0; v < vectors; ++v) {
          if (v == 0 || (groups > 1 && v % kGroupVectors == 0))
            weight = e.loadSplat(vec, p,
                                 groups ? weightsAt(q, v / kGroupVectors)
                                        : q * kBlock * 4);
          result.push_back(e.fma(parts[size_t(v)], weight, acc[result.size()]));
        }
      }
      return result;
    });
    for (int64_t q = 0; q < count; ++q)
      for (int64_t v = 0; v < vectors; ++v)
        e.store(sums[size_t(q * vectors + v)], place(q, v));
  }

  /// Vectors of a group of a value.
  static constexpr int64_t kGroupVectors = kStateGroup / 16;
  /// Of query q and a group of those at hand, in `weights`.
  int64_t weightsAt(int64_t q, int64_t group) const {
    return (q + group * count) * kBlock * 4;
  }

  /// Probabilities times the scales of values, for `groups` of them from the
  /// one of element d on.
  void weighValues(Value values, Value next, Value d, int64_t groups) {
    const int64_t line = AttentionShape::kScaleLine;
    Value at = e.add(e.mul(e.udiv(d, kStateGroup), 4 * line),
                     shape.valueScalesOffset());
    prefetch(e.offset(next, at), groups * 4 * line);
    Value from = e.offset(values, at);
    for (int64_t g = 0; g < groups; ++g)
      for (int64_t t = 0; t < kBlock / 16; ++t) {
        Value scales = loadScales(e, e.offset(from, (4 * g + t) * line));
        for (int64_t q = 0; q < count; ++q) {
          Value p = e.load(vec, scores, (q * kBlock + t * 16) * 4);
          e.store(e.mulf(p, scales), weights, weightsAt(q, g) + t * 64);
        }
      }
  }

  Emitter &e;
  const AttentionShape &shape;
  const AttentionRows &rows;
  int64_t heads, count;
  int64_t together; ///< Tiles of keys, or vectors of a value, at once.
  Value state, headOffset, scores, corrections, weights, outputs;
  VectorType vec;
  Values firsts;
};
} // namespace

void qcc::x86::attendRows(Emitter &e, const Isa &isa,
                          const AttentionShape &shape, int64_t window,
                          const AttentionRows &rows, Value state, Value head,
                          int64_t heads, Value scratch) {
  QueryBlock block(e, isa, shape, window, rows, heads, state, head, scratch);
  block.finish(
      block.pages(block.firstPage(), block.endPage(), Value(), Value()));
}

void qcc::x86::attendPart(Emitter &e, const Isa &isa,
                          const AttentionShape &shape, int64_t window,
                          const AttentionRows &row, const AttentionParts &parts,
                          Value part, Value state, Value head, int64_t heads,
                          Value result, Value after, Value scratch) {
  QueryBlock block(e, isa, shape, window, row, heads, state, head, scratch,
                   e.offset(result, 2 * kLanesBytes));
  Value lo = e.add(parts.first, e.mul(part, parts.pages));
  Value isFirst = e.cmp(arith::CmpIPredicate::eq, part, e.c64(0));
  Values lanes = block.pages(lo, minS(e, e.add(lo, parts.pages), parts.end),
                             isFirst, after);
  e.store(lanes[0], result);
  e.store(lanes[1], result, kLanesBytes);
}

void qcc::x86::mergeParts(Emitter &e, const Isa &isa,
                          const AttentionShape &shape,
                          const AttentionOperands &row,
                          const AttentionParts &parts, int64_t heads,
                          Value results) {
  VectorType vec = e.vec(16, e.f32());
  const int64_t stride = attentionPartBytes(isa, shape);
  auto at = [&](Value part) { return e.offset(results, e.mul(part, stride)); };
  Value maximum =
      e.loop(e.c64(0), parts.count, e.c64(1), e.constant(vec, kNoScore),
             [&](Value part, ValueRange in) {
               return Values{e.maxf(in[0], e.load(vec, at(part)))};
             })[0];
  // A part's weight takes the place of its maximum.
  Value sum = e.loop(e.c64(0), parts.count, e.c64(1), e.zero(vec),
                     [&](Value part, ValueRange in) {
                       Value place = at(part);
                       Value weight =
                           emitExp(e, e.subf(e.load(vec, place), maximum));
                       e.store(weight, place);
                       Value own = e.load(vec, place, kLanesBytes);
                       return Values{e.fma(own, weight, in[0])};
                     })[0];
  for (int64_t q = 0; q < heads; ++q) {
    Value factor =
        e.splat(e.divf(e.constant(e.f32(), 1.0), e.extract(sum, q)), vec);
    forRow(e, 16, shape.valueDim, [&](Value d, int64_t valid) {
      Value from = e.mul(d, 4);
      Value total = e.loop(e.c64(0), parts.count, e.c64(1), e.zero(vec),
                           [&](Value part, ValueRange in) {
                             Value weight = e.loadSplat(vec, at(part), q * 4);
                             Value own = e.load(vec, e.offset(at(part), from),
                                                2 * kLanesBytes +
                                                    q * paddedDim(shape) * 4);
                             return Values{e.fma(own, weight, in[0])};
                           })[0];
      storePartial(e, e.mulf(total, factor),
                   e.offset(e.offset(row.out, q * shape.valueDim * 4), from),
                   valid);
    });
  }
}
