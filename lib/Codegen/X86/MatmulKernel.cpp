//===- MatmulKernel.cpp - Functions for qz.matmul -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "MatmulKernel.h"

#include "qcc/Codegen/Common/VectorMath.h"
#include "qcc/Formats/PackedWeight.h"
#include "PanelKernel.h"
#include "RowKernels.h"

#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

static int64_t panels(qz::QTensorType type) {
  return (type.getRows() + PackedLayout::kRows - 1) / PackedLayout::kRows;
}

static qz::QTensorType weightType(qz::MatmulOp op, unsigned index) {
  return cast<qz::QTensorType>(op.getWeights()[index].getType());
}

int64_t MatmulKernels::units(qz::MatmulOp op) {
  if (op.isGlu())
    return panels(weightType(op, 0));
  int64_t count = 0;
  for (unsigned i = 0; i < op.getWeights().size(); ++i)
    count += panels(weightType(op, i));
  return count;
}

namespace {
/// Emits the loop over the tiles of one panel (or pair of panels).
class UnitEmitter {
public:
  UnitEmitter(Emitter &e, const Isa &isa, qz::MatmulOp op,
              const ActivationLayout &activations, const MatmulOutput &output,
              Value input, Value out, Value residual, Value rows)
      : e(e), isa(isa), op(op), act(activations), output(output), input(input),
        out(out), residual(residual), rows(rows) {}

  /// `weights` are pointers to the panels; `biases` to the elements of their
  /// rows, null without; `column` (i64) is the first output column, of which
  /// `columns` are real.
  void emit(ArrayRef<const PackedWeight *> packed, ArrayRef<Value> weights,
            ArrayRef<Value> biases, Value column, int64_t columns) {
    Value tiles = e.udiv(e.add(rows, act.tile - 1), act.tile);
    e.loop(e.c64(0), tiles, 1, [&](Value t) {
      Value tile = e.offset(input, e.mul(t, act.tileBytes()));
      Value firstRow = e.mul(t, act.tile);
      for (int64_t half = 0; half < isa.halves(); ++half) {
        SmallVector<Values> sums;
        for (auto [weight, panel] : llvm::zip(packed, weights))
          sums.push_back(panelSums(*weight, panel, tile, half));
        int64_t valid = columns - half * isa.lanes;
        if (valid <= 0)
          continue;
        for (auto [values, bias] : llvm::zip(sums, biases))
          if (bias)
            addBias(values, e.offset(bias, half * isa.lanes * 4), valid);
        for (int64_t r = 0; r < act.tile; ++r) {
          Value row = e.add(firstRow, r);
          Value at = e.add(e.mul(row, output.stride),
                           e.mul(e.add(column, half * isa.lanes), 4));
          Value value = epilogue(sums, r, at);
          auto store = [&] {
            storePartial(e, value, e.offset(out, at),
                         std::min(valid, isa.lanes));
          };
          if (output.exactRows && act.tile > 1)
            e.ifThen(e.cmp(arith::CmpIPredicate::ult, row, rows), store);
          else
            store();
        }
      }
    });
  }

private:
  Values panelSums(const PackedWeight &weight, Value panel, Value tile,
                   int64_t half) {
    Values sums(act.tile, e.zero(e.vec(isa.lanes, e.f32())));
    for (const PackedWeight::Run &run : weight.runs) {
      int64_t chunk = int64_t(run.begin.element) / PackedLayout::kChunk;
      sums = PanelKernel(e, isa, run.layout, int64_t(run.columns), act)
                 .emit(e.offset(panel, int64_t(run.offset)),
                       e.offset(tile, chunk * act.chunkBytes()), half,
                       std::move(sums));
    }
    return sums;
  }

  void addBias(Values &sums, Value bias, int64_t valid) {
    // Behind the last element is another weight, or nothing.
    Value vector = loadPartial(e, isa.lanes, bias, std::min(valid, isa.lanes));
    for (Value &sum : sums)
      sum = e.addf(sum, vector);
  }

  Value epilogue(ArrayRef<Values> sums, int64_t row, Value at) {
    Value value = emitActivation(e, op.getEpilogue(), sums[0][row]);
    if (op.isGlu())
      return e.mulf(value, sums[1][row]);
    if (op.getEpilogue() == qz::Epilogue::Logits) {
      value = e.mulf(value, double(op.getScale()->convertToFloat()));
      if (double cap = op.getSoftcap()->convertToFloat(); cap != 0)
        value = emitSoftcap(e, value, cap);
    }
    if (op.getResidual())
      return e.addf(e.load(value.getType(), e.offset(residual, at)), value);
    return value;
  }

  Emitter &e;
  const Isa &isa;
  qz::MatmulOp op;
  const ActivationLayout &act;
  const MatmulOutput &output;
  Value input, out, residual, rows;
};
} // namespace

void MatmulKernels::emitBody(Emitter &e, Block &entry, qz::MatmulOp op,
                             const ActivationLayout &activations,
                             const MatmulOutput &output) {
  auto arg = [&](unsigned i) { return entry.getArgument(i); };
  Value input = arg(0), out = arg(1), residual = arg(2), lo = arg(3),
        hi = arg(4), rows = arg(5);
  int64_t k = op.getInput().getType().getColumns();
  SmallVector<PackedWeight> packed;
  for (unsigned i = 0; i < op.getWeights().size(); ++i)
    packed.emplace_back(weightType(op, i).getEncoding().toEncoding(),
                        size_t(k));
  UnitEmitter unit(e, isa, op, activations, output, input, out, residual, rows);
  auto panelAt = [&](unsigned i, Value p) {
    return e.offset(arg(6 + i), e.mul(p, int64_t(packed[i].panelBytes)));
  };
  SmallVector<Value> biases(packed.size());
  for (auto [i, weight] : llvm::enumerate(op.getBiasOf()))
    biases[weight] = arg(unsigned(6 + packed.size() + i));
  auto biasAt = [&](unsigned i, Value p) {
    return biases[i] ? e.offset(biases[i], e.mul(p, 16 * 4)) : Value();
  };

  // A partial last panel must not write into the next segment's columns.
  auto forPanels = [&](int64_t rows, int64_t firstUnit,
                       function_ref<void(Value, int64_t)> body) {
    int64_t count = (rows + 15) / 16, whole = rows / 16;
    auto range = [&](int64_t from, int64_t to, int64_t columns) {
      if (from == to)
        return;
      Value begin = e.maxU(lo, e.c64(firstUnit + from));
      Value end = e.minU(hi, e.c64(firstUnit + to));
      e.loop(begin, e.maxU(begin, end), 1,
             [&](Value u) { body(e.add(u, -firstUnit), columns); });
    };
    range(0, whole, 16);
    range(whole, count, rows % 16);
  };

  if (op.isGlu()) {
    forPanels(weightType(op, 0).getRows(), 0, [&](Value p, int64_t columns) {
      unit.emit({&packed[0], &packed[1]}, {panelAt(0, p), panelAt(1, p)},
                {biasAt(0, p), biasAt(1, p)}, e.mul(p, 16), columns);
    });
    return;
  }
  int64_t firstUnit = 0, firstColumn = 0;
  for (unsigned i = 0; i < packed.size(); ++i) {
    int64_t segmentRows = weightType(op, i).getRows();
    forPanels(segmentRows, firstUnit, [&](Value p, int64_t columns) {
      unit.emit({&packed[i]}, {panelAt(i, p)}, {biasAt(i, p)},
                e.add(e.mul(p, 16), firstColumn), columns);
    });
    firstUnit += panels(weightType(op, i));
    firstColumn += segmentRows;
  }
}

func::FuncOp MatmulKernels::get(qz::MatmulOp op,
                                const ActivationLayout &activations,
                                const MatmulOutput &output) {
  std::string key;
  llvm::raw_string_ostream os(key);
  for (Value weight : op.getWeights())
    os << weight.getType() << ";";
  os << int(op.getEpilogue()) << ";" << int(activations.kind) << ";"
     << activations.sumGroup << ";" << activations.zeroFactor << ";"
     << activations.tile << ";" << output.stride << ";" << output.exactRows;
  if (op.getScale())
    os << ";" << op.getScaleAttr() << ";" << op.getSoftcapAttr();
  for (int64_t weight : op.getBiasOf())
    os << ";b" << weight;
  func::FuncOp &function = functions[key];
  if (function)
    return function;

  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  Emitter e(builder, op.getLoc(), module);
  SmallVector<Type> inputs{e.ptr(), e.ptr(), e.ptr(),
                           e.i64(), e.i64(), e.i64()};
  inputs.append(op.getWeights().size() + op.getBiases().size(), e.ptr());
  function = func::FuncOp::create(
      builder, op.getLoc(), "matmul." + std::to_string(functions.size() - 1),
      builder.getFunctionType(inputs, {}));
  function.setPrivate();
  Block *entry = function.addEntryBlock();
  builder.setInsertionPointToStart(entry);
  emitBody(e, *entry, op, activations, output);
  func::ReturnOp::create(builder, op.getLoc());
  return function;
}
