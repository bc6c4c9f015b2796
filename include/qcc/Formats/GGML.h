//===- GGML.h - The block formats of GGUF files -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// One row for every type that ggml defines: how many elements a block holds,
// how many bytes it takes, and what its bits mean. `decode` is the definition,
// written element by element; `unpack` gives the same block as the fields of
// an Encoding, which is what the compiler works on. For every type that has an
// Encoding the two agree bit for bit:
//
//   decode(block)[k] == decodeElement(*encoding, unpack(block), k)
//
// A scale that is NaN or infinite gives what IEEE arithmetic gives; which NaN
// (sign and payload) is not specified.
//===----------------------------------------------------------------------===//

#ifndef QCC_FORMATS_GGML_H
#define QCC_FORMATS_GGML_H

#include "qcc/Formats/Encoding.h"
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace qcc {

struct GGMLType {
  /// Writes one block's fields at element `firstElement` of `out` (a multiple
  /// of blockElements); `out` was resized for at least one block more.
  using UnpackFn = void(const uint8_t *block, Fields &out, size_t firstElement);
  /// Writes the blockElements values of one block.
  using DecodeFn = void(const uint8_t *block, float *out);

  uint32_t id;            ///< The number in the file.
  const char *name;       ///< ggml's name: "Q4_K".
  unsigned blockElements; ///< Elements of k in a block; 1 for plain types.
  unsigned blockBytes;
  DecodeFn *decode;         ///< Never null.
  UnpackFn *unpack;         ///< Null without an encoding.
  const Encoding *encoding; ///< Null when the type has no Encoding; static.

  /// Bytes of a row of `k` elements, a multiple of blockElements.
  size_t rowBytes(size_t k) const { return k / blockElements * blockBytes; }
  /// Whether codes take more bits than the file has for them, since it holds
  /// places in code books, or digits of another base.
  bool isTranscoded() const {
    return encoding && !encoding->isFloat() &&
           encoding->bits * blockElements > 8 * blockBytes;
  }
  /// Resizes `out` and unpacks a row of `k` elements, a multiple of
  /// blockElements.
  void unpackRow(const uint8_t *row, size_t k, Fields &out) const;
  /// Decodes a row of `k` elements, a multiple of blockElements.
  void decodeRow(const uint8_t *row, size_t k, float *out) const;
};

/// Every live type in order of id. Static storage, safe from any thread.
std::span<const GGMLType> ggmlTypes();

/// The type with this id or exact name; null when it does not exist (any more).
const GGMLType *findGGMLType(uint32_t id);
const GGMLType *findGGMLType(std::string_view name);

/// Why findGGMLType(id) is null, for a message: "ggml type 31 (Q4_0_4_4) was
/// removed from ggml; quantize the model again as Q4_0".
std::string unknownGGMLType(uint32_t id);

} // namespace qcc

#endif // QCC_FORMATS_GGML_H
