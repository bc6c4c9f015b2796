//===- UnicodeAdditions.cpp - Letters that PCRE2 does not know ------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "UnicodeAdditions.h"

#include "Utf8.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace qcc::text {

namespace {
enum Category : uint8_t {
  Lu,
  Ll,
  Lm,
  Lo,
  Mark,
  Number,
  Punctuation,
  Symbol,
  Han,
  OtherNumber
};
struct Range {
  uint32_t first, last;
  Category category;
};
} // namespace

// Code points assigned in Unicode 15.0, 15.1 and 16.0 (DerivedAge.txt), by
// general category. test/text/test_tokenizers.py compares the words
// around every code point with those of the reference tokenizers.
static constexpr Range additions[] = {
    {0x897, 0x897, Mark},
    {0xCF3, 0xCF3, Mark},
    {0xECE, 0xECE, Mark},
    {0x1B4E, 0x1B4F, Punctuation},
    {0x1B7F, 0x1B7F, Punctuation},
    {0x1C89, 0x1C89, Lu},
    {0x1C8A, 0x1C8A, Ll},
    {0x2427, 0x2429, Symbol},
    {0x2FFC, 0x2FFF, Symbol},
    {0x31E4, 0x31E5, Symbol},
    {0x31EF, 0x31EF, Symbol},
    {0xA7CB, 0xA7CC, Lu},
    {0xA7CD, 0xA7CD, Ll},
    {0xA7DA, 0xA7DA, Lu},
    {0xA7DB, 0xA7DB, Ll},
    {0xA7DC, 0xA7DC, Lu},
    {0x105C0, 0x105F3, Lo},
    {0x10D40, 0x10D49, Number},
    {0x10D4A, 0x10D4D, Lo},
    {0x10D4E, 0x10D4E, Lm},
    {0x10D4F, 0x10D4F, Lo},
    {0x10D50, 0x10D65, Lu},
    {0x10D69, 0x10D6D, Mark},
    {0x10D6E, 0x10D6E, Punctuation},
    {0x10D6F, 0x10D6F, Lm},
    {0x10D70, 0x10D85, Ll},
    {0x10D8E, 0x10D8F, Symbol},
    {0x10EC2, 0x10EC4, Lo},
    {0x10EFC, 0x10EFF, Mark},
    {0x1123F, 0x11240, Lo},
    {0x11241, 0x11241, Mark},
    {0x11380, 0x11389, Lo},
    {0x1138B, 0x1138B, Lo},
    {0x1138E, 0x1138E, Lo},
    {0x11390, 0x113B5, Lo},
    {0x113B7, 0x113B7, Lo},
    {0x113B8, 0x113C0, Mark},
    {0x113C2, 0x113C2, Mark},
    {0x113C5, 0x113C5, Mark},
    {0x113C7, 0x113CA, Mark},
    {0x113CC, 0x113D0, Mark},
    {0x113D1, 0x113D1, Lo},
    {0x113D2, 0x113D2, Mark},
    {0x113D3, 0x113D3, Lo},
    {0x113D4, 0x113D5, Punctuation},
    {0x113D7, 0x113D8, Punctuation},
    {0x113E1, 0x113E2, Mark},
    {0x116D0, 0x116E3, Number},
    {0x11B00, 0x11B09, Punctuation},
    {0x11BC0, 0x11BE0, Lo},
    {0x11BE1, 0x11BE1, Punctuation},
    {0x11BF0, 0x11BF9, Number},
    {0x11F00, 0x11F01, Mark},
    {0x11F02, 0x11F02, Lo},
    {0x11F03, 0x11F03, Mark},
    {0x11F04, 0x11F10, Lo},
    {0x11F12, 0x11F33, Lo},
    {0x11F34, 0x11F3A, Mark},
    {0x11F3E, 0x11F42, Mark},
    {0x11F43, 0x11F4F, Punctuation},
    {0x11F50, 0x11F59, Number},
    {0x11F5A, 0x11F5A, Mark},
    {0x1342F, 0x1342F, Lo},
    {0x13440, 0x13440, Mark},
    {0x13441, 0x13446, Lo},
    {0x13447, 0x13455, Mark},
    {0x13460, 0x143FA, Lo},
    {0x16100, 0x1611D, Lo},
    {0x1611E, 0x1612F, Mark},
    {0x16130, 0x16139, Number},
    {0x16D40, 0x16D42, Lm},
    {0x16D43, 0x16D6A, Lo},
    {0x16D6B, 0x16D6C, Lm},
    {0x16D6D, 0x16D6F, Punctuation},
    {0x16D70, 0x16D79, Number},
    {0x18CFF, 0x18CFF, Lo},
    {0x1B132, 0x1B132, Lo},
    {0x1B155, 0x1B155, Lo},
    {0x1CC00, 0x1CCEF, Symbol},
    {0x1CCF0, 0x1CCF9, Number},
    {0x1CD00, 0x1CEB3, Symbol},
    {0x1D2C0, 0x1D2D3, OtherNumber},
    {0x1DF25, 0x1DF2A, Ll},
    {0x1E030, 0x1E06D, Lm},
    {0x1E08F, 0x1E08F, Mark},
    {0x1E4D0, 0x1E4EA, Lo},
    {0x1E4EB, 0x1E4EB, Lm},
    {0x1E4EC, 0x1E4EF, Mark},
    {0x1E4F0, 0x1E4F9, Number},
    {0x1E5D0, 0x1E5ED, Lo},
    {0x1E5EE, 0x1E5EF, Mark},
    {0x1E5F0, 0x1E5F0, Lo},
    {0x1E5F1, 0x1E5FA, Number},
    {0x1E5FF, 0x1E5FF, Punctuation},
    {0x1F6DC, 0x1F6DC, Symbol},
    {0x1F774, 0x1F776, Symbol},
    {0x1F77B, 0x1F77F, Symbol},
    {0x1F7D9, 0x1F7D9, Symbol},
    {0x1F8B2, 0x1F8BB, Symbol},
    {0x1F8C0, 0x1F8C1, Symbol},
    {0x1FA75, 0x1FA77, Symbol},
    {0x1FA87, 0x1FA89, Symbol},
    {0x1FA8F, 0x1FA8F, Symbol},
    {0x1FAAD, 0x1FAAF, Symbol},
    {0x1FABB, 0x1FABF, Symbol},
    {0x1FAC6, 0x1FAC6, Symbol},
    {0x1FACE, 0x1FACF, Symbol},
    {0x1FADA, 0x1FADC, Symbol},
    {0x1FADF, 0x1FADF, Symbol},
    {0x1FAE8, 0x1FAE9, Symbol},
    {0x1FAF7, 0x1FAF8, Symbol},
    {0x1FBCB, 0x1FBEF, Symbol},
    {0x2B739, 0x2B739, Han},
    {0x2EBF0, 0x2EE5D, Han},
    {0x31350, 0x323AF, Han},
};

// One old character of each category. In three bytes there are two sets: one
// pattern (deepseek-coder) has the range U+0800 to U+4E00.
static const char *const threeBytesLow[] = {
    "\xE1\xB8\x80" /*U+1E00*/, "\xE1\xB8\x81" /*U+1E01*/,
    "\xE1\xB4\xAC" /*U+1D2C*/, "\xE0\xA4\x85" /*U+0905*/,
    "\xE0\xA4\x80" /*U+0900*/, "\xE0\xA5\xA6" /*U+0966*/,
    "\xE0\xA5\xB0" /*U+0970*/, "\xE2\x82\xA0" /*U+20A0*/};
static const char *const threeBytesHigh[] = {
    "\xEA\x99\x80" /*U+A640*/, "\xEA\x99\x81" /*U+A641*/,
    "\xEA\x99\xBF" /*U+A67F*/, "\xEA\x99\xAE" /*U+A66E*/,
    "\xEA\x99\xAF" /*U+A66F*/, "\xEA\xA3\x90" /*U+A8D0*/,
    "\xEA\x99\xB3" /*U+A673*/, "\xEA\x9C\x80" /*U+A700*/};
static const char *const fourBytes[] = {
    "\xF0\x90\x90\x80" /*U+10400*/, "\xF0\x90\x90\xA8" /*U+10428*/,
    "\xF0\x96\xAD\x80" /*U+16B40*/, "\xF0\x90\x91\x90" /*U+10450*/,
    "\xF0\x90\xA8\x81" /*U+10A01*/, "\xF0\x90\x92\xA0" /*U+104A0*/,
    "\xF0\x90\x84\x80" /*U+10100*/, "\xF0\x9F\x8C\x80" /*U+1F300*/,
    "\xF0\xAC\xBA\xB0" /*U+2CEB0*/, "\xF0\x90\x84\x87" /*U+10107*/};

std::string_view replaceUnicodeAdditions(std::string_view text,
                                         std::string &storage) {
  bool copied = false;
  for (size_t at = 0; at < text.size();) {
    // Everything added has at least three bytes.
    if (static_cast<uint8_t>(text[at]) < 0xE0) {
      ++at;
      continue;
    }
    uint32_t codePoint = 0;
    size_t length = decodeUtf8(text, at, codePoint);
    if (length == 0) // not valid after all
      length = 1;
    const Range *range = std::upper_bound(
        std::begin(additions), std::end(additions), codePoint,
        [](uint32_t value, const Range &range) { return value <= range.last; });
    if (length >= 3 && range != std::end(additions) &&
        codePoint >= range->first) {
      if (!copied)
        storage.assign(text);
      copied = true;
      const char *const *old = length == 4          ? fourBytes
                               : codePoint < 0x4E00 ? threeBytesLow
                                                    : threeBytesHigh;
      std::memcpy(storage.data() + at, old[range->category], length);
    }
    at += length;
  }
  return copied ? std::string_view(storage) : text;
}

} // namespace qcc::text
