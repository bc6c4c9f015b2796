//===- Attend.cpp - Attention over the state ------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "AttendJoin.h"
#include "RowHeads.h"
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
/// Shared memory: the queries, a record for each warp, the factors of a join,
/// and with `rope` the row's own key and value, as the state has them.
class Attend {
public:
  Attend(StageKernel &stage, llm::AttendOp op, Type element,
         const AttendPlan &plan, llm::RopeAppendOp rope);

  int64_t sharedBytes() const {
    return rope ? newValueOffset() + shape.valueDim * shape.elementBytes()
                : factorsOffset() + AttendJoin::factorBytes(plan);
  }

  void emit();

private:
  int64_t recordsOffset() const {
    return (plan.heads * shape.headDim * 4 + 15) / 16 * 16;
  }
  int64_t factorsOffset() const {
    return (recordsOffset() + kWarps * plan.recordBytes() + 15) / 16 * 16;
  }
  int64_t newKeyOffset() const {
    return (factorsOffset() + AttendJoin::factorBytes(plan) + 15) / 16 * 16;
  }
  int64_t newValueOffset() const {
    return newKeyOffset() +
           (shape.headDim * shape.elementBytes() + 15) / 16 * 16;
  }
  int64_t unitsOfKvHead() const { return plan.units / shape.kvHeads; }
  /// Elements of a value that one lane has.
  int64_t parts() const { return (shape.valueDim + kWarpSize - 1) / kWarpSize; }
  Value elementOf(int64_t part);

  void loadQueries();
  void makeHeads();
  /// 32 positions. With `hasNew` the row's own is the last that it sees of
  /// them, which a block of this launch appends: its key and its value are in
  /// shared memory.
  struct Tile {
    Value base; ///< i32: the first.
    Value page;
    bool hasNew;
  };
  /// Of each head, the score of the lane's position.
  Values scores(const Tile &tile);
  Value positionOf(Value lane);
  /// For each head its maximum, then the lane's share of each one's sum, then
  /// the lane's elements of each one's output; what a tile changes.
  Values initialState();
  Values addTile(Value number, ValueRange in, bool hasNew);
  void addValues(const Tile &tile, ValueRange weights, Values &outputs);
  Values addTiles();

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
  /// `elements` that are not quantized become others if `condition`.
  void replace(Elements &elements, Value condition, const Elements &others) {
    elements.data[0] = e.select(condition, others.data[0], elements.data[0]);
  }
  /// Elements [first, first + count) of them.
  Values asF32(const Elements &elements, int64_t first, int64_t count);

  void findPart();
  void emitPart();

  StageKernel &stage;
  WarpEmitter &e;
  llm::AttendOp op;
  StateShape shape;
  AttendPlan plan;
  int64_t wide;           ///< Elements of a key that a lane reads at once.
  int64_t lanesPerKey;    ///< Lanes that share a key.
  llm::RopeAppendOp rope; ///< Null where that is a launch before.
  Value row, unit, part, kvHead;
  RowState state;
  Value first; ///< i32: the first position that the row sees.
  Value firstTile, endTile, partCount;
  Value newTile; ///< i32: that of the row's own position.
  Value hasNew;  ///< i1: whether the block has it.
  Value heads;   ///< Address of what `rope` makes the row's heads of.
};
} // namespace

Attend::Attend(StageKernel &stage, llm::AttendOp op, Type element,
               const AttendPlan &plan, llm::RopeAppendOp rope)
    : stage(stage), e(stage.e), op(op), shape(op.getState().getType(), element),
      plan(plan), rope(rope), row(e.blockIndex(gpu::Dimension::y)),
      unit(stage.unit), state(stage, shape, op.getState(), row) {
  // As many elements at once as rows are aligned to, and several lanes for a
  // key, which makes whole sectors of what a request reads.
  wide = std::gcd<int64_t>(shape.headDim, 16 / shape.elementBytes());
  lanesPerKey = std::gcd<int64_t>(shape.headDim / wide, 4);
  if (plan.isSplit()) {
    part = e.udiv(stage.unit, plan.units);
    unit = e.urem(stage.unit, plan.units);
  }
  kvHead = e.udiv(unit, unitsOfKvHead());
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

/// The queries, and in blocks of the last part the row's key and value, with
/// the bits that a launch before would leave. Of the blocks that have a key,
/// one appends it; the others read none of what it writes.
void Attend::makeHeads() {
  RowHeads made(stage, rope, shape, row);
  heads = made.start;
  const int64_t key = plan.heads, value = plan.heads + 1;
  Value appends =
      e.cmp(arith::CmpIPredicate::eq, e.urem(unit, unitsOfKvHead()), e.c32(0));
  auto put = [&](int64_t offset, Value appended) {
    Value shared = e.offset(stage.shared, offset);
    return [this, shared, appended, appends](Value i, Value x) {
      state.put(shared, i, x);
      e.ifThen(appends, [&] { state.put(appended, i, x); });
    };
  };
  e.loop(
      stage.warp, e.select(hasNew, e.c32(value + 1), e.c32(plan.heads)), kWarps,
      [&](Value number) {
        auto ifIs = [&](int64_t which, function_ref<void()> body) {
          e.ifThen(e.cmp(arith::CmpIPredicate::eq, number, e.c32(which)), body);
        };
        e.ifThen(e.lessThan(number, e.c32(plan.heads)), [&] {
          Value to = e.offset(stage.shared, e.mul(number, shape.headDim * 4));
          made.query(e.add(e.mul(unit, plan.heads), number),
                     [&](Value i, Value x) {
                       e.store(x, e.offset(to, e.mul(i, 4)), llvm::Align(4));
                     });
        });
        ifIs(key, [&] {
          made.key(kvHead, put(newKeyOffset(), state.newKey(kvHead)));
        });
        ifIs(value, [&] {
          made.value(kvHead, put(newValueOffset(), state.newValue(kvHead)));
        });
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

Values Attend::scores(const Tile &tile) {
  const int64_t bytes = shape.elementBytes(), times = lanesPerKey,
                keys = kWarpSize / lanesPerKey;
  Value own = e.mul(e.bitAnd(stage.lane, lanesPerKey - 1), wide);
  // The others are a constant further.
  Value inTile = e.udiv(stage.lane, lanesPerKey);
  Value inPage = e.add(e.bitAnd(tile.base, QCC_PAGE_TOKENS - 1), inTile);
  Value ownBytes = e.mul(own, bytes);
  Value key = e.offset(state.key(tile.page, inPage), ownBytes), scales;
  if (shape.isQuantized())
    scales = state.keyScales(tile.page, inPage);
  Values isNew;
  for (int64_t i = 0; tile.hasNew && i < times; ++i)
    isNew.push_back(e.cmp(arith::CmpIPredicate::sge,
                          e.add(e.add(tile.base, inTile), i * keys),
                          state.position));
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
        for (int64_t run = 0; run < runs; ++run) {
          Elements newKey;
          if (tile.hasNew)
            newKey = read(
                e.offset(
                    e.offset(e.offset(stage.shared, ownBytes), e.mul(d, bytes)),
                    newKeyOffset() + run * lanesPerKey * wide * bytes),
                wide, Value(), Value());
          for (int64_t i = 0; i < times; ++i) {
            const int64_t before = run * lanesPerKey * wide, place = i * keys;
            Value at = e.offset(e.offset(key, e.mul(d, bytes)),
                                (place * shape.headDim + before) * bytes);
            if (tile.hasNew)
              at = e.select(isNew[size_t(i)],
                            e.offset(e.offset(heads, ownBytes),
                                     e.mul(e.add(d, before), bytes)),
                            at);
            loaded.push_back(
                read(at, wide, scales, e.add(e.add(own, d), before),
                     place * StateShape::scaleBytes(shape.headDim)));
            if (tile.hasNew)
              replace(loaded.back(), isNew[size_t(i)], newKey);
          }
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
void Attend::addValues(const Tile &tile, ValueRange weights, Values &outputs) {
  Value base = tile.base;
  // Two places for each value, and many sums, leave fewer registers.
  const bool isTight = tile.hasNew && plan.heads * parts() > 16;
  const int64_t atOnce = isTight ? kValuesAtOnce / 2 : kValuesAtOnce;
  const int64_t bytes = shape.elementBytes(), keys = kWarpSize / lanesPerKey,
                some = std::clamp<int64_t>(
                    std::bit_floor(uint64_t(atOnce / parts())), 1, 16);
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
  SmallVector<Elements> newValue;
  for (Value d : elements)
    if (tile.hasNew)
      newValue.push_back(read(
          e.offset(e.offset(stage.shared, e.mul(d, bytes)), newValueOffset()),
          run, Value(), Value()));
  outputs = e.loop(
      e.mul(e.udiv(start, some), some), end, e.c32(some), outputs,
      [&](Value j, ValueRange in) {
        Values next(in.begin(), in.end());
        SmallVector<Elements> loaded;
        for (int64_t k = 0; k < some; ++k) {
          // Of what is not visible, whose weight is 0, another value is read.
          Value visible = e.minS(e.maxS(e.add(j, k), start), last);
          Value place = e.add(inPage, visible);
          Value value = state.value(tile.page, place), isNew;
          Value scales = shape.isQuantized()
                             ? state.valueScales(tile.page, place)
                             : Value();
          if (tile.hasNew) {
            isNew = e.cmp(arith::CmpIPredicate::eq, visible, last);
            value = e.select(isNew, heads, value);
          }
          for (auto [i, d] : llvm::enumerate(elements)) {
            loaded.push_back(
                read(e.offset(value, e.mul(d, bytes)), run, scales, d));
            if (tile.hasNew)
              replace(loaded.back(), isNew, newValue[i]);
          }
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

/// Positions [32 * number, 32 * number + 32), of which at least one is visible.
Values Attend::addTile(Value number, ValueRange in, bool hasNew) {
  Value base = e.mul(number, kTilePositions);
  const Tile tile = {base, state.page(base, kvHead), hasNew};
  Value position = e.add(base, positionOf(stage.lane));
  Values s = scores(tile);
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
  addValues(tile, weights, outputs);
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
  newTile = e.udiv(state.position, kTilePositions);
  endTile = e.add(newTile, 1);
  partCount = e.c32(1);
  hasNew = e.constant(e.b.getI1Type(), 1);
  if (!plan.isSplit())
    return;
  Value tiles = e.sub(endTile, firstTile);
  Value each =
      e.maxS(e.udiv(e.add(tiles, plan.parts - 1), plan.parts), e.c32(kWarps));
  partCount = arith::DivUIOp::create(e.b, e.loc,
                                     e.add(tiles, e.sub(each, e.c32(1))), each);
  firstTile = e.add(firstTile, e.mul(part, each));
  endTile = e.minS(e.add(firstTile, each), endTile);
  hasNew = e.lessThan(newTile, endTile);
}

/// A warp's tiles: each fourth one. The row's own position is in the last tile
/// of all.
Values Attend::addTiles() {
  auto add = [&](Value begin, Value end, ValueRange in, bool hasNew) {
    return e.loop(begin, end, e.c32(kWarps), in,
                  [&](Value tile, ValueRange before) {
                    return addTile(tile, before, hasNew);
                  });
  };
  Value begin = e.add(firstTile, stage.warp);
  if (!rope)
    return add(begin, endTile, initialState(), false);
  Values sums = add(begin, e.minS(endTile, newTile), initialState(), false);
  Value isOwn = e.cmp(arith::CmpIPredicate::eq,
                      e.bitAnd(e.sub(newTile, begin), kWarps - 1), e.c32(0));
  isOwn = arith::AndIOp::create(e.b, e.loc, isOwn, hasNew);
  return add(newTile, e.add(newTile, e.zext(isOwn, e.i32())), sums, true);
}

void Attend::emitPart() {
  if (rope)
    makeHeads();
  else
    loadQueries();
  Values done = addTiles();
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
                       const AttendPlan &plan, llm::RopeAppendOp rope) {
  Attend attend(stage, op, element, plan, rope);
  stage.kernel.units = unsigned(plan.units * plan.parts);
  stage.kernel.sharedBytes = unsigned(attend.sharedBytes());
  stage.setBlocksPerMultiprocessor(plan.blocks);
  attend.emit();
}

void nvptx::emitClearCounters(StageKernel &stage, int64_t units, Value row) {
  if (!units)
    return;
  WarpEmitter &e = stage.e;
  // Prompts have more rows, and no counts.
  e.ifThen(e.lessThan(row, e.c32(QCC_GENERATE_ROWS)), [&] {
    e.loop(stage.thread, e.c32(units), kThreads, [&](Value unit) {
      Value number = e.add(e.mul(row, units), unit);
      e.store(e.c32(0), e.offset(stage.scratch(), e.mul(number, 4)),
              llvm::Align(4));
    });
  });
}
