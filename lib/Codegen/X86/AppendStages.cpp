//===- AppendStages.cpp - Stages that write to the KV cache ---------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/Common/StepABI.h"
#include "RowKernels.h"
#include "StageLowering.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

StageLowering::Pages StageLowering::loadPages() {
  auto field = [&](StepField f) {
    return loadStepField(builder, e.loc, step, f);
  };
  return {field(StepField::Position), field(StepField::Sequence),
          field(StepField::PageTable), field(StepField::PagesPerSequence),
          field(StepField::PageStride)};
}

Value qcc::x86::pageOf(Emitter &e, const StageLowering::Pages &pages,
                       Value state, Value row, Value position) {
  Value first = e.mul(loadU32(e, pages.sequences, row), pages.perSequence);
  Value number =
      loadU32(e, pages.table, e.add(first, e.udiv(position, QCC_PAGE_TOKENS)));
  return e.offset(state, e.mul(number, pages.stride));
}

/// The norm of head `head` of the row of Q, K and V at `row`; `first` is the
/// first head that the norm may go over or that the weight is of.
HeadNorm StageLowering::headNorm(llm::RopeAppendOp op, Value weight, Value row,
                                 Value head, int64_t first) {
  HeadNorm norm;
  if (!weight)
    return norm;
  const int64_t headDim = op.getState().getType().getHeadDim();
  auto type = cast<qz::QTensorType>(weight.getType());
  norm.eps = op.getEps().convertToFloat();
  norm.columns = type.getColumns();
  norm.isCentered = op.getCentered();
  norm.weight = place(weight);
  norm.row = e.offset(row, e.mul(head, headDim * 4));
  if (type.getElements() != headDim)
    norm.weight =
        e.offset(norm.weight, e.mul(e.add(head, -first), headDim * 4));
  if (norm.columns != headDim)
    norm.row = e.offset(row, first * headDim * 4);
  return norm;
}

StageLowering::RopeRow StageLowering::ropeRow(llm::RopeAppendOp op, Value row) {
  return {e.offset(place(op.getQkv()), e.mul(row, rowStride(op.getQkv()))),
          e.offset(place(op.getRotations()),
                   e.mul(row, rowStride(op.getRotations())))};
}

/// Writes query head `head`, normed and turned, to `out`, as keys of the state
/// want it.
void StageLowering::ropeQuery(llm::RopeAppendOp op, const AttentionShape &shape,
                              const RopeRow &row, Value head, Value out) {
  const int64_t headDim = shape.headDim;
  RopeShape rope{headDim, columnsOf(op.getRotations()) / 2, op.getAdjacent()};
  ropeHead(e, context.isa, rope, e.offset(row.qkv, e.mul(head, headDim * 4)),
           headNorm(op, op.getQueryNorm(), row.qkv, head, 0), row.rotations,
           op.getScale().convertToFloat(), out);
  mixQuery(e, shape, out);
}

/// Stores the key of KV head `head` in the page of its position. `turned` has
/// room for it.
void StageLowering::ropeKey(llm::RopeAppendOp op, const AttentionShape &shape,
                            const RopeRow &row, Value head, Value page,
                            Value position, Value turned) {
  RopeShape rope{shape.headDim, columnsOf(op.getRotations()) / 2,
                 op.getAdjacent()};
  Value all = e.add(head, shape.heads);
  ropeHead(e, context.isa, rope,
           e.offset(row.qkv, e.mul(all, shape.headDim * 4)),
           headNorm(op, op.getKeyNorm(), row.qkv, all, shape.heads),
           row.rotations, 1.0f, turned);
  appendKey(e, shape, page, head, position, turned);
}

/// Stores the value of KV head `head` in the page of its position.
void StageLowering::storeValue(const AttentionShape &shape, const RopeRow &row,
                               Value head, Value page, Value position) {
  Value all = e.add(head, shape.heads + shape.kvHeads);
  appendValue(e, context.isa, shape, page, head, position,
              e.offset(row.qkv, e.mul(all, shape.headDim * 4)));
}

void StageLowering::lowerRopeAppend(llm::RopeAppendOp op) {
  AttentionShape shape = context.attentionShape(op.getState().getType(),
                                                columnsOf(op.getResult()));
  int64_t heads = shape.heads + 2 * shape.kvHeads;
  Pages pages = loadPages();
  forUnits(e.mul(rows, heads), [&](Value unit) {
    Value row = e.udiv(unit, heads), head = e.urem(unit, heads);
    RopeRow own = ropeRow(op, row);
    auto between = [&](int64_t first, int64_t count) {
      return e.cmp(arith::CmpIPredicate::ult, e.add(head, -first),
                   e.c64(count));
    };
    e.ifThen(between(0, shape.heads), [&] {
      ropeQuery(op, shape, own, head,
                e.offset(place(op.getResult()),
                         e.add(e.mul(row, rowStride(op.getResult())),
                               e.mul(head, shape.headDim * 4))));
    });
    auto append = [&](int64_t first,
                      function_ref<void(Value, Value, Value)> body) {
      e.ifThen(between(first, shape.kvHeads), [&] {
        Value position = loadU32(e, pages.positions, row);
        body(e.add(head, -first),
             pageOf(e, pages, place(op.getState()), row, position), position);
      });
    };
    append(shape.heads, [&](Value kvHead, Value page, Value position) {
      // Other heads of the row still read this one where it is.
      ropeKey(op, shape, own, kvHead, page, position,
              e.offset(scratch, context.scratchOffset));
    });
    append(shape.heads + shape.kvHeads,
           [&](Value kvHead, Value page, Value position) {
             storeValue(shape, own, kvHead, page, position);
           });
  });
}

void StageLowering::lowerLatentAppend(llm::LatentAppendOp op) {
  AttentionShape shape = context.attentionShape(op.getState().getType(),
                                                columnsOf(op.getResult()));
  const int64_t turned = columnsOf(op.getRotations());
  const int64_t latent = shape.valueDim, latentAt = turned * 4;
  RopeShape rope{turned, turned / 2, op.getAdjacent()};
  Pages pages = loadPages();
  auto at = [&](Value rows, Value row) {
    return e.offset(place(rows), e.mul(row, rowStride(rows)));
  };
  // A unit is a query head, or the key.
  const int64_t units = shape.heads + 1;
  forUnits(e.mul(rows, units), [&](Value unit) {
    Value row = e.udiv(unit, units), head = e.urem(unit, units);
    Value rotations = at(op.getRotations(), row), last = e.c64(shape.heads);
    e.ifThen(e.cmp(arith::CmpIPredicate::ult, head, last), [&] {
      const float scale = op.getScale().convertToFloat();
      Value out =
          e.offset(at(op.getResult(), row), e.mul(head, shape.headDim * 4));
      ropeHead(e, context.isa, rope,
               e.offset(at(op.getQuery(), row), e.mul(head, turned * 4)),
               HeadNorm(), rotations, scale, out);
      scaleRow(e, context.isa,
               e.offset(at(op.getLatentQuery(), row), e.mul(head, latent * 4)),
               Value(), e.constant(e.f32(), double(scale)),
               e.offset(out, latentAt), latent);
      mixQuery(e, shape, out);
    });
    e.ifThen(e.cmp(arith::CmpIPredicate::eq, head, last), [&] {
      Value in = at(op.getKey(), row);
      Value key = e.offset(scratch, context.scratchOffset);
      ropeHead(e, context.isa, rope, in, HeadNorm(), rotations, 1.0f, key);
      Value from = e.offset(in, latentAt), value = e.offset(key, latentAt);
      scaleRow(e, context.isa, from, place(op.getNorm()),
               inverseRms(e, context.isa, from, latent,
                          op.getEps().convertToFloat()),
               value, latent);
      Value position = loadU32(e, pages.positions, row);
      Value page = pageOf(e, pages, place(op.getState()), row, position);
      appendKey(e, shape, page, e.c64(0), position, key);
      appendValue(e, context.isa, shape, page, e.c64(0), position, value);
    });
  });
}
