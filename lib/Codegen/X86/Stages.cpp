//===- Stages.cpp - The stages of a step ----------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "RowKernels.h"
#include "StageLowering.h"
#include "qcc/Codegen/Common/StepABI.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

static int64_t columnsOf(Value rows) {
  return cast<RankedTensorType>(rows.getType()).getDimSize(1);
}

void StageLowering::lowerEmbedding(llm::EmbeddingOp op) {
  Value tokens = loadStepField(builder, e.loc, step, StepField::Token);
  Value table = place(op.getTable()), out = place(op.getResult());
  auto type = cast<qz::QTensorType>(op.getTable().getType());
  PackedLayout layout(type.getEncoding().toEncoding());
  forUnits(rows, [&](Value row) {
    Value token =
        e.zext(e.load(e.i32(), e.offset(tokens, e.mul(row, 4))), e.i64());
    embeddingRow(e, context.isa, layout, type.getColumns(), table, token,
                 op.getScale().convertToFloat(),
                 e.offset(out, e.mul(row, rowStride(op.getResult()))));
  });
}

void StageLowering::lowerRotations(llm::RotationsOp op) {
  Value positions = loadStepField(builder, e.loc, step, StepField::Position);
  ArrayRef<float> frequencies = op.getFrequencies();
  auto type =
      RankedTensorType::get({int64_t(frequencies.size())}, e.f32());
  auto offset = op->getAttrOfType<IntegerAttr>("buffer").getInt();
  LLVM::GlobalOp data =
      context.constantData("frequencies." + std::to_string(offset),
                           DenseElementsAttr::get(type, frequencies));
  Value base = LLVM::AddressOfOp::create(builder, e.loc, data);
  Value out = place(op.getResult());
  forUnits(rows, [&](Value row) {
    Value position =
        e.zext(e.load(e.i32(), e.offset(positions, e.mul(row, 4))), e.i64());
    rotationsRow(e, position, base, int64_t(frequencies.size()),
                 op.getFactor().convertToFloat(),
                 e.offset(out, e.mul(row, rowStride(op.getResult()))));
  });
}

ActivationLayout StageLowering::activationLayout(qz::QuantizeOp op) const {
  qz::Activations kind = mode.prompt ? *op.getPrompt() : *op.getGenerate();
  return ActivationLayout(kind, op.getResult().getType().getColumns(),
                          *op.getSumGroup(),
                          context.isa.tileRows(kind, mode.tile));
}

bool StageLowering::isReplicated(qz::QuantizeOp op) const {
  if (mode.prompt || !op->hasAttr("generate_replicated"))
    return false;
  // A thread has memory of its own for one set of activations: another must not
  // be made before the last use of this one.
  Operation *last = op;
  for (Operation *user : op->getUsers())
    if (last->isBeforeInBlock(user))
      last = user;
  for (Operation *other = op->getNextNode(); other && other != last;
       other = other->getNextNode())
    if (isa<qz::QuantizeOp>(other))
      return false;
  return true;
}

void StageLowering::lowerQuantize(qz::QuantizeOp op) {
  ActivationLayout layout = activationLayout(op);
  Value input = place(op.getInput());
  Value norm = op.getNorm() ? place(op.getNorm()) : Value();
  float eps = op.getEps() ? op.getEps()->convertToFloat() : 0.0f;
  bool replicated = isReplicated(op);
  Value buffer = replicated ? scratch : place(op.getResult());
  auto row = [&](Value r) {
    quantizeRow(e, context.isa,
                e.offset(input, e.mul(r, rowStride(op.getInput()))), norm, eps,
                columnsOf(op.getInput()), layout, buffer, r);
  };
  Value count = rowCount(op.getInput());
  if (replicated) {
    e.loop(e.c64(0), count, 1, row);
    places[op.getResult()] = buffer;
  } else {
    forUnits(count, row);
  }
}

void StageLowering::lowerMatmul(qz::MatmulOp op) {
  auto quantize = op.getInput().getDefiningOp<qz::QuantizeOp>();
  ActivationLayout layout = activationLayout(quantize);
  // Other threads may still read the rows that this stage is to change.
  if (isReplicated(quantize) && op.getResidual() == quantize.getInput())
    barrier();
  bool isLogits = !op->hasAttr("buffer");
  MatmulOutput output{isLogits ? columnsOf(op.getResult()) * 4
                               : rowStride(op.getResult()),
                      isLogits};
  func::FuncOp kernel = context.matmuls.get(op, layout, output);
  Value out = isLogits
                  ? loadStepField(builder, e.loc, step, StepField::Logits)
                  : place(op.getResult());
  int64_t units = MatmulKernels::units(op);
  Value lo = LLVM::UDivOp::create(builder, e.loc, e.mul(thread, units), threads);
  Value hi = LLVM::UDivOp::create(builder, e.loc,
                                  e.mul(e.add(thread, 1), units), threads);
  Value residual = op.getResidual()
                       ? place(op.getResidual())
                       : Value(LLVM::ZeroOp::create(builder, e.loc, e.ptr()));
  Values operands{place(op.getInput()), out, residual, lo, hi,
                  rowCount(op.getInput())};
  for (Value weight : op.getWeights())
    operands.push_back(place(weight));
  func::CallOp::create(builder, e.loc, kernel, operands);
  pendingBarrier = true;
}

void StageLowering::lowerRopeAppend(llm::RopeAppendOp op) {
  llm::StateType type = op.getState().getType();
  AttentionShape shape =
      context.attentionShape(type, columnsOf(op.getResult()));
  RopeShape rope{shape.headDim, columnsOf(op.getRotations()) / 2,
                 op.getAdjacent()};
  int64_t headBytes = shape.headDim * 4;
  int64_t heads = shape.heads + 2 * shape.kvHeads;
  auto field = [&](StepField f) { return loadStepField(builder, e.loc, step, f); };
  Value positions = field(StepField::Position);
  Value sequences = field(StepField::Sequence);
  Value table = field(StepField::PageTable);
  Value pagesPerSequence = field(StepField::PagesPerSequence);
  Value queryNorm = op.getQueryNorm() ? place(op.getQueryNorm()) : Value();
  Value keyNorm = op.getKeyNorm() ? place(op.getKeyNorm()) : Value();
  float eps = op.getEps().convertToFloat();
  auto word = [&](Value base, Value row) {
    return e.zext(e.load(e.i32(), e.offset(base, e.mul(row, 4))), e.i64());
  };

  forUnits(e.mul(rows, heads), [&](Value unit) {
    Value row = e.udiv(unit, heads), head = e.urem(unit, heads);
    Value in = e.offset(place(op.getQkv()),
                        e.add(e.mul(row, rowStride(op.getQkv())),
                              e.mul(head, headBytes)));
    Value rotations = e.offset(
        place(op.getRotations()), e.mul(row, rowStride(op.getRotations())));
    auto below = [&](int64_t limit) {
      return e.cmp(arith::CmpIPredicate::ult, head, e.c64(limit));
    };
    auto notBelow = [&](int64_t limit) {
      return e.cmp(arith::CmpIPredicate::uge, head, e.c64(limit));
    };
    e.ifThen(below(shape.heads), [&] {
      Value out = e.offset(place(op.getResult()),
                           e.add(e.mul(row, rowStride(op.getResult())),
                                 e.mul(head, headBytes)));
      ropeHead(e, context.isa, rope, in, queryNorm, eps, rotations,
               op.getScale().convertToFloat(), out);
    });
    e.ifThen(notBelow(shape.heads), [&] {
      Value position = word(positions, row);
      Value pages = e.mul(word(sequences, row), pagesPerSequence);
      Value number = word(table, e.add(pages, e.udiv(position, 64)));
      Value page = e.offset(place(op.getState()),
                            e.mul(number, shape.pageBytes()));
      e.ifThen(below(shape.heads + shape.kvHeads), [&] {
        ropeHead(e, context.isa, rope, in, keyNorm, eps, rotations, 1.0f, in);
        appendKey(e, shape, page, e.add(head, -shape.heads), position, in);
      });
      e.ifThen(notBelow(shape.heads + shape.kvHeads), [&] {
        appendValue(e, context.isa, shape, page,
                    e.add(head, -(shape.heads + shape.kvHeads)), position, in);
      });
    });
  });
}

void StageLowering::lowerAttend(llm::AttendOp op) {
  AttentionShape shape = context.attentionShape(op.getState().getType(),
                                                columnsOf(op.getResult()));
  auto field = [&](StepField f) { return loadStepField(builder, e.loc, step, f); };
  Value positions = field(StepField::Position);
  Value sequences = field(StepField::Sequence);
  Value table = field(StepField::PageTable);
  Value pagesPerSequence = field(StepField::PagesPerSequence);
  auto word = [&](Value base, Value row) {
    return e.zext(e.load(e.i32(), e.offset(base, e.mul(row, 4))), e.i64());
  };
  int64_t groupBytes = shape.group() * shape.headDim * 4;
  forUnits(e.mul(rows, shape.kvHeads), [&](Value unit) {
    Value row = e.udiv(unit, shape.kvHeads), head = e.urem(unit, shape.kvHeads);
    Value inRow = e.mul(head, groupBytes);
    Value query = e.offset(place(op.getQuery()),
                           e.add(e.mul(row, rowStride(op.getQuery())), inRow));
    Value out = e.offset(place(op.getResult()),
                         e.add(e.mul(row, rowStride(op.getResult())), inRow));
    Value pages = e.offset(
        table, e.mul(e.mul(word(sequences, row), pagesPerSequence), 4));
    attendHead(e, context.isa, shape, op.getWindow(), query,
               place(op.getState()), pages, head, word(positions, row),
               e.offset(scratch, context.scratchOffset), out);
  });
}

void StageLowering::lowerAddNorm(llm::AddNormOp op) {
  int64_t stride = rowStride(op.getResult());
  forUnits(rowCount(op.getResidual()), [&](Value row) {
    Value at = e.mul(row, stride);
    addNormRow(e, context.isa, e.offset(place(op.getResidual()), at),
               e.offset(place(op.getInput()), at), place(op.getWeight()),
               e.offset(place(op.getResult()), at), columnsOf(op.getResult()),
               op.getEps().convertToFloat());
  });
}

void StageLowering::lowerSelectOutputs(llm::SelectOutputsOp op) {
  Value indices = loadStepField(builder, e.loc, step, StepField::Output);
  Value in = e.offset(arena, arenaOffset(op.getInput()));
  int64_t stride = rowStride(op.getResult());
  forUnits(outputCount, [&](Value i) {
    Value row = e.zext(e.load(e.i32(), e.offset(indices, e.mul(i, 4))), e.i64());
    copyRow(e, context.isa, e.offset(in, e.mul(row, stride)),
            e.offset(place(op.getResult()), e.mul(i, stride)),
            columnsOf(op.getResult()));
  });
}
