//===- Utf8.cpp - Strict UTF-8 decoding and encoding ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Utf8.h"

namespace qcc::text {

/// What the byte after a lead byte may be, and how many follow in all. Only the
/// first continuation byte depends on the lead (Unicode 15, table 3-7).
struct Lead {
  unsigned following;
  uint8_t low, high;
};

static bool lead(uint8_t byte, Lead &out) {
  if (byte < 0xC2 || byte > 0xF4)
    return false;
  out = {byte < 0xE0 ? 1u : byte < 0xF0 ? 2u : 3u, 0x80, 0xBF};
  if (byte == 0xE0)
    out.low = 0xA0;
  else if (byte == 0xED)
    out.high = 0x9F;
  else if (byte == 0xF0)
    out.low = 0x90;
  else if (byte == 0xF4)
    out.high = 0x8F;
  return true;
}

size_t decodeUtf8(std::string_view text, size_t at, uint32_t &codePoint) {
  uint8_t first = static_cast<uint8_t>(text[at]);
  if (first < 0x80) {
    codePoint = first;
    return 1;
  }
  Lead shape;
  if (!lead(first, shape) || text.size() - at <= shape.following)
    return 0;
  uint32_t value = first & (0x3Fu >> shape.following);
  for (unsigned i = 1; i <= shape.following; ++i) {
    uint8_t byte = static_cast<uint8_t>(text[at + i]);
    if (i == 1 ? byte < shape.low || byte > shape.high
               : byte < 0x80 || byte > 0xBF)
      return 0;
    value = value << 6 | (byte & 0x3Fu);
  }
  codePoint = value;
  return shape.following + 1;
}

size_t malformedUtf8(std::string_view text, size_t at, bool &incomplete) {
  incomplete = false;
  Lead shape;
  if (!lead(static_cast<uint8_t>(text[at]), shape))
    return 1;
  for (unsigned i = 1; i <= shape.following; ++i) {
    if (at + i >= text.size()) {
      incomplete = true;
      return i;
    }
    uint8_t byte = static_cast<uint8_t>(text[at + i]);
    if (i == 1 ? byte < shape.low || byte > shape.high
               : byte < 0x80 || byte > 0xBF)
      return i;
  }
  return 1;
}

void appendUtf8(std::string &out, uint32_t codePoint) {
  if (codePoint < 0x80) {
    out += static_cast<char>(codePoint);
  } else if (codePoint < 0x800) {
    out += static_cast<char>(0xC0 | codePoint >> 6);
    out += static_cast<char>(0x80 | (codePoint & 0x3F));
  } else if (codePoint < 0x10000) {
    out += static_cast<char>(0xE0 | codePoint >> 12);
    out += static_cast<char>(0x80 | (codePoint >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (codePoint & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | codePoint >> 18);
    out += static_cast<char>(0x80 | (codePoint >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (codePoint >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (codePoint & 0x3F));
  }
}

uint32_t printableOfByte(uint8_t byte) {
  // Those that print stand for themselves, the others have the characters from
  // U+0100 on, in order.
  if (byte <= 32)
    return 256u + byte;
  if (byte >= 127 && byte <= 160)
    return 256u + 33 + byte - 127u;
  return byte == 173 ? 256u + 67 : byte;
}

void Utf8Stream::push(std::string_view bytes, std::string &out) {
  held += bytes;
  size_t at = 0;
  while (at < held.size()) {
    uint32_t codePoint = 0;
    if (size_t length = decodeUtf8(held, at, codePoint)) {
      out.append(held, at, length);
      at += length;
      continue;
    }
    bool incomplete = false;
    size_t length = malformedUtf8(held, at, incomplete);
    if (incomplete)
      break;
    out += "\xEF\xBF\xBD";
    at += length;
  }
  held.erase(0, at);
}

void Utf8Stream::finish(std::string &out) {
  if (!held.empty())
    out += "\xEF\xBF\xBD";
  held.clear();
}

bool isValidUtf8(std::string_view text) {
  uint32_t codePoint;
  for (size_t at = 0; at < text.size();) {
    size_t length = decodeUtf8(text, at, codePoint);
    if (length == 0)
      return false;
    at += length;
  }
  return true;
}

std::string replaceInvalidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  uint32_t codePoint;
  for (size_t at = 0; at < text.size();) {
    size_t length = decodeUtf8(text, at, codePoint);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      ++at;
    } else {
      out.append(text, at, length);
      at += length;
    }
  }
  return out;
}

} // namespace qcc::text
