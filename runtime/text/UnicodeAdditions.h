//===- UnicodeAdditions.h - Letters that PCRE2 does not know ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Tokenizers classify characters by Unicode 16; Debian's PCRE2 10.42 by
// Unicode 14. Before matching, a character that was added in between is
// replaced by an old one of the same general category and the same length in
// UTF-8, so that offsets stay as they are.
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_UNICODEADDITIONS_H
#define RUNTIME_TEXT_UNICODEADDITIONS_H

#include <string>
#include <string_view>

namespace qcc::text {

/// Returns `text` itself when it holds no such character (nearly always), and
/// otherwise a view of `storage`. `text` must be valid UTF-8.
std::string_view replaceUnicodeAdditions(std::string_view text,
                                         std::string &storage);

} // namespace qcc::text

#endif // RUNTIME_TEXT_UNICODEADDITIONS_H
