//===- TileKernel.h - Blocks of weights times blocks of rows ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The products of prompts on a CPU with tile registers (AMX). A panel is
// unpacked once for all rows of a step: a code becomes a byte, less the zero
// point, or a number of bf16, and the lines of a chunk are a tile as they lie.
// So are 16 rows of activations of a chunk. What covers the elements of one
// scale on either side is one product of tiles; its sums go through memory to
// the vector registers, where PanelKernel multiplies them by the scales as it
// does its own. Those of bytes are the same integers, so the results have the
// same bits.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_X86_TILEKERNEL_H
#define QCC_LIB_CODEGEN_X86_TILEKERNEL_H

#include "qcc/Formats/PackedLayout.h"
#include "qcc/Transforms/ActivationLayout.h"
#include "Isa.h"

namespace qcc::x86 {

/// An unpacked panel, and room for kTileSumBytes that products leave there.
/// Both begin cache lines of the thread's own memory.
struct UnpackedPanel {
  Value codes, sums;
};

/// Bytes of a chunk of an unpacked panel.
constexpr int64_t unpackedChunk(bool isHalf) {
  return PackedLayout::kChunk * int64_t(PackedLayout::kRows) * (isHalf ? 2 : 1);
}
/// 16 by 16 sums of 32 bits, for each plane of activations and each half of a
/// chunk that has a scale of its own.
constexpr int64_t kTileSumBytes = 2 * 2 * ActivationLayout::kBlock * 64;

/// How the codes of an encoding are unpacked.
struct TileCodes {
  /// Of codes of at most `maxCode`; a zero point that groups share enters only
  /// where `hasZeros` says that they have none of their own.
  TileCodes(unsigned maxCode, int64_t zero, bool hasZeros);

  int64_t bias;  ///< What is subtracted from codes.
  bool isSigned; ///< Whether the bytes are then signed.
};

/// What the elements of both factors are. Activations as bytes are signed.
enum class TileProduct { SignedBytes, UnsignedBytes, Halves };

/// Leaves at `sums` those of codes * activations over each `group` elements of
/// a chunk, 16 or 32. `codes` is the chunk of the unpacked panel, `tileChunk`
/// that of the tile.
void multiplyTiles(Emitter &e, const ActivationLayout &activations,
                   TileProduct product, Value codes, Value tileChunk,
                   int64_t group, Value sums);
/// The 16 lanes there, of i32 or f32, that are of elements [first, ...) and
/// `row` of the tile.
Value tileSums(Emitter &e, const ActivationLayout &activations, Type element,
               Value sums, int64_t first, int64_t plane, int64_t row);

} // namespace qcc::x86

#endif // QCC_LIB_CODEGEN_X86_TILEKERNEL_H
