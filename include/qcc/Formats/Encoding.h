//===- Encoding.h - What the numbers of a quantized weight mean -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// An Encoding says how a weight's codes and scales give real values;
// it says nothing about where their bits lie (that is a file's block format, or
// a PackedLayout). The dialect attribute `#qz.encoding`, the scalar decode, the
// packer and the kernel generator all read this one description, so that a new
// weight format is a new value of it and no code elsewhere.
//
// Element k of a row, with g = k / group and b = k / superBlock (g without
// one):
//
//   value = S * number(code) + M
//
//   number(code) = code - zero - zeros[g]   an integer, or
//                  table[code]              an integer, or
//                  values[code]             an f32, or
//                  the minifloat with these bits
//
//   one level  (subBits == 0):  S = scale[g] * 2^scaleExponent
//                               M = min[g]                (0 without min),
//                                   or -(S * min[g])      (scaledMin)
//                               zeros[g] = 0              (without zeroBits)
//   two levels (subBits != 0):  S = scale[b] * 2^scaleExponent * second(sub[g])
//                                   + offset[b]           (0 without offset)
//                               M = -(min[b] * subMin[g]) (0 without min)
//
//   second(sub) = sub - subZero, or its square, or subValues[sub], an f32,
//                 or the minifloat with these bits
//
// With splitScale the groups of super-block b from its split[b]-th on have
// secondScale[b] in place of scale[b].
//
// Where the codes of a row change their width, its k are cut into spans, each
// with bits, zero and group of its own; g then counts through all spans.
//
// With integer numbers all products are exact in f32 for every format in use,
// so the value has one rounding (the sum) and is the same bits in every
// evaluation order. With floats S * number is rounded, then the sum.
//===----------------------------------------------------------------------===//

#ifndef QCC_FORMATS_ENCODING_H
#define QCC_FORMATS_ENCODING_H

#include <cstdint>
#include <string>
#include <vector>

namespace qcc {

/// Storage type of a scale, a min, or of the elements of a float weight.
enum class ScalarType : uint8_t { None, F32, F16, BF16, E8M0, U8, UE4M3 };

/// Bytes of one scalar; 0 for None.
unsigned scalarBytes(ScalarType type);
/// "f32", "f16", "bf16", "e8m0", "u8", "ue4m3"; "none".
const char *scalarName(ScalarType type);
/// Inverse of scalarName; false when the name is unknown.
bool parseScalarType(const std::string &name, ScalarType &type);
/// Value of one scalar given its bits (in the low bytes of `bits`).
/// E8M0 is 2^(bits - 127); U8 is the integer itself; UE4M3 has a bias of 7, bit
/// 7 is ignored, and 0x7f is 0.
float scalarValue(ScalarType type, uint32_t bits);

/// Float formats of codes of 8 bits. E4M3FN: bias 7, no infinities, NaN for a
/// magnitude of 0x7f, largest 448. E5M2: the high byte of an IEEE binary16.
enum class Minifloat : uint8_t { None, E4M3FN, E5M2 };

/// "e4m3fn", "e5m2"; "none".
const char *minifloatName(Minifloat format);
/// Inverse of minifloatName; false when the name is unknown.
bool parseMinifloat(const std::string &name, Minifloat &format);
/// Value of one code; 0 for None.
float minifloatValue(Minifloat format, uint8_t code);

struct Encoding {
  /// Set for plain float weights (F32, F16, BF16); then nothing else is used.
  ScalarType element = ScalarType::None;

  unsigned bits = 0; ///< Code width, 1..8.
  int zero = 0;      ///< Subtracted from the code when there is no table.
  /// Width of a zero point for each group, added to `zero`, 1..8; 0: none. Only
  /// with one level, no table and groups of 32 or more.
  unsigned zeroBits = 0;
  // At most one of these three; beside one, zero and zeroBits are 0.
  std::vector<int8_t> table;             ///< 2^bits integers, or empty.
  std::vector<float> values;             ///< 2^bits values, for up to 4 bits.
  Minifloat minifloat = Minifloat::None; ///< What codes are, of 8 bits.
  unsigned group = 0;                    ///< Elements of k that share S and M.
  ScalarType scale = ScalarType::None;
  int scaleExponent = 0; ///< -16..0; where a table holds multiples of numbers.
  ScalarType min = ScalarType::None;
  /// A min is what is subtracted from codes, a float (one level only).
  bool scaledMin = false;
  /// All rows have the scale; with one level or splitScale those of a panel.
  bool commonScale = false;
  /// A super-block has two scales, of which each row has the first for its
  /// split's groups. No min; groups of 32 or more, 256 at most.
  bool splitScale = false;

  /// Elements of k that share scale and min (two levels only); 0: a group.
  unsigned superBlock = 0;
  unsigned subBits = 0;    ///< Width of sub, 1..8; 0: one level.
  int subZero = 0;         ///< -1..2^subBits
  bool subSigned = false;  ///< sub is a two's complement number of 8 bits.
  bool subSquared = false; ///< S has the square of sub - subZero.
  // At most one of these two; beside one, the three above are 0.
  std::vector<float> subValues;             ///< 2^subBits values, or empty.
  Minifloat subMinifloat = Minifloat::None; ///< What subs are, of 8 bits.
  /// Of an offset, which is the same for all rows (two levels without min).
  ScalarType offset = ScalarType::None;
  unsigned subMinBits = 0; ///< Width of subMin; 0 when there is no min.

  /// A run of k with codes of one width.
  struct Span {
    unsigned columns; ///< Elements of k; a multiple of group and of 32.
    unsigned bits;
    int zero;
    unsigned group;
    bool operator==(const Span &) const = default;
  };
  /// Two to 64, in the order of k, or none. With spans, bits, zero and group
  /// above are 0, as is superBlock, and a row has as many elements as they have
  /// columns.
  std::vector<Span> spans;

  bool isFloat() const { return element != ScalarType::None; }
  /// Codes stand for floats, not for integers.
  bool hasFloatCodes() const {
    return !values.empty() || minifloat != Minifloat::None;
  }
  bool hasMin() const { return min != ScalarType::None; }
  bool hasOffset() const { return offset != ScalarType::None; }
  bool hasZeros() const { return zeroBits != 0; }
  bool isTwoLevel() const { return subBits != 0; }
  /// Elements of k that share one `scale`; without spans.
  unsigned scaleBlock() const { return superBlock ? superBlock : group; }
  /// The last group of a row may have fewer elements, a multiple of 32.
  bool takesShortGroup() const {
    return !isFloat() && spans.empty() && !isTwoLevel() && group > 32;
  }
  /// The encoding of one span, which has none itself.
  Encoding span(const Span &span) const;
  /// What the number of columns must be: all of the spans', or a multiple of
  /// the group, or of 32 where takesShortGroup().
  bool takesColumns(uint64_t columns) const;

  bool operator==(const Encoding &) const = default;

  /// Empty when consistent; otherwise what is wrong ("bits must be 1..8, got
  /// 9").
  std::string check() const;
};

/// The fields of consecutive elements of one row, as read from a file or from
/// a packed panel. Vectors are indexed from the first element's group. With
/// spans they are those of a whole row.
struct Fields {
  std::vector<uint8_t> codes; ///< One per element, unless isFloat().
  /// Raw bits, one per element (float encodings).
  std::vector<uint32_t> floats;
  std::vector<uint32_t> scale;       ///< Raw bits, one per scaleBlock().
  std::vector<uint32_t> secondScale; ///< The same, with splitScale.
  std::vector<uint8_t> split; ///< Groups of the first scale, with splitScale.
  std::vector<uint32_t> min;  ///< Raw bits, one per scaleBlock(), if hasMin().
  std::vector<uint32_t> offset; ///< The same, if hasOffset().
  std::vector<uint8_t> zeros;   ///< One per group, if hasZeros().
  std::vector<uint8_t> sub;     ///< One per group (two levels).
  std::vector<uint8_t> subMin;  ///< One per group (two levels with min).

  /// Resizes every vector for `count` elements, which the encoding takes as
  /// columns or which are a multiple of scaleBlock().
  void resize(const Encoding &encoding, size_t count);
  bool operator==(const Fields &) const = default;
};

/// The scalar meaning: element `k` of `fields`. This is the definition that
/// every kernel is compared with.
float decodeElement(const Encoding &encoding, const Fields &fields, size_t k);

} // namespace qcc

#endif // QCC_FORMATS_ENCODING_H
