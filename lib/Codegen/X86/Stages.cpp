//===- Stages.cpp - The stages of a step ----------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/Common/StepABI.h"
#include "FixedPanel.h"
#include "RowKernels.h"
#include "StageLowering.h"

#include <numeric>

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

void StageLowering::lowerEmbedding(llm::EmbeddingOp op) {
  Value tokens = loadStepField(builder, e.loc, step, StepField::Token);
  Value positions = loadStepField(builder, e.loc, step, StepField::Position);
  Value out = place(op.getResult());
  auto embed = [&](Value table, Value numbers, Value row, float scale,
                   bool isAdded) {
    auto type = cast<qz::QTensorType>(table.getType());
    PackedWeight packed(type.getEncoding().toEncoding(),
                        size_t(type.getColumns()));
    Value index =
        e.zext(e.load(e.i32(), e.offset(numbers, e.mul(row, 4))), e.i64());
    embeddingRow(e, context.isa, packed, place(table), index, scale,
                 e.offset(out, e.mul(row, rowStride(op.getResult()))), isAdded);
  };
  forUnits(rows, [&](Value row) {
    embed(op.getTable(), tokens, row, op.getScale().convertToFloat(), false);
    if (op.getPositions())
      embed(op.getPositions(), positions, row, 1.0f, true);
  });
}

void StageLowering::lowerRotations(llm::RotationsOp op) {
  Value positions = loadStepField(builder, e.loc, step, StepField::Position);
  ArrayRef<float> frequencies = op.getFrequencies();
  auto type = RankedTensorType::get({int64_t(frequencies.size())}, e.f32());
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

ActivationLayout qcc::x86::activationLayout(const Isa &isa, qz::QuantizeOp op,
                                            bool isPrompt, int64_t tile) {
  RowUse use{isPrompt ? *op.getPrompt() : *op.getGenerate(),
             int64_t(*op.getSumGroup()),
             tile,
             isPrompt,
             isPrompt && tile > 1 && op.getPromptBlocks(),
             /*mayBeFixed=*/!op.getExperts(),
             /*hasTerms=*/false};
  int64_t factor = 0;
  for (Operation *user : op.getResult().getUsers())
    for (Value weight : cast<qz::MatmulOp>(user).getWeights()) {
      auto type = cast<qz::QTensorType>(weight.getType());
      Encoding encoding = type.getEncoding().toEncoding();
      use.mayBeFixed &= FixedPanel::takes(encoding);
      use.hasTerms |= use.mayBeFixed && FixedPanel::hasTerms(encoding);
      if (encoding.isFloat() || encoding.hasZeros())
        continue;
      for (const Encoding::Span &span : encoding.spans)
        factor = std::gcd(factor, int64_t(span.zero));
      if (encoding.spans.empty())
        factor = std::gcd(factor, PanelKernel::integerZeroOf(encoding));
    }
  ActivationLayout layout =
      isa.activations(use, op.getResult().getType().getColumns());
  layout.zeroFactor = std::max<int64_t>(factor, 1);
  return layout;
}

void StageLowering::forTiles(
    qz::QuantizeOp op, function_ref<void(const ActivationLayout &)> body) {
  ActivationLayout layout = activationLayout(op, mode.tile);
  if (layout.tile == 1 || !outputs.contains(op.getInput()))
    return body(layout);
  Value one = e.c64(1);
  e.ifThen(e.cmp(arith::CmpIPredicate::eq, outputCount, one),
           [&] { body(activationLayout(op, 1)); });
  e.ifThen(e.cmp(arith::CmpIPredicate::ne, outputCount, one),
           [&] { body(layout); });
}

bool StageLowering::isReplicated(qz::QuantizeOp op) const {
  if (mode.prompt || !op->hasAttr("generate_replicated"))
    return false;
  // A thread has memory of its own for one set of activations: another must
  // not be made before the last use of this one.
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
  Value input = place(op.getInput());
  RowNorm norm = {op.getNorm() ? place(op.getNorm()) : Value(),
                  op.getNormBias() ? place(op.getNormBias()) : Value(),
                  op.getCentered(),
                  op.getEps() ? op.getEps()->convertToFloat() : 0.0f};
  Value order = op.getOrder() ? place(op.getOrder()) : Value();
  bool replicated = isReplicated(op);
  if (replicated)
    places[op.getResult()] = scratch;
  Value count = rowCount(op.getInput());
  int64_t columns = op.getType().getColumns(), slots = op.getType().getSlots();
  bool isShared = columnsOf(op.getInput()) == columns;
  Operation *route =
      op.getExperts() ? op.getExperts().getDefiningOp() : nullptr;
  forTiles(op, [&](const ActivationLayout &layout) {
    if (layout.isFixed)
      return forUnits(
          e.udiv(e.add(count, layout.tile - 1), layout.tile), [&](Value tile) {
            quantizeTile(e, context.isa, input, rowStride(op.getInput()), norm,
                         order, columns, layout, place(op.getResult()), tile,
                         stageScratch());
          });
    // Tiles hold the rows of one expert; for a tile of one row the matmul finds
    // the row wherever it is, so that a row need not be made for each slot.
    bool isPlaced = route && layout.tile > 1;
    Value places;
    if (isPlaced)
      places =
          e.offset(dispatchAt(route, layout.tile),
                   DispatchLayout(routeShape(route), layout.tile).placeOffset);
    int64_t each = isShared && !isPlaced ? 1 : slots;
    auto unit = [&](Value i) {
      Value at = e.mul(e.udiv(i, each), rowStride(op.getInput()));
      if (!isShared)
        at = e.add(at, e.mul(e.urem(i, each), columns * 4));
      quantizeRow(e, context.isa, e.offset(input, at), norm, order, columns,
                  layout, place(op.getResult()),
                  isPlaced ? loadU32(e, places, i) : i);
    };
    if (replicated)
      e.loop(e.c64(0), e.mul(count, each), 1, unit);
    else
      forUnits(e.mul(count, each), unit);
  });
}

void StageLowering::lowerMatmul(qz::MatmulOp op) {
  auto quantize = op.getInput().getDefiningOp<qz::QuantizeOp>();
  // Other threads may still read the rows that this stage is to change.
  if (isReplicated(quantize) && op.getResidual() == quantize.getInput())
    barrier();
  bool isLogits = !op->hasAttr("buffer");
  MatmulOutput output{isLogits ? columnsOf(op.getResult()) * 4
                               : rowStride(op.getResult()),
                      isLogits};
  Value out = isLogits ? loadStepField(builder, e.loc, step, StepField::Logits)
                       : place(op.getResult());
  Value residual = op.getResidual()
                       ? place(op.getResidual())
                       : Value(LLVM::ZeroOp::create(builder, e.loc, e.ptr()));
  int64_t panels = MatmulKernels::units(op);
  forTiles(quantize, [&](const ActivationLayout &layout) {
    std::optional<ExpertRows> experts;
    Value units = e.c64(panels), dispatch;
    if (op.getExperts()) {
      Operation *route = op.getExperts().getDefiningOp();
      int64_t slots = routeShape(route).slots;
      experts.emplace(ExpertRows{DispatchLayout(routeShape(route), layout.tile),
                                 slots, columnsOf(op.getResult()) / slots * 4,
                                 columnsOf(quantize.getInput()) ==
                                     quantize.getType().getColumns()});
      dispatch = dispatchAt(route, layout.tile);
      Value tiles = e.load(e.i32(), dispatch, DispatchLayout::kTileCount);
      units = e.mul(e.zext(tiles, e.i64()), panels);
    }
    auto bound = [&](Value number) -> Value {
      return LLVM::UDivOp::create(builder, e.loc, e.mul(number, units),
                                  threads);
    };
    Values operands{place(op.getInput()),
                    out,
                    residual,
                    bound(thread),
                    bound(e.add(thread, 1)),
                    rowCount(quantize.getInput()),
                    stageScratch()};
    for (Value weight : op.getWeights())
      operands.push_back(place(weight));
    for (Value bias : op.getBiases())
      operands.push_back(place(bias));
    if (experts)
      operands.push_back(dispatch);
    func::CallOp::create(builder, e.loc,
                         context.matmuls.get(op, layout, output, experts),
                         operands);
  });
  pendingBarrier = true;
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
    Value row =
        e.zext(e.load(e.i32(), e.offset(indices, e.mul(i, 4))), e.i64());
    copyRow(e, context.isa, e.offset(in, e.mul(row, stride)),
            e.offset(place(op.getResult()), e.mul(i, stride)),
            columnsOf(op.getResult()));
  });
}
