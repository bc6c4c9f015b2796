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

namespace qcc {

/// One weight: its shape and the first bytes of its arrays, which need not be
/// aligned. Whoever makes one has checked that the arrays are large enough.
struct StoredWeight {
  const Encoding &encoding;
  uint64_t rows, columns; ///< Out features, in features.
  /// In the order of StoredFormat::arrays.
  std::span<const uint8_t *const> arrays;
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

/// GPTQ, symmetric, rows of k in order of groups, W[out, in]:
///
///   qweight  i32 [in * bits / 32, out]   each column is a stream of codes
///   along
///                                        k, low bits first
///   scales   f16 or bf16 [in / group, out]
///
/// 2, 4 or 8 bits.
extern const StoredFormat kGPTQFormat;

} // namespace qcc

#endif // QCC_FORMATS_STOREDFORMAT_H
