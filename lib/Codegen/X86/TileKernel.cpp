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

/// The lines of a k-group whose codes are `word`: one of bytes, or two of bf16.
static Values unpackedLines(Emitter &e, const Isa &isa, PanelKernel &kernel,
                            const TileCodes &form, Value word, bool isHalf) {
  VectorType bytes = e.vec(64, e.i8());
  if (!isHalf) {
    Value line = e.bitcast(word, bytes);
    return {form.bias
                ? e.sub(line, e.constant(bytes, int64_t(int8_t(form.bias))))
                : line};
  }
  Values values = kernel.numbers(word, Value()), lines;
  Value nan = kernel.nanLanes(word);
  for (int64_t i = 0; i < 2; ++i) {
    Value line = isa.halfPairs(e, values[2 * i], values[2 * i + 1]);
    // One is enough to make its row's sums no number. The high half of a NaN
    // of f32 is one of bf16.
    if (nan)
      line = kernel.withNaN(e.bitcast(line, e.vec(16, e.f32())), nan);
    lines.push_back(e.bitcast(line, bytes));
  }
  return lines;
}

/// Weights that are bf16: a unit of four elements of k is two lines.
static void unpackHalves(Emitter &e, const Isa &isa, const PackedLayout &layout,
                         int64_t k, Value panel, Value to) {
  VectorType halves = e.vec(32, e.b.getBF16Type());
  constexpr int64_t chunkUnits = PackedLayout::kChunk / 4;
  auto unpackChunk = [&](Value first, int64_t units) {
    Value from = e.offset(panel, e.mul(first, layout.unitBytes));
    Value line = e.offset(to, e.mul(first, 2 * 64));
    for (int64_t i = 0; i < 2 * chunkUnits; ++i)
      e.store(i < 2 * units ? isa.halfPairs(e, e.load(halves, from, i * 64))
                            : e.zero(halves),
              line, i * 64, llvm::Align(64));
  };
  int64_t all = layout.unitsFor(size_t(k)),
          whole = all / chunkUnits * chunkUnits;
  e.loop(e.c64(0), e.c64(whole), chunkUnits,
         [&](Value unit) { unpackChunk(unit, chunkUnits); });
  // Activations past the end are 0, which only meets numbers.
  if (all > whole)
    unpackChunk(e.c64(whole), all - whole);
}

void PanelKernel::unpack(Value panel, Value to) {
  if (encoding.isFloat())
    return unpackHalves(e, instructions, layout, k, panel, to);
  VectorType words = e.vec(16, e.i32());
  int64_t unitChunks = layout.unitK / PackedLayout::kChunk;
  e.loop(e.c64(0), e.c64(chunkCount()), 1, [&](Value i) {
    Value unit = e.mul(e.udiv(i, unitChunks), layout.unitBytes);
    Value inUnit = unitChunks == 1
                       ? e.c64(0)
                       : e.mul(e.urem(i, unitChunks), layout.chunkBytes);
    Value chunk =
        e.offset(e.offset(panel, e.add(unit, inUnit)), layout.chunkOffset);
    Value line = e.offset(to, e.mul(i, unpackedChunk(act.isHalf())));
    llvm::DenseMap<int64_t, Value> lines;
    for (int64_t q = 0; q < 8; ++q) {
      Value word = codes(q, [&](int64_t byteOffset) {
        Value &known = lines[byteOffset];
        if (!known)
          known = e.load(words, chunk, byteOffset);
        return known;
      });
      for (Value next : unpackedLines(e, instructions, *this, tileCodes(), word,
                                      act.isHalf())) {
        e.store(next, line, llvm::Align(64));
        line = e.offset(line, 64);
      }
    }
  });
}

/// Where the sums of elements [first, ...) begin.
static int64_t sumsOffset(const ActivationLayout &activations, int64_t first,
                          int64_t plane) {
  return (first / 16 * activations.planes() + plane) *
         ActivationLayout::kBlock * 64;
}

static StringRef intrinsicOf(TileProduct product) {
  switch (product) {
  case TileProduct::SignedBytes:
    return "llvm.x86.tdpbssd.internal";
  case TileProduct::UnsignedBytes:
    return "llvm.x86.tdpbsud.internal";
  case TileProduct::Halves:
    return "llvm.x86.tdpbf16ps.internal";
  }
  llvm_unreachable("covered switch");
}

void qcc::x86::multiplyTiles(Emitter &e, const ActivationLayout &activations,
                             TileProduct product, Value codes, Value tileChunk,
                             int64_t group, Value sums) {
  Type tile = LLVM::LLVMX86AMXType::get(e.b.getContext());
  int64_t size = product == TileProduct::Halves ? 2 : 1;
  // Rows of a tile, and bytes of a row: those of the activations hold the
  // group's elements, those of the weights four bytes of 16 rows.
  Value rows = e.constant(e.i16(), ActivationLayout::kBlock),
        lines = e.constant(e.i16(), group * size / 4),
        elements = e.constant(e.i16(), group * size),
        wide = e.constant(e.i16(), 64);
  auto loadTile = [&](Value tileRows, Value bytes, Value from, int64_t at,
                      int64_t stride) {
    return e.call("llvm.x86.tileloadd64.internal", tile,
                  {tileRows, bytes, e.offset(from, at), e.c64(stride)});
  };
  for (int64_t first = 0; first < PackedLayout::kChunk; first += group) {
    int64_t line = first * size / 4;
    Value weights = loadTile(lines, wide, codes, line * 64, 64);
    for (int64_t plane = 0; plane < activations.planes(); ++plane) {
      Value x = loadTile(rows, elements, tileChunk,
                         activations.dotOffset(plane, line, 0),
                         activations.rowStride());
      Value zero = e.call("llvm.x86.tilezero.internal", tile, {rows, wide});
      Value result = e.call(intrinsicOf(product), tile,
                            {rows, wide, elements, zero, x, weights});
      Value to = e.offset(sums, sumsOffset(activations, first, plane));
      LLVM::CallIntrinsicOp::create(
          e.b, e.loc, e.b.getStringAttr("llvm.x86.tilestored64.internal"),
          ValueRange{rows, wide, to, e.c64(64), result});
    }
  }
}

Value qcc::x86::tileSums(Emitter &e, const ActivationLayout &activations,
                         Type element, Value sums, int64_t first, int64_t plane,
                         int64_t row) {
  return e.load(e.vec(16, element), sums,
                sumsOffset(activations, first, plane) + row * 64,
                llvm::Align(64));
}
