//===- FixedPanel.cpp - A panel of weights times a fixed tile -------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "FixedPanel.h"

#include <cmath>

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

static constexpr int64_t kVector = 64; ///< Bytes.

bool FixedPanel::takes(const Encoding &encoding) {
  return !encoding.isFloat() && !encoding.hasFloatCodes() &&
         encoding.spans.empty() && encoding.group % 16 == 0;
}

static int64_t blockScaleBytes(const ActivationLayout &act) {
  return (act.scalePairs() + act.sumPairs()) * kVector;
}

static int64_t slabScaleBytes(const ActivationLayout &act) {
  return kVector + act.slabBlocks() * blockScaleBytes(act);
}

int64_t FixedPanel::bytes(const ActivationLayout &activations) {
  return activations.slabs() * slabScaleBytes(activations);
}

FixedPanel::FixedPanel(Emitter &e, const Isa &instructions,
                       const PackedLayout &layout, int64_t k,
                       const ActivationLayout &activations)
    : e(e), instructions(instructions), layout(layout), k(k), act(activations),
      scaleReader(e, layout), ints(e.vec(16, e.i32())),
      floats(e.vec(16, e.f32())), run(activations.dotGroup()) {
  auto largest = int64_t(PanelKernel::maxCode(layout.encoding)) *
                 int64_t(act.peak()) * run;
  while ((largest + (int64_t(1) << shift >> 1)) >> shift > INT16_MAX)
    ++shift;
}

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

Values FixedPanel::forSlabs(Values values,
                            function_ref<Values(const Slab &, Values)> body) {
  int64_t size = act.slabBlocks(), whole = act.chunks / 2 / size;
  Slab last{e.c64(whole), act.chunks / 2 % size, act.chunks % 2 != 0};
  if (whole == 1)
    values = body({e.c64(0), size, false}, values);
  else if (whole > 1)
    values =
        e.loop(e.c64(0), e.c64(whole), e.c64(1), values,
               [&](Value slab, ValueRange in) {
                 return body({slab, size, false}, Values(in.begin(), in.end()));
               });
  return last.whole || last.hasMore ? body(last, values) : values;
}

Value FixedPanel::chunkAt(Value panel, Value chunk) {
  int64_t each = layout.unitK / PackedLayout::kChunk;
  Value at = e.mul(e.udiv(chunk, each), int64_t(layout.unitBytes));
  if (each > 1)
    at = e.add(at, e.mul(e.urem(chunk, each), int64_t(layout.chunkBytes)));
  return e.offset(e.offset(panel, at), int64_t(layout.chunkOffset));
}

Value FixedPanel::slabAt(Value scales, const Slab &slab) {
  return e.offset(scales, e.mul(slab.index, slabScaleBytes(act)));
}

Value FixedPanel::scalesAt(Value scales, const Slab &slab, Value block) {
  return e.offset(e.offset(slabAt(scales, slab), kVector),
                  e.mul(block, blockScaleBytes(act)));
}

Value FixedPanel::firstChunk(const Slab &slab, Value block) {
  return e.mul(e.add(e.mul(slab.index, act.slabBlocks()), block), 2);
}

//===----------------------------------------------------------------------===//
// Scales
//===----------------------------------------------------------------------===//

static_assert(double(ActivationLayout::kFixedFactor + 1) *
                  ActivationLayout::kFixedSum <
              0.99 * (1u << 31));
/// Below it, factors are 0.
static constexpr double kSmallestUnit = 1e-36;

FixedPanel::ChunkScales FixedPanel::chunkScales(Value panel, Value chunk) {
  const Encoding &encoding = layout.encoding;
  int64_t each = layout.unitK / PackedLayout::kChunk;
  int64_t group = std::min<int64_t>(encoding.group, PackedLayout::kChunk);
  Value lane = e.c64(0);
  Value unit =
      e.offset(panel, e.mul(e.udiv(chunk, each), int64_t(layout.unitBytes)));
  PanelScales scales =
      scaleReader.chunk(scaleReader.unit(unit, lane, floats),
                        each > 1 ? e.urem(chunk, each) : Value(), lane, floats);
  Value codes = chunkAt(panel, chunk);
  Values factors, terms;
  for (int64_t i = 0; i < PackedLayout::kChunk / group; ++i) {
    PanelScales one = scaleReader.group(scales, codes, i, lane, floats);
    Value zero =
        one.zero
            ? e.intToFloat(one.zero, e.f32())
            : e.constant(floats, PanelKernel::zeroPointOf(layout.encoding));
    Value term = e.mulf(one.factor, zero);
    factors.push_back(e.mulf(one.factor, double(1 << shift)));
    term = one.min ? e.subf(one.min, term)
                   : Value(arith::NegFOp::create(e.b, e.loc, term));
    terms.push_back(e.mulf(term, double(act.sumGroup) / 256));
  }
  // Two levels make factors of the zeros that groups behind the end have.
  auto ofRun = [&](const Values &list, int64_t first) {
    Value value = list[first / group];
    if (k % PackedLayout::kChunk == 0)
      return value;
    Value at = e.add(e.mul(chunk, int64_t(PackedLayout::kChunk)), first);
    return e.select(e.cmp(arith::CmpIPredicate::ult, at, e.c64(k)), value,
                    e.zero(floats));
  };
  ChunkScales result;
  for (int64_t first = 0; first < PackedLayout::kChunk; first += run)
    result.factors.push_back(ofRun(factors, first));
  for (int64_t first = 0; first < PackedLayout::kChunk; first += act.sumGroup)
    result.terms.push_back(ofRun(terms, first));
  return result;
}

void FixedPanel::storeBlock(ArrayRef<ChunkScales> chunks, Value inverse,
                            Value to) {
  Values words[2];
  for (const ChunkScales &chunk : chunks)
    for (auto [list, values] :
         llvm::zip_equal(words, ArrayRef<Values>{chunk.factors, chunk.terms}))
      for (Value value : values)
        list.push_back(e.floatToInt(
            e.unary("llvm.roundeven", e.mulf(value, inverse)), e.i32()));
  int64_t at = 0;
  for (auto [list, count] : llvm::zip_equal(
           words, ArrayRef<int64_t>{act.scalePairs(), act.sumPairs()})) {
    list.resize(2 * count, e.zero(ints));
    for (int64_t pair = 0; pair < count; ++pair, at += kVector)
      e.store(instructions.wordPairs(e, list[2 * pair], list[2 * pair + 1]), to,
              at);
  }
}

void FixedPanel::prepare(Value panel, Value scales) {
  forSlabs({}, [&](const Slab &slab, Values) {
    Value first = firstChunk(slab, e.c64(0));
    Value end = e.add(first, 2 * slab.whole + slab.hasMore);
    Value largest = e.loop(
        first, end, e.c64(1), e.zero(floats), [&](Value chunk, ValueRange in) {
          ChunkScales one = chunkScales(panel, chunk);
          Value most = in[0];
          for (const Values &values : {one.factors, one.terms})
            for (Value value : values)
              most = e.maxf(e.unary("llvm.fabs", value), most);
          return Values{most};
        })[0];
    Value unit = e.mulf(largest, 1.0 / double(act.kFixedFactor));
    unit = e.maxf(unit, e.constant(floats, kSmallestUnit));
    e.store(unit, slabAt(scales, slab));
    Value inverse = e.divf(e.constant(floats, 1.0), unit);
    e.loop(e.c64(0), e.c64(slab.whole), 1, [&](Value block) {
      Value chunk = firstChunk(slab, block);
      storeBlock(
          {chunkScales(panel, chunk), chunkScales(panel, e.add(chunk, 1))},
          inverse, scalesAt(scales, slab, block));
    });
    if (slab.hasMore) {
      Value block = e.c64(slab.whole);
      storeBlock({chunkScales(panel, firstChunk(slab, block))}, inverse,
                 scalesAt(scales, slab, block));
    }
    return Values();
  });
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

Values FixedPanel::dotProducts(PanelKernel &kernel, Value chunk, Value x,
                               int64_t firstQ, int64_t begin, int64_t start,
                               int64_t rows) {
  llvm::DenseMap<int64_t, Value> lines;
  auto line = [&](int64_t byteOffset) {
    Value &value = lines[byteOffset];
    if (!value)
      value = e.load(ints, chunk, byteOffset);
    return value;
  };
  Values sums(rows, e.constant(ints, start));
  for (int64_t q : kernel.groupOrder()) {
    if (q < begin / 4 || q >= (begin + run) / 4)
      continue;
    Value word = kernel.codes(q, line);
    for (int64_t r = 0; r < rows; ++r)
      sums[r] = instructions.dotProduct(
          e, sums[r], word,
          e.loadSplat(ints, x, act.dotOffset(0, firstQ + q, r)),
          PanelKernel::maxCode(layout.encoding));
  }
  return sums;
}

Values FixedPanel::blockProducts(PanelKernel &kernel, ArrayRef<Value> chunks,
                                 Value scales, Value x, Values acc) {
  auto rows = int64_t(acc.size());
  SmallVector<Values> dots;
  for (auto [i, chunk] : llvm::enumerate(chunks))
    for (int64_t k = 0; k < PackedLayout::kChunk; k += run) {
      // Half of what is shifted out rounds. Of two sums one has 1 less, so that
      // ties go up as often as down.
      int64_t start = int64_t(1) << shift >> 1;
      if (shift && dots.size() % 2)
        --start;
      dots.push_back(
          dotProducts(kernel, chunk, x, int64_t(i) * 8, k, start, rows));
      bool isPaired = dots.size() % 2 == 0;
      if (!isPaired && &chunk == &chunks.back() &&
          k + run == PackedLayout::kChunk) {
        dots.push_back(Values(rows, e.zero(ints)));
        isPaired = true;
      }
      if (!isPaired)
        continue;
      auto pair = int64_t(dots.size()) / 2 - 1;
      Value factors = e.load(ints, scales, pair * kVector);
      const Values &low = dots[2 * pair], &high = dots[2 * pair + 1];
      for (int64_t r = 0; r < rows; ++r) {
        Value scale = e.loadSplat(ints, x, act.scalePairOffset(pair, r));
        acc[r] = instructions.pairProduct(
            e, acc[r], instructions.wordPairs(e, low[r], high[r], shift),
            instructions.multiplyHigh(e, factors, scale));
      }
    }
  int64_t present = int64_t(chunks.size()) * PackedLayout::kChunk;
  for (int64_t pair = 0; pair * 2 * act.sumGroup < present; ++pair) {
    Value terms = e.load(ints, scales, (act.scalePairs() + pair) * kVector);
    for (int64_t r = 0; r < rows; ++r)
      acc[r] = instructions.pairProduct(
          e, acc[r], terms, e.loadSplat(ints, x, act.sumPairOffset(pair, r)));
  }
  return acc;
}

Values FixedPanel::emit(Value panel, Value scales, Value tile, int64_t rows) {
  PanelKernel kernel(e, instructions, layout, k, act, rows);
  return forSlabs(Values(rows, e.zero(floats)), [&](const Slab &slab,
                                                    Values sums) {
    Value blocks = e.offset(tile, act.firstBlock());
    auto products = [&](Value block, int64_t count, Values acc) {
      Value chunk = firstChunk(slab, block);
      Values chunks;
      for (int64_t i = 0; i < count; ++i)
        chunks.push_back(chunkAt(panel, e.add(chunk, i)));
      Value number = e.add(e.mul(slab.index, act.slabBlocks()), block);
      return blockProducts(kernel, chunks, scalesAt(scales, slab, block),
                           e.offset(blocks, e.mul(number, act.blockBytes())),
                           std::move(acc));
    };
    Values acc(rows, e.zero(ints));
    if (slab.whole)
      acc = e.loop(e.c64(0), e.c64(slab.whole), e.c64(1), acc,
                   [&](Value block, ValueRange in) {
                     return products(block, 2, Values(in.begin(), in.end()));
                   });
    if (slab.hasMore)
      acc = products(e.c64(slab.whole), 1, acc);
    Value unit = e.load(floats, slabAt(scales, slab));
    Value units = e.offset(tile, e.mul(slab.index, act.unitOffset(1, 0)));
    for (int64_t r = 0; r < rows; ++r)
      sums[r] = e.fma(e.intToFloat(acc[r], e.f32()),
                      e.mulf(unit, e.loadSplat(floats, units, r * 4)), sums[r]);
    return sums;
  });
}
