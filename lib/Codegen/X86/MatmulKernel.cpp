//===- MatmulKernel.cpp - Functions for qz.matmul -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "MatmulKernel.h"

#include "qcc/Codegen/Common/VectorMath.h"
#include "qcc/Formats/PackedWeight.h"
#include "FixedPanel.h"
#include "PanelKernel.h"
#include "RowKernels.h"
#include "TileKernel.h"

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

/// Bytes of an unpacked panel of one of the weights.
static int64_t unpackedBytes(qz::MatmulOp op, bool isHalf) {
  int64_t columns = weightType(op, 0).getColumns();
  return (columns + PackedLayout::kChunk - 1) / PackedLayout::kChunk *
         unpackedChunk(isHalf);
}

int64_t MatmulKernels::scratchBytes(qz::MatmulOp op,
                                    const ActivationLayout &activations) {
  int64_t panels = op.isGlu() ? 2 : 1;
  if (activations.isFixed)
    return panels * FixedPanel::bytes(activations);
  if (activations.isBlock)
    return kTileSumBytes + panels * unpackedBytes(op, activations.isHalf());
  return 0;
}

namespace {
/// Pointers of one matmul, or of one expert of it, and its range of panels.
struct Operands {
  Value input, out, residual, first, last, rows, scratch;
  Values weights, biases; ///< A bias is null where a weight has none.
  /// Of experts: the slot of each of the rows.
  Value slots;
};

/// Tiles of a prompt's panel in which the next one comes from memory.
constexpr int64_t kAskedTiles = 20;

/// Emits the loop over the tiles of one panel (or pair of panels).
class UnitEmitter {
public:
  UnitEmitter(Emitter &e, const Isa &isa, qz::MatmulOp op,
              const ActivationLayout &activations, const MatmulOutput &output,
              const std::optional<ExpertRows> &experts,
              const Operands &operands)
      : e(e), isa(isa), op(op), act(activations), output(output),
        experts(experts), operands(operands) {}

  /// `weights` are pointers to the panels; `biases` to the elements of their
  /// rows, null without; `column` (i64) is the first output column, of which
  /// `columns` are real.
  void emit(ArrayRef<const PackedWeight *> packed, ArrayRef<Value> weights,
            ArrayRef<Value> biases, Value column, int64_t columns) {
    auto emitTile = [&](Value t, int64_t rows) {
      emitRows(packed, weights, biases, column, columns, t, rows);
    };
    if (act.isFixed)
      for (auto [i, panel] : llvm::enumerate(weights))
        fixedPanel(*packed[i]).prepare(panel, scalesOf(i));
    SmallVector<int64_t> fewer = isa.fewerRows(act);
    int64_t rounding = act.tile - 1 - (fewer.empty() ? 0 : fewer.back());
    Value whole = e.udiv(e.add(operands.rows, rounding), act.tile);
    if (act.isBlock)
      e.ifThen(e.cmp(arith::CmpIPredicate::ne, whole, e.c64(0)), [&] {
        for (auto [i, weight] : llvm::enumerate(packed))
          unpack(*weight, weights[i], unpackedPanel(i).codes);
      });
    e.loop(e.c64(0), whole, 1, [&](Value t) {
      if (act.tile > PanelKernel::kFewRows)
        for (auto [i, weight] : llvm::enumerate(packed))
          askForNext(weights[i], int64_t(weight->panelBytes), t);
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

private:
  /// The first `rows` rows of tile `t`.
  void emitRows(ArrayRef<const PackedWeight *> packed, ArrayRef<Value> weights,
                ArrayRef<Value> biases, Value column, int64_t columns, Value t,
                int64_t rows) {
    Value tile = tileAt(t);
    Value firstRow = e.mul(t, act.tile);
    for (int64_t half = 0; half < isa.halves(); ++half) {
      SmallVector<Values> sums;
      for (auto [i, weight] : llvm::enumerate(packed))
        sums.push_back(
            act.isFixed
                ? fixedPanel(*weight).emit(weights[i], scalesOf(i), tile, rows)
                : panelSums(*weight, i, weights[i], tile, half, rows));
      int64_t valid = columns - half * isa.lanes;
      if (valid <= 0)
        continue;
      for (auto [values, bias] : llvm::zip(sums, biases))
        if (bias)
          addBias(values, e.offset(bias, half * isa.lanes * 4), valid);
      Value inRow = e.mul(e.add(column, half * isa.lanes), 4);
      for (int64_t r = 0; r < rows; ++r) {
        Value row = e.add(firstRow, r);
        auto store = [&] {
          Value at = e.add(rowOffset(row), inRow);
          Value value = epilogue(sums, r, at);
          storePartial(e, value, e.offset(operands.out, at),
                       std::min(valid, isa.lanes));
        };
        if ((output.exactRows || experts) && r > 0)
          e.ifThen(e.cmp(arith::CmpIPredicate::ult, row, operands.rows), store);
        else
          store();
      }
    }
  }

  /// Asks for the lines of the panel after `panel`, of `bytes`, some with each
  /// tile: those of kAskedTiles tiles are all, and later ones ask for the last
  /// again.
  void askForNext(Value panel, int64_t bytes, Value tile) {
    int64_t lines = (bytes + 63) / 64;
    int64_t each = (lines + kAskedTiles - 1) / kAskedTiles;
    Value first =
        e.minU(e.mul(tile, each), e.c64(std::max<int64_t>(lines - each, 0)));
    Value next = e.offset(panel, e.mul(first, 64));
    for (int64_t i = 0; i < each; ++i)
      e.prefetch(next, bytes + i * 64, /*level=*/2);
  }

  FixedPanel fixedPanel(const PackedWeight &weight) {
    const PackedWeight::Run &run = weight.runs[0];
    return FixedPanel(e, isa, run.layout, int64_t(run.columns), act);
  }

  /// Prepared scales of panel `number` of a unit.
  Value scalesOf(size_t number) {
    return e.offset(operands.scratch, int64_t(number) * FixedPanel::bytes(act));
  }

  /// Activations of tile `t`. A tile of one row need not be where its position
  /// says.
  Value tileAt(Value t) {
    Value number = t;
    if (experts && act.tile == 1) {
      number = loadU32(e, operands.slots, t);
      if (experts->isShared)
        number = e.udiv(number, experts->slots);
    }
    return e.offset(operands.input, e.mul(number, act.tileBytes()));
  }

  /// Bytes from the output's start to those of a row, or of its slot.
  Value rowOffset(Value row) {
    if (!experts)
      return e.mul(row, output.stride);
    Value slot = loadU32(e, operands.slots, row);
    return e.add(e.mul(e.udiv(slot, experts->slots), output.stride),
                 e.mul(e.urem(slot, experts->slots), experts->slotBytes));
  }

  /// Where weight `index` of those multiplied together is unpacked.
  UnpackedPanel unpackedPanel(size_t index) {
    return {e.offset(operands.scratch,
                     kTileSumBytes +
                         int64_t(index) * unpackedBytes(op, act.isHalf())),
            operands.scratch};
  }

  static int64_t firstChunk(const PackedWeight::Run &run) {
    return int64_t(run.begin.element) / PackedLayout::kChunk;
  }

  void unpack(const PackedWeight &weight, Value panel, Value codes) {
    for (const PackedWeight::Run &run : weight.runs) {
      PanelKernel kernel(e, isa, run.layout, int64_t(run.columns), act,
                         act.tile);
      kernel.unpack(
          e.offset(panel, int64_t(run.offset)),
          e.offset(codes, firstChunk(run) * unpackedChunk(act.isHalf())));
    }
  }

  Values panelSums(const PackedWeight &weight, size_t index, Value panel,
                   Value tile, int64_t half, int64_t rows) {
    Values sums(rows, e.zero(e.vec(isa.lanes, e.f32())));
    bool isBlock = act.isBlock && rows == act.tile;
    UnpackedPanel all = isBlock ? unpackedPanel(index) : UnpackedPanel();
    for (const PackedWeight::Run &run : weight.runs) {
      int64_t chunk = firstChunk(run);
      UnpackedPanel unpacked = all;
      if (isBlock)
        unpacked.codes =
            e.offset(all.codes, chunk * unpackedChunk(act.isHalf()));
      sums = PanelKernel(e, isa, run.layout, int64_t(run.columns), act, rows)
                 .emit(e.offset(panel, int64_t(run.offset)),
                       e.offset(tile, chunk * act.chunkBytes()), half,
                       std::move(sums), isBlock ? &unpacked : nullptr);
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

  Emitter &e;
  const Isa &isa;
  qz::MatmulOp op;
  const ActivationLayout &act;
  const MatmulOutput &output;
  const std::optional<ExpertRows> &experts;
  const Operands &operands;
};
} // namespace

/// Emits the panels [first, last) of all weights.
static void emitPanels(Emitter &e, const Isa &isa, qz::MatmulOp op,
                       const ActivationLayout &activations,
                       const MatmulOutput &output,
                       const std::optional<ExpertRows> &experts,
                       ArrayRef<PackedWeight> packed,
                       const Operands &operands) {
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
  auto forPanels = [&](int64_t rows, int64_t firstUnit,
                       function_ref<void(Value, int64_t)> body) {
    int64_t count = (rows + 15) / 16, whole = rows / 16;
    auto range = [&](int64_t from, int64_t to, int64_t columns) {
      if (from == to)
        return;
      Value begin = e.maxU(operands.first, e.c64(firstUnit + from));
      Value end = e.minU(operands.last, e.c64(firstUnit + to));
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

void MatmulKernels::emitBody(Emitter &e, Block &entry, qz::MatmulOp op,
                             const ActivationLayout &activations,
                             const MatmulOutput &output,
                             const std::optional<ExpertRows> &experts) {
  auto arg = [&](unsigned i) { return entry.getArgument(i); };
  constexpr unsigned kFirstWeight = 7;
  Operands all{arg(0), arg(1), arg(2), arg(3), arg(4),
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
    Operands one = all;
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
     << output.stride << ";" << output.exactRows;
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
