//===- RowCodes.h - Codes of a row that follow each other -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_FORMATS_ROWCODES_H
#define QCC_LIB_FORMATS_ROWCODES_H

#include <cstdint>
#include <vector>

namespace qcc {

/// Code `i` of a row of 4 bits, the first of a byte in its low bits.
inline uint8_t nibble(const uint8_t *row, uint64_t i) {
  return uint8_t(row[i / 2] >> 4 * (i % 2) & 15);
}

/// As many of them as there are codes.
inline void unpackNibbles(const uint8_t *row, std::vector<uint8_t> &codes) {
  for (uint64_t k = 0; k < codes.size(); ++k)
    codes[k] = nibble(row, k);
}

/// Signed bytes as codes that are 128 more.
inline void unpackSignedBytes(const uint8_t *row, std::vector<uint8_t> &codes) {
  for (uint64_t k = 0; k < codes.size(); ++k)
    codes[k] = row[k] ^ 0x80;
}

} // namespace qcc

#endif // QCC_LIB_FORMATS_ROWCODES_H
