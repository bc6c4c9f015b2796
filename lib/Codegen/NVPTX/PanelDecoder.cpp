//===- PanelDecoder.cpp - Weights of a packed panel as f32 ----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "PanelDecoder.h"

#include <numeric>

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

PanelDecoder::PanelDecoder(WarpEmitter &e, const PackedWeight &weight,
                           const PackedWeight::Run &run)
    : e(e), layout(run.layout), encoding(layout.encoding), scales(e, layout) {
  // A scale that all rows have in common moves what is behind it.
  size_t common = 4;
  for (size_t bytes : {weight.panelBytes, run.offset, size_t(layout.unitBytes),
                       size_t(layout.chunkOffset), size_t(layout.chunkBytes)})
    common = std::gcd(common, bytes);
  alignment = unsigned(common);
}

Value PanelDecoder::loadWord(Value pointer) {
  Type part = alignment == 4 ? e.i32() : alignment == 2 ? e.i16() : e.i8();
  Value word;
  for (unsigned byte = 0; byte < 4; byte += alignment) {
    Value bits = e.load(part, pointer, byte, llvm::Align(alignment));
    if (alignment == 4)
      return bits;
    bits = e.shift(e.zext(bits, e.i32()), int(8 * byte));
    word = word ? e.bitOr(word, bits) : bits;
  }
  return word;
}

Value PanelDecoder::codes(Value chunk, Value row, Value group) {
  Value result;
  for (const PackedLayout::Plane &plane : layout.planes) {
    int64_t width = plane.width;
    Value line = e.urem(group, width);
    Value at = e.add(e.mul(line, 64), e.mul(row, 4));
    Value word = loadWord(e.offset(e.offset(chunk, plane.offset), at));
    if (width != 8) {
      uint32_t mask = ((1u << width) - 1) * 0x01010101u;
      word = e.shiftRight(word, e.mul(e.udiv(group, width), width));
      word = e.shift(e.bitAnd(word, int32_t(mask)), int(plane.shift));
    }
    result = result ? e.bitOr(result, word) : word;
  }
  return result;
}

Value PanelDecoder::number(Value codes, int64_t index, Value zero) {
  Value code = e.bitAnd(e.shift(codes, int(-8 * index)), 255);
  if (encoding.minifloat != Minifloat::None)
    return emitMinifloat(e, encoding.minifloat, code, e.f32());
  if (!encoding.values.empty() || !encoding.table.empty()) {
    SmallVector<float> table(encoding.values.begin(), encoding.values.end());
    table.append(encoding.table.begin(), encoding.table.end());
    return e.gather(e.constantArray(table), code, e.f32());
  }
  code = zero ? e.sub(code, zero) : e.add(code, -int64_t(encoding.zero));
  return e.intToFloat(code, e.f32());
}

Values PanelDecoder::word(Value panel, Value row, Value word) {
  Values result;
  if (encoding.isFloat()) {
    for (int64_t i = 0; i < 4; ++i) {
      Value element = e.add(e.mul(e.add(e.mul(word, 4), i), 16), row);
      result.push_back(
          scales.scalars(encoding.element, panel, element, e.f32()));
    }
    return result;
  }
  constexpr int64_t kWords = PackedLayout::kChunk / 4;
  Value chunk = e.udiv(word, kWords), group = e.urem(word, kWords);
  int64_t chunks = layout.unitK / PackedLayout::kChunk;
  Value unit = e.offset(
      panel, e.mul(e.zext(e.udiv(chunk, chunks), e.i64()), layout.unitBytes));
  PanelScales unitScales = scales.unit(unit, row, e.f32()), groupScales;
  Value inUnit = chunks == 1 ? Value() : e.urem(chunk, chunks);
  Value at = e.offset(unit, int64_t(layout.chunkOffset));
  if (inUnit)
    at = e.offset(at, e.mul(inUnit, layout.chunkBytes));
  groupScales = scales.chunk(unitScales, inUnit, row, e.f32());
  Value record = at;
  if (layout.groupsPerChunk > 1) {
    Value inChunk = e.udiv(group, kWords / layout.groupsPerChunk);
    record = e.offset(at, e.mul(inChunk, layout.groupStride));
  }
  groupScales = scales.group(groupScales, record, 0, row, e.f32());

  Value packed = codes(at, row, group);
  for (int64_t i = 0; i < 4; ++i) {
    Value value =
        e.mulf(groupScales.factor, number(packed, i, groupScales.zero));
    if (encoding.hasMin())
      value = e.addf(value, groupScales.min);
    result.push_back(value);
  }
  return result;
}
