//===- Attend.cpp - Attention over the state ------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "AttendJoin.h"
#include "RowState.h"
#include "StateCodes.h"

#include "qcc/Codegen/Common/VectorMath.h"

#include <algorithm>
#include <bit>
#include <numeric>

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

/// The score of a position that is not visible, so far below all others and the
/// maximum before any was seen that exp(kMasked - kNoScore) is 0.
static constexpr double kMasked = -1e30;
/// Elements of a lane that are read before they are used, of a key and of the
/// values of all positions together: with few positions, what takes time is how
/// often the memory is waited for.
static constexpr int64_t kKeysAtOnce = 16, kValuesAtOnce = 64;

namespace {
/// Attention of a block: some heads of a row over a part of its positions.
/// Shared memory: the queries, a record for each warp, the factors of a join.
class Attend {
public:
  Attend(StageKernel &stage, llm::AttendOp op, Type element,
         const AttendPlan &plan);

  int64_t sharedBytes() const {
    return factorsOffset() + AttendJoin::factorBytes(plan);
  }

  void emit();

private:
  int64_t recordsOffset() const {
    return (plan.heads * shape.headDim * 4 + 15) / 16 * 16;
  }
  int64_t factorsOffset() const {
    return (recordsOffset() + kWarps * plan.recordBytes() + 15) / 16 * 16;
  }
  /// Elements of a value that one lane has.
  int64_t parts() const { return (shape.valueDim + kWarpSize - 1) / kWarpSize; }
  Value elementOf(int64_t part);

  void loadQueries();
  /// Of each head, the score of the lane's position.
  Values scores(Value page, Value firstInPage);
  Value positionOf(Value lane);
  /// For each head its maximum, then the lane's share of each one's sum, then
  /// the lane's elements of each one's output; what a tile changes.
  Values initialState();
  Values addTile(Value tile, ValueRange in);
  void addValues(Value page, Value base, ValueRange weights, Values &outputs);

  /// Elements of a key or a value that a lane has read: a vector, or codes with
  /// their scale.
  struct Elements {
    Values data;
    Value scale;
  };
  /// Quantized ones, of which d is the first, have their scale among `scales`,
  /// `bytes` further.
  Elements read(Value at, int64_t count, Value scales, Value d,
                int64_t bytes = 0);
  /// Elements [first, first + count) of them.
  Values asF32(const Elements &elements, int64_t first, int64_t count);

  void findPart();
  void emitPart();

  StageKernel &stage;
  WarpEmitter &e;
  llm::AttendOp op;
  StateShape shape;
  AttendPlan plan;
  int64_t wide;        ///< Elements of a key that a lane reads at once.
  int64_t lanesPerKey; ///< Lanes that share a key.
  Value row, unit, part;
  RowState state;
  Value first; ///< i32: the first position that the row sees.
  Value firstTile, endTile, partCount;
};
} // namespace

Attend::Attend(StageKernel &stage, llm::AttendOp op, Type element,
               const AttendPlan &plan)
    : stage(stage), e(stage.e), op(op), shape(op.getState().getType(), element),
      plan(plan), row(e.blockIndex(gpu::Dimension::y)), unit(stage.unit),
      state(stage, shape, op.getState(), row) {
  // As many elements at once as rows are aligned to, and several lanes for a
  // key, which makes whole sectors of what a request reads.
  wide = std::gcd<int64_t>(shape.headDim, 16 / shape.elementBytes());
  lanesPerKey = std::gcd<int64_t>(shape.headDim / wide, 4);
  if (plan.isSplit()) {
    part = e.udiv(stage.unit, plan.units);
    unit = e.urem(stage.unit, plan.units);
  }
  first = e.c32(0);
  if (int64_t window = op.getWindow())
    first = e.maxS(e.add(state.position, 1 - window), first);
}

void Attend::loadQueries() {
  Value in = e.offset(stage.rowOf(op.getQuery(), row),
                      e.mul(unit, plan.heads * shape.headDim * 4));
  const int64_t run = std::gcd<int64_t>(shape.headDim, 4),
                runs = plan.heads * shape.headDim / run;
  Type type = e.vec(run, e.f32());
  const llvm::Align alignment(uint64_t(run * 4));
  Values indices, loaded;
  for (int64_t first = 0; first < runs; first += kThreads) {
    Value index = e.add(stage.thread, first);
    indices.push_back(index);
    loaded.push_back(e.load(
        type, e.offset(in, e.mul(e.minU(index, e.c32(runs - 1)), run * 4)),
        alignment));
  }
  for (auto [index, x] : llvm::zip_equal(indices, loaded))
    e.ifThen(e.lessThan(index, e.c32(runs)), [&, index = index, x = x] {
      e.store(x, e.offset(stage.shared, e.mul(index, run * 4)), alignment);
    });
  e.blockBarrier();
}

//===----------------------------------------------------------------------===//
// A tile
//===----------------------------------------------------------------------===//

Attend::Elements Attend::read(Value at, int64_t count, Value scales, Value d,
                              int64_t bytes) {
  if (!shape.isQuantized())
    return {{e.load(e.vec(count, shape.element), at,
                    llvm::Align(uint64_t(count * shape.elementBytes())))},
            Value()};
  Value group = e.mul(e.udiv(d, int64_t(kStateGroup)), 2);
  return {loadCodes(e, at, count),
          loadStateScale(e, e.offset(e.offset(scales, group), bytes))};
}

Values Attend::asF32(const Elements &elements, int64_t first, int64_t count) {
  if (shape.isQuantized())
    return scaleCodes(e, elements.data, first, count, elements.scale);
  Value vector = fromElement(e, elements.data[0]);
  Values result;
  for (int64_t i = 0; i < count; ++i)
    result.push_back(e.extract(vector, first + i));
  return result;
}

/// Which position of a tile a lane has the scores of. With n lanes for a key, a
/// warp reads 32 / n keys at once, and n times: lane l keeps what it got as
/// the one of those n that l mod n says.
Value Attend::positionOf(Value lane) {
  int64_t keys = kWarpSize / lanesPerKey;
  return e.add(e.mul(e.bitAnd(lane, lanesPerKey - 1), keys),
               e.udiv(lane, lanesPerKey));
}

Values Attend::scores(Value page, Value firstInPage) {
  const int64_t bytes = shape.elementBytes(), times = lanesPerKey,
                keys = kWarpSize / lanesPerKey;
  Value own = e.mul(e.bitAnd(stage.lane, lanesPerKey - 1), wide);
  // The others are a constant further.
  Value inPage = e.add(firstInPage, e.udiv(stage.lane, lanesPerKey));
  Value key = e.offset(state.key(page, inPage), e.mul(own, bytes)), scales;
  if (shape.isQuantized())
    scales = state.keyScales(page, inPage);
  Value query = e.offset(stage.shared, e.mul(own, 4));
  Values none(size_t(times * plan.heads), e.zero(e.f32()));
  const int64_t quad = std::gcd<int64_t>(wide, 4);
  // Runs of a key that are loaded together.
  const int64_t all = shape.headDim / (lanesPerKey * wide),
                runs = std::gcd(all, std::max<int64_t>(1, kKeysAtOnce / wide));
  Values sums = e.loop(
      e.c32(0), e.c32(shape.headDim), e.c32(lanesPerKey * wide * runs), none,
      [&](Value d, ValueRange in) {
        Values acc(in.begin(), in.end());
        SmallVector<Elements> loaded;
        for (int64_t run = 0; run < runs; ++run)
          for (int64_t i = 0; i < times; ++i) {
            const int64_t before = run * lanesPerKey * wide, place = i * keys;
            Value at = e.offset(e.offset(key, e.mul(d, bytes)),
                                (place * shape.headDim + before) * bytes);
            loaded.push_back(
                read(at, wide, scales, e.add(e.add(own, d), before),
                     place * StateShape::scaleBytes(shape.headDim)));
          }
        for (int64_t run = 0; run < runs; ++run)
          for (int64_t from = 0; from < wide; from += quad) {
            SmallVector<Values> k;
            for (int64_t i = 0; i < times; ++i)
              k.push_back(asF32(loaded[size_t(run * times + i)], from, quad));
            for (int64_t h = 0; h < plan.heads; ++h) {
              int64_t at = h * shape.headDim + run * lanesPerKey * wide + from;
              Value q =
                  e.load(e.vec(quad, e.f32()), e.offset(query, e.mul(d, 4)),
                         at * 4, llvm::Align(uint64_t(quad * 4)));
              for (int64_t j = 0; j < quad; ++j)
                for (int64_t i = 0; i < times; ++i) {
                  Value &sum = acc[size_t(i * plan.heads + h)];
                  sum = e.fma(k[size_t(i)][size_t(j)], e.extract(q, j), sum);
                }
            }
          }
        return acc;
      });
  for (Value &sum : sums)
    for (int64_t mask = 1; mask < lanesPerKey; mask *= 2)
      sum = e.addf(sum, e.shuffleXor(sum, mask));
  Values result(sums.begin(), sums.begin() + plan.heads);
  Value which = e.bitAnd(stage.lane, lanesPerKey - 1);
  for (int64_t i = 1; i < times; ++i) {
    Value isIt = e.cmp(arith::CmpIPredicate::eq, which, e.c32(i));
    for (int64_t h = 0; h < plan.heads; ++h)
      result[size_t(h)] =
          e.select(isIt, sums[size_t(i * plan.heads + h)], result[size_t(h)]);
  }
  if (double cap = op.getSoftcap().convertToFloat(); cap != 0)
    for (Value &score : result)
      score = emitSoftcap(e, score, cap);
  return result;
}

/// A sink is as a position seen before all others, whose value is 0. The first
/// lane of the first warp of the first part sees it.
Values Attend::initialState() {
  Values maxima(size_t(plan.heads), e.constant(e.f32(), kNoScore)),
      sums(size_t(plan.heads), e.zero(e.f32()));
  if (op.getSinks()) {
    Value warp = stage.warp, thread = stage.thread;
    if (plan.isSplit()) {
      warp = e.add(warp, e.mul(part, kWarps));
      thread = e.add(thread, e.mul(part, kThreads));
    }
    auto isZero = [&](Value x) {
      return e.cmp(arith::CmpIPredicate::eq, x, e.c32(0));
    };
    Value inWarp = isZero(warp), inLane = isZero(thread);
    Value sinks =
        e.offset(stage.address(op.getSinks()), e.mul(unit, plan.heads * 4));
    for (int64_t h = 0; h < plan.heads; ++h) {
      maxima[size_t(h)] =
          e.select(inWarp, e.load(e.f32(), sinks, h * 4, llvm::Align(4)),
                   maxima[size_t(h)]);
      sums[size_t(h)] =
          e.select(inLane, e.constant(e.f32(), 1.0), sums[size_t(h)]);
    }
  }
  Values result = maxima;
  result.append(sums);
  result.append(size_t(plan.heads * parts()), e.zero(e.f32()));
  return result;
}

/// Which element of a value a lane has as its `part`-th.
Value Attend::elementOf(int64_t part) {
  // Neighbours, of as many bytes as a load can have.
  int64_t run = std::gcd(shape.valueDim / kWarpSize, 16 / shape.elementBytes());
  if (shape.valueDim % kWarpSize)
    run = 1;
  return e.add(e.mul(stage.lane, run),
               part / run * run * kWarpSize + part % run);
}

/// Adds weight * value of the visible positions of a tile; `weights` are those
/// of the lane's position, for each head.
void Attend::addValues(Value page, Value base, ValueRange weights,
                       Values &outputs) {
  const int64_t bytes = shape.elementBytes(), keys = kWarpSize / lanesPerKey,
                some = std::clamp<int64_t>(
                    std::bit_floor(uint64_t(kValuesAtOnce / parts())), 1, 16);
  int64_t run = std::gcd(shape.valueDim / kWarpSize, 16 / bytes);
  if (shape.valueDim % kWarpSize)
    run = 1;
  Value start = e.maxS(e.sub(first, base), e.c32(0));
  Value end =
      e.minS(e.add(e.sub(state.position, base), 1), e.c32(kTilePositions));
  Value last = e.sub(end, e.c32(1));
  Value inPage = e.bitAnd(base, QCC_PAGE_TOKENS - 1);
  Values elements;
  for (int64_t i = 0; i < parts(); i += run) {
    Value d = elementOf(i);
    // Lanes behind the last element read it again.
    if ((i + 1) * kWarpSize > shape.valueDim)
      d = e.minU(d, e.c32(shape.valueDim - 1));
    elements.push_back(d);
  }
  outputs = e.loop(
      e.mul(e.udiv(start, some), some), end, e.c32(some), outputs,
      [&](Value j, ValueRange in) {
        Values next(in.begin(), in.end());
        SmallVector<Elements> loaded;
        for (int64_t k = 0; k < some; ++k) {
          // Of what is not visible, whose weight is 0, another value is read.
          Value visible = e.minS(e.maxS(e.add(j, k), start), last);
          Value place = e.add(inPage, visible);
          Value value = state.value(page, place);
          Value scales =
              shape.isQuantized() ? state.valueScales(page, place) : Value();
          for (Value d : elements)
            loaded.push_back(
                read(e.offset(value, e.mul(d, bytes)), run, scales, d));
        }
        // The lane that has position j: see positionOf().
        Value lane =
            e.add(e.mul(e.bitAnd(j, keys - 1), lanesPerKey), e.udiv(j, keys));
        for (int64_t k = 0; k < some; ++k) {
          Values value;
          for (size_t i = 0; i < elements.size(); ++i)
            value.append(
                asF32(loaded[size_t(k) * elements.size() + i], 0, run));
          for (int64_t h = 0; h < plan.heads; ++h) {
            Value p =
                e.shuffleIndex(weights[size_t(h)],
                               e.add(lane, k % keys * lanesPerKey + k / keys));
            for (int64_t i = 0; i < parts(); ++i) {
              Value &sum = next[size_t(h * parts() + i)];
              sum = e.fma(value[size_t(i)], p, sum);
            }
          }
        }
        return next;
      });
}

/// Positions [32 * tile, 32 * tile + 32), of which at least one is visible.
Values Attend::addTile(Value tile, ValueRange in) {
  Value kvHead = e.udiv(unit, columnsOf(op.getQuery()) / shape.headDim /
                                  shape.kvHeads / plan.heads);
  Value base = e.mul(tile, kTilePositions);
  Value position = e.add(base, positionOf(stage.lane));
  Value page = state.page(base, kvHead);
  Values s = scores(page, e.bitAnd(base, QCC_PAGE_TOKENS - 1));
  Value isVisible = arith::AndIOp::create(
      e.b, e.loc, e.cmp(arith::CmpIPredicate::sle, position, state.position),
      e.cmp(arith::CmpIPredicate::sge, position, first));
  Values maxima, sums, outputs, weights;
  for (int64_t h = 0; h < plan.heads; ++h) {
    Value score =
        e.select(isVisible, s[size_t(h)], e.constant(e.f32(), kMasked));
    Value maximum = e.larger(in[size_t(h)], e.warpMax(score));
    Value correction = emitExp(e, e.subf(in[size_t(h)], maximum));
    weights.push_back(emitExp(e, e.subf(score, maximum)));
    maxima.push_back(maximum);
    sums.push_back(
        e.fma(in[size_t(plan.heads + h)], correction, weights.back()));
    for (int64_t i = 0; i < parts(); ++i)
      outputs.push_back(
          e.mulf(in[size_t(2 * plan.heads + h * parts() + i)], correction));
  }
  addValues(page, base, weights, outputs);
  Values result = maxima;
  result.append(sums);
  result.append(outputs);
  return result;
}

//===----------------------------------------------------------------------===//
// A part
//===----------------------------------------------------------------------===//

/// The tiles of this block. Parts are as long as each other, but for the last,
/// and no shorter than a tile for each warp.
void Attend::findPart() {
  firstTile = e.udiv(first, kTilePositions);
  endTile = e.add(e.udiv(state.position, kTilePositions), 1);
  partCount = e.c32(1);
  if (!plan.isSplit())
    return;
  Value tiles = e.sub(endTile, firstTile);
  Value each =
      e.maxS(e.udiv(e.add(tiles, plan.parts - 1), plan.parts), e.c32(kWarps));
  partCount = arith::DivUIOp::create(e.b, e.loc,
                                     e.add(tiles, e.sub(each, e.c32(1))), each);
  firstTile = e.add(firstTile, e.mul(part, each));
  endTile = e.minS(e.add(firstTile, each), endTile);
}

void Attend::emitPart() {
  loadQueries();
  Values done = e.loop(
      e.add(firstTile, stage.warp), endTile, e.c32(kWarps), initialState(),
      [&](Value tile, ValueRange in) { return addTile(tile, in); });
  Value records = e.offset(stage.shared, recordsOffset());
  Value own = e.offset(records, e.mul(stage.warp, plan.recordBytes()));
  for (int64_t i = 0; i < parts(); ++i) {
    Value d = elementOf(i);
    e.ifThen(e.lessThan(d, e.c32(shape.valueDim)), [&] {
      for (int64_t h = 0; h < plan.heads; ++h)
        e.store(done[size_t(2 * plan.heads + h * parts() + i)],
                e.offset(own, e.mul(d, 4)), h * shape.valueDim * 4,
                llvm::Align(4));
    });
  }
  Values sums;
  for (int64_t h = 0; h < plan.heads; ++h)
    sums.push_back(e.warpSum(done[size_t(plan.heads + h)]));
  e.ifThen(stage.isFirstLane(), [&] {
    int64_t at = plan.heads * shape.valueDim * 4;
    for (int64_t h = 0; h < plan.heads; ++h) {
      e.store(done[size_t(h)], own, at + h * 4, llvm::Align(4));
      e.store(sums[size_t(h)], own, at + (plan.heads + h) * 4, llvm::Align(4));
    }
  });
  e.blockBarrier();

  AttendJoin join(stage, plan, e.offset(stage.shared, factorsOffset()));
  Value out = e.offset(stage.resultRow(row),
                       e.mul(unit, plan.heads * shape.valueDim * 4));
  Records warps = {records, e.c32(kWarps), kWarps};
  if (!plan.isSplit())
    return join.joinWarps(warps, out, partCount);
  Value number = e.add(e.mul(row, plan.units), unit);
  Records parts = {
      e.offset(e.offset(stage.scratch(), plan.recordsOffset()),
               e.mul(e.zext(number, e.i64()), plan.parts * plan.recordBytes())),
      partCount, plan.parts};
  Value record = e.offset(parts.base, e.mul(part, plan.recordBytes()));
  Value isSplit = e.lessThan(e.c32(1), partCount);
  join.joinWarps(warps, e.select(isSplit, record, out), partCount);
  e.ifThen(isSplit, [&] {
    join.joinParts(parts, out, e.offset(stage.scratch(), e.mul(number, 4)));
  });
}

void Attend::emit() {
  findPart();
  if (!plan.isSplit())
    return emitPart();
  e.ifThen(e.lessThan(part, partCount), [&] { emitPart(); });
}

void nvptx::emitAttend(StageKernel &stage, llm::AttendOp op, Type element,
                       const AttendPlan &plan) {
  Attend attend(stage, op, element, plan);
  stage.kernel.units = unsigned(plan.units * plan.parts);
  stage.kernel.sharedBytes = unsigned(attend.sharedBytes());
  stage.setBlocksPerMultiprocessor(plan.blocks);
  attend.emit();
}

void nvptx::emitClearCounters(StageKernel &stage, const AttendPlan &plan,
                              Value row) {
  if (!plan.isSplit())
    return;
  WarpEmitter &e = stage.e;
  Value isOne =
      arith::AndIOp::create(e.b, e.loc, stage.isFirstLane(),
                            e.lessThan(stage.unit, e.c32(plan.units)));
  e.ifThen(isOne, [&] {
    Value number = e.add(e.mul(row, plan.units), stage.unit);
    e.store(e.c32(0), e.offset(stage.scratch(), e.mul(number, 4)),
            llvm::Align(4));
  });
}
