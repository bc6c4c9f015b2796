//===- MatmulUnits.cpp - Units of a matmul stage and their results --------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "MatmulUnits.h"

#include "qcc/Codegen/Common/VectorMath.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

MatmulUnits::MatmulUnits(StageKernel &stage, const MatmulPlan &plan)
    : stage(stage), e(stage.e), plan(plan), op(plan.matmul) {
  Value perBlock = stage.field(QCC_GPU_ROWS_PER_BLOCK);
  firstRow = arith::MulIOp::create(e.b, e.loc, e.blockIndex(gpu::Dimension::y),
                                   perBlock);
  valid = e.minU(perBlock, e.sub(stage.field(QCC_GPU_COUNT), firstRow));
}

Value MatmulUnits::isInSegment(const WeightRun::Segment &segment) {
  Value after =
      e.cmp(arith::CmpIPredicate::sge, stage.unit, e.c32(segment.firstUnit));
  Value before = e.lessThan(stage.unit, e.c32(segment.endUnit));
  return arith::AndIOp::create(e.b, e.loc, after, before);
}

Value MatmulUnits::ofSegment(
    function_ref<Value(const WeightRun::Segment &, Value)> each) {
  Value result;
  for (const WeightRun &run : plan.runs)
    for (const WeightRun::Segment &segment : run.segments) {
      Value own = each(segment, e.add(stage.unit, -segment.firstUnit));
      Value here = result ? e.cmp(arith::CmpIPredicate::sge, stage.unit,
                                  e.c32(segment.firstUnit))
                          : Value();
      result = result ? e.select(here, own, result) : own;
    }
  return result;
}

Values MatmulUnits::panels(const WeightRun &run) {
  Value weight, panel;
  for (const WeightRun::Segment &segment : run.segments) {
    Value own = e.add(stage.unit, -segment.firstUnit);
    Value address = stage.address(op.getWeights()[segment.weight]);
    if (!weight) {
      weight = address;
      panel = own;
      continue;
    }
    Value here =
        e.cmp(arith::CmpIPredicate::sge, stage.unit, e.c32(segment.firstUnit));
    weight = e.select(here, address, weight);
    panel = e.select(here, own, panel);
  }
  Values result;
  for (unsigned s = 0; s < run.packed.size(); ++s)
    result.push_back(e.offset(
        s ? stage.address(op.getWeights()[s]) : weight,
        e.mul(e.zext(panel, e.i64()), int64_t(run.packed[s].panelBytes))));
  return result;
}

void MatmulUnits::forRun(function_ref<void(const WeightRun &)> body) {
  if (plan.runs.size() == 1)
    return body(plan.runs.front());
  int64_t begin = 0;
  for (const WeightRun &run : plan.runs) {
    Value after = e.cmp(arith::CmpIPredicate::sge, stage.unit, e.c32(begin));
    Value before = e.lessThan(stage.unit, e.c32(run.endUnit));
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
        Value own = e.add(stage.unit, -segment.firstUnit);
        Value row = e.add(e.mul(own, PackedLayout::kRows), column);
        row = e.minU(row, e.c32(segment.rows - 1));
        Value value =
            e.load(e.f32(), e.offset(stage.address(bias), e.mul(row, 4)),
                   llvm::Align(4));
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

void MatmulUnits::emitEpilogue(Value column, Value row,
                               function_ref<Value(unsigned)> sum) {
  Value first = ofSegment([&](const WeightRun::Segment &segment, Value own) {
    return e.add(e.mul(own, PackedLayout::kRows), segment.firstColumn);
  });
  Value columns = ofSegment([&](const WeightRun::Segment &segment, Value own) {
    return e.minU(e.sub(e.c32(segment.rows), e.mul(own, PackedLayout::kRows)),
                  e.c32(PackedLayout::kRows));
  });
  Value exists = arith::AndIOp::create(e.b, e.loc, e.lessThan(column, columns),
                                       e.lessThan(row, valid));
  e.ifThen(exists, [&] {
    Value result = finish(column, sum);
    Value at = e.add(
        e.mul(e.zext(e.add(firstRow, row), e.i64()), stage.kernel.outputStride),
        e.mul(e.zext(e.add(first, column), e.i64()), 4));
    if (op.getResidual())
      result =
          e.addf(e.load(e.f32(), e.offset(stage.address(op.getResidual()), at),
                        llvm::Align(4)),
                 result);
    e.store(
        result,
        e.offset(plan.isLogits ? stage.field(QCC_GPU_LOGITS) : stage.result(),
                 at),
        llvm::Align(4));
  });
}
