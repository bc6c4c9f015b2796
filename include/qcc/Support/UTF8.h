//===- UTF8.h - Validation of UTF-8 -----------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_SUPPORT_UTF8_H
#define QCC_SUPPORT_UTF8_H

#include <cstddef>
#include <string_view>

namespace qcc {

/// Bytes of the well-formed UTF-8 sequence at the start of `text` (1..4), or 0
/// when there is none: overlong forms, surrogates and values above U+10FFFF
/// are not well formed.
size_t utf8SequenceLength(std::string_view text);

/// True when all of `text` is well-formed UTF-8.
bool isValidUTF8(std::string_view text);

} // namespace qcc

#endif // QCC_SUPPORT_UTF8_H
