//===- VectorMath.cpp - Elementary functions as straight-line code --------===//
// SPDX-License-Identifier: Apache-2.0
//
// Range reduction and polynomials; coefficients are those of the Cephes
// library's single precision functions (public domain), except for GELU.
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/Common/VectorMath.h"

using namespace mlir;
using namespace qcc::codegen;

/// c[0] x^n + ... + c[n], by Horner's rule.
static Value polynomial(Emitter &e, Value x, ArrayRef<double> coefficients) {
  Value result = e.constant(x.getType(), coefficients.front());
  for (double c : coefficients.drop_front())
    result = e.fma(result, x, e.constant(x.getType(), c));
  return result;
}

Value qcc::codegen::emitExp(Emitter &e, Value x) {
  Type type = x.getType();
  auto clamp = [&](Value v, double low, double high) {
    v = e.select(arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OLT, v,
                                       e.constant(type, low)),
                 e.constant(type, low), v);
    return e.select(arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OGT,
                                          v, e.constant(type, high)),
                    e.constant(type, high), v);
  };
  Value clamped = clamp(x, -87.3, 88.3);
  Value n = e.unary("llvm.roundeven", e.mulf(clamped, 1.44269504088896341));
  Value r = e.fma(n, e.constant(type, -0.693359375), clamped);
  r = e.fma(n, e.constant(type, 2.12194440e-4), r);
  Value p = polynomial(e, r,
                       {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
                        4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1});
  p = e.addf(e.fma(e.mulf(r, r), p, r), e.constant(type, 1.0));
  Value bits = e.shift(e.add(e.floatToInt(n, e.i32()), 127), 23);
  Value result = e.mulf(p, e.bitcast(bits, type));
  // Below the range the result is 0, so that masked scores vanish exactly.
  Value tiny = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OLT, x,
                                     e.constant(type, -87.3));
  return e.select(tiny, e.zero(type), result);
}

/// x / (1 + e^minusExponent)
static Value emitGate(Emitter &e, Value x, Value minusExponent,
                      Gate gate = nullptr) {
  if (gate)
    return gate(x, minusExponent);
  Value one = e.constant(x.getType(), 1.0);
  return e.divf(x, e.addf(one, emitExp(e, minusExponent)));
}

Value qcc::codegen::emitSilu(Emitter &e, Value x, Gate gate) {
  return emitGate(e, x, arith::NegFOp::create(e.b, e.loc, x), gate);
}

Value qcc::codegen::emitGeluTanh(Emitter &e, Value x, Gate gate) {
  constexpr double factor = -2 * 0.79788456080286535588;
  Value both = e.fma(e.mulf(x, x), e.constant(x.getType(), factor * 0.044715),
                     e.constant(x.getType(), factor));
  return emitGate(e, x, e.mulf(both, x), gate);
}

/// 1 - 2 / (e^2x + 1) away from 0, where that cancels.
static Value emitTanh(Emitter &e, Value x) {
  Type type = x.getType();
  auto isBelow = [&](Value a, double limit) {
    return arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OLT, a,
                                 e.constant(type, limit));
  };
  Value size = e.unary("llvm.fabs", x), one = e.constant(type, 1.0);
  Value far = e.subf(one, e.divf(e.constant(type, 2.0),
                                 e.addf(emitExp(e, e.mulf(size, 2.0)), one)));
  far = e.select(isBelow(x, 0), arith::NegFOp::create(e.b, e.loc, far), far);
  Value square = e.mulf(x, x);
  Value near =
      polynomial(e, square,
                 {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2,
                  1.33314422036e-1, -3.33332819422e-1});
  near = e.fma(e.mulf(near, square), x, x);
  return e.select(isBelow(size, 0.625), near, far);
}

Value qcc::codegen::emitSoftcap(Emitter &e, Value x, double cap) {
  return e.mulf(emitTanh(e, e.mulf(x, 1 / cap)), cap);
}

Value qcc::codegen::emitGeluErf(Emitter &e, Value x) {
  // Phi(-a) = e^(-a^2/2) t P(t) with t = 1 / (1 + 0.3 a), a = |x|; P was fitted
  // to the smallest relative error (1.2e-7) for a below 13.
  Type type = x.getType();
  Value one = e.constant(type, 1.0);
  Value a = e.unary("llvm.fabs", x), end = e.constant(type, 14.0);
  a = e.select(
      arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OLT, a, end), a,
      end);
  Value square = e.mulf(a, a);
  // What rounding the square lost would count many times in the power.
  Value lost = e.fma(a, a, arith::NegFOp::create(e.b, e.loc, square));
  Value power = emitExp(e, e.mulf(square, -0.5));
  power = e.fma(power, e.mulf(lost, -0.5), power);
  Value t = e.divf(one, e.fma(a, e.constant(type, 0.3), one));
  Value p = polynomial(e, t,
                       {3.619502025904312e-2, -1.5937894767781854e-1,
                        2.101194106426623e-1, -5.716823160476339e-2,
                        1.3041687731399643e-1, 9.93470054467159e-2,
                        1.2084554785443805e-1, 1.1962326158252376e-1});
  Value tail = e.mulf(power, e.mulf(p, t));
  Value isNegative = arith::CmpFOp::create(
      e.b, e.loc, arith::CmpFPredicate::OLT, x, e.zero(type));
  return e.mulf(x, e.select(isNegative, tail, e.subf(one, tail)));
}

Value qcc::codegen::emitActivation(Emitter &e, qz::Epilogue epilogue, Value x,
                                   Gate gate) {
  switch (epilogue) {
  case qz::Epilogue::None:
  case qz::Epilogue::Residual:
  case qz::Epilogue::Logits:
    return x;
  case qz::Epilogue::Silu:
  case qz::Epilogue::GluSilu:
    return emitSilu(e, x, gate);
  case qz::Epilogue::GeluTanh:
  case qz::Epilogue::GluGeluTanh:
    return emitGeluTanh(e, x, gate);
  case qz::Epilogue::GeluErf:
  case qz::Epilogue::GluGeluErf:
    return emitGeluErf(e, x);
  case qz::Epilogue::Relu:
  case qz::Epilogue::GluRelu:
    return e.maxf(e.zero(x.getType()), x);
  case qz::Epilogue::GluClampedSwiglu: // No function of the gate alone.
    break;
  }
  llvm_unreachable("unknown epilogue");
}

Value qcc::codegen::emitSigmoid(Emitter &e, Value x) {
  return emitGate(e, e.constant(x.getType(), 1.0),
                  arith::NegFOp::create(e.b, e.loc, x));
}

Value qcc::codegen::emitClampedSwiglu(Emitter &e, Value gateValue, Value up) {
  Type type = up.getType();
  // Comparisons let NaN through, as torch's clamp does.
  auto clamp = [&](Value x, arith::CmpFPredicate beyond, double limit) {
    Value bound = e.constant(type, limit);
    return e.select(arith::CmpFOp::create(e.b, e.loc, beyond, x, bound), bound,
                    x);
  };
  Value g = clamp(gateValue, arith::CmpFPredicate::OGT, 7);
  Value u = clamp(clamp(up, arith::CmpFPredicate::OGT, 7),
                  arith::CmpFPredicate::OLT, -7);
  return e.mulf(emitGate(e, g, e.mulf(g, -1.702)),
                e.addf(u, e.constant(type, 1.0)));
}

std::pair<Value, Value> qcc::codegen::emitSinCos(Emitter &e, Value angle) {
  Type f32 = e.f32(), f64 = e.b.getF64Type();
  // Reduction to [-pi/4, pi/4] in double precision loses nothing that an f32
  // angle has.
  Value wide = e.extf(angle, f64);
  Value n = e.unary("llvm.roundeven", e.mulf(wide, 0.63661977236758134308));
  Value r64 = e.fma(n, e.constant(f64, -1.57079632679489655800), wide);
  r64 = e.fma(n, e.constant(f64, -6.12323399573676603587e-17), r64);
  Value r = e.truncf(r64, f32), r2 = e.mulf(r, r);
  Value sin =
      polynomial(e, r2, {-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1});
  sin = e.fma(e.mulf(r2, r), sin, r);
  Value cos = polynomial(
      e, r2,
      {2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2});
  cos = e.fma(e.mulf(r2, r2), cos,
              e.fma(r2, e.constant(f32, -0.5), e.constant(f32, 1.0)));
  // Quadrant: odd ones swap, 2 and 3 negate the sine, 1 and 2 the cosine.
  Value quadrant = e.floatToInt(n, e.i64());
  auto isSet = [&](Value bits, int64_t mask) {
    return e.cmp(arith::CmpIPredicate::ne, e.bitAnd(bits, mask), e.c64(0));
  };
  Value swap = isSet(quadrant, 1);
  Value s = e.select(swap, cos, sin), c = e.select(swap, sin, cos);
  Value minus = e.constant(f32, -1.0), plus = e.constant(f32, 1.0);
  s = e.mulf(s, e.select(isSet(quadrant, 2), minus, plus));
  c = e.mulf(c, e.select(isSet(e.add(quadrant, 1), 2), minus, plus));
  return {s, c};
}
