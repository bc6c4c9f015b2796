//===- FixedPanel.h - A panel of weights times a fixed tile -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Prompts multiply many rows with each panel, so that a core is as busy with
// the scales of products as with products, if each group of 32 has one of its
// own in f32. Here the scales of a panel and of a tile (see the fixed form in
// ActivationLayout.h) become integers of 16 bits beside one f32 for a slab of
// k, and two groups take one instruction:
//
//   acc += D1 * P1 + D2 * P2          P = factor * scale / 2^15
//   acc += T1 * X1 + T2 * X2          the terms times the sums
//   out += float(acc) * (U * unit)    once for a slab
//
// with D the integer dot product of a run of dotGroup elements, divided by
// 2^shift so that it fits in 16 bits. A product is rounded to 2^-11 or less
// of the largest that a slab can have, far below the step of activations.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_X86_FIXEDPANEL_H
#define QCC_LIB_CODEGEN_X86_FIXEDPANEL_H

#include "qcc/Codegen/Common/PanelScales.h"
#include "qcc/Formats/PackedWeight.h"
#include "PanelKernel.h"

namespace qcc::x86 {

/// The scales of a prepared panel are, for each slab of the activations,
///
///   unit    16 f32                       U
///   block   factors [scalePairs][16]     S * 2^shift / U
///           terms   [sumPairs][16]       (M - zero point * S) / (U * 256 /
///                                        sumGroup)
///
/// with pairs of 16-bit integers as in the activations. The largest of a slab
/// is kFixedFactor.
class FixedPanel {
public:
  /// Whether all of a weight can be multiplied so.
  static bool takes(const Encoding &encoding);
  /// Bytes of a prepared panel.
  static int64_t bytes(const ActivationLayout &activations);

  /// Of `k` elements.
  FixedPanel(Emitter &e, const Isa &instructions, const PackedLayout &layout,
             int64_t k, const ActivationLayout &activations);

  /// Writes the scales of the panel at `panel` to `scales`.
  void prepare(Value panel, Value scales);
  /// The products of the panel with the first `rows` rows of the tile at
  /// `tile`: a vector of f32 for each.
  Values emit(Value panel, Value scales, Value tile, int64_t rows);

private:
  /// What the scales of one chunk are, by element: those of runs of `apart`.
  struct ChunkScales {
    Values factors, terms;
  };
  /// The blocks of a slab: `whole`, and a chunk behind them if `hasMore`.
  struct Slab {
    Value index;
    int64_t whole;
    bool hasMore;
  };
  /// Calls `body` with the slabs; all but the last are in one loop with
  /// `values`.
  Values forSlabs(Values values,
                  llvm::function_ref<Values(const Slab &, Values)> body);

  Value chunkAt(Value panel, Value chunk);
  Value slabAt(Value scales, const Slab &slab);
  /// Block `block` of the slab.
  Value scalesAt(Value scales, const Slab &slab, Value block);
  Value firstChunk(const Slab &slab, Value block);
  ChunkScales chunkScales(Value panel, Value chunk);
  void storeBlock(llvm::ArrayRef<ChunkScales> chunks, Value inverse, Value to);
  Values dotProducts(PanelKernel &kernel, Value chunk, Value x, int64_t firstQ,
                     int64_t begin, int64_t start, int64_t rows);
  /// acc + the products of a block's chunks.
  Values blockProducts(PanelKernel &kernel, llvm::ArrayRef<Value> chunks,
                       Value scales, Value x, Values acc);

  Emitter &e;
  const Isa &instructions;
  const PackedLayout &layout;
  int64_t k;
  const ActivationLayout &act;
  ScaleReader scaleReader;
  mlir::VectorType ints, floats;
  int64_t run;   ///< Elements of a dot product.
  int shift = 0; ///< Of dot products.
};

} // namespace qcc::x86

#endif // QCC_LIB_CODEGEN_X86_FIXEDPANEL_H
