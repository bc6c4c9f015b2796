//===- QuantizedState.h - Keys and values in 8 bits -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// What `--kv=q8` keeps of a key or a value: each group of its elements as
// signed codes of 8 bits and one scale, a bf16. An element is code * scale, in
// f32. Whole groups of a key are mixed before, and queries the same way, which
// leaves the products of the two as they are: in real models a few elements of
// keys are much larger than the others, to which they would leave few codes.
// This is the definition; generated code gives the same bits.
//===----------------------------------------------------------------------===//

#ifndef QCC_FORMATS_QUANTIZEDSTATE_H
#define QCC_FORMATS_QUANTIZEDSTATE_H

#include <cstddef>
#include <cstdint>
#include <span>

namespace qcc {

/// Elements of a group; the last one of a head may have fewer.
constexpr size_t kStateGroup = 32;

/// The largest code; the element furthest from 0 gets it, or minus it.
constexpr float kStateCode = 127;

/// What the largest element counts at least, so that a scale can be divided
/// by: groups of smaller ones become zeros.
constexpr float kStatePeak = 1e-30f;

/// 1 / sqrt(kStateGroup).
constexpr float kStateMix = 0.176776695f;

/// Takes a whole group through the Walsh-Hadamard transform, which is its own
/// inverse: sums and differences of elements 1, 2, 4, 8 and 16 apart in turn,
/// then all times kStateMix.
void mixState(std::span<float, kStateGroup> group);

/// Writes a code for each of up to kStateGroup elements, which are finite, and
/// returns the bits of the scale.
uint16_t quantizeState(std::span<const float> elements, int8_t *codes);

/// The scale with these bits.
float stateScale(uint16_t bits);

} // namespace qcc

#endif // QCC_FORMATS_QUANTIZEDSTATE_H
