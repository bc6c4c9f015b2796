//===- MathIntrinsics.cpp - Arithmetic of one thread ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Approximations are computed exactly and rounded: what an emulated kernel
// shows is the error of its algorithm, not that of one device.
//===----------------------------------------------------------------------===//

#include "Intrinsics.h"
#include "NarrowFloat.h"

#include <cmath>

using namespace qcc::emulator;

//===----------------------------------------------------------------------===//
// float
//===----------------------------------------------------------------------===//

/// Subnormal numbers count as zero.
static float flush(float value) {
  return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0f, value)
                                                : value;
}

template <double (*kFunction)(double), bool kFlush>
static void unary(Simt &, const void *operands, void *result, Site) {
  float value = operandsAs<float>(operands);
  value = float(kFunction(kFlush ? flush(value) : value));
  resultAs<float>(result) = kFlush ? flush(value) : value;
}

template <typename T, double (*kFunction)(double), unsigned kCount>
static void narrowUnary(Simt &, const void *operands, void *result, Site) {
  for (unsigned i = 0; i < kCount; ++i)
    static_cast<T *>(result)[i] =
        T::round(kFunction(static_cast<const T *>(operands)[i].value()));
}

template <float (*kFunction)(float, float), bool kFlush>
static void binary(Simt &, const void *operands, void *result, Site) {
  auto *values = static_cast<const float *>(operands);
  float a = kFlush ? flush(values[0]) : values[0];
  float b = kFlush ? flush(values[1]) : values[1];
  float value = kFunction(a, b);
  resultAs<float>(result) = kFlush ? flush(value) : value;
}

template <typename T, float (*kFunction)(float, float), unsigned kCount>
static void narrowBinary(Simt &, const void *operands, void *result, Site) {
  auto *values = static_cast<const T *>(operands);
  for (unsigned i = 0; i < kCount; ++i)
    static_cast<T *>(result)[i] =
        T::round(kFunction(values[i].value(), values[kCount + i].value()));
}

static double reciprocalRoot(double value) { return 1 / std::sqrt(value); }
static double reciprocal(double value) { return 1 / value; }
static double power(double value) { return std::exp2(value); }
static double logarithm(double value) { return std::log2(value); }
static double hyperbolic(double value) { return std::tanh(value); }
static double sine(double value) { return std::sin(value); }
static double cosine(double value) { return std::cos(value); }
static double root(double value) { return std::sqrt(value); }
static double absolute(double value) { return std::fabs(value); }
static double negative(double value) { return -value; }
/// A NaN gives way to a number.
static float least(float a, float b) { return std::fmin(a, b); }
static float most(float a, float b) { return std::fmax(a, b); }
static float sum(float a, float b) { return a + b; }
static float difference(float a, float b) { return a - b; }
static float product(float a, float b) { return a * b; }

template <bool kFlush>
static void fused(Simt &, const void *operands, void *result, Site) {
  auto *values = static_cast<const float *>(operands);
  float a[3];
  for (unsigned i = 0; i < 3; ++i)
    a[i] = kFlush ? flush(values[i]) : values[i];
  float value = std::fma(a[0], a[1], a[2]);
  resultAs<float>(result) = kFlush ? flush(value) : value;
}

//===----------------------------------------------------------------------===//
// Narrow floats
//===----------------------------------------------------------------------===//

template <typename T, unsigned kCount, bool kRelu = false>
static void narrowFma(Simt &, const void *operands, void *result, Site) {
  auto *values = static_cast<const T *>(operands);
  for (unsigned i = 0; i < kCount; ++i) {
    T value =
        fusedMultiplyAdd(values[i], values[kCount + i], values[2 * kCount + i]);
    if (kRelu && value.value() < 0)
      value.bits = 0;
    static_cast<T *>(result)[i] = value;
  }
}

/// The first operand becomes the upper half.
template <typename T, bool kRelu = false>
static void roundPair(Simt &, const void *operands, void *result, Site) {
  auto *values = static_cast<const float *>(operands);
  for (unsigned i = 0; i < 2; ++i) {
    float value = values[1 - i];
    static_cast<T *>(result)[i] = T::round(kRelu && value < 0 ? 0 : value);
  }
}

template <typename T>
static void roundOne(Simt &, const void *operands, void *result, Site) {
  resultAs<T>(result) = T::round(operandsAs<float>(operands));
}

//===----------------------------------------------------------------------===//
// Integers
//===----------------------------------------------------------------------===//

template <typename A, typename B>
static void dot4(Simt &, const void *operands, void *result, Site) {
  struct Operands {
    A a[4];
    B b[4];
    uint32_t c;
  };
  auto &values = operandsAs<Operands>(operands);
  uint32_t sum = values.c;
  for (unsigned i = 0; i < 4; ++i)
    sum += uint32_t(int32_t(values.a[i]) * int32_t(values.b[i]));
  resultAs<uint32_t>(result) = sum;
}

template <typename Wide, typename T>
static void multiplyHigh(Simt &, const void *operands, void *result, Site) {
  auto *values = static_cast<const T *>(operands);
  resultAs<T>(result) =
      T((Wide(values[0]) * Wide(values[1])) >> (8 * sizeof(T)));
}

//===----------------------------------------------------------------------===//
// Table
//===----------------------------------------------------------------------===//

// Names of PTX instructions are those that inline assembly uses.
#define QCC_UNARY(name, suffix, ptx, function)                                 \
  {"llvm.nvvm." name suffix, unary<function, false>},                          \
      {"llvm.nvvm." name ".ftz" suffix, unary<function, true>},                \
      {ptx ".f32", unary<function, false>}, {                                  \
    ptx ".ftz.f32", unary<function, true>                                      \
  }
#define QCC_BINARY(name, function)                                             \
  {"llvm.nvvm." name ".f", binary<function, false>},                           \
      {"llvm.nvvm." name ".ftz.f", binary<function, true>},                    \
      {"llvm.nvvm." name ".f16", narrowBinary<Half, function, 1>},             \
      {"llvm.nvvm." name ".f16x2", narrowBinary<Half, function, 2>},           \
      {"llvm.nvvm." name ".bf16", narrowBinary<BFloat, function, 1>}, {        \
    "llvm.nvvm." name ".bf16x2", narrowBinary<BFloat, function, 2>             \
  }
#define QCC_PAIRWISE(ptx, function)                                            \
  {ptx ".f16x2", narrowBinary<Half, function, 2>}, {                           \
    ptx ".bf16x2", narrowBinary<BFloat, function, 2>                           \
  }

llvm::ArrayRef<NamedEntry> qcc::emulator::mathEntries() {
  static const NamedEntry entries[] = {
      QCC_UNARY("ex2.approx", ".f32", "ex2.approx", power),
      QCC_UNARY("rsqrt.approx", ".f", "rsqrt.approx", reciprocalRoot),
      QCC_UNARY("lg2.approx", ".f", "lg2.approx", logarithm),
      QCC_UNARY("sqrt.approx", ".f", "sqrt.approx", root),
      QCC_UNARY("sqrt.rn", ".f", "sqrt.rn", root),
      QCC_UNARY("sin.approx", ".f", "sin.approx", sine),
      QCC_UNARY("cos.approx", ".f", "cos.approx", cosine),
      QCC_UNARY("rcp.rn", ".f", "rcp.rn", reciprocal),
      QCC_UNARY("fabs", ".f32", "abs", absolute),
      {"llvm.nvvm.sqrt.f", unary<root, false>},
      {"llvm.nvvm.rcp.approx.ftz.f", unary<reciprocal, true>},
      {"rcp.approx.f32", unary<reciprocal, false>},
      {"rcp.approx.ftz.f32", unary<reciprocal, true>},
      {"tanh.approx.f32", unary<hyperbolic, false>},
      {"llvm.nvvm.ex2.approx.f16", narrowUnary<Half, power, 1>},
      {"llvm.nvvm.ex2.approx.v2f16", narrowUnary<Half, power, 2>},
      {"ex2.approx.f16x2", narrowUnary<Half, power, 2>},
      {"tanh.approx.f16x2", narrowUnary<Half, hyperbolic, 2>},
      {"llvm.nvvm.fabs.f16", narrowUnary<Half, absolute, 1>},
      {"llvm.nvvm.fabs.v2f16", narrowUnary<Half, absolute, 2>},
      {"llvm.nvvm.fabs.bf16", narrowUnary<BFloat, absolute, 1>},
      {"llvm.nvvm.fabs.v2bf16", narrowUnary<BFloat, absolute, 2>},
      {"llvm.nvvm.neg.bf16", narrowUnary<BFloat, negative, 1>},
      {"llvm.nvvm.neg.bf16x2", narrowUnary<BFloat, negative, 2>},

      QCC_BINARY("fmin", least),
      QCC_BINARY("fmax", most),
      {"llvm.nvvm.add.rn.f", binary<sum, false>},
      {"llvm.nvvm.add.rn.ftz.f", binary<sum, true>},
      {"llvm.nvvm.mul.rn.f", binary<product, false>},
      {"llvm.nvvm.mul.rn.ftz.f", binary<product, true>},
      QCC_PAIRWISE("add", sum),
      QCC_PAIRWISE("add.rn", sum),
      QCC_PAIRWISE("sub", difference),
      QCC_PAIRWISE("sub.rn", difference),
      QCC_PAIRWISE("mul", product),
      QCC_PAIRWISE("mul.rn", product),

      {"llvm.nvvm.fma.rn.f", fused<false>},
      {"llvm.nvvm.fma.rn.ftz.f", fused<true>},
      {"llvm.nvvm.fma.rn.f16", narrowFma<Half, 1>},
      {"llvm.nvvm.fma.rn.f16x2", narrowFma<Half, 2>},
      {"llvm.nvvm.fma.rn.relu.f16x2", narrowFma<Half, 2, true>},
      {"llvm.nvvm.fma.rn.bf16", narrowFma<BFloat, 1>},
      {"llvm.nvvm.fma.rn.bf16x2", narrowFma<BFloat, 2>},
      {"llvm.nvvm.fma.rn.relu.bf16x2", narrowFma<BFloat, 2, true>},
      {"fma.rn.f16x2", narrowFma<Half, 2>},
      {"fma.rn.bf16x2", narrowFma<BFloat, 2>},
      // The target may not round these once: see HostIR.cpp.
      {"llvm.fma.f16", narrowFma<Half, 1>},
      {"llvm.fma.bf16", narrowFma<BFloat, 1>},

      {"llvm.nvvm.ff2f16x2.rn", roundPair<Half>},
      {"llvm.nvvm.ff2f16x2.rn.relu", roundPair<Half, true>},
      {"llvm.nvvm.ff2bf16x2.rn", roundPair<BFloat>},
      {"llvm.nvvm.ff2bf16x2.rn.relu", roundPair<BFloat, true>},
      {"llvm.nvvm.f2f16.rn", roundOne<Half>},
      {"llvm.nvvm.f2bf16.rn", roundOne<BFloat>},
      {"cvt.rn.f16x2.f32", roundPair<Half>},
      {"cvt.rn.bf16x2.f32", roundPair<BFloat>},

      {"llvm.nvvm.idp4a.s.s", dot4<int8_t, int8_t>},
      {"llvm.nvvm.idp4a.s.u", dot4<int8_t, uint8_t>},
      {"llvm.nvvm.idp4a.u.s", dot4<uint8_t, int8_t>},
      {"llvm.nvvm.idp4a.u.u", dot4<uint8_t, uint8_t>},
      {"dp4a.s32.s32", dot4<int8_t, int8_t>},
      {"dp4a.s32.u32", dot4<int8_t, uint8_t>},
      {"dp4a.u32.s32", dot4<uint8_t, int8_t>},
      {"dp4a.u32.u32", dot4<uint8_t, uint8_t>},
      {"llvm.nvvm.mulhi.i", multiplyHigh<int64_t, int32_t>},
      {"llvm.nvvm.mulhi.ui", multiplyHigh<uint64_t, uint32_t>},
  };
  return entries;
}
