//===- MatmulUnits.cpp - Units of a matmul stage and their results --------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "MatmulUnits.h"

#include "qcc/Codegen/Common/VectorMath.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

static Value loadIndex(WarpEmitter &e, Value row, Value slot) {
  Value number = e.load(e.f32(), e.offset(row, e.mul(slot, 4)), llvm::Align(4));
  return e.floatToInt(number, e.i32());
}

MatmulUnits::MatmulUnits(StageKernel &stage, const MatmulPlan &plan,
                         Value number, Value tileNumber)
    : stage(stage), e(stage.e), plan(plan), op(plan.matmul),
      unit(number ? number : stage.unit) {
  Value perBlock = stage.field(QCC_GPU_ROWS_PER_BLOCK);
  firstRow = e.mul(tileNumber ? tileNumber : e.blockIndex(gpu::Dimension::y),
                   perBlock);
  rows = e.minU(perBlock, e.sub(stage.field(QCC_GPU_COUNT), firstRow));
  valid = rows;
  if (!plan.experts)
    return;
  // Which weights a block needs is for the stage before to say.
  if (!plan.experts->isEvery)
    stage.awaitStages();
  unit = e.urem(stage.unit, plan.units);
  expert = e.udiv(stage.unit, plan.units);
  if (plan.experts->byExpert)
    return;
  slot = expert;
  if (!plan.experts->isEvery)
    expert = loadIndex(e, stage.rowOf(op.getExperts(), firstRow), slot);
}

/// Lists the block's rows that have its expert in some slot, as row * slots +
/// slot, in their order; how many there are. All threads take part.
Value MatmulUnits::listRows() {
  const int64_t slots = plan.experts->slots;
  Value counts = e.offset(stage.shared, plan.listOffset);
  auto countOf = [&](Value warp) { return e.offset(counts, e.mul(warp, 4)); };
  // Every thread takes part in each turn, since votes need all lanes.
  return e.loop(
      e.c32(0), rows, e.c32(kThreads), {e.c32(0)},
      [&](Value start, ValueRange before) {
        Value row = e.add(start, stage.thread);
        Value exists = e.lessThan(row, rows);
        row = e.add(firstRow, e.minU(row, e.add(rows, -1)));
        Value route = stage.rowOf(op.getExperts(), row);
        Value found = e.loop(e.c32(0), e.c32(slots), e.c32(1), {e.c32(slots)},
                             [&](Value s, ValueRange in) {
                               Value isIt =
                                   e.cmp(arith::CmpIPredicate::eq,
                                         loadIndex(e, route, s), expert);
                               return Values{e.select(isIt, s, in[0])};
                             })[0];
        Value isListed = arith::AndIOp::create(e.b, e.loc, exists,
                                               e.lessThan(found, e.c32(slots)));
        Value votes = e.ballot(isListed);
        e.ifThen(stage.isFirstLane(), [&] {
          e.store(e.popcount(votes), countOf(stage.warp), llvm::Align(4));
        });
        e.blockBarrier();
        Value place = before[0], total = before[0];
        for (int64_t w = 0; w < kWarps; ++w) {
          Value count = e.load(e.i32(), countOf(e.c32(w)), llvm::Align(4));
          Value isBefore = e.lessThan(e.c32(w), stage.warp);
          place = e.add(place, e.select(isBefore, count, e.c32(0)));
          total = e.add(total, count);
        }
        Value below = e.add(e.shiftLeft(e.c32(1), stage.lane), -1);
        place = e.add(
            place, e.popcount(arith::AndIOp::create(e.b, e.loc, votes, below)));
        e.ifThen(isListed, [&] {
          e.store(e.add(e.mul(row, slots), found),
                  e.offset(list(), e.mul(place, 4)), llvm::Align(4));
        });
        e.blockBarrier();
        return Values{total};
      })[0];
}

void MatmulUnits::forTiles(function_ref<void()> body) {
  if (!plan.experts || !plan.experts->byExpert)
    return body();
  Value count = listRows();
  e.loop(e.c32(0), count, plan.tileRows, [&](Value first) {
    tile = first;
    valid = e.minU(e.c32(plan.tileRows), e.sub(count, first));
    body();
    e.blockBarrier();
  });
}

MatmulUnits::Place MatmulUnits::placeOf(Value row) {
  if (!plan.experts || !plan.experts->byExpert)
    return {e.add(firstRow, row), slot};
  Value entry = e.load(e.i32(), e.offset(list(), e.mul(e.add(tile, row), 4)),
                       llvm::Align(4));
  return {e.udiv(entry, plan.experts->slots),
          e.urem(entry, plan.experts->slots)};
}

Value MatmulUnits::inputRow(Value row) {
  qz::QuantizeOp quantize = plan.quantize;
  Place place = placeOf(row);
  Value address = stage.rowOf(quantize.getInput(), place.row);
  if (!plan.experts || plan.experts->isShared)
    return address;
  return e.offset(address, e.mul(place.slot, plan.k * 4));
}

/// What belongs to the block's expert of something that has `bytes` for each.
Value MatmulUnits::ofExpert(Value address, int64_t bytes) {
  return expert ? e.offset(address, e.mul(e.zext(expert, e.i64()), bytes))
                : address;
}

Value MatmulUnits::isInSegment(const WeightRun::Segment &segment) {
  Value after =
      e.cmp(arith::CmpIPredicate::sge, unit, e.c32(segment.firstUnit));
  Value before = e.lessThan(unit, e.c32(segment.endUnit));
  return arith::AndIOp::create(e.b, e.loc, after, before);
}

Value MatmulUnits::ofSegment(
    function_ref<Value(const WeightRun::Segment &, Value)> each) {
  Value result;
  for (const WeightRun &run : plan.runs)
    for (const WeightRun::Segment &segment : run.segments) {
      Value own = each(segment, e.add(unit, -segment.firstUnit));
      Value here = result ? e.cmp(arith::CmpIPredicate::sge, unit,
                                  e.c32(segment.firstUnit))
                          : Value();
      result = result ? e.select(here, own, result) : own;
    }
  return result;
}

/// Bytes of the matrix of one expert.
static int64_t matrixBytes(const PackedWeight &packed,
                           const WeightRun::Segment &segment) {
  return int64_t(packed.bytes(size_t(segment.rows)));
}

Values MatmulUnits::panels(const WeightRun &run) {
  Value weight, panel;
  for (const WeightRun::Segment &segment : run.segments) {
    Value own = e.add(unit, -segment.firstUnit);
    Value address = stage.address(op.getWeights()[segment.weight]);
    address = ofExpert(address, matrixBytes(run.packed[0], segment));
    if (!weight) {
      weight = address;
      panel = own;
      continue;
    }
    Value here =
        e.cmp(arith::CmpIPredicate::sge, unit, e.c32(segment.firstUnit));
    weight = e.select(here, address, weight);
    panel = e.select(here, own, panel);
  }
  Values result;
  for (unsigned s = 0; s < run.packed.size(); ++s) {
    Value start = weight;
    if (s)
      start = ofExpert(stage.address(op.getWeights()[s]),
                       matrixBytes(run.packed[s], run.segments[0]));
    result.push_back(e.offset(start, e.mul(e.zext(panel, e.i64()),
                                           int64_t(run.packed[s].panelBytes))));
  }
  return result;
}

void MatmulUnits::forRun(function_ref<void(const WeightRun &)> body) {
  if (plan.runs.size() == 1)
    return body(plan.runs.front());
  int64_t begin = 0;
  for (const WeightRun &run : plan.runs) {
    Value after = e.cmp(arith::CmpIPredicate::sge, unit, e.c32(begin));
    Value before = e.lessThan(unit, e.c32(run.endUnit));
    e.ifThen(arith::AndIOp::create(e.b, e.loc, after, before),
             [&] { body(run); });
    begin = run.endUnit;
  }
}

/// Adds the bias of the weight that stream `stream` of the unit belongs to.
Value MatmulUnits::withBias(Value sum, unsigned stream, Value column) {
  for (auto [bias, of] : llvm::zip_equal(op.getBiases(), op.getBiasOf())) {
    if (op.isGlu() && of != int64_t(stream))
      continue;
    for (const WeightRun &run : plan.runs)
      for (const WeightRun::Segment &segment : run.segments) {
        if (!op.isGlu() && of != int64_t(segment.weight))
          continue;
        // Read where it exists, and used where the unit is the weight's.
        Value own = e.add(unit, -segment.firstUnit);
        Value row = e.add(e.mul(own, PackedLayout::kRows), column);
        row = e.minU(row, e.c32(segment.rows - 1));
        Value start = ofExpert(stage.address(bias), segment.rows * 4);
        Value value =
            e.load(e.f32(), e.offset(start, e.mul(row, 4)), llvm::Align(4));
        sum = e.select(isInSegment(segment), e.addf(sum, value), sum);
      }
  }
  return sum;
}

Value MatmulUnits::finish(Value column, function_ref<Value(unsigned)> sum) {
  Value result = withBias(sum(0), 0, column);
  if (op.isGlu()) {
    Value up = withBias(sum(1), 1, column);
    if (op.getEpilogue() == qz::Epilogue::GluClampedSwiglu)
      return emitClampedSwiglu(e, result, up);
    return e.mulf(emitActivation(e, op.getEpilogue(), result), up);
  }
  result = emitActivation(e, op.getEpilogue(), result);
  if (op.getEpilogue() == qz::Epilogue::Logits) {
    result = e.mulf(result, double(op.getScale()->convertToFloat()));
    if (double cap = op.getSoftcap()->convertToFloat(); cap != 0)
      result = emitSoftcap(e, result, cap);
  }
  return result;
}

Value MatmulUnits::firstColumn() {
  return ofSegment([&](const WeightRun::Segment &segment, Value own) {
    return e.add(e.mul(own, PackedLayout::kRows), segment.firstColumn);
  });
}

Value MatmulUnits::columnCount() {
  return ofSegment([&](const WeightRun::Segment &segment, Value own) {
    return e.minU(e.sub(e.c32(segment.rows), e.mul(own, PackedLayout::kRows)),
                  e.c32(PackedLayout::kRows));
  });
}

void MatmulUnits::emitResults(
    ArrayRef<Value> columns, ArrayRef<Value> rows, Value exists,
    function_ref<Value(unsigned, size_t, size_t)> sum) {
  Value first = firstColumn(), count = columnCount();
  auto at = [&](size_t c, Value row) {
    Value start =
        e.mul(e.zext(e.add(firstRow, row), e.i64()), stage.kernel.outputStride);
    Value column = e.minU(columns[c], e.add(count, -1));
    return e.add(start, e.mul(e.zext(e.add(first, column), e.i64()), 4));
  };
  Values residuals;
  if (op.getResidual())
    for (size_t c = 0; c < columns.size(); ++c)
      for (Value row : rows)
        residuals.push_back(
            e.load(e.f32(),
                   e.offset(stage.address(op.getResidual()),
                            at(c, e.minU(row, e.add(valid, -1)))),
                   llvm::Align(4)));
  for (size_t c = 0; c < columns.size(); ++c)
    for (size_t r = 0; r < rows.size(); ++r) {
      Value result = finish(columns[c],
                            [&](unsigned stream) { return sum(stream, c, r); });
      if (op.getResidual())
        result = e.addf(residuals[c * rows.size() + r], result);
      Value isThere =
          arith::AndIOp::create(e.b, e.loc, e.lessThan(columns[c], count),
                                e.lessThan(rows[r], valid));
      isThere = arith::AndIOp::create(e.b, e.loc, isThere, exists);
      e.ifThen(isThere, [&] {
        e.store(result, e.offset(stage.result(), at(c, rows[r])),
                llvm::Align(4));
      });
    }
}

Value MatmulUnits::place(Value column, Value row) {
  Place place = placeOf(row);
  Value at = e.add(e.mul(e.zext(place.row, e.i64()), stage.kernel.outputStride),
                   e.mul(e.zext(e.add(firstColumn(), column), e.i64()), 4));
  if (!place.slot)
    return at;
  int64_t slotBytes = columnsOf(op.getResult()) / plan.experts->slots * 4;
  return e.add(at, e.mul(e.zext(place.slot, e.i64()), slotBytes));
}

Value MatmulUnits::loadResidual(Value column, Value row) {
  if (!op.getResidual())
    return {};
  column = e.minU(column, e.add(columnCount(), -1));
  row = e.minU(row, e.add(valid, -1));
  return e.load(e.f32(),
                e.offset(stage.address(op.getResidual()), place(column, row)),
                llvm::Align(4));
}

void MatmulUnits::emitEpilogue(Value column, Value row, Value residual,
                               function_ref<Value(unsigned)> sum) {
  Value exists = arith::AndIOp::create(
      e.b, e.loc, e.lessThan(column, columnCount()), e.lessThan(row, valid));
  e.ifThen(exists, [&] {
    Value result = finish(column, sum);
    if (residual)
      result = e.addf(residual, result);
    Value to = plan.isLogits ? stage.field(QCC_GPU_LOGITS) : stage.result();
    e.store(result, e.offset(to, place(column, row)), llvm::Align(4));
  });
}
