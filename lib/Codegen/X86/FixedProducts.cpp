//===- FixedProducts.cpp - Prepared panels times rows of a tile -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "FixedPanel.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

FixedProducts::FixedProducts(Emitter &e, const Isa &instructions,
                             const PreparedLayout &layout, ArrayRef<int> shifts,
                             int64_t rows)
    : e(e), instructions(instructions), layout(layout), act(layout.act),
      shifts(shifts.begin(), shifts.end()), rows(rows),
      ints(e.vec(16, e.i32())), floats(e.vec(16, e.f32())) {}

Values FixedProducts::dotProducts(Value weights, Value x, int64_t run) {
  Values sums;
  for (int shift : shifts) {
    // Half of what is shifted out rounds. Of two sums one has 1 less, so that
    // ties go up as often as down.
    int64_t half = int64_t(1) << shift >> 1;
    if (shift && run % 2)
      --half;
    for (int64_t r = 0; r < rows; ++r)
      sums.push_back(
          act.hasTerms
              ? e.constant(ints, half)
              : e.add(e.loadSplat(ints, x, act.startOffset(run, r)), half));
  }
  int64_t groups = act.dotGroup() / 4;
  for (int64_t q = run * groups; q < (run + 1) * groups; ++q) {
    Values codes;
    for (int64_t panel = 0; panel < layout.panels; ++panel)
      codes.push_back(e.load(ints, weights, layout.codeOffset(q, panel)));
    for (int64_t r = 0; r < rows; ++r) {
      Value word = e.loadSplat(ints, x, act.dotOffset(0, q, r));
      for (int64_t panel = 0; panel < layout.panels; ++panel) {
        Value &sum = sums[panel * rows + r];
        sum = instructions.dotProduct(e, sum, codes[panel], word, 255);
      }
    }
  }
  return sums;
}

Values FixedProducts::block(Value weights, Value x, Values acc) {
  for (int64_t pair = 0; pair < act.scalePairs(); ++pair) {
    Values low = dotProducts(weights, x, 2 * pair);
    Values high = dotProducts(weights, x, 2 * pair + 1);
    Values factors;
    for (int64_t panel = 0; panel < layout.panels; ++panel)
      factors.push_back(
          e.load(ints, weights, layout.factorOffset(pair, panel)));
    for (int64_t r = 0; r < rows; ++r) {
      Value scale = e.loadSplat(ints, x, act.scalePairOffset(pair, r));
      for (int64_t panel = 0; panel < layout.panels; ++panel) {
        int64_t i = panel * rows + r;
        acc[i] = instructions.pairProduct(
            e, acc[i],
            instructions.wordPairs(e, low[i], high[i], shifts[panel]),
            instructions.multiplyHigh(e, factors[panel], scale));
      }
    }
  }
  for (int64_t pair = 0; pair < act.sumPairs(); ++pair) {
    Values terms;
    for (int64_t panel = 0; panel < layout.panels; ++panel)
      terms.push_back(e.load(ints, weights, layout.termOffset(pair, panel)));
    for (int64_t r = 0; r < rows; ++r) {
      Value sum = e.loadSplat(ints, x, act.sumPairOffset(pair, r));
      for (int64_t panel = 0; panel < layout.panels; ++panel)
        acc[panel * rows + r] = instructions.pairProduct(
            e, acc[panel * rows + r], terms[panel], sum);
    }
  }
  return acc;
}

Values FixedProducts::emit(Value prepared, Value tile, Value first, Value end,
                           Values sums) {
  int64_t size = act.slabBlocks();
  auto slabProducts = [&](Value slab, ValueRange in) {
    Value weights =
        e.offset(prepared, e.mul(e.sub(slab, first), layout.slabBytes()));
    Value number = e.mul(slab, size);
    Value count = e.minU(e.c64(size), e.sub(e.c64(act.blocks()), number));
    Value x = e.offset(e.offset(tile, act.firstBlock()),
                       e.mul(number, act.blockBytes()));
    Value blocks = e.offset(weights, layout.firstBlock());
    Values acc =
        e.loop(e.c64(0), count, e.c64(1), Values(in.size(), e.zero(ints)),
               [&](Value i, ValueRange acc) {
                 return block(e.offset(blocks, e.mul(i, layout.blockBytes())),
                              e.offset(x, e.mul(i, act.blockBytes())),
                              Values(acc.begin(), acc.end()));
               });
    Value units = e.offset(tile, e.mul(slab, act.unitOffset(1, 0)));
    Values result;
    for (int64_t panel = 0; panel < layout.panels; ++panel) {
      Value unit = e.load(floats, weights, layout.unitOffset(panel));
      for (int64_t r = 0; r < rows; ++r) {
        int64_t i = panel * rows + r;
        result.push_back(e.fma(e.intToFloat(acc[i], e.f32()),
                               e.mulf(unit, e.loadSplat(floats, units, r * 4)),
                               in[i]));
      }
    }
    return result;
  };
  return e.loop(first, end, e.c64(1), sums, slabProducts);
}
