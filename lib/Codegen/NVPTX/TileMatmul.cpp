//===- TileMatmul.cpp - Products of prompts with quantized weights --------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "TileMatmul.h"

#include "qcc/Codegen/Common/PanelScales.h"
#include "MatmulUnits.h"
#include "PanelCodes.h"
#include "RowTiles.h"
#include "TilePlan.h"

#include <functional>
#include <vector>

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

static constexpr int64_t kPanelsOfWarp = TilePlan::kPanelsOfWarp;
/// Products of 8 rows, and their sums of a panel.
static constexpr int64_t kEights = HalfTiles::kRows / 8, kSums = kEights * 4;
static_assert(TilePlan::kPanels * kWarpSize ==
              TilePlan::kPanelsOfWarp * kTileThreads);

namespace {
class TileMatmul {
public:
  TileMatmul(StageKernel &stage, const TilePlan &plan, Value firstUnit,
             Value tile);
  void emit();

private:
  /// Copies of a step, of 16 bytes by each thread, or of `bytes` (i32). That is
  /// no branch, across which no other loads would be moved.
  using Copies = std::vector<std::function<void(Value bytes)>>;
  Copies copiesOf(Value step);
  void copyPart(int64_t panel, Value step, Value to, Copies &copies);
  void copyFloats(int64_t panel, Value step, Value to, Copies &copies);
  Value slotOf(Value step) {
    return e.offset(stage.shared,
                    e.mul(e.urem(step, plan.slots), plan.slotBytes()));
  }
  Values multiply(Value step, Values sums);
  int64_t chunks() const { return plan.stepK / PackedLayout::kChunk; }

  /// What a panel's products meet while a step is made.
  struct Panel {
    const PackedLayout *layout;
    Value part;           ///< Address of its part of the step.
    int64_t chunksOfUnit; ///< In the part.
    Value firstChunk;     ///< Of the part, in its unit; or null.
    codegen::PanelScales unit[2], chunk[2], group[2]; ///< Of both columns.
    Value chunkAddress;
    PanelCodes::Fragments codes; ///< Or floats; i32.
    Values products;             ///< Not yet scaled.
    MutableArrayRef<Value> sums;
  };
  void beginUnit(Panel &panel, int64_t chunk);
  void beginChunk(Panel &panel, int64_t chunk);
  void endHalfChunk(Panel &panel, Value slot, int64_t chunk, int64_t half);
  void applyScale(Panel &panel, const codegen::PanelScales *scales);
  void applyMin(Panel &panel, const codegen::PanelScales *scales, Value slot,
                int64_t index);
  void emitResults(ValueRange sums);

  StageKernel &stage;
  WarpEmitter &e;
  const TilePlan &plan;
  PanelCodes codes;
  Type element;                   ///< Of rows: f16 or bf16.
  std::vector<MatmulUnits> units; ///< Of the warp.
  Values exists;                  ///< Of units: i1.
  Values panels;                  ///< Their addresses.
  Value group, quad;              ///< lane / 4 and lane % 4.
  Value tile;                     ///< Address of the tile's first step.
  Value factors;                  ///< Address of its factors.
  Value ofStep[4]; ///< A lane's row of matrices of each 16 elements of 64.
  Value ofFloats;  ///< Its row of matrices of 16 elements of a panel.
};
} // namespace

/// Bytes of 16 floats of a line.
static constexpr int64_t kLine = PackedLayout::kRows * 2;

/// Where half `half` of line `line` is. Four lines have all banks, so that
/// every other four have their halves exchanged.
static Value floatPlace(WarpEmitter &e, Value line, Value half) {
  half = e.bitXor(half, e.bitAnd(e.shift(line, -2), 1));
  return e.add(e.mul(line, kLine), e.mul(half, HalfTiles::kPiece));
}

TileMatmul::TileMatmul(StageKernel &stage, const TilePlan &plan,
                       Value firstUnit, Value number)
    : stage(stage), e(stage.e), plan(plan), codes(e, stage.lane),
      element(qz::QuantizeOp(plan.plan.quantize).getPrompt() ==
                      qz::Activations::BF16
                  ? e.b.getBF16Type()
                  : e.f16()),
      group(e.shift(stage.lane, -2)), quad(e.bitAnd(stage.lane, 3)) {
  const int64_t count = plan.unitsOfWarp();
  Value first = e.add(firstUnit, e.mul(stage.warp, count));
  for (int64_t i = 0; i < count; ++i) {
    // Behind the last unit, that one is made again and not stored.
    Value unit = e.add(first, i);
    exists.push_back(e.lessThan(unit, e.c32(plan.run.endUnit)));
    units.emplace_back(stage, plan.plan,
                       e.minS(unit, e.c32(plan.run.endUnit - 1)), number);
    panels.append(units.back().panels(plan.run));
  }
  factors = e.offset(stage.address(qz::MatmulOp(plan.plan.matmul).getInput()),
                     e.mul(e.zext(number, e.i64()), plan.tiles.tileBytes()));
  tile = e.offset(factors, plan.tiles.firstStep());
  // Matrices 0 and 1 have the first eight rows, 1 and 3 the last eight k.
  Value inMatrix = e.bitAnd(stage.lane, 7);
  Value upper = e.bitAnd(e.shift(stage.lane, -3), 1);
  Value row = e.add(e.mul(e.shift(stage.lane, -4), 8), inMatrix);
  for (int64_t i = 0; i < 4; ++i) {
    Value piece = e.bitXor(e.add(upper, 2 * i), inMatrix);
    ofStep[i] = e.add(e.mul(row, HalfTiles::kRowBytes),
                      e.mul(piece, HalfTiles::kPiece));
  }
  // Matrices 0 and 1 have the first eight k, 1 and 3 the last eight columns.
  ofFloats = floatPlace(e, row, upper);
}

/// What starts copying a step: all threads the tile's rows, each warp the parts
/// of its panels.
TileMatmul::Copies TileMatmul::copiesOf(Value step) {
  Copies copies;
  Value slot = slotOf(step);
  const int64_t parts = plan.stepK / HalfTiles::kStep,
                pieces = plan.rowsBytes() / HalfTiles::kPiece;
  Value from = e.offset(tile, e.mul(step, parts * plan.tiles.stepBytes()));
  for (int64_t part = 0; part < parts; ++part)
    for (int64_t first = 0; first < pieces; first += kTileThreads) {
      Value piece = e.add(stage.thread, first);
      auto copy = [=, this](Value bytes) {
        Value at = e.mul(piece, HalfTiles::kPiece);
        e.copyAsync(e.offset(e.offset(slot, part * plan.rowsBytes()), at),
                    e.offset(e.offset(from, part * plan.tiles.stepBytes()), at),
                    bytes);
      };
      if (first + kTileThreads <= pieces)
        copies.push_back(copy);
      else
        copies.push_back([=, this](Value bytes) {
          e.ifThen(e.lessThan(piece, e.c32(pieces)), [&] { copy(bytes); });
        });
    }
  Value own = e.offset(slot, plan.panelsOffset());
  own =
      e.offset(own, e.mul(stage.warp, plan.unitsOfWarp() * plan.partsBytes()));
  for (int64_t panel = 0; panel < kPanelsOfWarp; ++panel) {
    if (plan.isFloat(plan.streamOf(panel)))
      copyFloats(panel, step, own, copies);
    else
      copyPart(panel, step, own, copies);
    own = e.offset(own, plan.partBytes(plan.streamOf(panel)));
  }
  return copies;
}

void TileMatmul::copyPart(int64_t panel, Value step, Value to, Copies &copies) {
  const size_t stream = plan.streamOf(panel);
  const PackedLayout &layout = plan.streams[stream];
  const int64_t stepsOfUnit = plan.stepsOfUnit(stream),
                pieces = plan.partBytes(stream) / HalfTiles::kPiece;
  Value from = panels[size_t(panel)], skipped;
  if (stepsOfUnit == 1) {
    from = e.offset(from, e.mul(step, plan.partBytes(stream)));
  } else {
    from = e.offset(
        from, e.mul(e.udiv(step, stepsOfUnit), int64_t(layout.unitBytes)));
    skipped = e.mul(e.urem(step, stepsOfUnit), plan.chunkBytes(stream));
  }
  for (int64_t first = 0; first < pieces; first += kWarpSize) {
    Value piece = e.add(stage.lane, first);
    auto copy = [=, this, &layout](Value bytes) {
      Value inUnit = piece, at = e.mul(piece, HalfTiles::kPiece), source = at;
      if (stepsOfUnit == 1)
        inUnit = e.urem(piece, int64_t(layout.unitBytes / HalfTiles::kPiece));
      else
        source = e.add(
            at, e.select(e.lessThan(piece, e.c32(int64_t(layout.chunkOffset) /
                                                 HalfTiles::kPiece)),
                         e.c32(0), skipped));
      Value place = e.add(at, PanelCodes::exchange(e, layout, inUnit));
      e.copyAsync(e.offset(to, place), e.offset(from, source), bytes);
    };
    if (first + kWarpSize <= pieces)
      copies.push_back(copy);
    else
      copies.push_back([=, this](Value bytes) {
        e.ifThen(e.lessThan(piece, e.c32(pieces)), [&] { copy(bytes); });
      });
  }
}

void TileMatmul::copyFloats(int64_t panel, Value step, Value to,
                            Copies &copies) {
  const int64_t bytes = plan.partBytes(plan.streamOf(panel));
  Value from = e.offset(panels[size_t(panel)], e.mul(step, bytes));
  for (int64_t first = 0; first < bytes / HalfTiles::kPiece;
       first += kWarpSize) {
    // 16 elements of k.
    static_assert(kWarpSize * HalfTiles::kPiece == 16 * kLine);
    copies.push_back([=, this](Value bytes) {
      Value k = e.shift(stage.lane, -1);
      Value line = e.add(e.mul(e.bitAnd(k, 1), 8), e.shift(k, -1));
      Value place = floatPlace(e, line, e.bitAnd(stage.lane, 1));
      e.copyAsync(e.offset(e.offset(to, first * HalfTiles::kPiece), place),
                  e.offset(e.offset(from, first * HalfTiles::kPiece),
                           e.mul(stage.lane, HalfTiles::kPiece)),
                  bytes);
    });
  }
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

void TileMatmul::beginUnit(Panel &panel, int64_t chunk) {
  const PackedLayout &layout = *panel.layout;
  Value unit = e.offset(panel.part,
                        chunk / panel.chunksOfUnit * int64_t(layout.unitBytes));
  codegen::ScaleReader reader(e, layout);
  for (int64_t h = 0; h < 2; ++h)
    panel.unit[h] = reader.unit(unit, e.add(group, 8 * h), e.f32());
}

void TileMatmul::beginChunk(Panel &panel, int64_t chunk) {
  const PackedLayout &layout = *panel.layout;
  if (layout.encoding.isFloat()) {
    for (int64_t half = 0; half < 2; ++half) {
      Value at = e.offset(panel.part, (chunk * 2 + half) * 16 * kLine);
      Values loaded =
          e.loadMatrices(e.offset(at, ofFloats), 4, /*transposed=*/true);
      // Columns lane / 4 and then + 8, of the first eight k and then the
      // others.
      llvm::copy(loaded, panel.codes[size_t(half)].begin());
    }
    return;
  }
  if (chunk % panel.chunksOfUnit == 0)
    beginUnit(panel, chunk);
  const int64_t inUnit = chunk % panel.chunksOfUnit;
  panel.chunkAddress = e.offset(
      panel.part, chunk / panel.chunksOfUnit * int64_t(layout.unitBytes) +
                      int64_t(layout.chunkOffset) +
                      inUnit * int64_t(layout.chunkBytes));
  Value index = panel.firstChunk ? e.add(panel.firstChunk, inUnit)
                : inUnit         ? e.c32(inUnit)
                                 : Value();
  codegen::ScaleReader reader(e, layout);
  Values zeros;
  for (int64_t h = 0; h < 2; ++h) {
    panel.chunk[h] =
        reader.chunk(panel.unit[h], index, e.add(group, 8 * h), e.f32());
    if (layout.encoding.hasZeros())
      zeros.push_back(panel.chunk[h].zero);
  }
  panel.codes = codes.fragments(layout, panel.chunkAddress, zeros);
  for (auto &registers : panel.codes)
    for (Value &pair : registers)
      pair = e.bitcast(pair, e.i32());
}

void TileMatmul::applyScale(Panel &panel, const codegen::PanelScales *scales) {
  for (size_t i = 0; i < size_t(kSums); ++i) {
    panel.sums[i] =
        e.fma(scales[i % 4 / 2].factor, panel.products[i], panel.sums[i]);
    panel.products[i] = e.zero(e.f32());
  }
}

/// Sum `index` of the step's sums of activations meets the minima.
void TileMatmul::applyMin(Panel &panel, const codegen::PanelScales *scales,
                          Value slot, int64_t index) {
  const int64_t ofPart = HalfTiles::kStep / plan.tiles.sumGroup;
  Value at = e.offset(slot, index / ofPart * plan.rowsBytes() +
                                HalfTiles::kHalvesBytes +
                                index % ofPart * HalfTiles::kRows * 4);
  at = e.offset(at, e.mul(quad, 8));
  for (int64_t eight = 0; eight < kEights; ++eight) {
    Value pair = e.load(e.vec(2, e.f32()), at, eight * 8 * 4, llvm::Align(8));
    for (int64_t i = 0; i < 4; ++i) {
      Value &sum = panel.sums[size_t(eight * 4 + i)];
      sum = e.fma(scales[i / 2].min, e.extract(pair, i % 2), sum);
    }
  }
}

/// Scales and minima of groups that end with half `half` of a chunk.
void TileMatmul::endHalfChunk(Panel &panel, Value slot, int64_t chunk,
                              int64_t half) {
  const PackedLayout &layout = *panel.layout;
  const bool isHalved = layout.groupsPerChunk == 2;
  if (layout.encoding.isFloat() || (!isHalved && half == 0))
    return;
  codegen::ScaleReader reader(e, layout);
  bool scaleOfUnit = layout.scaleInUnit && !layout.encoding.isTwoLevel();
  codegen::PanelScales scales[2];
  for (int64_t h = 0; h < 2; ++h)
    scales[h] = scaleOfUnit ? panel.chunk[h]
                            : reader.group(panel.chunk[h], panel.chunkAddress,
                                           isHalved ? half : 0,
                                           e.add(group, 8 * h), e.f32());
  const bool isEnd = (chunk + 1) % panel.chunksOfUnit == 0;
  if (!scaleOfUnit || (isEnd && half == 1))
    applyScale(panel, scales);
  if (!layout.encoding.hasMin())
    return;
  const int64_t ofChunk = PackedLayout::kChunk / plan.tiles.sumGroup;
  const int64_t count = isHalved ? ofChunk / 2 : ofChunk;
  for (int64_t i = 0; i < count; ++i)
    applyMin(panel, scales, slot,
             chunk * ofChunk + (isHalved ? half * count : 0) + i);
}

Values TileMatmul::multiply(Value step, Values sums) {
  Value slot = slotOf(step);
  // Behind the last step nothing is read.
  Value ahead = e.add(step, plan.slots - 1);
  Value bytes = e.select(e.lessThan(ahead, e.c32(plan.steps())),
                         e.c32(HalfTiles::kPiece), e.c32(0));
  Copies copies = copiesOf(ahead);
  auto copied = copies.begin();
  Value part = e.offset(slot, plan.panelsOffset());
  part =
      e.offset(part, e.mul(stage.warp, plan.unitsOfWarp() * plan.partsBytes()));
  std::vector<Panel> all(kPanelsOfWarp);
  for (int64_t p = 0; p < kPanelsOfWarp; ++p) {
    Panel &panel = all[size_t(p)];
    const size_t stream = plan.streamOf(p);
    const int64_t stepsOfUnit = plan.stepsOfUnit(stream);
    panel.layout = &plan.streams[stream];
    panel.part = part;
    panel.chunksOfUnit = std::min<int64_t>(
        chunks(), int64_t(panel.layout->unitK) / PackedLayout::kChunk);
    if (stepsOfUnit > 1)
      panel.firstChunk = e.mul(e.urem(step, stepsOfUnit), chunks());
    panel.products.assign(size_t(kSums), e.zero(e.f32()));
    panel.sums = MutableArrayRef(sums).slice(size_t(p * kSums), size_t(kSums));
    // Floats have no scale: their products are the sums.
    if (plan.isFloat(stream))
      panel.products.assign(panel.sums.begin(), panel.sums.end());
    part = e.offset(part, plan.partBytes(stream));
  }
  for (int64_t chunk = 0; chunk < chunks(); ++chunk) {
    for (Panel &panel : all)
      beginChunk(panel, chunk);
    // Copies are spread over the step, as other loads would wait behind them.
    auto end =
        copies.begin() + std::ptrdiff_t(copies.size()) * (chunk + 1) / chunks();
    for (; copied < end; ++copied)
      (*copied)(bytes);
    for (int64_t half = 0; half < 2; ++half) {
      const int64_t sixteen = chunk * 2 + half;
      Value rows = e.offset(e.offset(slot, sixteen / 4 * plan.rowsBytes()),
                            ofStep[sixteen % 4]);
      for (int64_t eight = 0; eight < kEights; eight += 2) {
        Values loaded =
            e.loadMatrices(e.offset(rows, eight * 8 * HalfTiles::kRowBytes), 4,
                           /*transposed=*/false);
        for (Panel &panel : all)
          for (int64_t i = 0; i < 2; ++i) {
            auto *first = panel.products.begin() + (eight + i) * 4;
            Values next = e.mma(panel.codes[size_t(half)],
                                ArrayRef(loaded).slice(size_t(2 * i), 2),
                                ValueRange(ArrayRef(first, 4)), element);
            std::copy(next.begin(), next.end(), first);
          }
      }
      for (Panel &panel : all)
        endHalfChunk(panel, slot, chunk, half);
    }
  }
  for (Panel &panel : all)
    if (panel.layout->encoding.isFloat())
      llvm::copy(panel.products, panel.sums.begin());
  return sums;
}

//===----------------------------------------------------------------------===//
// The block
//===----------------------------------------------------------------------===//

void TileMatmul::emitResults(ValueRange sums) {
  const Value columns[] = {group, e.add(group, 8)};
  const int64_t streams = int64_t(plan.streams.size());
  // Half of the rows at a time, so that what is loaded fits into registers.
  constexpr int64_t kTogether = kEights / 2;
  for (int64_t begin = 0; begin < kEights; begin += kTogether) {
    Values rows, factorOf;
    for (int64_t eight = begin; eight < begin + kTogether; ++eight) {
      Value row = e.add(e.mul(quad, 2), eight * 8);
      Value pair = e.load(e.vec(2, e.f32()), e.offset(factors, e.mul(row, 4)),
                          llvm::Align(8));
      for (int64_t i = 0; i < 2; ++i) {
        rows.push_back(e.add(row, i));
        factorOf.push_back(e.extract(pair, i));
      }
    }
    for (int64_t unit = 0; unit < plan.unitsOfWarp(); ++unit)
      units[size_t(unit)].emitResults(
          columns, rows, exists[size_t(unit)],
          [&](unsigned stream, size_t column, size_t row) {
            int64_t eight = begin + int64_t(row) / 2;
            int64_t sum = (unit * streams + int64_t(stream)) * kSums +
                          eight * 4 + int64_t(column) * 2 + int64_t(row) % 2;
            return e.mulf(sums[unsigned(sum)], factorOf[row]);
          });
  }
}

void TileMatmul::emit() {
  for (int64_t i = 0; i + 1 < plan.slots; ++i) {
    if (i < plan.steps())
      for (auto &copy : copiesOf(e.c32(i)))
        copy(Value());
    e.commitCopies();
  }
  Values zeros(size_t(kPanelsOfWarp * kSums), e.zero(e.f32()));
  // ptxas unrolls four steps, and spills, if it knows that there are no more:
  // the sign of a count is 0, which it does not know.
  Value sign = e.shift(stage.field(QCC_GPU_COUNT), -31);
  Values sums = e.loop(e.c32(0), e.add(sign, plan.steps()), e.c32(1), zeros,
                       [&](Value step, ValueRange in) {
                         e.waitCopies(plan.slots - 2);
                         // The step's copies of all threads are there, and all
                         // have read the slot that the next copy overwrites.
                         e.blockBarrier();
                         Values next = multiply(step, Values(in));
                         e.commitCopies();
                         return next;
                       });
  emitResults(sums);
}

//===----------------------------------------------------------------------===//
// Plan
//===----------------------------------------------------------------------===//

TilePlan::TilePlan(const MatmulPlan &plan, const WeightRun &run,
                   int64_t sharedBytes)
    : plan(plan), run(run),
      tiles(plan.k, *qz::QuantizeOp(plan.quantize).getSumGroup()) {
  bool hasLongGroups = plan.k % (2 * HalfTiles::kStep) == 0;
  for (const PackedWeight &packed : run.packed) {
    streams.push_back(packed.runs.front().layout);
    needsSums |= packed.encoding.hasMin();
    hasLongGroups &= !packed.encoding.isFloat() &&
                     streams.back().unitK % (2 * HalfTiles::kStep) == 0 &&
                     packed.encoding.group % (2 * HalfTiles::kStep) == 0;
  }
  // Scales meet the sums of each step, so that long groups want long steps.
  constexpr int64_t kMostSlots = 4;
  stepK = (hasLongGroups ? 2 : 1) * HalfTiles::kStep;
  if (stepK > HalfTiles::kStep && 3 * slotBytes() > sharedBytes)
    stepK = HalfTiles::kStep;
  slots = std::min(kMostSlots, sharedBytes / slotBytes());
}

static std::vector<TilePlan> tilePlans(const MatmulPlan &plan) {
  std::vector<TilePlan> result;
  for (const WeightRun &run : plan.runs)
    result.emplace_back(plan, run, plan.sharedBytes);
  return result;
}

bool nvptx::fitsInTiles(const MatmulPlan &plan) {
  return llvm::all_of(tilePlans(plan),
                      [](const TilePlan &of) { return of.slots >= 2; });
}

void nvptx::describeTileMatmul(const MatmulPlan &plan, GpuKernel &kernel) {
  kernel.units = 0;
  kernel.rowsPerBlock = unsigned(HalfTiles::kRows);
  for (const TilePlan &of : tilePlans(plan)) {
    kernel.units += unsigned(of.blocks());
    kernel.sharedBytes =
        std::max(kernel.sharedBytes, unsigned(of.slots * of.slotBytes()));
  }
}

void nvptx::emitTileMatmul(StageKernel &stage, const MatmulPlan &plan) {
  WarpEmitter &e = stage.e;
  // Blocks that run together have the same weights for many rows, rather than
  // other weights for the same rows.
  Value perBlock = stage.field(QCC_GPU_ROWS_PER_BLOCK);
  Value tileCount = arith::DivUIOp::create(
      e.b, e.loc, e.add(stage.field(QCC_GPU_COUNT), e.add(perBlock, -1)),
      perBlock);
  Value index =
      e.add(e.mul(e.blockIndex(gpu::Dimension::y), int64_t(stage.kernel.units)),
            stage.unit);
  Value tile = arith::RemUIOp::create(e.b, e.loc, index, tileCount);
  Value block = arith::DivUIOp::create(e.b, e.loc, index, tileCount);
  int64_t firstBlock = 0;
  std::vector<TilePlan> plans = tilePlans(plan);
  for (const TilePlan &of : plans) {
    auto emit = [&] {
      Value first = e.mul(e.add(block, -firstBlock), of.unitsOfBlock());
      TileMatmul(stage, of, e.add(first, of.run.segments[0].firstUnit), tile)
          .emit();
    };
    if (plans.size() == 1)
      return emit();
    Value after = e.cmp(arith::CmpIPredicate::sge, block, e.c32(firstBlock));
    firstBlock += of.blocks();
    Value before = e.lessThan(block, e.c32(firstBlock));
    firstBlock -= of.blocks();
    e.ifThen(arith::AndIOp::create(e.b, e.loc, after, before), emit);
    firstBlock += of.blocks();
  }
}
