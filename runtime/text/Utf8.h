//===- Utf8.h - Strict UTF-8 decoding and encoding --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_UTF8_H
#define RUNTIME_TEXT_UTF8_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace qcc::text {

/// The code point at `text[at]` and its length in bytes. The length is 0 when
/// no well-formed sequence (no surrogate, nothing overlong, at most U+10FFFF)
/// starts there. `at` must be less than the size.
size_t decodeUtf8(std::string_view text, size_t at, uint32_t &codePoint);

/// Bytes at `at` that are the start of a well-formed sequence but not a whole
/// one (the longest such prefix): what a decoder replaces with one U+FFFD. At
/// least 1. `incomplete` tells that the text ended inside of the sequence.
size_t malformedUtf8(std::string_view text, size_t at, bool &incomplete);

/// Appends a code point, which must be a Unicode scalar value.
void appendUtf8(std::string &out, uint32_t codePoint);

/// The printable character that stands for a byte in byte-level vocabularies.
uint32_t printableOfByte(uint8_t byte);

/// Makes text of bytes that arrive piece by piece. What comes out is always
/// valid UTF-8: bytes of an unfinished character are held back, and a byte
/// sequence that can be none becomes U+FFFD.
class Utf8Stream {
public:
  /// Appends to `out` the characters that became certain.
  void push(std::string_view bytes, std::string &out);
  /// Appends what is still held back, as U+FFFD.
  void finish(std::string &out);

private:
  std::string held; ///< start of a character, at most 3 bytes
};

bool isValidUtf8(std::string_view text);

/// The text with each byte that starts no well-formed sequence replaced by
/// U+FFFD (one for each byte, as llama.cpp does).
std::string replaceInvalidUtf8(std::string_view text);

} // namespace qcc::text

#endif // RUNTIME_TEXT_UTF8_H
