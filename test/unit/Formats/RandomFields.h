//===- RandomFields.h - Random weights in any encoding ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_FORMATS_RANDOMFIELDS_H
#define QCC_TEST_UNIT_FORMATS_RANDOMFIELDS_H

#include "qcc/Formats/Encoding.h"
#include <random>

namespace qcc {

/// Fields of `k` elements with every bit that the encoding allows random.
inline Fields randomFields(const Encoding &encoding, size_t k,
                           std::mt19937 &random) {
  auto fill = [&](auto &values, unsigned bits) {
    for (auto &value : values)
      value = static_cast<std::decay_t<decltype(value)>>(
          random() & uint32_t((uint64_t(1) << bits) - 1));
  };
  Fields fields;
  fields.resize(encoding, k);
  fill(fields.codes, encoding.bits);
  size_t element = 0;
  for (const Encoding::Span &span : encoding.spans)
    for (size_t end = element + span.columns; element < end; ++element)
      fields.codes[element] = uint8_t(random() & ((1u << span.bits) - 1));
  fill(fields.floats, 8 * scalarBytes(encoding.element));
  fill(fields.scale, 8 * scalarBytes(encoding.scale));
  fill(fields.secondScale, 8 * scalarBytes(encoding.scale));
  fill(fields.split, 8);
  fill(fields.min, 8 * scalarBytes(encoding.min));
  fill(fields.offset, 8 * scalarBytes(encoding.offset));
  fill(fields.zeros, encoding.zeroBits);
  fill(fields.sub, encoding.subBits);
  fill(fields.subMin, encoding.subMinBits);
  return fields;
}

} // namespace qcc

#endif // QCC_TEST_UNIT_FORMATS_RANDOMFIELDS_H
