//===- RandomBlocks.h - Random weights of any block format ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_KERNELBENCH_RANDOMBLOCKS_H
#define QCC_LIB_KERNELBENCH_RANDOMBLOCKS_H

#include "qcc/Formats/GGML.h"

#include <cstdint>
#include <vector>

namespace qcc::bench {

/// `rows` rows of `columns` elements of a type that has an encoding, as a file
/// has them: random bits, but scales, and floats, between 0.25 and 1, so that
/// all values are finite. The same numbers in each call.
std::vector<uint8_t> randomBlocks(const GGMLType &type, size_t rows,
                                  size_t columns);

/// `count` numbers between -1 and 1.
std::vector<float> randomFloats(size_t count);

} // namespace qcc::bench

#endif // QCC_LIB_KERNELBENCH_RANDOMBLOCKS_H
