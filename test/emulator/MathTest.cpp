//===- MathTest.cpp - Arithmetic and inline assembly ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "NarrowFloat.h"
#include "TestModule.h"

#include <gtest/gtest.h>

#include <random>

using namespace qcc::emulator;

//===----------------------------------------------------------------------===//
// Narrow floats
//===----------------------------------------------------------------------===//

TEST(NarrowFloat, EveryHalfConvertsBothWays) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    Half half{uint16_t(bits)};
    auto expected = float(std::bit_cast<_Float16>(uint16_t(bits)));
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(half.value()));
      continue;
    }
    EXPECT_EQ(std::bit_cast<uint32_t>(half.value()),
              std::bit_cast<uint32_t>(expected));
    EXPECT_EQ(Half::round(expected).bits, bits);
  }
}

TEST(NarrowFloat, RoundsAsTheCompilerDoes) {
  std::mt19937_64 random(3);
  for (unsigned i = 0; i < 200000; ++i) {
    // Values around the range of a half, ties among them.
    auto value = std::ldexp(double(int64_t(random())), -63);
    value = std::ldexp(value, int(random() % 44) - 27);
    if (i % 4 == 0) // Few bits.
      value = std::ldexp(std::trunc(std::ldexp(value, 26)), -26);
    EXPECT_EQ(Half::round(value).bits, std::bit_cast<uint16_t>(_Float16(value)))
        << value;
    auto narrow = BFloat::round(float(value)).bits;
    uint32_t wide = std::bit_cast<uint32_t>(float(value));
    EXPECT_EQ(narrow, uint16_t((wide + 0x7fff + (wide >> 16 & 1)) >> 16));
  }
}

TEST(NarrowFloat, FusedMultiplyAddRoundsOnce) {
  // The product is a tie between two bfloats; the addend, far below, decides.
  BFloat a = BFloat::round(1 + 1.0 / 128);
  BFloat tie = BFloat::round(1.5); // a * 1.5 = 1.51171875, half way.
  BFloat tiny = BFloat::round(std::ldexp(1.0, -100));
  BFloat below = BFloat::round(-std::ldexp(1.0, -100));
  EXPECT_EQ(fusedMultiplyAdd(a, tie, tiny).value(), 1.515625f);
  EXPECT_EQ(fusedMultiplyAdd(a, tie, below).value(), 1.5078125f);
  // In long double, sums of these are exact.
  std::mt19937 random(5);
  for (unsigned i = 0; i < 200000; ++i) {
    Half x[3];
    for (Half &half : x)
      half.bits = uint16_t(random() % 0x7c00 | (random() & 0x8000));
    long double exact = (long double)x[0].value() * x[1].value() + x[2].value();
    auto rounded = double(exact);
    // Rounding of the conversion to double, as to odd.
    if (rounded != exact && !(std::bit_cast<uint64_t>(rounded) & 1))
      rounded = std::nextafter(rounded, exact > rounded ? INFINITY : -INFINITY);
    EXPECT_EQ(fusedMultiplyAdd(x[0], x[1], x[2]).bits,
              Half::round(rounded).bits);
  }
}

//===----------------------------------------------------------------------===//
// Kernels of one expression
//===----------------------------------------------------------------------===//

/// out[i] = expression of %a, %b, %c (i32), of which %fa, %ha and %ba are the
/// float, half pair and bfloat pair.
static std::vector<uint32_t>
evaluate(const std::string &expression,
         const std::vector<std::vector<uint32_t>> &in) {
  auto module = TestModule(substitute(R"(
    define ptx_kernel void @math(ptr %pa, ptr %pb, ptr %pc, ptr %out) {
      %i = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
      %xa = getelementptr i32, ptr %pa, i32 %i
      %xb = getelementptr i32, ptr %pb, i32 %i
      %xc = getelementptr i32, ptr %pc, i32 %i
      %a = load i32, ptr %xa
      %b = load i32, ptr %xb
      %c = load i32, ptr %xc
      %fa = bitcast i32 %a to float
      %fb = bitcast i32 %b to float
      %fc = bitcast i32 %c to float
      %ha = bitcast i32 %a to <2 x half>
      %hb = bitcast i32 %b to <2 x half>
      %hc = bitcast i32 %c to <2 x half>
      %ba = bitcast i32 %a to <2 x bfloat>
      %bb = bitcast i32 %b to <2 x bfloat>
      %bc = bitcast i32 %c to <2 x bfloat>
      $expression
      %o = getelementptr i32, ptr %out, i32 %i
      store i32 %r, ptr %o
      ret void
    })",
                                      {{"expression", expression}}))
                    .compile();
  Launch options;
  options.blockX = unsigned(in[0].size());
  std::vector<uint32_t> out(in[0].size());
  EXPECT_EQ(launch(*module, "math", options, nullptr, in[0].data(),
                   in[1].data(), in[2].data(), out.data()),
            "");
  return out;
}

/// 64 random words for each of three operands.
static std::vector<std::vector<uint32_t>> words() {
  std::mt19937 random(9);
  std::vector<std::vector<uint32_t>> result(3);
  for (auto &operand : result)
    for (unsigned i = 0; i < 64; ++i)
      operand.push_back(uint32_t(random()));
  return result;
}

/// The same of floats from a normal distribution, |x| + 0.1 if positive.
static std::vector<std::vector<uint32_t>> floats(bool positive = false) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal;
  auto result = words();
  for (auto &operand : result)
    for (uint32_t &word : operand) {
      float value = normal(random);
      word =
          std::bit_cast<uint32_t>(positive ? std::fabs(value) + 0.1f : value);
    }
  return result;
}

/// The same of pairs of narrow floats.
template <typename T>
static std::vector<std::vector<uint32_t>> pairs() {
  auto result = floats(), other = floats(true);
  for (unsigned i = 0; i < 3; ++i)
    for (unsigned j = 0; j < 64; ++j)
      result[i][j] = T::round(std::bit_cast<float>(result[i][j])).bits |
                     uint32_t(T::round(std::bit_cast<float>(other[i][j])).bits)
                         << 16;
  return result;
}

TEST(Math, Lop3OfEveryTable) {
  std::string text = R"(
    define ptx_kernel void @lop3(i32 %a, i32 %b, i32 %c, ptr %out) {)";
  for (unsigned table = 0; table < 256; ++table)
    text += substitute(
        R"(
      %r$table = call i32 asm "lop3.b32 $0, $1, $2, $3, $table;", "=r,r,r,r"(i32 %a, i32 %b, i32 %c)
      %o$table = getelementptr i32, ptr %out, i32 $table
      store i32 %r$table, ptr %o$table)",
        {{"table", std::to_string(table)}});
  auto module = TestModule(text + "\n ret void\n}").compile();
  auto in = words();
  std::vector<uint32_t> out(256);
  ASSERT_EQ(launch(*module, "lop3", {}, nullptr, in[0][0], in[1][0], in[2][0],
                   out.data()),
            "");
  for (unsigned table = 0; table < 256; ++table)
    for (unsigned bit = 0; bit < 32; ++bit) {
      unsigned index = (in[0][0] >> bit & 1) * 4 + (in[1][0] >> bit & 1) * 2 +
                       (in[2][0] >> bit & 1);
      ASSERT_EQ(out[table] >> bit & 1, table >> index & 1) << table;
    }
}

static uint32_t permute(uint32_t a, uint32_t b, uint32_t selector) {
  uint8_t bytes[8];
  for (unsigned i = 0; i < 4; ++i) {
    bytes[i] = uint8_t(a >> 8 * i);
    bytes[i + 4] = uint8_t(b >> 8 * i);
  }
  uint32_t result = 0;
  for (unsigned i = 0; i < 4; ++i) {
    unsigned choice = selector >> 4 * i & 15;
    uint8_t byte = bytes[choice & 7];
    if (choice & 8)
      byte = byte & 0x80 ? 0xff : 0;
    result |= uint32_t(byte) << 8 * i;
  }
  return result;
}

TEST(Math, Permute) {
  auto in = words();
  for (
      const char *text :
      {R"(%r = call i32 asm "prmt.b32 $0, $1, $2, $3;", "=r,r,r,r"(i32 %a, i32 %b, i32 %c))",
       "%r = call i32 @llvm.nvvm.prmt(i32 %a, i32 %b, i32 %c)"}) {
    auto out = evaluate(text, in);
    for (unsigned i = 0; i < 64; ++i)
      EXPECT_EQ(out[i], permute(in[0][i], in[1][i], in[2][i]));
  }
  auto out = evaluate(
      R"(%r = call i32 asm "prmt.b32 $0, $1, $2, 0x5410;", "=r,r,r"(i32 %a, i32 %b))",
      in);
  for (unsigned i = 0; i < 64; ++i)
    EXPECT_EQ(out[i], permute(in[0][i], in[1][i], 0x5410));
}

TEST(Math, FloatFunctions) {
  struct Case {
    const char *text;
    double (*expected)(double);
  };
  for (
      auto [text, expected] : {
          Case{"%x = call float @llvm.nvvm.ex2.approx.f32(float %fa)",
               [](double x) { return std::exp2(x); }},
          Case{"%x = call float @llvm.nvvm.ex2.approx.ftz.f32(float %fa)",
               [](double x) { return std::exp2(x); }},
          Case{"%x = call float @llvm.nvvm.rsqrt.approx.f(float %fa)",
               [](double x) { return 1 / std::sqrt(x); }},
          Case{"%x = call float @llvm.nvvm.rcp.approx.ftz.f(float %fa)",
               [](double x) { return 1 / x; }},
          Case{"%x = call float @llvm.nvvm.lg2.approx.f(float %fa)",
               [](double x) { return std::log2(x); }},
          Case{"%x = call float @llvm.nvvm.sqrt.approx.f(float %fa)",
               [](double x) { return std::sqrt(x); }},
          Case{
              R"(%x = call float asm "tanh.approx.f32 $0, $1;", "=f,f"(float %fa))",
              [](double x) { return std::tanh(x); }},
          Case{
              R"(%x = call float asm "ex2.approx.ftz.f32 $0, $1;", "=f,f"(float %fa))",
              [](double x) { return std::exp2(x); }},
          Case{"%x = call float @llvm.exp2.f32(float %fa)",
               [](double x) { return std::exp2(x); }},
      }) {
    auto in = floats(/*positive=*/true);
    auto out =
        evaluate(std::string(text) + "\n%r = bitcast float %x to i32", in);
    for (unsigned i = 0; i < 64; ++i) {
      double exact = expected(std::bit_cast<float>(in[0][i]));
      EXPECT_NEAR(std::bit_cast<float>(out[i]), exact,
                  std::fabs(exact) * 1.3e-7)
          << text;
    }
  }
}

TEST(Math, MinimumMaximumFma) {
  auto in = floats();
  in[0][0] = 0x7fc00000; // A NaN gives way.
  auto check = [&](const char *text, float (*expected)(float, float, float)) {
    auto out =
        evaluate(std::string(text) + "\n%r = bitcast float %x to i32", in);
    for (unsigned i = 0; i < 64; ++i) {
      float value = expected(std::bit_cast<float>(in[0][i]),
                             std::bit_cast<float>(in[1][i]),
                             std::bit_cast<float>(in[2][i]));
      if (std::isnan(value))
        EXPECT_TRUE(std::isnan(std::bit_cast<float>(out[i])));
      else
        EXPECT_EQ(std::bit_cast<float>(out[i]), value) << text;
    }
  };
  check("%x = call float @llvm.nvvm.fmin.f(float %fa, float %fb)",
        [](float a, float b, float) { return std::fmin(a, b); });
  check("%x = call float @llvm.nvvm.fmax.f(float %fa, float %fb)",
        [](float a, float b, float) { return std::fmax(a, b); });
  check("%x = call float @llvm.nvvm.fma.rn.f(float %fa, float %fb, float %fc)",
        [](float a, float b, float c) { return std::fma(a, b, c); });
  check("%x = call float @llvm.fma.f32(float %fa, float %fb, float %fc)",
        [](float a, float b, float c) { return std::fma(a, b, c); });
  check("%x = call float @llvm.nvvm.fabs.f32(float %fb)",
        [](float, float b, float) { return std::fabs(b); });
}

template <typename T>
static void
checkPairs(const std::string &text,
           llvm::function_ref<double(double, double, double)> expected) {
  auto in = pairs<T>();
  auto out = evaluate(text, in);
  for (unsigned i = 0; i < 64; ++i)
    for (unsigned shift : {0, 16}) {
      auto value = [&](unsigned operand) {
        return double(T{uint16_t(in[operand][i] >> shift)}.value());
      };
      EXPECT_EQ(uint16_t(out[i] >> shift),
                T::round(expected(value(0), value(1), value(2))).bits)
          << text;
    }
}

TEST(Math, NarrowPairs) {
  // These are exact in double for the values at hand.
  auto fma = [](double a, double b, double c) { return a * b + c; };
  const char *cast = "\n%r = bitcast <2 x half> %x to i32";
  std::string halfOperands = "(<2 x half> %ha, <2 x half> %hb, <2 x half> %hc)";
  checkPairs<Half>("%x = call <2 x half> @llvm.fma.v2f16" + halfOperands + cast,
                   fma);
  checkPairs<Half>("%x = call <2 x half> @llvm.nvvm.fma.rn.f16x2" +
                       halfOperands + cast,
                   fma);
  checkPairs<Half>(
      R"(%r = call i32 asm "fma.rn.f16x2 $0, $1, $2, $3;", "=r,r,r,r"(i32 %a, i32 %b, i32 %c))",
      fma);
  checkPairs<BFloat>(
      "%x = call <2 x bfloat> @llvm.nvvm.fma.rn.bf16x2(<2 x bfloat> %ba, "
      "<2 x bfloat> %bb, <2 x bfloat> %bc)\n%r = bitcast <2 x bfloat> %x to "
      "i32",
      fma);
  checkPairs<Half>(std::string("%x = fmul <2 x half> %ha, %hb") + cast,
                   [](double a, double b, double) { return a * b; });
  checkPairs<Half>(
      R"(%r = call i32 asm "sub.f16x2 $0, $1, $2;", "=r,r,r"(i32 %a, i32 %b))",
      [](double a, double b, double) { return a - b; });
  checkPairs<Half>(
      "%x = call <2 x half> @llvm.nvvm.fmax.f16x2(<2 x half> %ha, <2 x half> "
      "%hb)" +
          std::string(cast),
      [](double a, double b, double) { return std::fmax(a, b); });
}

TEST(Math, ConversionsToPairs) {
  auto in = floats();
  auto check = [&](const char *text, auto round) {
    auto out = evaluate(text, in);
    for (unsigned i = 0; i < 64; ++i)
      EXPECT_EQ(out[i], round(std::bit_cast<float>(in[0][i])) << 16 |
                            round(std::bit_cast<float>(in[1][i])))
          << text;
  };
  auto half = [](float x) { return uint32_t(Half::round(x).bits); };
  auto narrow = [](float x) { return uint32_t(BFloat::round(x).bits); };
  // The first source goes to the upper half.
  check(
      R"(%r = call i32 asm "cvt.rn.f16x2.f32 $0, $1, $2;", "=r,f,f"(float %fa, float %fb))",
      half);
  check("%x = call <2 x half> @llvm.nvvm.ff2f16x2.rn(float %fa, float %fb)\n"
        "%r = bitcast <2 x half> %x to i32",
        half);
  check("%x = call <2 x bfloat> @llvm.nvvm.ff2bf16x2.rn(float %fa, float %fb)\n"
        "%r = bitcast <2 x bfloat> %x to i32",
        narrow);
  // What the host's code generator makes of plain conversions.
  check("%h = fptrunc float %fa to half\n%l = fptrunc float %fb to half\n"
        "%x0 = insertelement <2 x half> poison, half %l, i32 0\n"
        "%x = insertelement <2 x half> %x0, half %h, i32 1\n"
        "%r = bitcast <2 x half> %x to i32",
        half);
  check("%h = fptrunc float %fa to bfloat\n%l = fptrunc float %fb to bfloat\n"
        "%x0 = insertelement <2 x bfloat> poison, bfloat %l, i32 0\n"
        "%x = insertelement <2 x bfloat> %x0, bfloat %h, i32 1\n"
        "%r = bitcast <2 x bfloat> %x to i32",
        narrow);
}

TEST(Math, DotProducts) {
  auto in = words();
  auto check = [&](const char *text, bool aSigned, bool bSigned) {
    auto out = evaluate(text, in);
    for (unsigned i = 0; i < 64; ++i) {
      int64_t sum = in[2][i];
      for (unsigned byte = 0; byte < 4; ++byte) {
        auto a = uint8_t(in[0][i] >> 8 * byte);
        auto b = uint8_t(in[1][i] >> 8 * byte);
        sum += (aSigned ? int8_t(a) : int(a)) * (bSigned ? int8_t(b) : int(b));
      }
      EXPECT_EQ(out[i], uint32_t(sum)) << text;
    }
  };
  check("%r = call i32 @llvm.nvvm.idp4a.s.s(i32 %a, i32 %b, i32 %c)", true,
        true);
  check("%r = call i32 @llvm.nvvm.idp4a.u.s(i32 %a, i32 %b, i32 %c)", false,
        true);
  check(
      R"(%r = call i32 asm "dp4a.s32.u32 $0, $1, $2, $3;", "=r,r,r,r"(i32 %a, i32 %b, i32 %c))",
      true, false);
}
