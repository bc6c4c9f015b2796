//===- Quantize.h - Rounding of float weights to codes ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Makes codes and scales of floats, each number rounded to the nearest code: no
// calibration. Types that ggml has give the bits of its quantizers (the C
// functions quantize_row_*_ref, without an importance matrix).
//===----------------------------------------------------------------------===//

#ifndef QCC_FORMATS_QUANTIZE_H
#define QCC_FORMATS_QUANTIZE_H

#include "qcc/Formats/StoredFormat.h"

namespace qcc {

/// How the numbers of a group choose its scale.
enum class Rounding : uint8_t {
  Extreme,   ///< The one furthest from 0 gets the lowest code.
  Symmetric, ///< The one furthest from 0 gets the highest code, or minus it.
  MinMax,    ///< The least gets code 0, the largest the highest.
  Zeros,     ///< The same for numbers and 0, with 0 a zero point.
  Values,    ///< The one furthest from 0 gets 1 or -1 of the values.
  Search,    ///< Two levels, with scales that make the error of a group small.
};

struct QuantizationType {
  const char *name; ///< "q4_0".
  Rounding rounding;
  Encoding encoding; ///< A group of 0 is a whole row.
  /// Names of the types that take its place for the embedding and the head, to
  /// which models are most sensitive, and for rows that it has no encoding for.
  /// Its own name where nothing does.
  const char *sensitive, *fallback;

  /// For rows of `columns`; none when they are no whole number of super-blocks,
  /// or of groups, of which the last may be shorter where
  /// Encoding::takesShortGroup(). `encoding` is set on success.
  bool encodingFor(uint64_t columns, Encoding &encoding) const;
};

/// Static storage, safe from any thread.
std::span<const QuantizationType> quantizationTypes();
/// Null when there is none of that name.
const QuantizationType *findQuantizationType(std::string_view name);

/// Writes the fields of a row of `columns` values, for which there is an
/// encoding. What is not finite gives some code.
void quantizeRow(const QuantizationType &type, const float *values,
                 size_t columns, Fields &out);

/// Rows of floats, rounded as they are read. The numbers are the id of their
/// ggml type and the place in quantizationTypes():
///
///   weight  [out, in]
///
/// More numbers are those of kStridedFormat from R on.
extern const StoredFormat kRoundedFormat;
/// The type that a weight with these numbers is rounded to.
const QuantizationType &roundedType(std::span<const uint64_t> numbers);

} // namespace qcc

#endif // QCC_FORMATS_QUANTIZE_H
