//===- AttentionStages.cpp - The stages of attention ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/Common/StepABI.h"
#include "RowKernels.h"
#include "StageLowering.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

/// Of the count of parts done of a row and block of heads.
static constexpr int64_t kPartsDoneBytes = 8;

StageLowering::Pages StageLowering::loadPages() {
  auto field = [&](StepField f) {
    return loadStepField(builder, e.loc, step, f);
  };
  return {field(StepField::Position), field(StepField::Sequence),
          field(StepField::PageTable), field(StepField::PagesPerSequence)};
}

/// The page of `state` that has `position` of a row's sequence.
static Value pageOf(Emitter &e, const AttentionShape &shape,
                    const StageLowering::Pages &pages, Value state, Value row,
                    Value position) {
  Value first = e.mul(loadU32(e, pages.sequences, row), pages.perSequence);
  Value number =
      loadU32(e, pages.table, e.add(first, e.udiv(position, QCC_PAGE_TOKENS)));
  return e.offset(state, e.mul(number, shape.pageBytes()));
}

void StageLowering::lowerRopeAppend(llm::RopeAppendOp op) {
  llm::StateType type = op.getState().getType();
  AttentionShape shape =
      context.attentionShape(type, columnsOf(op.getResult()));
  RopeShape rope{shape.headDim, columnsOf(op.getRotations()) / 2,
                 op.getAdjacent()};
  int64_t headBytes = shape.headDim * 4;
  int64_t heads = shape.heads + 2 * shape.kvHeads;
  Pages pages = loadPages();

  forUnits(e.mul(rows, heads), [&](Value unit) {
    Value row = e.udiv(unit, heads), head = e.urem(unit, heads);
    Value rowStart =
        e.offset(place(op.getQkv()), e.mul(row, rowStride(op.getQkv())));
    Value in = e.offset(rowStart, e.mul(head, headBytes));
    Value rotations = e.offset(place(op.getRotations()),
                               e.mul(row, rowStride(op.getRotations())));
    auto below = [&](int64_t limit) {
      return e.cmp(arith::CmpIPredicate::ult, head, e.c64(limit));
    };
    auto notBelow = [&](int64_t limit) {
      return e.cmp(arith::CmpIPredicate::uge, head, e.c64(limit));
    };
    // The norm of this head, where `first` is the first that it may go over or
    // that the weight is of.
    auto normOf = [&](Value weight, int64_t first) {
      HeadNorm norm;
      if (!weight)
        return norm;
      norm.eps = op.getEps().convertToFloat();
      auto type = cast<qz::QTensorType>(weight.getType());
      norm.columns = type.getColumns();
      norm.isCentered = op.getCentered();
      norm.weight = place(weight);
      norm.row = in;
      if (type.getElements() != shape.headDim)
        norm.weight =
            e.offset(norm.weight, e.mul(e.add(head, -first), headBytes));
      if (norm.columns != shape.headDim)
        norm.row = e.offset(rowStart, first * headBytes);
      return norm;
    };
    e.ifThen(below(shape.heads), [&] {
      Value out = e.offset(
          place(op.getResult()),
          e.add(e.mul(row, rowStride(op.getResult())), e.mul(head, headBytes)));
      ropeHead(e, context.isa, rope, in, normOf(op.getQueryNorm(), 0),
               rotations, op.getScale().convertToFloat(), out);
    });
    e.ifThen(notBelow(shape.heads), [&] {
      Value position = loadU32(e, pages.positions, row);
      Value page = pageOf(e, shape, pages, place(op.getState()), row, position);
      e.ifThen(below(shape.heads + shape.kvHeads), [&] {
        // Other heads of the row still read this one where it is.
        Value key = e.offset(scratch, context.scratchOffset);
        ropeHead(e, context.isa, rope, in, normOf(op.getKeyNorm(), shape.heads),
                 rotations, 1.0f, key);
        appendKey(e, shape, page, e.add(head, -shape.heads), position, key);
      });
      e.ifThen(notBelow(shape.heads + shape.kvHeads), [&] {
        appendValue(e, context.isa, shape, page,
                    e.add(head, -(shape.heads + shape.kvHeads)), position, in);
      });
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
      Value page = pageOf(e, shape, pages, place(op.getState()), row, position);
      appendKey(e, shape, page, e.c64(0), position, key);
      appendValue(e, context.isa, shape, page, e.c64(0), position, value);
    });
  });
}

AttentionOperands StageLowering::attentionOperands(llm::AttendOp op,
                                                   const AttentionShape &shape,
                                                   const Pages &pages,
                                                   Value row, Value head) {
  AttentionOperands operands;
  operands.queryStride = rowStride(op.getQuery());
  operands.outStride = rowStride(op.getResult());
  operands.query =
      e.offset(place(op.getQuery()), e.add(e.mul(row, operands.queryStride),
                                           e.mul(head, shape.headDim * 4)));
  operands.out =
      e.offset(place(op.getResult()), e.add(e.mul(row, operands.outStride),
                                            e.mul(head, shape.valueDim * 4)));
  operands.pages = e.offset(
      pages.table,
      e.mul(e.mul(loadU32(e, pages.sequences, row), pages.perSequence), 4));
  if (op.getSinks())
    operands.sinks = e.offset(place(op.getSinks()), e.mul(head, 4));
  return operands;
}

namespace {
/// The query heads of each KV head in blocks of those that go together, of
/// which the last may be smaller.
struct HeadBlocks {
  HeadBlocks(const Isa &isa, const AttentionShape &shape)
      : group(shape.group()), together(headsTogether(isa, shape)),
        count((group + together - 1) / together), kvHeads(shape.kvHeads) {}

  int64_t units() const { return kvHeads * count; }

  /// `body` with the KV head of `unit`, the first of its query heads and their
  /// number.
  void visit(Emitter &e, Value unit,
             function_ref<void(Value, Value, int64_t)> body) const {
    Value head = e.udiv(unit, count), block = e.urem(unit, count);
    Value first = e.add(e.mul(head, group), e.mul(block, together));
    const int64_t rest = group - (count - 1) * together;
    if (rest == together)
      return body(head, first, together);
    Value last = e.c64(count - 1);
    if (count > 1)
      e.ifThen(e.cmp(arith::CmpIPredicate::ne, block, last),
               [&] { body(head, first, together); });
    e.ifThen(e.cmp(arith::CmpIPredicate::eq, block, last),
             [&] { body(head, first, rest); });
  }

  int64_t group, together, count, kvHeads;
};
} // namespace

/// Attention in prompt steps with products of bf16: units are blocks of rows,
/// of which those of one sequence go together.
void StageLowering::lowerAttendPrompt(llm::AttendOp op,
                                      const AttentionShape &shape) {
  Pages pages = loadPages();
  HeadBlocks blocks(context.isa, shape);
  auto attend = [&](Value row, Value count, Value unit) {
    blocks.visit(e, unit, [&](Value head, Value first, int64_t heads) {
      PromptRows part{attentionOperands(op, shape, pages, row, first),
                      e.offset(pages.positions, e.mul(row, 4)), count};
      attendPrompt(e, context.isa, shape, op.getWindow(), part,
                   place(op.getState()), head, heads,
                   e.offset(scratch, context.scratchOffset));
    });
  };
  const int64_t blockRows = promptBlockRows(context.isa, shape);
  Value count = e.udiv(e.add(rows, blockRows - 1), blockRows);
  forUnitsInTurn(e.mul(count, blocks.units()), [&](Value number) {
    Value unit = e.urem(number, blocks.units());
    Value begin = e.mul(e.udiv(number, blocks.units()), blockRows);
    Value end = e.minU(e.add(begin, blockRows), rows);
    e.loop(begin, end, e.c64(1), begin, [&](Value row, ValueRange start) {
      Value next = e.add(row, 1), last = e.add(end, -1);
      Value isEnd = arith::OrIOp::create(
          builder, e.loc, e.cmp(arith::CmpIPredicate::eq, next, end),
          e.cmp(arith::CmpIPredicate::ne, loadU32(e, pages.sequences, row),
                loadU32(e, pages.sequences, e.minU(next, last))));
      e.ifThen(isEnd, [&] { attend(start[0], e.sub(next, start[0]), unit); });
      return Values{e.select(isEnd, next, start[0])};
    });
  });
}

/// Attention in generating steps: units are parts of what a row sees. Who ends
/// the last part of a row merges them.
void StageLowering::lowerAttendParts(llm::AttendOp op,
                                     const AttentionShape &shape) {
  const Isa &isa = context.isa;
  const int64_t window = op.getWindow();
  Pages pages = loadPages();
  HeadBlocks blocks(isa, shape);
  auto partsOf = [&](Value row) {
    return attentionParts(e, window, loadU32(e, pages.positions, row));
  };
  Value most =
      e.loop(e.c64(0), rows, e.c64(1), e.c64(1), [&](Value row, ValueRange in) {
        return Values{e.maxU(in[0], partsOf(row).count)};
      })[0];
  Value places = e.mul(rows, blocks.units());
  Value units = e.mul(most, places);
  // Where unit `number` starts to read, as far as there is such a unit.
  auto startOf = [&](Value number) {
    number = e.minU(number, e.add(units, -1));
    Value place = arith::RemUIOp::create(builder, e.loc, number, places);
    Value part = arith::DivUIOp::create(builder, e.loc, number, places);
    Value row = e.udiv(place, blocks.units());
    AttentionParts parts = partsOf(row);
    Value page = e.minU(e.add(parts.first, e.mul(part, parts.pages)),
                        e.add(parts.end, -1));
    Value start = pageOf(e, shape, pages, this->place(op.getState()), row,
                         e.mul(page, QCC_PAGE_TOKENS));
    Value head = e.udiv(e.urem(place, blocks.units()), blocks.count);
    return e.offset(start, e.mul(head, shape.headBytes()));
  };
  const int64_t partBytes = attentionPartBytes(isa, shape);
  forUnitsInTurn(units, [&](Value number) {
    Value place = arith::RemUIOp::create(builder, e.loc, number, places);
    Value part = arith::DivUIOp::create(builder, e.loc, number, places);
    Value row = e.udiv(place, blocks.units());
    Value unit = e.urem(place, blocks.units());
    AttentionParts parts = partsOf(row);
    Value after = startOf(e.add(number, threads));
    e.ifThen(e.cmp(arith::CmpIPredicate::ult, part, parts.count), [&] {
      Value results = e.offset(
          arena, e.add(e.mul(place, kMostParts * partBytes), context.partsAt));
      Value done = e.offset(
          arena, e.add(e.mul(place, kPartsDoneBytes), context.partsDoneAt));
      blocks.visit(e, unit, [&](Value head, Value first, int64_t heads) {
        AttentionRows own{attentionOperands(op, shape, pages, row, first),
                          {loadU32(e, pages.positions, row)}};
        attendPart(e, isa, shape, window, own, parts, part,
                   this->place(op.getState()), head, heads,
                   e.offset(results, e.mul(part, partBytes)), after,
                   e.offset(scratch, context.scratchOffset));
        Value before = LLVM::AtomicRMWOp::create(
            builder, e.loc, LLVM::AtomicBinOp::add, done, e.c64(1),
            LLVM::AtomicOrdering::acq_rel);
        e.ifThen(e.cmp(arith::CmpIPredicate::eq, e.add(before, 1), parts.count),
                 [&] {
                   e.store(e.c64(0), done, llvm::Align(8));
                   mergeParts(e, isa, shape, own, parts, heads, results);
                 });
      });
    });
  });
}

void StageLowering::clearPartsDone() {
  e.ifThen(e.cmp(arith::CmpIPredicate::eq, thread, e.c64(0)), [&] {
    e.loop(e.c64(context.partsDoneAt), e.c64(context.partsAt), kPartsDoneBytes,
           [&](Value at) {
             e.store(e.c64(0), e.offset(arena, at), llvm::Align(8));
           });
  });
}

void LoweringContext::planParts(int64_t &bytes) {
  int64_t places = 0, results = 0;
  source.walk([&](llm::AttendOp op) {
    AttentionShape shape =
        attentionShape(op.getState().getType(), columnsOf(op.getQuery()));
    int64_t count = QCC_GENERATE_ROWS * HeadBlocks(isa, shape).units();
    places = std::max(places, count);
    results =
        std::max(results, count * kMostParts * attentionPartBytes(isa, shape));
  });
  partsDoneAt = (bytes + 63) / 64 * 64;
  partsAt = partsDoneAt + places * kPartsDoneBytes;
  bytes = partsAt + results;
}

/// Attention in prompt steps in f32.
void StageLowering::lowerAttendTiles(llm::AttendOp op,
                                     const AttentionShape &shape) {
  Pages pages = loadPages();
  HeadBlocks blocks(context.isa, shape);
  // Attention of `count` rows of one sequence.
  auto attend = [&](Value row, int64_t count, Value unit) {
    blocks.visit(e, unit, [&](Value head, Value first, int64_t heads) {
      AttentionRows part{attentionOperands(op, shape, pages, row, first), {}};
      for (int64_t i = 0; i < count; ++i)
        part.positions.push_back(loadU32(e, pages.positions, e.add(row, i)));
      attendRows(e, context.isa, shape, op.getWindow(), part,
                 place(op.getState()), head, heads,
                 e.offset(scratch, context.scratchOffset));
    });
  };
  int64_t tile = attentionTile(context.isa, shape);
  Value tiles = e.udiv(e.add(rows, tile - 1), tile);
  const int64_t units = blocks.units();
  forUnitsInTurn(e.mul(tiles, units), [&](Value number) {
    Value first = e.mul(e.udiv(number, units), tile);
    Value unit = e.urem(number, units);
    if (tile == 1)
      return attend(first, 1, unit);
    // Whole tiles of one sequence go together, other rows one by one.
    Value end = e.minU(e.add(first, tile), rows);
    Value last = e.add(end, -1);
    Value isTogether = arith::AndIOp::create(
        builder, e.loc,
        e.cmp(arith::CmpIPredicate::eq, e.sub(end, first), e.c64(tile)),
        e.cmp(arith::CmpIPredicate::eq, loadU32(e, pages.sequences, first),
              loadU32(e, pages.sequences, last)));
    for (int64_t i = 1; i + 1 < tile; ++i) {
      Value middle = e.minU(e.add(first, i), last);
      isTogether = arith::AndIOp::create(
          builder, e.loc, isTogether,
          e.cmp(arith::CmpIPredicate::eq, loadU32(e, pages.sequences, first),
                loadU32(e, pages.sequences, middle)));
    }
    e.ifThen(isTogether, [&] { attend(first, tile, unit); });
    Value from = e.select(isTogether, end, first);
    e.loop(from, end, 1, [&](Value row) { attend(row, 1, unit); });
  });
}

void StageLowering::lowerAttend(llm::AttendOp op) {
  AttentionShape shape =
      context.attentionShape(op.getState().getType(), columnsOf(op.getQuery()));
  shape.softcap = op.getSoftcap().convertToFloat();
  if (!mode.prompt)
    return lowerAttendParts(op, shape);
  if (op.getPromptHalves() && context.isa.hasHalfProducts)
    return lowerAttendPrompt(op, shape);
  lowerAttendTiles(op, shape);
}
