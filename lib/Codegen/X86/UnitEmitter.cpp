//===- UnitEmitter.cpp - One panel of weights with all rows ---------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "UnitEmitter.h"

#include "qcc/Codegen/Common/VectorMath.h"
#include "PanelKernel.h"
#include "RowKernels.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

/// Bytes of an unpacked panel of one of the weights.
static int64_t unpackedBytes(qz::MatmulOp op, bool isHalf) {
  int64_t columns = weightType(op, 0).getColumns();
  return (columns + PackedLayout::kChunk - 1) / PackedLayout::kChunk *
         unpackedChunk(isHalf);
}

/// Whether panels are unpacked for whole tiles: for tile registers, and where
/// codes become pairs of bf16, which takes as long as multiplying some rows.
static bool isUnpacked(const ActivationLayout &activations) {
  return activations.isBlock ||
         (activations.isHalf() && activations.tile > PanelKernel::kFewRows);
}

int64_t UnitEmitter::scratchBytes(qz::MatmulOp op,
                                  const ActivationLayout &activations,
                                  int64_t rows) {
  if (activations.isFixed)
    return fixedScratchBytes(activations, rows);
  if (!isUnpacked(activations))
    return 0;
  int64_t panels = op.isGlu() ? 2 : 1;
  return kTileSumBytes + panels * unpackedBytes(op, activations.isHalf());
}

void UnitEmitter::emit(Panels panels, Value column, int64_t columns) {
  if (act.isFixed)
    return emitFixed(panels, column, columns);
  auto emitTile = [&](Value t, int64_t rows) {
    emitRows(panels, column, columns, t, rows);
  };
  SmallVector<int64_t> fewer = isa.fewerRows(act);
  int64_t rounding = act.tile - 1 - (fewer.empty() ? 0 : fewer.back());
  Value whole = e.udiv(e.add(operands.rows, rounding), act.tile);
  if (isUnpacked(act))
    e.ifThen(e.cmp(arith::CmpIPredicate::ne, whole, e.c64(0)), [&] {
      for (auto [i, panel] : llvm::enumerate(panels))
        unpack(panel, unpackedPanel(i).codes);
    });
  e.loop(e.c64(0), whole, 1, [&](Value t) {
    if (act.tile > PanelKernel::kFewRows)
      for (const PanelOperand &panel : panels) {
        auto bytes = int64_t(panel.weight->panelBytes);
        askFor(e.offset(panel.codes, bytes), bytes, t, kAskedTiles);
      }
    emitTile(t, act.tile);
  });
  Value rest = e.sub(operands.rows, e.mul(whole, act.tile));
  int64_t before = 0;
  for (int64_t rows : fewer) {
    // before < rest <= rows, for a rest that may be less than 0.
    Value isThis = e.cmp(arith::CmpIPredicate::ult, e.add(rest, -before - 1),
                         e.c64(rows - before));
    e.ifThen(isThis, [&] { emitTile(whole, rows); });
    before = rows;
  }
}

void UnitEmitter::emitRows(Panels panels, Value column, int64_t columns,
                           Value t, int64_t rows) {
  Value tile = tileAt(t);
  Value firstRow = e.mul(t, act.tile);
  for (int64_t half = 0; half < isa.halves(); ++half) {
    SmallVector<Values> sums;
    for (auto [i, panel] : llvm::enumerate(panels))
      sums.push_back(panelSums(panel, i, tile, half, rows));
    int64_t before = half * isa.lanes;
    if (columns <= before)
      continue;
    Values biases;
    for (const PanelOperand &panel : panels)
      biases.push_back(panel.bias ? e.offset(panel.bias, before * 4)
                                  : panel.bias);
    storeRows(sums, biases, e.add(column, before), columns - before, firstRow);
  }
}

void UnitEmitter::storeRows(MutableArrayRef<Values> sums,
                            ArrayRef<Value> biases, Value column,
                            int64_t columns, Value firstRow) {
  for (auto [values, bias] : llvm::zip(sums, biases))
    if (bias)
      addBias(values, bias, columns);
  Value inRow = e.mul(column, 4);
  for (int64_t r = 0; r < int64_t(sums[0].size()); ++r) {
    Value row = e.add(firstRow, r);
    auto store = [&] {
      Value at = e.add(rowOffset(row), inRow);
      Value value = epilogue(sums, r, at);
      storePartial(e, value, e.offset(operands.out, at),
                   std::min(columns, isa.lanes));
    };
    if ((output.exactRows || experts) && r > 0)
      e.ifThen(e.cmp(arith::CmpIPredicate::ult, row, operands.rows), store);
    else
      store();
  }
}

void UnitEmitter::askFor(Value next, int64_t bytes, Value tile, int64_t tiles) {
  int64_t lines = (bytes + 63) / 64;
  int64_t each = (lines + tiles - 1) / tiles;
  Value first =
      e.minU(e.mul(tile, each), e.c64(std::max<int64_t>(lines - each, 0)));
  next = e.offset(next, e.mul(first, 64));
  for (int64_t i = 0; i < each; ++i)
    e.prefetch(next, i * 64, /*level=*/2);
}

Value UnitEmitter::tileAt(Value t) {
  Value number = t;
  if (experts && act.tile == 1) {
    number = loadU32(e, operands.slots, t);
    if (experts->isShared)
      number = e.udiv(number, experts->slots);
  }
  return e.offset(operands.input, e.mul(number, act.tileBytes()));
}

Value UnitEmitter::rowOffset(Value row) {
  if (!experts)
    return e.mul(row, output.stride);
  Value slot = loadU32(e, operands.slots, row);
  return e.add(e.mul(e.udiv(slot, experts->slots), output.stride),
               e.mul(e.urem(slot, experts->slots), experts->slotBytes));
}

UnpackedPanel UnitEmitter::unpackedPanel(size_t index) {
  return {e.offset(operands.scratch,
                   kTileSumBytes +
                       int64_t(index) * unpackedBytes(op, act.isHalf())),
          operands.scratch};
}

static int64_t firstChunk(const PackedWeight::Run &run) {
  return int64_t(run.begin.element) / PackedLayout::kChunk;
}

void UnitEmitter::unpack(const PanelOperand &panel, Value codes) {
  for (const PackedWeight::Run &run : panel.weight->runs) {
    PanelKernel kernel(e, isa, run.layout, int64_t(run.columns), act, act.tile);
    kernel.unpack(
        e.offset(panel.codes, int64_t(run.offset)),
        e.offset(codes, firstChunk(run) * unpackedChunk(act.isHalf())));
  }
}

Values UnitEmitter::panelSums(const PanelOperand &panel, size_t index,
                              Value tile, int64_t half, int64_t rows) {
  Values sums(rows, e.zero(e.vec(isa.lanes, e.f32())));
  bool isWhole = isUnpacked(act) && rows == act.tile;
  UnpackedPanel all = isWhole ? unpackedPanel(index) : UnpackedPanel();
  for (const PackedWeight::Run &run : panel.weight->runs) {
    int64_t chunk = firstChunk(run);
    UnpackedPanel unpacked = all;
    if (isWhole)
      unpacked.codes = e.offset(all.codes, chunk * unpackedChunk(act.isHalf()));
    sums = PanelKernel(e, isa, run.layout, int64_t(run.columns), act, rows)
               .emit(e.offset(panel.codes, int64_t(run.offset)),
                     e.offset(tile, chunk * act.chunkBytes()), half,
                     std::move(sums), isWhole ? &unpacked : nullptr);
  }
  return sums;
}

void UnitEmitter::addBias(Values &sums, Value bias, int64_t valid) {
  // Behind the last element is another weight, or nothing.
  Value vector = loadPartial(e, isa.lanes, bias, std::min(valid, isa.lanes));
  for (Value &sum : sums)
    sum = e.addf(sum, vector);
}

Value UnitEmitter::epilogue(ArrayRef<Values> sums, int64_t row, Value at) {
  if (op.getEpilogue() == qz::Epilogue::GluClampedSwiglu)
    return emitClampedSwiglu(e, sums[0][row], sums[1][row]);
  auto gate = [&](Value x, Value minusExponent) {
    return act.isFixed ? isa.coarseGate(e, x, minusExponent)
                       : isa.gate(e, x, minusExponent);
  };
  Value value = emitActivation(e, op.getEpilogue(), sums[0][row],
                               isa.lanes == 16 ? Gate(gate) : nullptr);
  if (op.isGlu())
    return e.mulf(value, sums[1][row]);
  if (op.getEpilogue() == qz::Epilogue::Logits) {
    value = e.mulf(value, double(op.getScale()->convertToFloat()));
    if (double cap = op.getSoftcap()->convertToFloat(); cap != 0)
      value = emitSoftcap(e, value, cap);
  }
  if (op.getResidual())
    return e.addf(e.load(value.getType(), e.offset(operands.residual, at)),
                  value);
  return value;
}
