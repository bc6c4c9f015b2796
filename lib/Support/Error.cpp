//===- Error.cpp - Building of error messages -----------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Support/Error.h"
#include "qcc/Support/UTF8.h"
#include <cstdint>

using namespace qcc;

std::string qcc::quoted(std::string_view text) {
  constexpr size_t kMaxBytes = 80;
  static const char hex[] = "0123456789abcdef";
  std::string result = "'";
  size_t i = 0;
  while (i < text.size() && i < kMaxBytes) {
    uint8_t byte = uint8_t(text[i]);
    size_t length = utf8SequenceLength(text.substr(i));
    // U+0080..U+009F are control characters too.
    bool control = byte < 0x20 || byte == 0x7f ||
                   (length == 2 && byte == 0xc2 && uint8_t(text[i + 1]) < 0xa0);
    if (length == 0 || control) {
      result += "\\x";
      result += hex[byte >> 4];
      result += hex[byte & 15];
      ++i;
      continue;
    }
    result += text.substr(i, length);
    i += length;
  }
  result += i < text.size() ? "...'" : "'";
  return result;
}

Error qcc::mismatchError(std::string_view what, std::string_view expected,
                         std::string_view got) {
  std::string message(what);
  message += ": expected ";
  message += expected;
  message += ", got ";
  message += got;
  return Error(std::move(message));
}
