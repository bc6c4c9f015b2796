//===- VectorMath.h - Elementary functions as straight-line code *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_COMMON_VECTORMATH_H
#define QCC_CODEGEN_COMMON_VECTORMATH_H

#include "dialects/QZ/QZDialect.h"
#include "qcc/Codegen/Common/Emitter.h"

namespace qcc::codegen {

/// e^x for f32 scalars or vectors; relative error below 2e-7 where the result
/// is a normal number, 0 below that, finite for every finite x.
Value emitExp(Emitter &e, Value x);

/// x / (1 + e^minusExponent), if a target has instructions for it.
using Gate = llvm::function_ref<Value(Value x, Value minusExponent)>;

/// x / (1 + e^-x).
Value emitSilu(Emitter &e, Value x, Gate gate = nullptr);
/// The tanh form of GELU: x / (1 + e^(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3).
Value emitGeluTanh(Emitter &e, Value x, Gate gate = nullptr);
/// x Phi(x), Phi being the normal distribution function; relative error below
/// 1e-6 where the result is a normal number.
Value emitGeluErf(Emitter &e, Value x);

/// The activation function of an epilogue (of the gate, if it is a gated one);
/// x without one.
Value emitActivation(Emitter &e, qz::Epilogue epilogue, Value x,
                     Gate gate = nullptr);
/// 1 / (1 + e^-x).
Value emitSigmoid(Emitter &e, Value x);
/// The gated unit of that name (llm.glu).
Value emitClampedSwiglu(Emitter &e, Value gate, Value up);

/// cap * tanh(x / cap), of which the tanh has an absolute error below 2e-7 and,
/// for small x, a relative one.
Value emitSoftcap(Emitter &e, Value x, double cap);

/// Sine and cosine of a scalar f32 angle of up to 2^31; absolute error below
/// 2e-7.
std::pair<Value, Value> emitSinCos(Emitter &e, Value angle);

} // namespace qcc::codegen

#endif // QCC_CODEGEN_COMMON_VECTORMATH_H
