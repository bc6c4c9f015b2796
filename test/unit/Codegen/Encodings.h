//===- Encodings.h - The encodings that kernels are tested with -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CODEGEN_ENCODINGS_H
#define QCC_TEST_UNIT_CODEGEN_ENCODINGS_H

#include "qcc/Formats/Encoding.h"

#include <ostream>
#include <string>
#include <vector>

namespace qcc::test {

struct NamedEncoding {
  std::string name;
  Encoding encoding;
};
inline void PrintTo(const NamedEncoding &named, std::ostream *stream) {
  *stream << named.name;
}

Encoding oneLevel(unsigned bits, unsigned group, ScalarType scale);
Encoding twoLevel(unsigned bits, unsigned group, unsigned superBlock,
                  unsigned subBits, ScalarType scale);

/// `units` packed units, or all columns of the spans.
size_t columnsFor(const Encoding &encoding, size_t units);

/// Encodings that no file format of the product has, and all that it has.
std::vector<NamedEncoding> allEncodings();

} // namespace qcc::test

#endif // QCC_TEST_UNIT_CODEGEN_ENCODINGS_H
