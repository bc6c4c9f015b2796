//===- TileKernel.cpp - Blocks of weights times blocks of rows ------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "TileKernel.h"

#include "PanelKernel.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

TileCodes::TileCodes(unsigned maxCode, int64_t zero, bool hasZeros)
    : bias(hasZeros ? 0 : zero),
      isSigned(bias <= 128 && int64_t(maxCode) - bias <= 127) {
  if (!isSigned)
    bias = 0;
}

void qcc::x86::unpackPanel(Emitter &e, PanelKernel &kernel,
                           const PackedLayout &layout, int64_t chunks,
                           Value panel, Value codes) {
  VectorType words = e.vec(16, e.i32()), bytes = e.vec(64, e.i8());
  int64_t unitChunks = layout.unitK / PackedLayout::kChunk;
  TileCodes form = kernel.tileCodes();
  e.loop(e.c64(0), e.c64(chunks), 1, [&](Value i) {
    Value unit = e.mul(e.udiv(i, unitChunks), layout.unitBytes);
    Value inUnit = unitChunks == 1
                       ? e.c64(0)
                       : e.mul(e.urem(i, unitChunks), layout.chunkBytes);
    Value chunk =
        e.offset(e.offset(panel, e.add(unit, inUnit)), layout.chunkOffset);
    Value to = e.offset(codes, e.mul(i, kUnpackedChunk));
    llvm::DenseMap<int64_t, Value> lines;
    for (int64_t q = 0; q < 8; ++q) {
      Value word = kernel.codes(q, [&](int64_t byteOffset) {
        Value &line = lines[byteOffset];
        if (!line)
          line = e.load(words, chunk, byteOffset);
        return line;
      });
      Value line = e.bitcast(word, bytes);
      if (form.bias)
        line = e.sub(line, e.constant(bytes, int64_t(int8_t(form.bias))));
      e.store(line, to, q * 64, llvm::Align(64));
    }
  });
}

/// Where the sums of elements [first, ...) begin.
static int64_t sumsOffset(const ActivationLayout &activations, int64_t first,
                          int64_t plane) {
  return (first / 16 * activations.planes() + plane) *
         ActivationLayout::kBlock * 64;
}

void qcc::x86::multiplyTiles(Emitter &e, const ActivationLayout &activations,
                             bool isSigned, Value codes, Value tileChunk,
                             int64_t group, Value sums) {
  Type tile = LLVM::LLVMX86AMXType::get(e.b.getContext());
  // Rows of a tile, and bytes of a row: those of the activations hold one byte
  // for each element, those of the weights four bytes of 16 rows.
  Value rows = e.constant(e.i16(), ActivationLayout::kBlock),
        lines = e.constant(e.i16(), group / 4),
        elements = e.constant(e.i16(), group), wide = e.constant(e.i16(), 64);
  auto loadTile = [&](Value tileRows, Value bytes, Value from, int64_t at,
                      int64_t stride) {
    return e.call("llvm.x86.tileloadd64.internal", tile,
                  {tileRows, bytes, e.offset(from, at), e.c64(stride)});
  };
  for (int64_t first = 0; first < PackedLayout::kChunk; first += group) {
    Value weights = loadTile(lines, wide, codes, first / 4 * 64, 64);
    for (int64_t plane = 0; plane < activations.planes(); ++plane) {
      Value x = loadTile(rows, elements, tileChunk,
                         activations.dotOffset(plane, first / 4, 0),
                         activations.rowStride());
      Value zero = e.call("llvm.x86.tilezero.internal", tile, {rows, wide});
      Value product = e.call(isSigned ? "llvm.x86.tdpbssd.internal"
                                      : "llvm.x86.tdpbsud.internal",
                             tile, {rows, wide, elements, zero, x, weights});
      Value to = e.offset(sums, sumsOffset(activations, first, plane));
      LLVM::CallIntrinsicOp::create(
          e.b, e.loc, e.b.getStringAttr("llvm.x86.tilestored64.internal"),
          ValueRange{rows, wide, to, e.c64(64), product});
    }
  }
}

Value qcc::x86::tileSums(Emitter &e, const ActivationLayout &activations,
                         Value sums, int64_t first, int64_t plane,
                         int64_t row) {
  return e.load(e.vec(16, e.i32()), sums,
                sumsOffset(activations, first, plane) + row * 64,
                llvm::Align(64));
}
