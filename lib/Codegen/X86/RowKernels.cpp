//===- RowKernels.cpp - Work on one row of activations --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "RowKernels.h"

#include "PanelKernel.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

void qcc::x86::forRow(Emitter &e, int64_t lanes, int64_t columns,
                      function_ref<void(Value, int64_t)> body) {
  int64_t full = columns / lanes * lanes;
  if (full)
    e.loop(e.c64(0), e.c64(full), lanes, [&](Value k) { body(k, lanes); });
  if (columns != full)
    body(e.c64(full), columns - full);
}

Value qcc::x86::loadPartialOf(Emitter &e, VectorType type, Value pointer,
                              int64_t valid) {
  if (valid == type.getNumElements())
    return e.load(type, pointer);
  int64_t size = type.getElementTypeBitWidth() / 8;
  Value result = e.zero(type);
  for (int64_t i = 0; i < valid; ++i)
    result = vector::InsertOp::create(
        e.b, e.loc, e.load(type.getElementType(), pointer, i * size), result,
        i);
  return result;
}

void qcc::x86::storePartial(Emitter &e, Value vector, Value pointer,
                            int64_t valid) {
  auto type = cast<VectorType>(vector.getType());
  if (valid == type.getNumElements())
    return e.store(vector, pointer);
  int64_t size = type.getElementTypeBitWidth() / 8;
  for (int64_t i = 0; i < valid; ++i)
    e.store(e.extract(vector, i), pointer, i * size);
}

/// The mean over a row of what `addTo(x, valid, sums)` adds to sums, a vector
/// of which the first `valid` lanes are elements.
static Value meanOfRow(Emitter &e, const Isa &isa, Value row, int64_t columns,
                       function_ref<Value(Value, int64_t, Value)> addTo) {
  int64_t full = columns / isa.lanes * isa.lanes;
  Value sum = e.zero(e.vec(isa.lanes, e.f32()));
  auto next = [&](Value k, int64_t valid, Value acc) {
    return addTo(loadPartial(e, isa.lanes, e.offset(row, e.mul(k, 4)), valid),
                 valid, acc);
  };
  if (full)
    sum = e.loop(e.c64(0), e.c64(full), e.c64(isa.lanes), sum,
                 [&](Value k, ValueRange acc) {
                   return Values{next(k, isa.lanes, acc[0])};
                 })[0];
  if (columns != full)
    sum = next(e.c64(full), columns - full, sum);
  return e.divf(e.reduceAdd(sum), e.constant(e.f32(), double(columns)));
}

Value qcc::x86::rowMean(Emitter &e, const Isa &isa, Value row,
                        int64_t columns) {
  return meanOfRow(e, isa, row, columns,
                   [&](Value x, int64_t, Value acc) { return e.addf(acc, x); });
}

/// `vector` with 0 from lane `valid` on.
static Value firstLanes(Emitter &e, Value vector, int64_t valid) {
  auto type = cast<VectorType>(vector.getType());
  int64_t lanes = type.getNumElements();
  if (valid == lanes)
    return vector;
  SmallVector<int64_t> from;
  for (int64_t i = 0; i < lanes; ++i)
    from.push_back(i < valid ? i : lanes);
  return vector::ShuffleOp::create(e.b, e.loc, vector, e.zero(type), from);
}

Value qcc::x86::inverseRms(Emitter &e, const Isa &isa, Value row,
                           int64_t columns, float eps, Value mean) {
  Value center = mean ? e.splat(mean, e.vec(isa.lanes, e.f32())) : Value();
  Value square =
      meanOfRow(e, isa, row, columns, [&](Value x, int64_t valid, Value acc) {
        if (center)
          x = firstLanes(e, e.subf(x, center), valid);
        return e.fma(x, x, acc);
      });
  Value root =
      e.unary("llvm.sqrt", e.addf(square, e.constant(e.f32(), double(eps))));
  return e.divf(e.constant(e.f32(), 1.0), root);
}

void qcc::x86::addNormRow(Emitter &e, const Isa &isa, Value residual,
                          Value input, Value weight, Value out, int64_t columns,
                          float eps) {
  VectorType type = e.vec(isa.lanes, e.f32());
  Value factor = e.splat(inverseRms(e, isa, input, columns, eps), type);
  forRow(e, isa.lanes, columns, [&](Value k, int64_t valid) {
    Value at = e.mul(k, 4);
    auto loadAt = [&](Value base) {
      return loadPartial(e, isa.lanes, e.offset(base, at), valid);
    };
    Value normed = e.mulf(loadAt(input), factor);
    storePartial(e, e.fma(normed, loadAt(weight), loadAt(residual)),
                 e.offset(out, at), valid);
  });
}

void qcc::x86::scaleRow(Emitter &e, const Isa &isa, Value input, Value weight,
                        Value factor, Value out, int64_t columns) {
  Value factors = e.splat(factor, e.vec(isa.lanes, e.f32()));
  forRow(e, isa.lanes, columns, [&](Value k, int64_t valid) {
    Value at = e.mul(k, 4);
    auto loadAt = [&](Value base) {
      return loadPartial(e, isa.lanes, e.offset(base, at), valid);
    };
    Value x = e.mulf(loadAt(input), factors);
    if (weight)
      x = e.mulf(x, loadAt(weight));
    storePartial(e, x, e.offset(out, at), valid);
  });
}

void qcc::x86::copyRow(Emitter &e, const Isa &isa, Value from, Value to,
                       int64_t columns) {
  forRow(e, isa.lanes, columns, [&](Value k, int64_t valid) {
    Value at = e.mul(k, 4);
    storePartial(e, loadPartial(e, isa.lanes, e.offset(from, at), valid),
                 e.offset(to, at), valid);
  });
}

//===----------------------------------------------------------------------===//
// Quantization of activations
//===----------------------------------------------------------------------===//

/// Far below every activation that matters; 32639 / kTiny is finite.
static constexpr double kTiny = 1e-30;

namespace {
/// Writes one chunk of one row; `at` and `dots` point to the chunk of the row's
/// tile, with the row's place in the tile and among its integers already added.
class ChunkWriter {
public:
  ChunkWriter(Emitter &e, const Isa &isa, const ActivationLayout &layout,
              Value at, Value dots)
      : e(e), isa(isa), layout(layout), at(at), dots(dots) {}

  /// `x` holds 32 elements as two vectors of 16.
  void write(ArrayRef<Value> x) {
    if (layout.isFloat() && layout.tile == 1) {
      for (int64_t i = 0; i < 2; ++i)
        e.store(x[i], at, layout.floatOffset(16 * i, 0));
      return;
    }
    if (layout.isFloat()) {
      for (int64_t i = 0; i < 32; ++i)
        e.store(e.extract(x[i / 16], i % 16), at, layout.floatOffset(i, 0));
      return;
    }
    if (layout.isHalf()) {
      Value words = e.bitcast(isa.halves(e, x[0], x[1]), e.vec(16, e.i32()));
      if (layout.isBlock)
        return e.store(words, dots);
      for (int64_t i = 0; i < 16; ++i)
        e.store(e.extract(words, i), at, layout.pairOffset(i, 0));
      return;
    }
    Value peaks[2] = {peak(x[0]), peak(x[1])};
    if (layout.group() == 32)
      peaks[0] = peaks[1] = e.maxf(peaks[0], peaks[1]);
    Value sums[2], scales[2];
    for (int64_t i = 0; i < 2; ++i) {
      scales[i] = e.mulf(peaks[i], 1.0 / layout.peak());
      Value ints = quantize(x[i], peaks[i]);
      sums[i] = e.reduceAdd(ints);
      writeDots(ints, i * 4);
    }
    for (int64_t i = 0; i < 32 / layout.group(); ++i)
      e.store(scales[i], at, layout.scaleOffset(i, 0));
    if (layout.dotGroup() == 32)
      sums[0] = e.add(sums[0], sums[1]);
    Value products[2];
    for (int64_t i = 0; i < 32 / layout.dotGroup(); ++i) {
      e.store(e.mul(sums[i], -layout.zeroFactor), at, layout.nsumOffset(i, 0));
      products[i] = e.mulf(e.intToFloat(sums[i], e.f32()), scales[i]);
    }
    if (layout.sumGroup > layout.dotGroup())
      products[0] = e.addf(products[0], products[1]);
    for (int64_t i = 0; i < 32 / layout.sumGroup; ++i)
      e.store(products[i], at, layout.fsumOffset(i, 0));
  }

private:
  Value peak(Value x) { return e.reduceMax(e.unary("llvm.fabs", x)); }

  Value quantize(Value x, Value peak) {
    // A group of zeros has scale 0 and any integers do. Where dividing would
    // give an infinity, the integers are 0 and what is lost is below kTiny.
    Value isTiny = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OLT,
                                         peak, e.constant(e.f32(), kTiny));
    Value divisor = e.select(isTiny, e.constant(e.f32(), 1.0), peak);
    Value factor = e.divf(e.constant(e.f32(), double(layout.peak())), divisor);
    Value scaled = e.mulf(x, e.splat(factor, e.vec(16, e.f32())));
    return e.floatToInt(e.unary("llvm.roundeven", scaled), e.i32());
  }

  /// Stores 16 integers as k-groups q .. q+3 of each plane.
  void writeDots(Value ints, int64_t q) {
    SmallVector<Value> planes;
    if (layout.planes() == 2) {
      Value high = e.ashr(e.add(ints, 128), 8);
      planes = {high, e.sub(ints, e.shift(high, 8))};
    } else {
      planes = {ints};
    }
    for (auto [plane, value] : llvm::enumerate(planes)) {
      Value bytes = e.trunc(value, e.i8());
      if (layout.isBlock) {
        e.store(bytes, dots, layout.dotOffset(plane, q, 0));
        continue;
      }
      Value words = e.bitcast(bytes, e.vec(4, e.i32()));
      for (int64_t i = 0; i < 4; ++i)
        e.store(e.extract(words, i), dots, layout.dotOffset(plane, q + i, 0));
    }
  }

  Emitter &e;
  const Isa &isa;
  const ActivationLayout &layout;
  Value at, dots;
};
} // namespace

Value qcc::x86::loadNormed(Emitter &e, Value input, const RowNorm &norm,
                           Value mean, Value factor, Value order, Value k,
                           int64_t valid) {
  VectorType type = e.vec(16, e.f32());
  Value at = e.mul(k, 4), index;
  if (order)
    index =
        e.floatToInt(loadPartial(e, 16, e.offset(order, at), valid), e.i32());
  auto load = [&](Value base) {
    return order ? e.gather(base, index, type, valid)
                 : loadPartial(e, 16, e.offset(base, at), valid);
  };
  Value value = load(input);
  // Lanes behind the row's end have weight 0.
  if (mean)
    value = e.subf(value, mean);
  if (norm.weight)
    value = e.mulf(e.mulf(value, factor), load(norm.weight));
  if (norm.bias)
    value = e.addf(value, load(norm.bias));
  return value;
}

void qcc::x86::quantizeRow(Emitter &e, const Isa &isa, Value input,
                           const RowNorm &norm, Value order, int64_t columns,
                           const ActivationLayout &layout, Value buffer,
                           Value row) {
  VectorType type = e.vec(16, e.f32());
  Value mean, factor;
  if (norm.isCentered)
    mean = rowMean(e, isa, input, columns);
  if (norm.weight)
    factor = e.splat(inverseRms(e, isa, input, columns, norm.eps, mean), type);
  if (mean)
    mean = e.splat(mean, type);
  Value tile =
      e.offset(buffer, e.mul(e.udiv(row, layout.tile), layout.tileBytes()));
  Value inTile = e.urem(row, layout.tile);
  Value start = e.offset(tile, e.mul(inTile, 4));
  Value dots = layout.isBlock
                   ? e.offset(tile, e.mul(inTile, layout.rowStride()))
                   : start;
  forRow(e, 32, columns, [&](Value k, int64_t valid) {
    SmallVector<Value> x;
    for (int64_t i = 0; i < 2; ++i)
      x.push_back(loadNormed(e, input, norm, mean, factor, order,
                             e.add(k, 16 * i),
                             std::clamp<int64_t>(valid - 16 * i, 0, 16)));
    Value chunk = e.mul(e.udiv(k, 32), layout.chunkBytes());
    ChunkWriter(e, isa, layout, e.offset(start, chunk), e.offset(dots, chunk))
        .write(x);
  });
}

//===----------------------------------------------------------------------===//
// Embedding
//===----------------------------------------------------------------------===//

/// What the four codes in `word` stand for.
static Value embeddingNumbers(Emitter &e, const Isa &isa, PanelKernel &kernel,
                              const Encoding &encoding, Value word,
                              Value zero) {
  Value bytes = LLVM::BitcastOp::create(e.b, e.loc, e.vec(4, e.i8()), word);
  Value code = e.zext(bytes, e.i32());
  if (encoding.hasFloatCodes()) {
    // A code in the first byte of each of four lanes.
    SmallVector<int64_t> lanes;
    for (int64_t i = 0; i < isa.lanes; ++i)
      lanes.push_back(i % 4);
    Value wide = vector::ShuffleOp::create(e.b, e.loc, code, code, lanes);
    Value number =
        kernel.withNaN(kernel.numbers(wide, Value())[0], kernel.nanLanes(wide));
    return e.slice(number, 0, 4);
  }
  code = zero ? e.sub(code, e.splat(zero, e.vec(4, e.i32())))
              : e.add(code, -kernel.zeroPoint());
  return e.intToFloat(code, e.f32());
}

/// Stores scale * value, or adds it to what is there.
static void storeScaled(Emitter &e, Value value, float scale, Value out,
                        bool isAdded) {
  value = e.mulf(value, double(scale));
  if (isAdded)
    value = e.addf(e.load(value.getType(), out), value);
  e.store(value, out);
}

/// Four elements of a quantized row: values of the codes in one word.
static void embeddingWord(Emitter &e, const Isa &isa, PanelKernel &kernel,
                          const Encoding &encoding, Value word,
                          const PanelScales &scales, float scale, Value out,
                          bool isAdded) {
  VectorType floats = e.vec(4, e.f32());
  Value value =
      e.mulf(e.splat(scales.factor, floats),
             embeddingNumbers(e, isa, kernel, encoding, word, scales.zero));
  if (encoding.hasMin())
    value = e.addf(value, e.splat(scales.min, floats));
  storeScaled(e, value, scale, out, isAdded);
}

/// The part of a row that one run of a panel holds, for lane `lane`.
static void embeddingRun(Emitter &e, const Isa &isa,
                         const PackedWeight::Run &run, Value panel, Value lane,
                         float scale, Value out, bool isAdded) {
  const PackedLayout &layout = run.layout;
  const Encoding &encoding = layout.encoding;
  const int64_t columns = int64_t(run.columns);
  ActivationLayout unused(qz::Activations::F32, columns, 32, 1);
  PanelKernel kernel(e, isa, layout, columns, unused, /*rows=*/1);
  ScaleReader scaleReader(e, layout);
  if (encoding.isFloat()) {
    e.loop(e.c64(0), e.c64(columns), 1, [&](Value k) {
      Value value = scaleReader.scalars(encoding.element, panel,
                                        e.add(e.mul(k, 16), lane), e.f32());
      storeScaled(e, value, scale, e.offset(out, e.mul(k, 4)), isAdded);
    });
    return;
  }
  const int64_t weightGroup = std::min(encoding.group, 32u);
  auto emitChunk = [&](Value chunk, const PanelScales &chunkScales,
                       int64_t words, Value outChunk) {
    PanelScales scales;
    for (int64_t q = 0; q < words; ++q) {
      if (q * 4 % weightGroup == 0)
        scales = scaleReader.group(chunkScales, chunk, q * 4 / weightGroup,
                                   lane, e.f32());
      Value word = kernel.codes(q, [&](int64_t byteOffset) {
        return e.load(e.i32(),
                      e.offset(e.offset(chunk, byteOffset), e.mul(lane, 4)));
      });
      embeddingWord(e, isa, kernel, encoding, word, scales, scale,
                    e.offset(outChunk, q * 16), isAdded);
    }
  };
  auto emitUnit = [&](Value u, int64_t count) {
    Value unit = e.offset(panel, e.mul(u, layout.unitBytes));
    Value outUnit = e.offset(out, e.mul(u, int64_t(layout.unitK) * 4));
    PanelScales scales = scaleReader.unit(unit, lane, e.f32());
    auto chunk = [&](Value c, int64_t words) {
      emitChunk(e.offset(e.offset(unit, layout.chunkOffset),
                         e.mul(c, layout.chunkBytes)),
                scaleReader.chunk(scales, c, lane, e.f32()), words,
                e.offset(outUnit, e.mul(c, 128)));
    };
    e.loop(e.c64(0), e.c64(count / 32), 1, [&](Value c) { chunk(c, 8); });
    if (count % 32)
      chunk(e.c64(count / 32), count % 32 / 4);
  };
  e.loop(e.c64(0), e.c64(columns / layout.unitK), 1,
         [&](Value u) { emitUnit(u, layout.unitK); });
  if (columns % layout.unitK)
    emitUnit(e.c64(columns / layout.unitK), columns % layout.unitK);
}

void qcc::x86::embeddingRow(Emitter &e, const Isa &isa,
                            const PackedWeight &packed, Value weight,
                            Value index, float scale, Value out, bool isAdded) {
  Value lane = e.urem(index, 16);
  Value panel =
      e.offset(weight, e.mul(e.udiv(index, 16), int64_t(packed.panelBytes)));
  for (const PackedWeight::Run &run : packed.runs)
    embeddingRun(e, isa, run, e.offset(panel, int64_t(run.offset)), lane, scale,
                 e.offset(out, int64_t(run.begin.element) * 4), isAdded);
}
