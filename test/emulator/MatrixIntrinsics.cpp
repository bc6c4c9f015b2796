//===- MatrixIntrinsics.cpp - ldmatrix and mma.sync -----------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Fragments are those of the PTX manual: lane = 4 g + t holds rows g and g + 8
// of A, C and D, and column g of B.
//===----------------------------------------------------------------------===//

#include "Intrinsics.h"
#include "NarrowFloat.h"

#include <algorithm>
#include <cstring>

using namespace qcc::emulator;

//===----------------------------------------------------------------------===//
// ldmatrix
//===----------------------------------------------------------------------===//

/// Extra cycles of a read of 8 rows of 16 bytes: rows in the same 16 bytes of
/// the 128 that the banks cover wait for each other, unless they are one row.
static unsigned conflictsOf(const char *const rows[8]) {
  unsigned most = 0;
  for (unsigned i = 0; i < 8; ++i) {
    unsigned same = 0;
    for (unsigned j = 0; j < i; ++j) {
      auto a = reinterpret_cast<uintptr_t>(rows[i]);
      auto b = reinterpret_cast<uintptr_t>(rows[j]);
      same += a != b && a / 16 % 8 == b / 16 % 8;
    }
    most = std::max(most, same);
  }
  return most;
}

template <unsigned kMatrices, bool kTransposed>
static void completeLoad(Simt &simt, Collective &warp, Site site) {
  ++simt.count().matrixLoads;
  for (unsigned matrix = 0; matrix < kMatrices; ++matrix) {
    const char *rows[8];
    for (unsigned row = 0; row < 8; ++row) {
      rows[row] = operandsAs<const char *>(warp.operands[matrix * 8 + row]);
      if (reinterpret_cast<uintptr_t>(rows[row]) % 16)
        simt.fail(site, "misaligned row %p, expected a multiple of 16",
                  static_cast<const void *>(rows[row]));
      simt.checkShared(rows[row], 16, site);
    }
    simt.count().matrixLoadConflicts += conflictsOf(rows);
    for (unsigned lane = 0; lane < kWarpSize; ++lane) {
      uint16_t pair[2];
      for (unsigned i = 0; i < 2; ++i) {
        unsigned row = lane / 4, column = lane % 4 * 2 + i;
        if (kTransposed)
          std::swap(row, column);
        simt.noteLoad(lane, rows[row] + 2 * column, 2, site);
        std::memcpy(&pair[i], rows[row] + 2 * column, 2);
      }
      std::memcpy(static_cast<char *>(warp.results[lane]) + 4 * matrix, pair,
                  4);
    }
  }
}

template <unsigned kMatrices, bool kTransposed>
static void loadMatrix(Simt &simt, const void *operands, void *result,
                       Site site) {
  simt.wholeWarp(completeLoad<kMatrices, kTransposed>, operands, result, site);
}

//===----------------------------------------------------------------------===//
// Element types of mma.sync
//===----------------------------------------------------------------------===//

namespace {
template <typename T>
struct NarrowElement {
  using Storage = uint16_t;
  static float value(Storage bits) { return T{bits}.value(); }
};
template <typename T>
struct IntegerElement {
  using Storage = T;
  static int32_t value(Storage bits) { return bits; }
};

/// Accumulators as they lie in registers.
struct FloatSum {
  using Storage = float;
  using Type = float;
  static Type load(Storage value) { return value; }
  static Storage store(Type value) { return value; }
};
struct HalfSum {
  using Storage = uint16_t;
  using Type = float;
  static Type load(Storage bits) { return Half{bits}.value(); }
  static Storage store(Type value) { return Half::round(value).bits; }
};
struct IntegerSum {
  using Storage = int32_t;
  using Type = uint32_t; // Wraps.
  static Type load(Storage value) { return Type(value); }
  static Storage store(Type value) { return Storage(value); }
};
} // namespace

/// D = A B + C for one m16n8k<kDepth> of a warp. Products are exact; they are
/// added in f32 in ascending k, and rounded once to the accumulator's type.
/// (Devices add in an order and with a width of their own.)
template <unsigned kDepth, typename A, typename B, typename Sum>
static void completeMma(Simt &simt, Collective &warp, Site) {
  using Element = typename A::Storage;
  // Consecutive k in one 32-bit register, and k between a lane's registers.
  constexpr unsigned kPack = 4 / sizeof(Element), kSpan = 4 * kPack;
  constexpr unsigned kParts = kDepth / kSpan;
  struct Operands {
    Element a[kParts][2][kPack];
    typename B::Storage b[kParts][kPack];
    typename Sum::Storage c[2][2];
  };
  using Value = decltype(A::value({}));
  Value a[16][kDepth], b[kDepth][8];
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    auto &values = operandsAs<Operands>(warp.operands[lane]);
    unsigned g = lane / 4, t = lane % 4;
    for (unsigned part = 0; part < kParts; ++part)
      for (unsigned i = 0; i < kPack; ++i) {
        unsigned k = part * kSpan + t * kPack + i;
        a[g][k] = A::value(values.a[part][0][i]);
        a[g + 8][k] = A::value(values.a[part][1][i]);
        b[k][g] = B::value(values.b[part][i]);
      }
  }
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    auto &values = operandsAs<Operands>(warp.operands[lane]);
    auto *result = static_cast<typename Sum::Storage *>(warp.results[lane]);
    for (unsigned i = 0; i < 4; ++i) {
      unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      typename Sum::Type sum = Sum::load(values.c[i / 2][i % 2]);
      for (unsigned k = 0; k < kDepth; ++k)
        sum += a[row][k] * b[k][column];
      result[i] = Sum::store(sum);
    }
  }
  ++simt.count().mmas;
}

template <unsigned kDepth, typename A, typename B, typename Sum>
static void mma(Simt &simt, const void *operands, void *result, Site site) {
  simt.wholeWarp(completeMma<kDepth, A, B, Sum>, operands, result, site);
}

//===----------------------------------------------------------------------===//
// Table
//===----------------------------------------------------------------------===//

#define QCC_LOAD_MATRIX(count, name, transposed, space)                        \
  {"llvm.nvvm.ldmatrix.sync.aligned.m8n8.x" #count name ".b16.p" #space,       \
   loadMatrix<count, transposed>}
#define QCC_LOAD_MATRICES(name, transposed, space)                             \
  QCC_LOAD_MATRIX(1, name, transposed, space),                                 \
      QCC_LOAD_MATRIX(2, name, transposed, space),                             \
      QCC_LOAD_MATRIX(4, name, transposed, space)
#define QCC_MMA(depth, name, a, b, sum)                                        \
  {"llvm.nvvm.mma.m16n8k" #depth ".row.col." name, mma<depth, a, b, sum>}
#define QCC_INTEGER_MMA(depth, name, a, b)                                     \
  QCC_MMA(depth, name, IntegerElement<a>, IntegerElement<b>, IntegerSum)

llvm::ArrayRef<NamedEntry> qcc::emulator::matrixEntries() {
  using F16 = NarrowElement<Half>;
  using BF16 = NarrowElement<BFloat>;
  static const NamedEntry entries[] = {
      QCC_LOAD_MATRICES("", false, 3),
      QCC_LOAD_MATRICES(".trans", true, 3),
      QCC_LOAD_MATRICES("", false, 0),
      QCC_LOAD_MATRICES(".trans", true, 0),

      QCC_MMA(8, "f32.f32", F16, F16, FloatSum),
      QCC_MMA(8, "f16.f16", F16, F16, HalfSum),
      QCC_MMA(8, "bf16", BF16, BF16, FloatSum),
      QCC_MMA(16, "f32.f32", F16, F16, FloatSum),
      QCC_MMA(16, "f16.f16", F16, F16, HalfSum),
      QCC_MMA(16, "bf16", BF16, BF16, FloatSum),
      QCC_INTEGER_MMA(16, "s8", int8_t, int8_t),
      QCC_INTEGER_MMA(16, "u8", uint8_t, uint8_t),
      QCC_INTEGER_MMA(16, "s8.u8", int8_t, uint8_t),
      QCC_INTEGER_MMA(16, "u8.s8", uint8_t, int8_t),
      QCC_INTEGER_MMA(32, "s8", int8_t, int8_t),
      QCC_INTEGER_MMA(32, "u8", uint8_t, uint8_t),
      QCC_INTEGER_MMA(32, "s8.u8", int8_t, uint8_t),
      QCC_INTEGER_MMA(32, "u8.s8", uint8_t, int8_t),
  };
  return entries;
}
