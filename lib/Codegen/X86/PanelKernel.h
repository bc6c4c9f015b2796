//===- PanelKernel.h - A panel of weights times a tile of rows --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The inner part of every matmul, for generating and prompt steps alike: the
// dot products of one panel (16 rows of weights in R16K4) with one tile of
// activation rows. The code follows from the encoding, the activation layout
// and the instruction set; no format has a kernel of its own.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_X86_PANELKERNEL_H
#define QCC_LIB_CODEGEN_X86_PANELKERNEL_H

#include "qcc/Codegen/Common/PanelScales.h"
#include "qcc/Formats/PackedLayout.h"
#include "qcc/Transforms/ActivationLayout.h"
#include "IntegerValues.h"
#include "Isa.h"
#include "TileKernel.h"

#include <optional>

namespace qcc::x86 {

class PanelKernel {
public:
  /// More rows take longer to multiply than the next chunk takes to arrive:
  /// tiles of these ask for the next panel.
  static constexpr int64_t kFewRows = 4;

  /// Multiplies the first `rows` rows of tiles.
  PanelKernel(Emitter &e, const Isa &instructions, const PackedLayout &layout,
              int64_t k, const ActivationLayout &activations, int64_t rows)
      : e(e), instructions(instructions), layout(layout),
        encoding(layout.encoding), scaleReader(e, layout), k(k),
        act(activations), rows(rows) {
    if (!encoding.values.empty() && !act.isFloat() && !act.isHalf())
      integers.emplace(encoding.values);
  }

  /// Adds to `sums` those of lanes [half * lanes, ...) of the panel at `panel`
  /// with each of the rows of the tile at `tile`: one vector of `lanes` f32 per
  /// row. With `unpacked`, the rows are multiplied with that: as one block by
  /// tile registers, or as pairs of bf16.
  Values emit(Value panel, Value tile, int64_t half, Values sums,
              const UnpackedPanel *unpacked = nullptr);

  /// Writes the panel as tiles take it, whose pairs of bf16 vectors take too.
  void unpack(Value panel, Value to);

  /// Codes of k-group q (four elements) of a chunk, biased to unsigned if they
  /// come from a table. `loadWord(byte offset in the chunk)` gives the words of
  /// one line: lanes of i32, or one lane as a scalar.
  Value codes(int64_t q, llvm::function_ref<Value(int64_t)> loadWord);
  /// What is subtracted from codes(): the zero point, or the table's bias.
  int64_t zeroPoint() const { return zeroPointOf(encoding); }
  static int64_t zeroPointOf(const Encoding &encoding) {
    return encoding.table.empty() ? encoding.zero : 128;
  }
  /// What codes() are at most.
  static unsigned maxCode(const Encoding &encoding);
  /// The k-groups of a chunk in an order in which those that share a line of a
  /// plane follow each other, so that few lines are in registers, and lines of
  /// the widest in that of memory. Integer sums are exact in any order.
  llvm::SmallVector<int64_t> groupOrder() const;
  /// What is subtracted from what enters integer products: that, or what
  /// IntegerValues subtracts.
  static int64_t integerZeroOf(const Encoding &encoding) {
    return encoding.values.empty() ? zeroPointOf(encoding)
                                   : IntegerValues::kZero;
  }

  /// What the four codes of each lane of codes() stand for, less `zero` (a
  /// vector, or null for zeroPoint()): value j is that of byte j, as lanes of
  /// f32 that must still be multiplied by S. Where a lane of nanLanes() is not
  /// 0, one of its four codes is no number, which withNaN() makes of a sum.
  Values numbers(Value codes, Value zero);
  Value nanLanes(Value codes);
  Value withNaN(Value sums, Value lanes);

private:
  Values e4m3Numbers(Value codes);
  Values e5m2Numbers(Value codes);
  /// The same with products of bf16.
  Values chunkHalves(Value chunk, Value tileChunk, Value block,
                     const PanelScales &unit, int64_t half, Values acc);
  Values emitHalfWeights(Value panel, Value tile, Values sums);
  /// Their products of tiles, of weights without codes.
  Values emitHalfBlocks(Value tile, Values sums);
  TileCodes tileCodes() const {
    return {maxCode(encoding), zeroPoint(), encoding.hasZeros()};
  }
  int64_t chunkCount() const {
    return (k + PackedLayout::kChunk - 1) / PackedLayout::kChunk;
  }
  Values emitFloatWeights(Value panel, Value tile, int64_t half, Values sums);
  /// Asks for the lines of what follows a chunk, in their order. A kernel
  /// touches the lines of a chunk in another one, with which hardware
  /// prefetchers do not keep up: weights that come from memory are read up to
  /// twice as fast this way. Not so with whole bytes, where the codes are
  /// nearly all there is.
  void prefetchAfter(Value chunk);
  /// Whether the sums of a unit's chunks are multiplied by its scale at the
  /// end, once for all of them.
  bool isFactorLate() const;
  /// What the integers of row `r` begin with where codes still have the zero
  /// point; null if that is 0.
  Value startSum(Value tileChunk, bool hasZeros, int64_t first, int64_t end,
                 int64_t r);
  /// What dotProducts() gives for row `r`, of the sums that tiles have left.
  Value blockProduct(Value tileChunk, bool hasZeros, int64_t first, int64_t end,
                     int64_t r);
  /// The dot products, exact integers as f32, of elements [first, end) of a
  /// chunk, less the share of the zero point unless groups have their own, for
  /// each row.
  Values dotProducts(Value tileChunk, bool hasZeros, int64_t first, int64_t end,
                     llvm::function_ref<Value(int64_t)> line);
  /// What those are multiplied by to be products with S = `factor`.
  Value integerFactor(Value factor);
  /// `block` is the chunk of an unpacked panel; null without.
  Values chunkInteger(Value chunk, Value tileChunk, Value block,
                      const PanelScales &unit, int64_t half, Values acc);
  Values chunkFloat(Value chunk, Value tileChunk, const PanelScales &unit,
                    int64_t half, Values acc);

  Emitter &e;
  const Isa &instructions;
  const PackedLayout &layout;
  const Encoding &encoding;
  ScaleReader scaleReader;
  int64_t k;
  const ActivationLayout &act;
  int64_t rows;
  /// What the values of codes are in integer products, where they are floats.
  std::optional<IntegerValues> integers;
  const UnpackedPanel *unpacked = nullptr; ///< While emit() runs.
};

} // namespace qcc::x86

#endif // QCC_LIB_CODEGEN_X86_PANELKERNEL_H
