//===- UTF8.cpp - Validation of UTF-8 -------------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Support/UTF8.h"
#include <cstdint>

using namespace qcc;

size_t qcc::utf8SequenceLength(std::string_view text) {
  auto byte = [&](size_t i) { return uint8_t(text[i]); };
  if (text.empty())
    return 0;
  uint8_t lead = byte(0);
  if (lead < 0x80)
    return 1;
  size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length)
    return 0;
  // The second byte has a narrower range after four lead bytes: this excludes
  // overlong forms (e0, f0), surrogates (ed) and values above U+10FFFF (f4).
  uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < low || byte(1) > high)
    return 0;
  for (size_t i = 2; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80)
      return 0;
  return length;
}

bool qcc::isValidUTF8(std::string_view text) {
  while (!text.empty()) {
    size_t length = utf8SequenceLength(text);
    if (length == 0)
      return false;
    text.remove_prefix(length);
  }
  return true;
}
