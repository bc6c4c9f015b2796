//===- Isa.h - What kernels need to know of an instruction set --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_X86_ISA_H
#define QCC_LIB_CODEGEN_X86_ISA_H

#include "dialects/QZ/QZDialect.h"
#include "qcc-rt/qcc_abi.h"
#include "qcc/Codegen/Common/Emitter.h"
#include "qcc/Codegen/Common/Target.h"
#include "qcc/Transforms/ActivationLayout.h"

namespace qcc::x86 {

using namespace qcc::codegen;

/// What the rows of a qz.quantize are multiplied as.
struct RowUse {
  qz::Activations kind;
  int64_t sumGroup;
  int64_t wanted; ///< Rows of a tile, if registers allow.
  bool isPrompt;
  bool isBlock = false;    ///< Whether that is to be multiplied as one block.
  bool mayBeFixed = false; ///< Whether FixedPanel takes all weights.
  bool hasTerms = true;    ///< Whether one of them has terms there.
};

/// The facts of a target in the units of kernels.
struct Isa {
  explicit Isa(const TargetSpec &target)
      : lanes(target.vectorBits / 32), dot(target.dot),
        registers(target.registers),
        hasHalfProducts(target.cpuFeatures & QCC_CPU_AVX512_BF16),
        hasTiles(target.multipliesBlocks()) {}

  int64_t lanes; ///< 32-bit lanes of a vector: 16 or 8.
  DotKind dot;
  unsigned registers;
  /// Whether pairs of bf16 can be multiplied and added in f32.
  bool hasHalfProducts;
  /// Whether tile registers multiply blocks of bytes.
  bool hasTiles;

  /// Passes over a panel of 16 rows, `lanes` rows each.
  int64_t halves() const { return 16 / lanes; }
  /// What rows are multiplied as where `kind` is allowed.
  qz::Activations usable(qz::Activations kind) const {
    return kind == qz::Activations::BF16 && !hasHalfProducts
               ? qz::Activations::F32
               : kind;
  }
  /// Rows of activations that share the unpacking of a panel. Each needs a
  /// float accumulator and an integer accumulator for each byte plane and, as
  /// LLVM schedules it, for each sum group of a chunk; the rest of the
  /// registers hold a line, scales and temporaries. Divides 264, the default
  /// capacity of a step, unless rows are multiplied in blocks.
  int64_t tileRows(const RowUse &use) const;
  /// For how many rows, ascending, kernels have code beside that for a whole
  /// tile: the last tile of a step, or of an expert, rarely is full.
  /// Products of bf16 in blocks have other bits, so that all rows have them.
  llvm::SmallVector<int64_t> fewerRows(const ActivationLayout &layout) const;
  /// The layout of rows of `columns` elements.
  ActivationLayout activations(RowUse use, int64_t columns) const;

  /// acc[lane] += sum over the lane's four bytes of codes * activations.
  /// `codes` are unsigned and at most `maxCode`, `activations` signed; both are
  /// lanes of i32.
  Value dotProduct(Emitter &e, Value acc, Value codes, Value activations,
                   unsigned maxCode) const;
  // Of vectors of 16 lanes, with DotKind::Vnni:
  /// acc[lane] += sum over the lane's two words of a * x, of lanes of i32.
  Value pairProduct(Emitter &e, Value acc, Value a, Value x) const;
  /// (a * x + 2^14) / 2^15, rounded down, for each word of lanes of i32.
  Value multiplyHigh(Emitter &e, Value a, Value x) const;
  /// The pairs of words (low / 2^shift, high / 2^shift), rounded down, of lanes
  /// of i32.
  Value wordPairs(Emitter &e, Value low, Value high, int shift = 0) const;
  /// 32 bf16: the 16 lanes of `low`, then those of `high`, rounded from f32.
  Value halves(Emitter &e, Value low, Value high) const;
  /// The pairs (first, second) of all lanes, of f32.
  Value halfPairs(Emitter &e, Value first, Value second) const;
  /// The same of 32 bf16, those of `halves` of both.
  Value halfPairs(Emitter &e, Value halves) const;
  /// acc[lane] += the products of pair `lane` of `x` with the pair at
  /// `pointer`.
  Value halfProduct(Emitter &e, Value acc, Value x, Value pointer,
                    int64_t bytes) const;
  // Of vectors of 16 lanes of f32:
  /// What x is above the next whole number below; 0 for infinities.
  Value aboveWhole(Emitter &e, Value x) const;
  /// x * 2^exponent, exponents rounded down to whole numbers.
  Value timesPowerOfTwo(Emitter &e, Value x, Value exponents) const;
  /// x / (1 + e^minusExponent) for vectors of 16 lanes, to 3e-7 of it.
  Value gate(Emitter &e, Value x, Value minusExponent) const;
  /// The same to 7e-5 of it, for what is made of products of 8 bits.
  Value coarseGate(Emitter &e, Value x, Value minusExponent) const;
  /// table[index] for each byte of `indices` (lanes of i32, bytes < 16).
  Value lookup(Emitter &e, llvm::ArrayRef<uint8_t> table, Value indices) const;
  /// table[index] for each lane of `indices` (the low four bits of lanes of
  /// i32), as lanes of f32.
  Value lookup(Emitter &e, llvm::ArrayRef<float> table, Value indices) const;
};

} // namespace qcc::x86

#endif // QCC_LIB_CODEGEN_X86_ISA_H
