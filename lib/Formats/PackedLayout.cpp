//===- PackedLayout.cpp - Packing into R16K4 and back ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// A chunk's codes are handled as words of four: word q holds elements 4q..4q+3
// of one row, one per byte. A plane of width w then needs one shift, mask and
// or per word, and each line of a panel one word per row.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/PackedLayout.h"
#include "qcc/Formats/Bits.h"
#include <algorithm>
#include <cstring>

using namespace qcc;

static constexpr unsigned kLineBytes = 64;

//===----------------------------------------------------------------------===//
// Derivation of the layout
//===----------------------------------------------------------------------===//

PackedLayout::PackedLayout(const Encoding &e)
    : encoding(e), unitK(0), unitBytes(0), chunkBytes(0), chunkOffset(0),
      scaleInUnit(false), subInUnit(false), scaleOffset(0), minOffset(0),
      subOffset(0), subMinOffset(0), secondScaleOffset(0), splitOffset(0),
      offsetOffset(0), zeroOffset(0), zeroShift(0), zeroHalved(false),
      subPacked(false), subHalved(false), groupsPerChunk(1), groupStride(0) {
  if (e.isFloat()) {
    unitK = 4;
    unitBytes = unitK * kRows * scalarBytes(e.element);
    return;
  }

  unsigned left = e.bits, shift = 0;
  for (unsigned width : {8u, 4u, 2u, 1u}) {
    if (left < width)
      continue;
    planes.push_back({width, shift, chunkBytes});
    chunkBytes += width * kLineBytes;
    shift += width;
    left -= width;
  }

  unsigned scaleBytes = (e.commonScale ? 1 : kRows) * scalarBytes(e.scale);
  unsigned minBytes = kRows * scalarBytes(e.min);
  groupsPerChunk = e.group < kChunk ? kChunk / e.group : 1;
  scaleInUnit = e.isTwoLevel() ? e.scaleBlock() >= kChunk : e.group > kChunk;
  unitK = std::max(e.scaleBlock(), kChunk);

  scaleOffset = scaleInUnit ? 0 : chunkBytes;
  minOffset = scaleOffset + scaleBytes;
  secondScaleOffset = minOffset + minBytes;
  splitOffset = secondScaleOffset + (e.splitScale ? scaleBytes : 0);
  offsetOffset = splitOffset + (e.splitScale ? kRows : 0);
  unsigned scalesBytes = offsetOffset + scalarBytes(e.offset) - scaleOffset;
  (scaleInUnit ? chunkOffset : groupStride) = scalesBytes;
  if (e.hasZeros()) {
    zeroOffset = chunkOffset;
    if (e.group == kChunk && e.zeroBits <= 4) {
      zeroShift = 4;
      unitK = 2 * kChunk;
    }
    zeroHalved = !zeroShift && e.group * e.zeroBits <= 128;
    chunkOffset += zeroHalved ? kRows / 2 : kRows;
  }
  if (e.isTwoLevel()) {
    subInUnit = scaleInUnit && (e.group > kChunk || e.scaleBlock() == e.group);
    subPacked = e.hasMin() && e.subBits + e.subMinBits <= 8;
    subHalved = !e.hasMin() && e.subBits <= 4;
    subOffset = subInUnit ? chunkOffset : chunkBytes + groupStride;
    subMinOffset = subPacked || !e.hasMin() ? subOffset : subOffset + kRows;
    groupStride += subMinOffset - subOffset + (subHalved ? kRows / 2 : kRows);
  }
  if (subInUnit)
    chunkOffset += unitK / e.group * groupStride;
  else
    chunkBytes += groupsPerChunk * groupStride;
  unitBytes = chunkOffset + unitK / kChunk * chunkBytes;
}

//===----------------------------------------------------------------------===//
// Codes
//===----------------------------------------------------------------------===//

/// Bits [0, width) of each of four bytes.
static uint32_t byteMask(unsigned width) {
  return 0x01010101u * ((1u << width) - 1);
}

/// ORs 32 codes of row `row` into a plane.
template <unsigned width>
static void packPlane(const uint32_t *words, unsigned shift, unsigned row,
                      uint8_t *plane) {
  const uint32_t mask = byteMask(width);
  for (unsigned line = 0; line < width; ++line) {
    uint32_t value = 0;
    for (unsigned step = 0; step < 8 / width; ++step)
      value |= (words[line + step * width] >> shift & mask) << width * step;
    std::memcpy(plane + line * kLineBytes + 4 * row, &value, 4);
  }
}

/// ORs one plane of row `row` into 32 codes.
template <unsigned width>
static void unpackPlane(const uint8_t *plane, unsigned shift, unsigned row,
                        uint32_t *words) {
  const uint32_t mask = byteMask(width);
  for (unsigned line = 0; line < width; ++line) {
    uint32_t value = loadLE<uint32_t>(plane + line * kLineBytes + 4 * row);
    for (unsigned step = 0; step < 8 / width; ++step)
      words[line + step * width] |= (value >> width * step & mask) << shift;
  }
}

static void packCodes(const std::vector<PackedLayout::Plane> &planes,
                      const uint8_t *codes, unsigned row, uint8_t *chunk) {
  uint32_t words[8];
  std::memcpy(words, codes, sizeof(words));
  for (const PackedLayout::Plane &plane : planes) {
    uint8_t *out = chunk + plane.offset;
    switch (plane.width) {
    case 8:
      packPlane<8>(words, plane.shift, row, out);
      break;
    case 4:
      packPlane<4>(words, plane.shift, row, out);
      break;
    case 2:
      packPlane<2>(words, plane.shift, row, out);
      break;
    default:
      packPlane<1>(words, plane.shift, row, out);
      break;
    }
  }
}

static void unpackCodes(const std::vector<PackedLayout::Plane> &planes,
                        const uint8_t *chunk, unsigned row, uint8_t *codes) {
  uint32_t words[8] = {};
  for (const PackedLayout::Plane &plane : planes) {
    const uint8_t *in = chunk + plane.offset;
    switch (plane.width) {
    case 8:
      unpackPlane<8>(in, plane.shift, row, words);
      break;
    case 4:
      unpackPlane<4>(in, plane.shift, row, words);
      break;
    case 2:
      unpackPlane<2>(in, plane.shift, row, words);
      break;
    default:
      unpackPlane<1>(in, plane.shift, row, words);
      break;
    }
  }
  std::memcpy(codes, words, sizeof(words));
}

//===----------------------------------------------------------------------===//
// Scales
//===----------------------------------------------------------------------===//

/// Row `row` of 16 scalars of `bytes` bytes each.
static void putScalar(uint8_t *scalars, unsigned row, unsigned bytes,
                      uint32_t bits) {
  std::memcpy(scalars + row * bytes, &bits, bytes);
}

static uint32_t getScalar(const uint8_t *scalars, unsigned row,
                          unsigned bytes) {
  uint32_t bits = 0;
  std::memcpy(&bits, scalars + row * bytes, bytes);
  return bits;
}

/// Row `row` of 16 halves of bytes.
static void putHalf(uint8_t *bytes, unsigned row, uint8_t value) {
  bytes[row % 8] |= uint8_t(value << 4 * (row / 8));
}

static uint8_t getHalf(const uint8_t *bytes, unsigned row) {
  return bytes[row % 8] >> 4 * (row / 8) & 15;
}

//===----------------------------------------------------------------------===//
// Panels
//===----------------------------------------------------------------------===//

namespace {

/// One row of a panel: walks over its scales and codes in one order for both
/// directions. `Access` says what happens to each (see Pack and Unpack).
template <typename Access>
void visitRow(const PackedLayout &layout, size_t k, Access &&access) {
  const Encoding &e = layout.encoding;
  const unsigned chunk = PackedLayout::kChunk;
  for (size_t begin = 0; begin < k; begin += chunk) {
    size_t unit = begin / layout.unitK * layout.unitBytes;
    size_t offset = unit + layout.chunkOffset +
                    begin % layout.unitK / chunk * layout.chunkBytes;
    access.codes(begin, std::min<size_t>(chunk, k - begin), offset);

    if (layout.scaleInUnit && begin % layout.unitK == 0)
      access.scale(begin / e.scaleBlock(), unit);
    for (unsigned j = 0; j < layout.groupsPerChunk; ++j) {
      size_t element = begin + j * e.group;
      if (element >= k)
        break;
      size_t record = offset + j * layout.groupStride;
      if (!layout.scaleInUnit)
        access.scale(element / e.group, record);
      if (e.hasZeros() && element % e.group == 0)
        access.zero(element / e.group, unit,
                    layout.zeroShift * unsigned(begin % layout.unitK / chunk));
      if (layout.subInUnit && element % e.group == 0)
        access.sub(element / e.group, unit + element % layout.unitK / e.group *
                                                 layout.groupStride);
      else if (e.isTwoLevel() && !layout.subInUnit)
        access.sub(element / e.group, record);
    }
  }
}

struct Pack {
  const PackedLayout &layout;
  const Fields &fields;
  const PackedLayout::FieldsBegin &first;
  unsigned row;
  uint8_t *panel;

  void codes(size_t element, size_t count, size_t offset) {
    const uint8_t *codes = &fields.codes[first.element + element];
    uint8_t padded[PackedLayout::kChunk] = {};
    if (count < PackedLayout::kChunk) {
      std::memcpy(padded, codes, count);
      codes = padded;
    }
    packCodes(layout.planes, codes, row, panel + offset);
  }
  void scale(size_t block, size_t offset) {
    const Encoding &e = layout.encoding;
    putScalar(panel + offset + layout.scaleOffset, e.commonScale ? 0 : row,
              scalarBytes(e.scale), fields.scale[first.block + block]);
    if (e.hasMin())
      putScalar(panel + offset + layout.minOffset, row, scalarBytes(e.min),
                fields.min[first.block + block]);
    if (e.splitScale) {
      putScalar(panel + offset + layout.secondScaleOffset,
                e.commonScale ? 0 : row, scalarBytes(e.scale),
                fields.secondScale[first.block + block]);
      panel[offset + layout.splitOffset + row] =
          fields.split[first.block + block];
    }
    if (e.hasOffset())
      putScalar(panel + offset + layout.offsetOffset, 0, scalarBytes(e.offset),
                fields.offset[first.block + block]);
  }
  void zero(size_t group, size_t unit, unsigned shift) {
    uint8_t zero = fields.zeros[first.group + group];
    if (layout.zeroHalved)
      putHalf(panel + unit + layout.zeroOffset, row, zero);
    else
      panel[unit + layout.zeroOffset + row] |= uint8_t(zero << shift);
  }
  void sub(size_t group, size_t offset) {
    const Encoding &e = layout.encoding;
    group += first.group;
    uint8_t sub = fields.sub[group];
    if (layout.subHalved)
      return putHalf(panel + offset + layout.subOffset, row, sub);
    if (layout.subPacked)
      sub = uint8_t(sub | fields.subMin[group] << e.subBits);
    panel[offset + layout.subOffset + row] = sub;
    if (e.hasMin() && !layout.subPacked)
      panel[offset + layout.subMinOffset + row] = fields.subMin[group];
  }
};

struct Unpack {
  const PackedLayout &layout;
  Fields &fields;
  const PackedLayout::FieldsBegin &first;
  unsigned row;
  const uint8_t *panel;

  void codes(size_t element, size_t count, size_t offset) {
    uint8_t codes[PackedLayout::kChunk];
    unpackCodes(layout.planes, panel + offset, row, codes);
    std::memcpy(&fields.codes[first.element + element], codes, count);
  }
  void scale(size_t block, size_t offset) {
    const Encoding &e = layout.encoding;
    fields.scale[first.block + block] =
        getScalar(panel + offset + layout.scaleOffset, e.commonScale ? 0 : row,
                  scalarBytes(e.scale));
    if (e.hasMin())
      fields.min[first.block + block] =
          getScalar(panel + offset + layout.minOffset, row, scalarBytes(e.min));
    if (e.splitScale) {
      fields.secondScale[first.block + block] =
          getScalar(panel + offset + layout.secondScaleOffset,
                    e.commonScale ? 0 : row, scalarBytes(e.scale));
      fields.split[first.block + block] =
          panel[offset + layout.splitOffset + row];
    }
    if (e.hasOffset())
      fields.offset[first.block + block] = getScalar(
          panel + offset + layout.offsetOffset, 0, scalarBytes(e.offset));
  }
  void zero(size_t group, size_t unit, unsigned shift) {
    const uint8_t *zeros = panel + unit + layout.zeroOffset;
    fields.zeros[first.group + group] = layout.zeroHalved ? getHalf(zeros, row)
                                        : layout.zeroShift
                                            ? zeros[row] >> shift & 15
                                            : zeros[row];
  }
  void sub(size_t group, size_t offset) {
    const Encoding &e = layout.encoding;
    group += first.group;
    uint8_t &result = fields.sub[group];
    if (layout.subHalved) {
      result = getHalf(panel + offset + layout.subOffset, row);
      return;
    }
    uint8_t sub = panel[offset + layout.subOffset + row];
    if (layout.subPacked) {
      fields.subMin[group] = uint8_t(sub >> e.subBits);
      sub = uint8_t(sub & ((1u << e.subBits) - 1));
    } else if (e.hasMin()) {
      fields.subMin[group] = panel[offset + layout.subMinOffset + row];
    }
    result = sub;
  }
};

} // namespace

void PackedLayout::packPanel(const Fields *rows, unsigned rowCount, size_t k,
                             uint8_t *out, const FieldsBegin &begin) const {
  if (encoding.isFloat()) {
    unsigned bytes = scalarBytes(encoding.element);
    for (unsigned row = 0; row < rowCount; ++row)
      for (size_t i = 0; i < k; ++i)
        putScalar(out + i * kRows * bytes, row, bytes,
                  rows[row].floats[begin.element + i]);
    return;
  }
  for (unsigned row = 0; row < rowCount; ++row)
    visitRow(*this, k, Pack{*this, rows[row], begin, row, out});
}

void PackedLayout::unpackRow(const uint8_t *panel, unsigned row, size_t k,
                             Fields &fields, const FieldsBegin &begin) const {
  if (encoding.isFloat()) {
    unsigned bytes = scalarBytes(encoding.element);
    for (size_t i = 0; i < k; ++i)
      fields.floats[begin.element + i] =
          getScalar(panel + i * kRows * bytes, row, bytes);
    return;
  }
  visitRow(*this, k, Unpack{*this, fields, begin, row, panel});
}

void PackedLayout::unpackRow(const uint8_t *panel, unsigned row, size_t k,
                             Fields &fields) const {
  fields.resize(encoding, k);
  unpackRow(panel, row, k, fields, FieldsBegin());
}
