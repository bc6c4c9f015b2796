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

/// Of the queries that a unit of attention turns for itself.
static int64_t ownQueryBytes(const Isa &isa, const AttentionShape &shape) {
  return (headsTogether(isa, shape) * shape.headDim * 4 + 63) / 64 * 64;
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
  operands.pageStride = pages.stride;
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
                   place(op.getState()), head, heads, stageScratch());
    });
  };
  const int64_t blockRows = promptBlockRows(context.isa, shape);
  Value count = e.udiv(e.add(rows, blockRows - 1), blockRows);
  forUnitsThereAndBack(e.mul(count, blocks.units()), [&](Value number) {
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

llm::RopeAppendOp StageLowering::ownRope(llm::AttendOp op) const {
  if (mode.prompt || mode.tile != 1)
    return {};
  auto rope = op.getQuery().getDefiningOp<llm::RopeAppendOp>();
  return rope && rope.getResult().hasOneUse() &&
                 rope.getState() == op.getState()
             ? rope
             : llm::RopeAppendOp();
}

bool StageLowering::isLeftToAttend(Operation *op) const {
  auto rope = dyn_cast<llm::RopeAppendOp>(op);
  return rope &&
         llvm::any_of(rope.getResult().getUsers(), [&](Operation *user) {
           auto attend = dyn_cast<llm::AttendOp>(user);
           return attend && ownRope(attend) == rope;
         });
}

/// Attention in generating steps: units are parts of what a row sees. Who ends
/// the last part of a row merges them. A step of one row turns its queries in
/// every unit and appends in those of the last part, which saves a barrier; of
/// several rows one may see what another appends.
void StageLowering::lowerAttendParts(llm::AttendOp op,
                                     const AttentionShape &shape) {
  llm::RopeAppendOp rope = ownRope(op);
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
    Value start = pageOf(e, pages, this->place(op.getState()), row,
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
        Value memory = stageScratch();
        if (rope) {
          own.query = memory;
          RopeRow input = ropeRow(rope, row);
          for (int64_t h = 0; h < heads; ++h)
            ropeQuery(rope, shape, input, e.add(first, h),
                      e.offset(memory, h * shape.headDim * 4));
          memory = e.offset(memory, ownQueryBytes(isa, shape));
          e.ifThen(e.cmp(arith::CmpIPredicate::eq, e.add(part, 1), parts.count),
                   [&] {
                     Value position = own.positions[0];
                     Value page = pageOf(e, pages, this->place(op.getState()),
                                         row, position);
                     ropeKey(rope, shape, input, head, page, position, memory);
                     storeValue(shape, input, head, page, position);
                   });
        }
        attendPart(e, isa, shape, window, own, parts, part,
                   this->place(op.getState()), head, heads,
                   e.offset(results, e.mul(part, partBytes)), after, memory);
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

int64_t qcc::x86::attendStageBytes(const Isa &isa,
                                   const AttentionShape &shape) {
  // A key that is turned is gone before anything is attended to.
  return ownQueryBytes(isa, shape) +
         std::max(attendScratchBytes(isa, shape), shape.headDim * 4);
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
                 place(op.getState()), head, heads, stageScratch());
    });
  };
  int64_t tile = attentionTile(context.isa, shape);
  Value tiles = e.udiv(e.add(rows, tile - 1), tile);
  const int64_t units = blocks.units();
  forUnitsThereAndBack(e.mul(tiles, units), [&](Value number) {
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
