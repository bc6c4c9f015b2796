//===- IntegerValues.h - A table of floats as integers ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Codes that stand for floats meet integer activations as integers of 14 bits,
// value = scale * (128 * high + low - 128 * kZero), in two halves that the byte
// products of every instruction set take. The scale is the best one: fractions
// with a small common denominator are exact, others off by at most 2^-14 of
// the largest value.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_X86_INTEGERVALUES_H
#define QCC_LIB_CODEGEN_X86_INTEGERVALUES_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <cstdint>

namespace qcc::x86 {

struct IntegerValues {
  static constexpr int64_t kZero = 64;      ///< What is subtracted from `high`.
  static constexpr unsigned kLargest = 127; ///< Of `high` and `low`.

  explicit IntegerValues(llvm::ArrayRef<float> values);

  llvm::SmallVector<uint8_t> high, low; ///< For each value.
  double scale = 1;
};

} // namespace qcc::x86

#endif // QCC_LIB_CODEGEN_X86_INTEGERVALUES_H
