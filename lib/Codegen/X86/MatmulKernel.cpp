//===- MatmulKernel.cpp - Functions for qz.matmul -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "MatmulKernel.h"

#include "RowKernels.h"
#include "UnitEmitter.h"

#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

static int64_t panels(qz::QTensorType type) {
  return (type.getRows() + PackedLayout::kRows - 1) / PackedLayout::kRows;
}

int64_t MatmulKernels::units(qz::MatmulOp op) {
  if (op.isGlu())
    return panels(weightType(op, 0));
  int64_t count = 0;
  for (unsigned i = 0; i < op.getWeights().size(); ++i)
    count += panels(weightType(op, i));
  return count;
}

int64_t MatmulKernels::scratchBytes(qz::MatmulOp op,
                                    const ActivationLayout &activations,
                                    int64_t rows) {
  return UnitEmitter::scratchBytes(op, activations, rows);
}

/// Emits the panels [first, last) of all weights.
static void emitPanels(Emitter &e, const Isa &isa, qz::MatmulOp op,
                       const ActivationLayout &activations,
                       const MatmulOutput &output,
                       const std::optional<ExpertRows> &experts,
                       ArrayRef<PackedWeight> packed,
                       const MatmulOperands &operands) {
  UnitEmitter unit(e, isa, op, activations, output, experts, operands);
  auto panelAt = [&](unsigned i, Value p) {
    return e.offset(operands.weights[i],
                    e.mul(p, int64_t(packed[i].panelBytes)));
  };
  auto biasAt = [&](unsigned i, Value p) {
    return operands.biases[i] ? e.offset(operands.biases[i], e.mul(p, 16 * 4))
                              : Value();
  };

  // A partial last panel must not write into the next segment's columns.
  auto forPanels = [&](int64_t rows, int64_t firstUnit, bool inPairs,
                       function_ref<void(Value, int64_t, int64_t)> body) {
    int64_t count = (rows + 15) / 16, whole = rows / 16;
    auto range = [&](int64_t from, int64_t to, int64_t columns) {
      if (from == to)
        return;
      Value begin = e.maxU(operands.first, e.c64(firstUnit + from));
      Value end = e.maxU(begin, e.minU(operands.last, e.c64(firstUnit + to)));
      auto loop = [&](Value from, int64_t together) {
        e.loop(from, e.add(end, 1 - together), together,
               [&](Value u) { body(e.add(u, -firstUnit), together, columns); });
      };
      if (!inPairs || to - from == 1)
        return loop(begin, 1);
      loop(begin, 2);
      Value pairs = e.mul(e.udiv(e.sub(end, begin), 2), 2);
      loop(e.add(begin, pairs), 1);
    };
    range(0, whole, 16);
    range(whole, count, rows % 16);
  };

  if (op.isGlu()) {
    forPanels(weightType(op, 0).getRows(), 0, /*inPairs=*/false,
              [&](Value p, int64_t, int64_t columns) {
                unit.emit({{&packed[0], panelAt(0, p), biasAt(0, p)},
                           {&packed[1], panelAt(1, p), biasAt(1, p)}},
                          e.mul(p, 16), columns);
              });
    return;
  }
  int64_t firstUnit = 0, firstColumn = 0;
  for (unsigned i = 0; i < packed.size(); ++i) {
    int64_t segmentRows = weightType(op, i).getRows();
    forPanels(segmentRows, firstUnit, activations.isFixed,
              [&](Value p, int64_t together, int64_t columns) {
                SmallVector<PanelOperand> panels;
                for (int64_t j = 0; j < together; ++j)
                  panels.push_back({&packed[i], panelAt(i, e.add(p, j)),
                                    biasAt(i, e.add(p, j))});
                unit.emit(panels, e.add(e.mul(p, 16), firstColumn), columns);
              });
    firstUnit += panels(weightType(op, i));
    firstColumn += segmentRows;
  }
}

void MatmulKernels::emitBody(Emitter &e, Block &entry, qz::MatmulOp op,
                             const ActivationLayout &activations,
                             const MatmulOutput &output,
                             const std::optional<ExpertRows> &experts) {
  auto arg = [&](unsigned i) { return entry.getArgument(i); };
  constexpr unsigned kFirstWeight = 7;
  MatmulOperands all{arg(0), arg(1), arg(2), arg(3), arg(4),
                     arg(5), arg(6), {},     {},     {}};
  SmallVector<PackedWeight> packed;
  for (unsigned i = 0; i < op.getWeights().size(); ++i) {
    qz::QTensorType type = weightType(op, i);
    packed.emplace_back(type.getEncoding().toEncoding(),
                        size_t(type.getColumns()));
    all.weights.push_back(arg(kFirstWeight + i));
  }
  all.biases.resize(packed.size());
  for (auto [i, weight] : llvm::enumerate(op.getBiasOf()))
    all.biases[weight] = arg(unsigned(kFirstWeight + packed.size() + i));
  if (!experts)
    return emitPanels(e, isa, op, activations, output, experts, packed, all);

  Value dispatch = entry.getArguments().back();
  Value zero = e.c64(0), panelCount = e.c64(units(op));
  auto word = [&](Value base, int64_t at) {
    return e.zext(e.load(e.i32(), base, at), e.i64());
  };
  e.loop(zero, word(dispatch, DispatchLayout::kActiveCount), 1, [&](Value a) {
    Value entry =
        e.offset(dispatch, e.add(e.mul(a, DispatchLayout::kActiveBytes),
                                 DispatchLayout::kActive));
    Value expert = word(entry, DispatchLayout::kExpert);
    Value first = word(entry, DispatchLayout::kFirst);
    MatmulOperands one = all;
    one.rows = word(entry, DispatchLayout::kCount);
    one.slots = e.offset(e.offset(dispatch, experts->dispatch.slotOffset),
                         e.mul(first, 4));
    if (activations.tile > 1)
      one.input = e.offset(all.input, e.mul(e.udiv(first, activations.tile),
                                            activations.tileBytes()));
    Value tiles =
        e.udiv(e.add(one.rows, activations.tile - 1), activations.tile);
    Value before = e.mul(word(entry, DispatchLayout::kTilesBefore), panelCount);
    // The first panel whose units begin at `unit` or later.
    auto panelFrom = [&](Value unit) {
      Value units = e.maxS(e.sub(unit, before), zero);
      Value panel = LLVM::UDivOp::create(e.b, e.loc,
                                         e.add(units, e.add(tiles, -1)), tiles);
      return e.minU(panel, panelCount);
    };
    one.first = panelFrom(all.first);
    one.last = panelFrom(all.last);
    for (unsigned i = 0; i < packed.size(); ++i) {
      int64_t rows = weightType(op, i).getRows();
      one.weights[i] = e.offset(all.weights[i],
                                e.mul(expert, int64_t(packed[i].bytes(rows))));
      if (all.biases[i])
        one.biases[i] = e.offset(all.biases[i], e.mul(expert, rows * 4));
    }
    emitPanels(e, isa, op, activations, output, experts, packed, one);
  });
}

func::FuncOp MatmulKernels::get(qz::MatmulOp op,
                                const ActivationLayout &activations,
                                const MatmulOutput &output,
                                const std::optional<ExpertRows> &experts) {
  std::string key;
  llvm::raw_string_ostream os(key);
  for (Value weight : op.getWeights())
    os << weight.getType() << ";";
  os << int(op.getEpilogue()) << ";" << int(activations.kind) << ";"
     << activations.sumGroup << ";" << activations.zeroFactor << ";"
     << activations.tile << ";" << activations.chains << ";"
     << activations.isBlock << ";" << activations.isFixed << ";"
     << activations.hasTerms << ";" << output.stride << ";" << output.exactRows;
  if (op.getScale())
    os << ";" << op.getScaleAttr() << ";" << op.getSoftcapAttr();
  for (int64_t weight : op.getBiasOf())
    os << ";b" << weight;
  if (experts)
    os << ";e" << experts->dispatch.slotOffset << ";" << experts->slots << ";"
       << experts->slotBytes << ";" << experts->isShared;
  func::FuncOp &function = functions[key];
  if (function)
    return function;

  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  Emitter e(builder, op.getLoc(), module);
  SmallVector<Type> inputs{e.ptr(), e.ptr(), e.ptr(), e.i64(),
                           e.i64(), e.i64(), e.ptr()};
  inputs.append(op.getWeights().size() + op.getBiases().size() +
                    experts.has_value(),
                e.ptr());
  function = func::FuncOp::create(
      builder, op.getLoc(), "matmul." + std::to_string(functions.size() - 1),
      builder.getFunctionType(inputs, {}));
  function.setPrivate();
  // The shapes of tiles are set at the start of a function and forgotten at its
  // end: not in a caller, where each call would lose them.
  if (activations.isBlock)
    function->setAttr("passthrough", builder.getStrArrayAttr({"noinline"}));
  Block *entry = function.addEntryBlock();
  builder.setInsertionPointToStart(entry);
  emitBody(e, *entry, op, activations, output, experts);
  func::ReturnOp::create(builder, op.getLoc());
  return function;
}
