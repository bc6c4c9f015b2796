//===- PromptAttend.cpp - Attention of prompts by tensor cores ------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "CodeTile.h"
#include "HalfRange.h"
#include "MatrixTile.h"
#include "RowState.h"

#include "qcc/Codegen/Common/VectorMath.h"

#include <cmath>
#include <limits>
#include <numbers>

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

/// Rows of one warp: those of an A operand of mma.
static constexpr int64_t kWarpRows = AttendPlan::kPromptRows / kWarps;

namespace {
/// Attention of a block: one query head of some rows. Shared memory: a tile of
/// keys, one of values, room for quantized ones on their way, and the queries
/// where they are not in registers.
class PromptAttend {
public:
  PromptAttend(StageKernel &stage, llm::AttendOp op, Type element,
               const AttendPlan &plan);

  int64_t sharedBytes() const {
    return queriesOffset() + (queriesInShared ? queries.bytes() : 0);
  }

  void emit();

private:
  int64_t keySteps() const { return (keys.columns + 15) / 16; }
  int64_t outputs() const { return values.columns / 2; }
  int64_t stagingOffset() const { return keys.bytes() + values.bytes(); }
  int64_t queriesOffset() const {
    int64_t bytes = 0;
    if (shape.isQuantized())
      bytes = std::max(CodeTile::stagingBytes(keys),
                       CodeTile::stagingBytes(values));
    return stagingOffset() + bytes;
  }

  /// What changes from run to run: rows of one sequence at positions that
  /// follow each other, which go together.
  struct Run {
    Value first, count;         ///< Rows of the step; i32.
    Value position;             ///< Of the first row.
    Value last;                 ///< Of the last row.
    Value visible;              ///< The first position that any row sees.
    Value page;                 ///< Of its sequence.
    Values query;               ///< The A operands of a warp, or nothing.
    std::array<Value, 2> scale; ///< Of the products of a lane's two rows.
  };
  Value endOfRun(Value first, Value end);
  void emitRun(Value first, Value end);
  void loadQueries(Run &run);
  /// A tile of keys or of values on its way to shared memory.
  struct Source {
    const MatrixTile &tile;
    Value from, scales; ///< Scales are those of quantized ones.
    Value base;         ///< The first position.
  };
  Source keysAt(RowState &state, Value page, Value base);
  Source valuesAt(RowState &state, Value page, Value base);
  CodeTile codesOf(const MatrixTile &tile) {
    return {stage, tile, e.offset(stage.shared, stagingOffset())};
  }
  Value placeOf(const Source &source, Value row, const Run &run);
  void copy(const Source &source, Value to, const Run &run);
  Values scalesOf(const Source &source, const Run &run);
  void arrive(const MatrixTile &tile, ValueRange scales, Value to);
  Values initialState();
  Values scores(const Run &run);
  Values queryOf(const Run &run, TileReader &reader, int64_t step);
  Values mask(const Run &run, Value base, Values scores);
  Values addTile(const Run &run, Value base, ValueRange scores, ValueRange in);
  void store(const Run &run, ValueRange state);

  Value isAtMost(Value a, Value x) {
    return e.cmp(arith::CmpIPredicate::sle, a, x);
  }
  Value both(Value a, Value x) {
    return arith::AndIOp::create(e.b, e.loc, a, x);
  }
  /// Row 0 or 1 of the lane's, among those of the run.
  Value slot(int64_t half) { return e.add(warpRow, e.add(group, half * 8)); }

  StageKernel &stage;
  WarpEmitter &e;
  llm::AttendOp op;
  StateShape shape;
  Type factor; ///< What is multiplied: f16 or bf16.
  MatrixTile keys, values, queries;
  bool queriesInShared;
  int64_t window;
  double softcap;
  Value group, quad; ///< lane / 4 and lane % 4.
  Value warpRow;     ///< The warp's first row, among those of a run.
  Value kvHead, valueStart;
  Value queryStart; ///< Of the warp's rows.
};
} // namespace

PromptAttend::PromptAttend(StageKernel &stage, llm::AttendOp op, Type element,
                           const AttendPlan &plan)
    : stage(stage), e(stage.e), op(op), shape(op.getState().getType(), element),
      factor(shape.isQuantized() ? e.f16() : element),
      keys{plan.tilePositions, shape.headDim},
      values{plan.tilePositions, shape.valueDim},
      queries{AttendPlan::kPromptRows, shape.headDim},
      queriesInShared(plan.queriesInShared), window(op.getWindow()),
      softcap(op.getSoftcap().convertToFloat()) {
  group = e.shift(stage.lane, -2);
  quad = e.bitAnd(stage.lane, 3);
  warpRow = e.mul(stage.warp, kWarpRows);
  kvHead = e.udiv(stage.unit, plan.units / shape.kvHeads);
  valueStart = e.offset(stage.shared, keys.bytes());
  queryStart = e.offset(e.offset(stage.shared, queriesOffset()),
                        e.mul(warpRow, queries.stride()));
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

/// The row after the run that begins with row `first`; `end` is the row after
/// the last one. Each warp finds it for itself.
Value PromptAttend::endOfRun(Value first, Value end) {
  auto word = [&](uint32_t field, Value row) {
    return e.load(e.i32(),
                  e.offset(stage.field(field), e.mul(e.zext(row, e.i64()), 4)),
                  llvm::Align(4));
  };
  Value sequence = word(QCC_GPU_SEQUENCE, first),
        position = word(QCC_GPU_POSITION, first), result = end;
  for (int64_t i = 0; i < AttendPlan::kPromptRows; i += kWarpSize) {
    Value distance = e.add(stage.lane, i);
    Value row = e.add(first, distance);
    Value inside = e.minS(row, e.sub(end, e.c32(1)));
    auto differs = [&](Value a, Value x) {
      return e.cmp(arith::CmpIPredicate::ne, a, x);
    };
    Value isOther = arith::OrIOp::create(
        e.b, e.loc, differs(word(QCC_GPU_SEQUENCE, inside), sequence),
        differs(word(QCC_GPU_POSITION, inside),
                e.add(position, e.sub(inside, first))));
    result = e.minS(result, e.select(isOther, row, end));
  }
  for (int64_t mask = 1; mask < kWarpSize; mask *= 2)
    result = e.minS(result, e.shuffleXor(result, mask));
  return result;
}

/// The warp's rows as A operands, brought into the range of the elements.
void PromptAttend::loadQueries(Run &run) {
  Values pairs[2]; // Of each of the lane's rows: eight by eight elements.
  for (int64_t half = 0; half < 2; ++half) {
    Value inRun = e.minS(slot(half), e.sub(run.count, e.c32(1)));
    Value row = e.offset(stage.rowOf(op.getQuery(), e.add(run.first, inRun)),
                         e.mul(stage.unit, shape.headDim * 4));
    row = e.offset(row, e.mul(quad, 8));
    Value largest = e.zero(e.f32());
    for (int64_t d = 0; d < shape.headDim; d += 8) {
      Value pair = e.load(e.vec(2, e.f32()), row, d * 4, llvm::Align(8));
      for (int64_t i = 0; i < 2; ++i)
        largest = e.larger(e.absf(e.extract(pair, i)), largest);
      pairs[half].push_back(pair);
    }
    for (int64_t mask : {1, 2})
      largest = e.larger(e.shuffleXor(largest, mask), largest);
    HalfRange range = halfRange(e, largest);
    for (Value &pair : pairs[half])
      pair = e.pack(e.mulf(e.extract(pair, 0), range.scale),
                    e.mulf(e.extract(pair, 1), range.scale), factor);
    // Exponents of scores are those of 2.
    run.scale[size_t(half)] =
        softcap != 0 ? range.factor : e.mulf(range.factor, std::numbers::log2e);
  }
  if (queriesInShared) {
    // No other warp reads them, and all barriers of a tile come before it does.
    for (int64_t half = 0; half < 2; ++half)
      for (auto [eight, pair] : llvm::enumerate(pairs[half])) {
        Value at = queries.pieceOffset(e, e.add(group, half * 8),
                                       e.c32(int64_t(eight)));
        e.store(pair, e.offset(queryStart, e.add(at, e.mul(quad, 4))),
                llvm::Align(4));
      }
    return;
  }
  for (int64_t eight = 0; eight < 2 * keySteps(); ++eight)
    for (Values &row : pairs)
      run.query.push_back(size_t(eight) < row.size() ? row[size_t(eight)]
                                                     : e.c32(0));
}

PromptAttend::Source PromptAttend::keysAt(RowState &state, Value page,
                                          Value base) {
  Value inPage = e.bitAnd(base, QCC_PAGE_TOKENS - 1);
  Value scales = shape.isQuantized() ? state.keyScales(page, inPage) : Value();
  return {keys, state.key(page, inPage), scales, base};
}

PromptAttend::Source PromptAttend::valuesAt(RowState &state, Value page,
                                            Value base) {
  Value inPage = e.bitAnd(base, QCC_PAGE_TOKENS - 1);
  Value scales =
      shape.isQuantized() ? state.valueScales(page, inPage) : Value();
  return {values, state.value(page, inPage), scales, base};
}

/// Which row is read as row `row` of a tile: of a position that no row of the
/// run sees, which may never have been written, another one.
Value PromptAttend::placeOf(const Source &source, Value row, const Run &run) {
  row = e.minS(row, e.sub(run.last, source.base));
  return window ? e.maxS(row, e.sub(run.visible, source.base)) : row;
}

/// Starts copying a tile, which goes to `to`.
void PromptAttend::copy(const Source &source, Value to, const Run &run) {
  const int64_t bytes = source.tile.columns * shape.elementBytes();
  auto at = [&](Value row, Value piece) {
    return e.offset(source.from, e.add(e.mul(placeOf(source, row, run), bytes),
                                       e.mul(piece, 16)));
  };
  if (shape.isQuantized())
    codesOf(source.tile).copy(at);
  else
    copyTile(stage, source.tile, to, at);
  e.commitCopies();
}

/// The scales of the codes that this thread copies, if there are any.
Values PromptAttend::scalesOf(const Source &source, const Run &run) {
  if (!shape.isQuantized())
    return {};
  const int64_t bytes = StateShape::scaleBytes(source.tile.columns);
  return codesOf(source.tile).scales([&](Value row, Value group) {
    return e.offset(
        source.scales,
        e.add(e.mul(placeOf(source, row, run), bytes), e.mul(group, 2)));
  });
}

/// Waits for the tile at `to`, and for all warps to be done with the other one.
void PromptAttend::arrive(const MatrixTile &tile, ValueRange scales, Value to) {
  e.waitCopies(0);
  if (shape.isQuantized())
    codesOf(tile).unpack(scales, to);
  e.blockBarrier();
}

//===----------------------------------------------------------------------===//
// A tile
//===----------------------------------------------------------------------===//

/// The A operand of 16 elements of the warp's queries.
Values PromptAttend::queryOf(const Run &run, TileReader &reader, int64_t step) {
  if (!queriesInShared)
    return Values(ArrayRef(run.query).slice(size_t(step * 4), 4));
  const bool isHalf = step * 16 + 8 == queries.columns;
  Values a = reader.load(0, step, /*transposed=*/false, isHalf);
  a.resize(4, isHalf ? e.c32(0) : Value());
  return a;
}

/// Products of the warp's rows with all keys of the tile, as mma leaves them:
/// of each eight positions, two of the lane's first row and two of its second.
Values PromptAttend::scores(const Run &run) {
  TileReader reader(stage, keys, stage.shared, /*byRow=*/false),
      queryReader(stage, queries, queryStart, /*byRow=*/true);
  Values sums(size_t(keys.rows / 2), e.zero(e.f32()));
  for (int64_t step = 0; step < keySteps(); ++step) {
    Values a = queryOf(run, queryReader, step);
    for (int64_t some = 0; some < keys.rows / 16; ++some) {
      const bool isHalf = step * 16 + 8 == keys.columns;
      Values loaded = reader.load(some, step, /*transposed=*/false, isHalf);
      for (int64_t i = 0; i < 2; ++i) {
        Value x[] = {loaded[size_t(isHalf ? i : 2 * i)],
                     isHalf ? e.c32(0) : loaded[size_t(2 * i + 1)]};
        auto *first = sums.begin() + (2 * some + i) * 4;
        Values next = e.mma(a, x, ValueRange(ArrayRef(first, 4)), factor);
        std::copy(next.begin(), next.end(), first);
      }
    }
  }
  if (softcap != 0)
    for (size_t i = 0; i < sums.size(); ++i)
      sums[i] =
          e.mulf(emitSoftcap(e, e.mulf(sums[i], run.scale[i / 2 % 2]), softcap),
                 std::numbers::log2e);
  return sums;
}

/// The scores with those of positions that rows do not see below all others.
Values PromptAttend::mask(const Run &run, Value base, Values sums) {
  Value none = e.constant(e.f32(), -std::numeric_limits<double>::infinity());
  Value most[2], least[2];
  for (int64_t half = 0; half < 2; ++half) {
    Value position = e.add(run.position, slot(half));
    most[half] = e.sub(e.sub(position, base), e.mul(quad, 2));
    least[half] = e.add(most[half], 1 - window);
  }
  for (size_t i = 0; i < sums.size(); ++i) {
    Value place = e.c32(int64_t(i / 4 * 8 + i % 2));
    size_t half = i / 2 % 2;
    Value visible = isAtMost(place, most[half]);
    if (window)
      visible = both(visible, isAtMost(least[half], place));
    sums[i] = e.select(visible, sums[i], none);
  }
  return sums;
}

/// A sink is as a position seen before all others, whose value is 0. Of the
/// state, maxima of the lane's two rows are first, then its shares of their
/// sums, then its elements of their outputs.
Values PromptAttend::initialState() {
  Values state(2, e.constant(e.f32(), kNoScore));
  state.append(size_t(2 + outputs()), e.zero(e.f32()));
  if (!op.getSinks())
    return state;
  Value sink = e.load(
      e.f32(), e.offset(stage.address(op.getSinks()), e.mul(stage.unit, 4)),
      llvm::Align(4));
  Value isFirst = e.cmp(arith::CmpIPredicate::eq, quad, e.c32(0));
  for (size_t half = 0; half < 2; ++half) {
    state[half] = e.mulf(sink, std::numbers::log2e);
    state[2 + half] =
        e.select(isFirst, e.constant(e.f32(), 1.0), e.zero(e.f32()));
  }
  return state;
}

Values PromptAttend::addTile(const Run &run, Value base, ValueRange scores,
                             ValueRange in) {
  // Rows of the warp that see less than all of the tile have its scores masked.
  Value isPart =
      e.lessThan(e.add(run.position, warpRow), e.add(base, keys.rows - 1));
  if (window) {
    Value lastRow = e.add(run.position, e.add(warpRow, kWarpRows - 1));
    isPart = arith::OrIOp::create(e.b, e.loc, isPart,
                                  e.lessThan(base, e.add(lastRow, 1 - window)));
  }
  Values p = e.ifElse(
      isPart, [&] { return mask(run, base, Values(scores)); },
      [&] { return Values(scores); });

  Values state(in.begin(), in.end());
  for (size_t half = 0; half < 2; ++half) {
    Value maximum;
    for (size_t i = 0; i < p.size(); ++i)
      if (i / 2 % 2 == half)
        maximum = maximum ? e.larger(p[i], maximum) : p[i];
    for (int64_t mask : {1, 2})
      maximum = e.larger(e.shuffleXor(maximum, mask), maximum);
    // Scales are positive.
    Value scale = softcap != 0 ? e.constant(e.f32(), 1.0) : run.scale[half];
    maximum = e.larger(e.mulf(maximum, scale), state[half]);
    Value correction = e.fastExp2(e.subf(state[half], maximum));
    state[half] = maximum;
    Value sum = e.mulf(state[2 + half], correction);
    Value minus = arith::NegFOp::create(e.b, e.loc, maximum);
    for (size_t i = 0; i < p.size(); ++i)
      if (i / 2 % 2 == half) {
        p[i] = e.fastExp2(e.fma(p[i], scale, minus));
        sum = e.addf(sum, p[i]);
      }
    state[2 + half] = sum;
    for (size_t i = 4; i < state.size(); ++i)
      if (i / 2 % 2 == half)
        state[i] = e.mulf(state[i], correction);
  }

  // What mma leaves of 16 positions is what it takes of them as A.
  Values halves;
  for (size_t i = 0; i < p.size(); i += 2)
    halves.push_back(e.pack(p[i], p[i + 1], factor));
  TileReader reader(stage, values, valueStart, /*byRow=*/true);
  for (int64_t some = 0; some < values.rows / 16; ++some) {
    ArrayRef<Value> a = ArrayRef(halves).slice(size_t(some * 4), 4);
    for (int64_t column = 0; column * 16 < values.columns; ++column) {
      const bool isHalf = column * 16 + 8 == values.columns;
      Values loaded = reader.load(some, column, /*transposed=*/true, isHalf);
      for (int64_t i = 0; i < (isHalf ? 1 : 2); ++i) {
        auto *first = state.begin() + 4 + (2 * column + i) * 4;
        Values next = e.mma(a, ArrayRef(loaded).slice(size_t(2 * i), 2),
                            ValueRange(ArrayRef(first, 4)), factor);
        std::copy(next.begin(), next.end(), first);
      }
    }
  }
  return state;
}

//===----------------------------------------------------------------------===//
// A run
//===----------------------------------------------------------------------===//

void PromptAttend::store(const Run &run, ValueRange state) {
  for (int64_t half = 0; half < 2; ++half) {
    Value sum = state[unsigned(2 + half)];
    for (int64_t mask : {1, 2})
      sum = e.addf(sum, e.shuffleXor(sum, mask));
    Value inverse = e.divf(e.constant(e.f32(), 1.0), sum);
    Value inRun = slot(half);
    e.ifThen(e.lessThan(inRun, run.count), [&] {
      Value row = e.offset(stage.resultRow(e.add(run.first, inRun)),
                           e.mul(stage.unit, shape.valueDim * 4));
      row = e.offset(row, e.mul(quad, 8));
      for (int64_t eight = 0; eight < shape.valueDim / 8; ++eight) {
        Value pair = LLVM::PoisonOp::create(e.b, e.loc, e.vec(2, e.f32()));
        for (int64_t i = 0; i < 2; ++i)
          pair = vector::InsertOp::create(
              e.b, e.loc,
              e.mulf(state[unsigned(4 + eight * 4 + half * 2 + i)], inverse),
              pair, i);
        e.store(pair, row, eight * 32, llvm::Align(8));
      }
    });
  }
}

void PromptAttend::emitRun(Value first, Value end) {
  RowState state(stage, shape, op.getState(), first);
  const int64_t positions = keys.rows;
  Run run;
  run.first = first;
  run.count = e.sub(end, first);
  run.position = state.position;
  run.last = e.add(run.position, e.sub(run.count, e.c32(1)));
  run.visible = e.c32(0);
  if (window)
    run.visible = e.maxS(e.add(run.position, 1 - window), run.visible);
  Value firstTile = e.udiv(run.visible, positions);
  Value lastTile = e.udiv(run.last, positions);
  auto baseOf = [&](Value tile) { return e.mul(tile, positions); };
  auto pageOf = [&](Value tile) { return state.page(baseOf(tile), kvHead); };

  Value page = pageOf(firstTile);
  Source firstKeys = keysAt(state, page, baseOf(firstTile));
  copy(firstKeys, stage.shared, run);
  Values in = scalesOf(firstKeys, run);
  const size_t scaleCount = in.size();
  loadQueries(run);
  in.push_back(page);
  in.append(initialState());
  Values done = e.loop(
      firstTile, e.add(lastTile, 1), e.c32(1), in,
      [&](Value tile, ValueRange in) {
        Value base = baseOf(tile), page = in[unsigned(scaleCount)];
        Value next = e.minS(e.add(tile, 1), lastTile);
        Value nextPage = pageOf(next);
        arrive(keys, in.take_front(scaleCount), stage.shared);
        Source source = valuesAt(state, page, base);
        copy(source, valueStart, run);
        Values scales = scalesOf(source, run);
        // Whether a row of the warp sees a position of the tile.
        Value firstRow = e.add(run.position, warpRow);
        Value isActive = both(e.lessThan(warpRow, run.count),
                              isAtMost(base, e.add(firstRow, kWarpRows - 1)));
        if (window)
          isActive = both(isActive, isAtMost(e.add(firstRow, 1 - window),
                                             e.add(base, positions - 1)));
        Values sums = e.ifElse(
            isActive, [&] { return scores(run); },
            [&] { return Values(size_t(positions / 2), e.zero(e.f32())); });
        arrive(values, scales, valueStart);
        Source nextKeys = keysAt(state, nextPage, baseOf(next));
        e.ifThen(e.lessThan(tile, lastTile),
                 [&] { copy(nextKeys, stage.shared, run); });
        Values result = scalesOf(nextKeys, run);
        result.push_back(nextPage);
        ValueRange before = in.drop_front(scaleCount + 1);
        result.append(e.ifElse(
            isActive, [&] { return addTile(run, base, sums, before); },
            [&] { return Values(before); }));
        return result;
      });
  store(run, ValueRange(done).drop_front(scaleCount + 1));
}

void PromptAttend::emit() {
  Value perBlock = stage.field(QCC_GPU_ROWS_PER_BLOCK),
        count = stage.field(QCC_GPU_COUNT);
  // Later rows see more, so that they come first.
  Value last =
      arith::DivUIOp::create(e.b, e.loc, e.sub(count, e.c32(1)), perBlock);
  Value block = e.sub(last, e.blockIndex(gpu::Dimension::y));
  Value first = e.mul(block, perBlock);
  Value end = e.minS(e.add(first, perBlock), count);
  e.loop(first, end, e.c32(1), {first}, [&](Value row, ValueRange next) {
    return e.ifElse(
        e.cmp(arith::CmpIPredicate::eq, row, next[0]),
        [&] {
          Value after = endOfRun(row, end);
          emitRun(row, after);
          return Values{after};
        },
        [&] { return Values{next[0]}; });
  });
}

void nvptx::emitPromptAttend(StageKernel &stage, llm::AttendOp op, Type element,
                             const AttendPlan &plan) {
  PromptAttend attend(stage, op, element, plan);
  stage.kernel.units = unsigned(plan.units);
  stage.kernel.rowsPerBlock = unsigned(AttendPlan::kPromptRows);
  stage.kernel.sharedBytes = unsigned(attend.sharedBytes());
  stage.setBlocksPerMultiprocessor(plan.blocks);
  attend.emit();
}
