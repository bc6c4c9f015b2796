//===- ColumnCodes.h - Codes packed along the columns of words --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_FORMATS_COLUMNCODES_H
#define QCC_LIB_FORMATS_COLUMNCODES_H

#include "qcc/Formats/Bits.h"

namespace qcc {

/// Reads `runs` runs of 32 codes from each of `count` columns of 32-bit words:
/// column c, at `words` + 4 * c, is a stream of codes of `bits` bits, low bits
/// first, in lines `lineBytes` apart. `use(column, index, code)` gets them,
/// those of one run of one column after another. Rows of the weight are columns
/// here, so that all are read line by line: 16 of them are one cache line.
template <typename Use>
void forColumnCodes(const uint8_t *words, uint64_t lineBytes, unsigned bits,
                    uint64_t runs, unsigned count, Use use) {
  const uint32_t mask = (1u << bits) - 1;
  for (uint64_t run = 0; run < runs; ++run, words += bits * lineBytes)
    for (unsigned column = 0; column < count; ++column) {
      uint64_t pending = 0, index = run * 32;
      unsigned have = 0;
      for (unsigned word = 0; word < bits; ++word) {
        const uint8_t *at = words + word * lineBytes + column * 4;
        pending |= uint64_t(loadLE<uint32_t>(at)) << have;
        for (have += 32; have >= bits; have -= bits, pending >>= bits)
          use(column, index++, uint8_t(pending & mask));
      }
    }
}

} // namespace qcc

#endif // QCC_LIB_FORMATS_COLUMNCODES_H
