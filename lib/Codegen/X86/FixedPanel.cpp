//===- FixedPanel.cpp - Panels of weights, prepared for prompts -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "FixedPanel.h"

#include <cmath>

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

bool FixedPanel::takes(const Encoding &encoding) {
  return !encoding.isFloat() && !encoding.hasFloatCodes() &&
         encoding.spans.empty() && encoding.group % 16 == 0;
}

bool FixedPanel::hasTerms(const Encoding &encoding) {
  int64_t zero = PanelKernel::zeroPointOf(encoding);
  int64_t most = PanelKernel::maxCode(encoding);
  return encoding.hasMin() || encoding.hasZeros() || zero > 128 ||
         most - zero > 127;
}

FixedPanel::FixedPanel(Emitter &e, const Isa &instructions,
                       const PackedLayout &layout, int64_t k,
                       const PreparedLayout &to)
    : e(e), instructions(instructions), layout(layout), k(k), to(to),
      act(to.act), scaleReader(e, layout), ints(e.vec(16, e.i32())),
      floats(e.vec(16, e.f32())) {
  int64_t zero = PanelKernel::zeroPointOf(layout.encoding);
  int64_t most = PanelKernel::maxCode(layout.encoding);
  raise = act.hasTerms ? 0 : act.kFixedZero - zero;
  if (!act.hasTerms)
    most = std::max(zero, most - zero);
  int64_t largest = most * int64_t(act.peak()) * act.dotGroup();
  while ((largest + (int64_t(1) << shiftBy >> 1)) >> shiftBy > INT16_MAX)
    ++shiftBy;
}

Value FixedPanel::chunkAt(Value panel, Value chunk) {
  int64_t each = layout.unitK / PackedLayout::kChunk;
  Value at = e.mul(e.udiv(chunk, each), int64_t(layout.unitBytes));
  if (each > 1)
    at = e.add(at, e.mul(e.urem(chunk, each), int64_t(layout.chunkBytes)));
  return e.offset(e.offset(panel, at), int64_t(layout.chunkOffset));
}

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
    factors.push_back(e.mulf(one.factor, double(1 << shiftBy)));
    if (!act.hasTerms)
      continue;
    Value zero = one.zero ? e.intToFloat(one.zero, e.f32())
                          : e.constant(floats, double(PanelKernel::zeroPointOf(
                                                   layout.encoding)));
    Value term = e.mulf(one.factor, zero);
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
  for (int64_t first = 0; first < PackedLayout::kChunk; first += act.dotGroup())
    result.factors.push_back(ofRun(factors, first));
  for (int64_t first = 0; act.hasTerms && first < PackedLayout::kChunk;
       first += act.sumGroup)
    result.terms.push_back(ofRun(terms, first));
  return result;
}

void FixedPanel::storeBlock(Value panel, Value chunk, int64_t count,
                            Value inverse, Value block, int64_t number) {
  Values words[2];
  PanelKernel kernel(e, instructions, layout, k, act, /*rows=*/1);
  for (int64_t i = 0; i < 2; ++i) {
    if (i == count) {
      for (int64_t q = 0; q < 8; ++q)
        e.store(e.zero(ints), block, to.codeOffset(i * 8 + q, number));
      break;
    }
    Value one = e.add(chunk, i), codes = chunkAt(panel, one);
    llvm::DenseMap<int64_t, Value> lines;
    auto line = [&](int64_t byteOffset) {
      Value &value = lines[byteOffset];
      if (!value)
        value = e.load(ints, codes, byteOffset);
      return value;
    };
    auto bytes = int64_t(int32_t(uint32_t(raise) * 0x01010101u));
    for (int64_t q : kernel.groupOrder())
      e.store(e.add(kernel.codes(q, line), bytes), block,
              to.codeOffset(i * 8 + q, number));
    ChunkScales scales = chunkScales(panel, one);
    for (auto [list, values] :
         llvm::zip_equal(words, ArrayRef<Values>{scales.factors, scales.terms}))
      for (Value value : values)
        list.push_back(e.floatToInt(
            e.unary("llvm.roundeven", e.mulf(value, inverse)), e.i32()));
  }
  auto storePairs = [&](Values &list, int64_t count,
                        function_ref<int64_t(int64_t)> at) {
    list.resize(2 * count, e.zero(ints));
    for (int64_t pair = 0; pair < count; ++pair)
      e.store(instructions.wordPairs(e, list[2 * pair], list[2 * pair + 1]),
              block, at(pair));
  };
  storePairs(words[0], act.scalePairs(),
             [&](int64_t pair) { return to.factorOffset(pair, number); });
  storePairs(words[1], act.sumPairs(),
             [&](int64_t pair) { return to.termOffset(pair, number); });
}

void FixedPanel::prepare(Value panel, Value first, Value end, Value prepared,
                         int64_t number) {
  int64_t each = 2 * act.slabBlocks();
  e.loop(first, end, 1, [&](Value slab) {
    Value at = e.offset(prepared, e.mul(e.sub(slab, first), to.slabBytes()));
    Value chunk = e.mul(slab, each);
    Value behind = e.minU(e.add(chunk, each), e.c64(act.chunks));
    Value largest = e.loop(
        chunk, behind, e.c64(1), e.zero(floats), [&](Value i, ValueRange in) {
          ChunkScales one = chunkScales(panel, i);
          Value most = in[0];
          for (const Values &values : {one.factors, one.terms})
            for (Value value : values)
              most = e.maxf(e.unary("llvm.fabs", value), most);
          return Values{most};
        })[0];
    Value unit = e.mulf(largest, 1.0 / double(act.kFixedFactor));
    unit = e.maxf(unit, e.constant(floats, kSmallestUnit));
    e.store(unit, at, to.unitOffset(number));
    Value inverse = e.divf(e.constant(floats, 1.0), unit);
    Value blocks = e.offset(at, to.firstBlock());
    auto store = [&](Value i, int64_t count) {
      Value block = e.udiv(e.sub(i, chunk), 2);
      storeBlock(panel, i, count, inverse,
                 e.offset(blocks, e.mul(block, to.blockBytes())), number);
    };
    e.loop(chunk,
           act.chunks % 2 ? e.minU(behind, e.c64(act.chunks - 1)) : behind, 2,
           [&](Value i) { store(i, 2); });
    if (act.chunks % 2)
      e.ifThen(e.cmp(arith::CmpIPredicate::eq, behind, e.c64(act.chunks)),
               [&] { store(e.c64(act.chunks - 1), 1); });
  });
}
