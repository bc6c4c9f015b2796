//===- PanelCodes.cpp - Codes of a panel as operands of mma ---------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "PanelCodes.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

/// Bits of the f16 1024 in both halves: a code below 1024 in the low bits makes
/// 1024 + code.
static constexpr uint32_t kMagic = 0x64006400;

PanelCodes::PanelCodes(WarpEmitter &e, Value lane)
    : e(e), group(e.shift(lane, -2)), quad(e.bitAnd(lane, 3)) {
  // See exchange(): lines 2 and 3 have their halves exchanged.
  Value flip = e.mul(e.bitAnd(quad, 2), 16);
  Value word = e.add(e.mul(quad, 64), e.mul(group, 4));
  wideOffset[0] = e.add(word, flip);
  wideOffset[1] = e.bitXor(wideOffset[0], e.c32(32));
}

Value PanelCodes::exchange(WarpEmitter &e, const PackedLayout &layout,
                           Value piece) {
  Value result = e.c32(0);
  Value inChunks = e.add(piece, -int64_t(layout.chunkOffset / 16));
  Value inChunk = e.urem(inChunks, layout.chunkBytes / 16);
  Value isPlane = e.cmp(arith::CmpIPredicate::sge, inChunks, e.c32(0));
  for (const PackedLayout::Plane &plane : layout.planes) {
    if (plane.width < 4)
      continue;
    Value inPlane = e.add(inChunk, -int64_t(plane.offset / 16));
    Value within = e.cmp(arith::CmpIPredicate::ult, inPlane,
                         e.c32(int64_t(plane.width) * 4));
    within = arith::AndIOp::create(e.b, e.loc, within, isPlane);
    // Two pieces up or down, by the piece's place in its line.
    Value by = e.sub(e.c32(32), e.mul(e.bitAnd(inPlane, 2), 32));
    Value exchanged =
        e.cmp(arith::CmpIPredicate::ne, e.bitAnd(inPlane, 8), e.c32(0));
    within = arith::AndIOp::create(e.b, e.loc, within, exchanged);
    result = e.add(result, e.select(within, by, e.c32(0)));
  }
  return result;
}

PanelCodes::Bias PanelCodes::biasOf(int64_t zero) {
  VectorType type = e.half2();
  return {e.constant(type, -double(1024 + zero)),
          e.constant(type, -double(64 + zero))};
}

/// Zeros of codes of four bits are below 64, and all are below 1024, so that
/// their bits are those of the sum.
PanelCodes::Bias PanelCodes::biasOf(Value zero) {
  auto negative = [&](int64_t base, int shift) {
    Value half = e.add(e.shift(zero, shift), base | 0x8000);
    return e.bitcast(e.mul(half, 0x10001), e.half2());
  };
  return {negative(0x6400, 0), negative(0x5400, 4)};
}

/// Two codes and the bias, from the nibbles of both halves of `word`.
Value PanelCodes::nibbles(Value word, bool high, const Bias &bias) {
  VectorType type = e.half2();
  if (!high)
    return e.addf(e.bitcast(e.maskOr(word, 0x000f000f, kMagic), type),
                  bias.ofBytes);
  // 1024 + 16 * code; exact, as is everything below 2048.
  Value wide = e.bitcast(e.maskOr(word, 0x00f000f0, kMagic), type);
  return e.fma(wide, e.constant(type, 1.0 / 16), bias.ofHighNibbles);
}

/// The codes' bits of a plane for both mma of a chunk, four in the bytes of a
/// word, at their place in the code.
PanelCodes::Words PanelCodes::planeBytes(const PackedLayout::Plane &plane,
                                         Value chunk, unsigned half) {
  Value base = e.offset(chunk, int64_t(plane.offset));
  if (plane.width == 8) {
    Value at = e.offset(base, wideOffset[half]);
    return {e.load(e.i32(), at, llvm::Align(4)),
            e.load(e.i32(), e.offset(at, 256), llvm::Align(4))};
  }
  // k-group q is in line q % width at bit width * (q / width); the quads of the
  // first mma are q = 0..3, those of the second four bits further.
  Value offset = wideOffset[half], word;
  if (plane.width < 4) {
    Value line = plane.width == 2 ? e.bitAnd(quad, 1) : e.c32(0);
    offset = e.add(e.add(e.mul(line, 64), e.mul(group, 4)), half * 32);
  }
  word = e.load(e.i32(), e.offset(base, offset), llvm::Align(4));
  if (plane.width == 2)
    word = e.shiftRight(word, e.mul(e.shift(quad, -1), 2));
  else if (plane.width == 1)
    word = e.shiftRight(word, quad);
  Words result;
  uint32_t mask = (((1u << plane.width) - 1) << plane.shift) * 0x01010101u;
  for (int m = 0; m < 2; ++m)
    result[size_t(m)] =
        e.bitAnd(e.shift(word, int(plane.shift) - 4 * m), int32_t(mask));
  return result;
}

Value PanelCodes::nibbleWord(const PackedLayout &layout, Value chunk,
                             unsigned half) {
  Value plane = e.offset(chunk, int64_t(layout.planes.front().offset));
  return e.load(e.i32(), e.offset(plane, wideOffset[half]), llvm::Align(4));
}

PanelCodes::Words PanelCodes::byteWords(const PackedLayout &layout, Value chunk,
                                        unsigned half) {
  Words result;
  for (const PackedLayout::Plane &plane : layout.planes) {
    Words bytes = planeBytes(plane, chunk, half);
    for (size_t m = 0; m < 2; ++m)
      result[m] = result[m] ? e.bitOr(result[m], bytes[m]) : bytes[m];
  }
  return result;
}

PanelCodes::Fragments PanelCodes::bits(const PackedLayout &layout, Value chunk,
                                       bool upperTimes16) {
  Fragments result;
  // Registers 0 and 1 hold the first pair of columns lane / 4 and + 8, 2 and 3
  // the second.
  auto add = [&](size_t m, unsigned half, Value word, int shift, int64_t mask) {
    for (int pair = 0; pair < 2; ++pair)
      result[m][half + 2 * unsigned(pair)] =
          e.bitcast(e.bitAnd(e.shift(word, shift - 8 * pair), mask), e.half2());
  };
  for (unsigned half = 0; half < 2; ++half) {
    if (isNibbles(layout)) {
      Value word = nibbleWord(layout, chunk, half);
      add(0, half, word, 0, 0x000f000f);
      if (upperTimes16)
        add(1, half, word, 0, 0x00f000f0);
      else
        add(1, half, word, -4, 0x000f000f);
      continue;
    }
    Words words = byteWords(layout, chunk, half);
    add(0, half, words[0], 0, 0x00ff00ff);
    if (upperTimes16)
      add(1, half, words[1], 4, 0x0ff00ff0);
    else
      add(1, half, words[1], 0, 0x00ff00ff);
  }
  return result;
}

PanelCodes::Fragments PanelCodes::fragments(const PackedLayout &layout,
                                            Value chunk,
                                            ArrayRef<Value> zeros) {
  Fragments result;
  const Encoding &encoding = layout.encoding;
  for (unsigned half = 0; half < 2; ++half) {
    Bias bias = zeros.empty() ? biasOf(encoding.hasZeros() ? 0 : encoding.zero)
                              : biasOf(zeros[half]);
    // Registers 0 and 1 hold the first pair of columns lane / 4 and + 8, 2 and
    // 3 the second.
    if (isNibbles(layout)) {
      Value word = nibbleWord(layout, chunk, half);
      Value odd = e.shift(word, -8);
      for (int m = 0; m < 2; ++m) {
        result[size_t(m)][half] = nibbles(word, m == 1, bias);
        result[size_t(m)][half + 2] = nibbles(odd, m == 1, bias);
      }
      continue;
    }
    Words codes = byteWords(layout, chunk, half);
    for (size_t m = 0; m < 2; ++m)
      for (unsigned pair = 0; pair < 2; ++pair) {
        Value word = pair ? e.shift(codes[m], -8) : codes[m];
        result[m][half + 2 * pair] =
            e.addf(e.bitcast(e.maskOr(word, 0x00ff00ff, kMagic), e.half2()),
                   bias.ofBytes);
      }
  }
  return result;
}
