//===- StoredFormat.h - Weights kept as several arrays ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// GGUF keeps a weight as rows of blocks (GGML.h). Most other quantizers keep
// it as several arrays: packed codes in one, scales in another. A StoredFormat
// says which arrays these are and how rows of codes and scales are read from
// them, as the fields of an Encoding; what the numbers mean is the Encoding
// alone.
//===----------------------------------------------------------------------===//

#ifndef QCC_FORMATS_STOREDFORMAT_H
#define QCC_FORMATS_STOREDFORMAT_H

#include "qcc/Formats/Encoding.h"
#include <span>
#include <string_view>
#include <vector>

namespace qcc {

/// One weight: its shape and the first bytes of its arrays, which need not be
/// aligned. Whoever makes one has checked that the arrays are large enough.
struct StoredWeight {
  const Encoding &encoding;
  uint64_t rows, columns; ///< Out features, in features.
  /// In the order of StoredFormat::arrays.
  std::span<const uint8_t *const> arrays;
  /// What else the format needs to know of the weight, as it documents.
  std::span<const uint64_t> numbers = {};
};

struct StoredFormat {
  /// Writes the fields of rows [firstRow, firstRow + count) to out[0..count),
  /// resizing them. Fastest for 16 rows at a multiple of 16.
  using UnpackFn = void(const StoredWeight &weight, uint64_t firstRow,
                        unsigned count, Fields *out);

  const char *name; ///< "GPTQ".
  /// What the arrays that unpackRows reads are called, after the module's name:
  /// "qweight", "scales".
  std::span<const char *const> arrays;
  UnpackFn *unpackRows;
};

/// GPTQ, W[out, in]:
///
///   qweight  i32 [in * bits / 32, out]   each column is a stream of codes
///   along
///                                        k, low bits first
///   scales   f16 or bf16 [groups, out]
///   qzeros   i32 [groups, out * bits / 32]   each row is a stream of zero
///   points g_idx    i32 [in]                    the group of each k
///
/// 2, 3, 4 or 8 bits. Without qzeros all zero points are the encoding's. With
/// g_idx the elements of a row stand in the order of their groups (groupOrder),
/// and each group must have as many as the encoding says.
///
/// Two conventions for qzeros: the zero point, or one less (V1; with 3 bits the
/// encoding's zero is that one).
extern const StoredFormat kGPTQFormat;        ///< qweight, scales
extern const StoredFormat kGPTQOrderFormat;   ///< qweight, scales, g_idx
extern const StoredFormat kGPTQZerosFormat;   ///< qweight, scales, qzeros
extern const StoredFormat kGPTQV1ZerosFormat; ///< qweight, scales, qzeros
extern const StoredFormat
    kGPTQZerosOrderFormat; ///< qweight, scales, qzeros, g_idx
extern const StoredFormat
    kGPTQV1ZerosOrderFormat; ///< qweight, scales, qzeros, g_idx

/// One row of f32: the order that g_idx gives to the elements of a row.
extern const StoredFormat kGroupOrderFormat;

/// The elements of a row in the order of their groups, those of one group in
/// ascending order: element j of the result is the place in the file of the
/// j-th. `groupIndex` has one i32 for each of `count` elements, all of them
/// below `groups`.
std::vector<uint32_t> groupOrder(const uint8_t *groupIndex, uint64_t count,
                                 uint64_t groups);

/// EXL2, W[out, in] with its k in another order (kPlacesFormat); `width` is out
/// rounded up to 32, bits and groups of k are those of the encoding's spans:
///
///   q_weight     i32 [sum of columns * bits / 32, width]   in each span, each
///                                        column is a stream of codes along k
///   q_scale      i32 [groups, width / 8]   sub of each group, 4 bits each
///   q_scale_max  f16 [groups]
///
/// W = (code - zero) * (sub + 1)^2 * q_scale_max / 256
extern const StoredFormat kEXL2Format; ///< q_weight, q_scale, q_scale_max

/// One row of f32, the inverse of a permutation: the j-th is the place of j in
/// the array. The number is the bytes of an entry, 2 or 4.
///
///   q_invperm  i16 or i32 [in]   the place of each k
extern const StoredFormat kPlacesFormat;

/// AWQ (GEMM), 4 bits, W[out, in]; eight columns of a word in the order
/// 0, 2, 4, 6, 1, 3, 5, 7:
///
///   qweight  i32 [in, out / 8]
///   scales   f16 [groups, out]
///   qzeros   i32 [groups, out / 8]
extern const StoredFormat kAWQFormat;

/// AWQ (GEMV), 4 bits, natural order along k. The number is `width`, the words
/// of zero points of a row, of which the first `groups` nibbles count, as do
/// the first `groups` scales:
///
///   qweight  i32 [out, in / 8]
///   scales   f16 [out, width * 8]
///   qzeros   i32 [out, width]
extern const StoredFormat kAWQGEMVFormat;

/// AWQ (GEMV_FAST and llm-awq), 4 bits, with a min for each group; the order of
/// the codes is AWQ.cpp's. `lines` is at least the number of groups:
///
///   qweight  i16 [out / 4, in]
///   scales   f16 [lines, out]
///   qzeros   f16 [lines, out], the min
extern const StoredFormat kAWQFastFormat;

/// Rows of codes along k, as compressed-tensors writes them, 2, 4 or 8 bits:
///
///   weight_packed      i32 [out, in * bits / 32]
///   weight_scale       [out, groups]
///   weight_zero_point  i32 [out * bits / 32, groups]
///   weight_g_idx       i32 [in]   as GPTQ's g_idx
///
/// Without zero points all are the encoding's.
extern const StoredFormat kPackedRowsFormat; ///< weight_packed, weight_scale
extern const StoredFormat
    kPackedRowsZerosFormat; ///< weight_packed, weight_scale, weight_zero_point
extern const StoredFormat
    kPackedRowsOrderFormat; ///< weight_packed, weight_scale, weight_g_idx
/// weight_packed, weight_scale, weight_zero_point, weight_g_idx
extern const StoredFormat kPackedRowsZerosOrderFormat;

/// Signed bytes, a code being 128 more:
///
///   weight        i8 [out, in]
///   weight_scale  [out, groups]
extern const StoredFormat kByteRowsFormat;

/// Floats of 8 bits, row by row, with scales for tiles of `tileRows` x
/// `tileColumns` (the numbers, in this order); tiles at the edges are partial.
/// The groups of the encoding, or of its spans, lie each in one tile:
///
///   weight  f8 [out, in]
///   scales  [ceil(out / tileRows), ceil(in / tileColumns)]
extern const StoredFormat kFP8Format;

/// Floats of 4 bits, row by row, the first of a byte in its low bits, with
/// scales for groups along k:
///
///   weight_packed  u8 [out, in / 2]
///   weight_scale   u8 [out, groups], powers of two (E8M0)
extern const StoredFormat kMXFP4Format;

/// The same for the matrices of experts, of as many rows each, one after the
/// other. Row r is row r * `step` + `first` of the arrays (the numbers, in this
/// order):
///
///   blocks  u8 [experts, rows, groups, 16]
///   scales  u8 [experts, rows, groups]
extern const StoredFormat kMXFP4BlocksFormat;

/// The same as kMXFP4Format with scales in two parts:
///
///   weight_packed        u8 [out, in / 2]
///   weight_scale         f8_e4m3 [out, groups]
///   weight_global_scale  f32 [1]
///
/// The encoding has two levels, of which the first is weight_global_scale
/// (ModelOpt) or, as it divides in compressed-tensors, its inverse, rounded to
/// f32.
extern const StoredFormat kNVFP4DividedFormat, kNVFP4MultipliedFormat;

/// bitsandbytes, 4 bits: codes of the matrix as one row, the first of a byte in
/// its high bits; scales for `block` elements of that row. The numbers are
/// block, and with nested scales nestedBlock and the bits of the f32 offset.
/// The encoding's group divides block and columns:
///
///   weight            u8 [out * in / 2]
///   absmax            f32 [blocks], or u8 when nested:
///   nested_absmax     f32 [ceil(blocks / nestedBlock)]
///   nested_quant_map  f32 [256]
///
/// scale[i] = nested_quant_map[absmax[i]] * nested_absmax[i / nestedBlock]
///            + offset, each operation rounded to f32
///
/// With an encoding of two levels these stay apart; its group is the block, and
/// its superBlock divides columns and block * nestedBlock, or, with splitScale,
/// is at most the latter. With commonScale 16 superBlocks, each a row, are.
extern const StoredFormat kNF4Format, kFP4Format; ///< weight, absmax
/// weight, absmax, nested_absmax, nested_quant_map
extern const StoredFormat kNF4NestedFormat, kFP4NestedFormat;

/// bitsandbytes, LLM.int8: signed bytes, a code being 128 more, one scale for
/// each row:
///
///   weight  i8 [out, in]
///   SCB     f32 [out], 127 times the scale
extern const StoredFormat kLLMInt8Format;

/// HQQ, W[out, in], 1, 2, 3, 4 or 8 bits. The groups of all rows are lines of
/// codes; a word has one of several lines, of those of the first in its high
/// bits: 8 bits hold 8 / bits of them, 32 bits hold 10 of 3 bits:
///
///   W_q          u8 or i32 [lines / codes of a word, group]
///   scale, zero  [lines, 1]
///
/// The min of the encoding is the zero (scaledMin).
extern const StoredFormat kHQQFormat;

/// One row of floats that are stored less 1: an element is 1 + w, rounded to
/// f32. The number is the id of the ggml type of w:
///
///   weight  f32, f16 or bf16 [n]
extern const StoredFormat kOnePlusFormat;

struct GGMLType;

/// Floats of matrices that lie in other ones, or whose rows are columns. The
/// numbers are the id of their ggml type, then R, f, m, r and c. Element k of
/// row i is that element of the array: f + i / R * m + i % R * r + k * c
///
///   weight  f32, f16 or bf16
extern const StoredFormat kStridedFormat;

/// Values of rows of such a weight; `strides` are its numbers from R on.
void decodeStrided(const uint8_t *array, const GGMLType &type,
                   std::span<const uint64_t> strides, uint64_t columns,
                   uint64_t firstRow, unsigned count, float *out);

} // namespace qcc

#endif // QCC_FORMATS_STOREDFORMAT_H
