//===- MatrixTest.cpp - ldmatrix and mma.sync against plain loops ---------===//
// SPDX-License-Identifier: Apache-2.0
//
// Where each element of a fragment lies is written down here as the PTX manual
// lists it, by element; the emulator computes it by register.
//===----------------------------------------------------------------------===//

#include "NarrowFloat.h"
#include "TestModule.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

using namespace qcc::emulator;

//===----------------------------------------------------------------------===//
// mma.sync
//===----------------------------------------------------------------------===//

namespace {
struct Form {
  const char *intrinsic, *operand, *sum; ///< IR types of registers.
  unsigned depth, bits;                  ///< Of an element of A and B.
  char kind;                             ///< h: half, b: bfloat, s, u.
  bool narrowSum = false;

  unsigned aRegisters() const { return 16 * depth * bits / 32 / 32; }
  unsigned bRegisters() const { return 8 * depth * bits / 32 / 32; }
  unsigned sumRegisters() const { return narrowSum ? 2 : 4; }
};

class Mma : public ::testing::TestWithParam<Form> {};
} // namespace

/// A kernel that loads a lane's registers from arrays [lane][register].
static std::string mmaText(const Form &form) {
  std::string text = R"(
    define ptx_kernel void @mma(ptr %a, ptr %b, ptr %c, ptr %d) {
      %lane = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  )";
  std::string arguments;
  auto load = [&](const char *name, unsigned count, const char *type) {
    for (unsigned i = 0; i < count; ++i) {
      text += substitute("%$n$i.o = mul i32 %lane, $count\n"
                         "%$n$i.x = add i32 %$n$i.o, $i\n"
                         "%$n$i.p = getelementptr i32, ptr %$n, i32 %$n$i.x\n"
                         "%$n$i.v = load $t, ptr %$n$i.p, align 4\n",
                         {{"n", name},
                          {"i", std::to_string(i)},
                          {"count", std::to_string(count)},
                          {"t", type}});
      arguments += std::string(arguments.empty() ? "" : ", ") + type + " %" +
                   name + std::to_string(i) + ".v";
    }
  };
  load("a", form.aRegisters(), form.operand);
  load("b", form.bRegisters(), form.operand);
  load("c", form.sumRegisters(), form.sum);
  std::string type = "{";
  for (unsigned i = 0; i < form.sumRegisters(); ++i)
    type += std::string(i ? ", " : "") + form.sum;
  type += "}";
  text += "%r = call " + type + " @llvm.nvvm.mma." + form.intrinsic + "(" +
          arguments + ")\n";
  for (unsigned i = 0; i < form.sumRegisters(); ++i)
    text += substitute("%r$i = extractvalue $type %r, $i\n"
                       "%d$i.o = mul i32 %lane, $count\n"
                       "%d$i.x = add i32 %d$i.o, $i\n"
                       "%d$i.p = getelementptr i32, ptr %d, i32 %d$i.x\n"
                       "store $t %r$i, ptr %d$i.p, align 4\n",
                       {{"i", std::to_string(i)},
                        {"type", type},
                        {"count", std::to_string(form.sumRegisters())},
                        {"t", form.sum}});
  return text + "ret void\n}\n";
}

namespace {
/// Row and column of element i of a lane, as the manual gives them.
struct Place {
  unsigned row, column;
};
} // namespace

static Place placeOfA(const Form &form, unsigned lane, unsigned i) {
  unsigned group = lane / 4, inGroup = lane % 4;
  if (form.bits == 16 && form.depth == 8)
    return {group + (i < 2 ? 0 : 8), inGroup * 2 + (i & 1)};
  if (form.bits == 16)
    return {i < 2 || (i >= 4 && i < 6) ? group : group + 8,
            inGroup * 2 + (i & 1) + (i >= 4 ? 8 : 0)};
  if (form.depth == 16)
    return {i < 4 ? group : group + 8, inGroup * 4 + (i & 3)};
  return {i < 4 || (i >= 8 && i < 12) ? group : group + 8,
          inGroup * 4 + (i & 3) + (i >= 8 ? 16 : 0)};
}

static Place placeOfB(const Form &form, unsigned lane, unsigned i) {
  unsigned group = lane / 4, inGroup = lane % 4;
  if (form.bits == 16)
    return {inGroup * 2 + (i & 1) + (i >= 2 ? 8 : 0), group};
  return {inGroup * 4 + (i & 3) + (i >= 4 ? 16 : 0), group};
}

static Place placeOfC(unsigned lane, unsigned i) {
  return {lane / 4 + (i < 2 ? 0 : 8), lane % 4 * 2 + (i & 1)};
}

/// A random element: its bits and its value.
static std::pair<uint16_t, double> randomElement(const Form &form,
                                                 std::mt19937 &random) {
  std::normal_distribution<float> normal;
  switch (form.kind) {
  case 'h': {
    Half half = Half::round(normal(random));
    return {half.bits, half.value()};
  }
  case 'b': {
    BFloat narrow = BFloat::round(normal(random));
    return {narrow.bits, narrow.value()};
  }
  case 's': {
    auto value = int8_t(random());
    return {uint8_t(value), value};
  }
  default: {
    auto value = uint8_t(random());
    return {value, value};
  }
  }
}

TEST_P(Mma, IsAPlainTripleLoop) {
  const Form &form = GetParam();
  std::mt19937 random(7);
  std::vector<double> a(16 * form.depth), b(form.depth * 8), c(16 * 8);
  unsigned elementBytes = form.bits / 8;
  std::vector<uint8_t> aBytes(32 * form.aRegisters() * 4),
      bBytes(32 * form.bRegisters() * 4), cBytes(32 * form.sumRegisters() * 4),
      dBytes(cBytes.size());
  auto fill = [&](std::vector<uint8_t> &bytes, unsigned registers, auto set) {
    unsigned perLane = registers * 4 / elementBytes;
    for (unsigned lane = 0; lane < 32; ++lane)
      for (unsigned i = 0; i < perLane; ++i) {
        auto [bits, value] = randomElement(form, random);
        std::memcpy(&bytes[(lane * perLane + i) * elementBytes], &bits,
                    elementBytes);
        set(lane, i, value);
      }
  };
  fill(aBytes, form.aRegisters(), [&](unsigned lane, unsigned i, double value) {
    Place place = placeOfA(form, lane, i);
    a[place.row * form.depth + place.column] = value;
  });
  fill(bBytes, form.bRegisters(), [&](unsigned lane, unsigned i, double value) {
    Place place = placeOfB(form, lane, i);
    b[place.row * 8 + place.column] = value;
  });
  bool isInteger = form.bits == 8;
  std::normal_distribution<float> normal;
  for (unsigned lane = 0; lane < 32; ++lane)
    for (unsigned i = 0; i < 4; ++i) {
      Place place = placeOfC(lane, i);
      double &value = c[place.row * 8 + place.column];
      unsigned at = lane * 4 + i;
      if (isInteger) {
        auto integer = int32_t(random() % 2000000) - 1000000;
        value = integer;
        std::memcpy(&cBytes[at * 4], &integer, 4);
      } else if (form.narrowSum) {
        Half half = Half::round(normal(random));
        value = half.value();
        std::memcpy(&cBytes[at * 2], &half.bits, 2);
      } else {
        float number = normal(random);
        value = number;
        std::memcpy(&cBytes[at * 4], &number, 4);
      }
    }

  auto module = TestModule(mmaText(form)).compile();
  Launch options;
  options.blockX = 32;
  Counters counters;
  ASSERT_EQ(launch(*module, "mma", options, &counters, aBytes.data(),
                   bBytes.data(), cBytes.data(), dBytes.data()),
            "");
  EXPECT_EQ(counters.mmas, 1u);
  for (unsigned lane = 0; lane < 32; ++lane)
    for (unsigned i = 0; i < 4; ++i) {
      Place place = placeOfC(lane, i);
      double expected = c[place.row * 8 + place.column];
      double size = std::fabs(expected);
      for (unsigned k = 0; k < form.depth; ++k) {
        double product =
            a[place.row * form.depth + k] * b[k * 8 + place.column];
        expected += product;
        size += std::fabs(product);
      }
      unsigned at = lane * 4 + i;
      if (isInteger) {
        int32_t got;
        std::memcpy(&got, &dBytes[at * 4], 4);
        EXPECT_EQ(got, expected);
      } else if (form.narrowSum) {
        Half got;
        std::memcpy(&got.bits, &dBytes[at * 2], 2);
        EXPECT_NEAR(got.value(), expected,
                    std::fabs(expected) / 2048 + size * 2e-6);
      } else {
        float got;
        std::memcpy(&got, &dBytes[at * 4], 4);
        EXPECT_NEAR(got, expected, size * 1e-6);
      }
    }
}

INSTANTIATE_TEST_SUITE_P(
    Matrix, Mma,
    ::testing::Values(
        Form{"m16n8k16.row.col.f32.f32", "<2 x half>", "float", 16, 16, 'h'},
        Form{"m16n8k16.row.col.f16.f16", "<2 x half>", "<2 x half>", 16, 16,
             'h', true},
        Form{"m16n8k16.row.col.bf16", "i32", "float", 16, 16, 'b'},
        Form{"m16n8k8.row.col.f32.f32", "<2 x half>", "float", 8, 16, 'h'},
        Form{"m16n8k16.row.col.s8", "i32", "i32", 16, 8, 's'},
        Form{"m16n8k32.row.col.s8", "i32", "i32", 32, 8, 's'},
        Form{"m16n8k32.row.col.u8", "i32", "i32", 32, 8, 'u'}),
    [](const auto &info) {
      std::string name = info.param.intrinsic;
      std::replace(name.begin(), name.end(), '.', '_');
      return name;
    });

//===----------------------------------------------------------------------===//
// ldmatrix
//===----------------------------------------------------------------------===//

// Shared memory holds 32 rows of 8 halves at a stride of %stride bytes; lane i
// gives the address of row i.
static const char *kLoad = R"(
  @m = internal addrspace(3) global [2048 x half] undef, align 128
  define ptx_kernel void @load(ptr %in, ptr %out, i32 %stride) {
    %lane = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
    %offset = mul i32 %lane, %stride
    %row = getelementptr i8, ptr addrspace(3) @m, i32 %offset
    %i = getelementptr <8 x i16>, ptr %in, i32 %lane
    %v = load <8 x i16>, ptr %i, align 16
    store <8 x i16> %v, ptr addrspace(3) %row, align 16
    call void @llvm.nvvm.bar.warp.sync(i32 -1)
    %r = call {i32, i32, i32, i32} @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4$trans.b16.p3(ptr addrspace(3) %row)
    %o = getelementptr {i32, i32, i32, i32}, ptr %out, i32 %lane
    store {i32, i32, i32, i32} %r, ptr %o
    ret void
  })";

TEST(Matrix, LoadMatrix) {
  std::vector<uint16_t> in(256);
  for (unsigned i = 0; i < 256; ++i)
    in[i] = uint16_t(i * 257);
  for (bool transposed : {false, true}) {
    auto module =
        TestModule(substitute(kLoad, {{"trans", transposed ? ".trans" : ""}}))
            .compile();
    // Rows 128 bytes apart lie in the same banks, rows 16 or 144 apart do not.
    for (auto [stride, conflicts] :
         {std::pair(16u, 0u), {128u, 28u}, {112u, 0u}, {64u, 12u}}) {
      Launch options;
      options.blockX = 32;
      std::vector<uint16_t> out(256);
      Counters counters;
      ASSERT_EQ(launch(*module, "load", options, &counters, in.data(),
                       out.data(), stride),
                "");
      EXPECT_EQ(counters.matrixLoads, 1u);
      EXPECT_EQ(counters.matrixLoadConflicts, conflicts) << stride;
      for (unsigned lane = 0; lane < 32; ++lane)
        for (unsigned matrix = 0; matrix < 4; ++matrix)
          for (unsigned i = 0; i < 2; ++i) {
            unsigned row = lane / 4, column = lane % 4 * 2 + i;
            if (transposed)
              std::swap(row, column);
            EXPECT_EQ(out[lane * 8 + matrix * 2 + i],
                      in[(matrix * 8 + row) * 8 + column]);
          }
    }
  }
}

// The number of matrices decides how many lanes give addresses.
TEST(Matrix, LoadFewerMatrices) {
  auto module = TestModule(R"(
    @m = internal addrspace(3) global [128 x half] undef, align 16
    define ptx_kernel void @load(ptr %in, ptr %out) {
      %lane = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
      %offset = mul i32 %lane, 16
      %row = getelementptr i8, ptr addrspace(3) @m, i32 %offset
      %inside = icmp ult i32 %lane, 16
      br i1 %inside, label %fill, label %load
    fill:
      %i = getelementptr <8 x i16>, ptr %in, i32 %lane
      %v = load <8 x i16>, ptr %i, align 16
      store <8 x i16> %v, ptr addrspace(3) %row, align 16
      br label %load
    load:
      call void @llvm.nvvm.bar.warp.sync(i32 -1)
      %x = call i32 @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x1.b16.p3(ptr addrspace(3) %row)
      %r = call {i32, i32} @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x2.b16.p3(ptr addrspace(3) %row)
      %r0 = extractvalue {i32, i32} %r, 0
      %r1 = extractvalue {i32, i32} %r, 1
      %at = mul i32 %lane, 3
      %o = getelementptr i32, ptr %out, i32 %at
      store i32 %x, ptr %o
      %o1 = getelementptr i32, ptr %o, i32 1
      store i32 %r0, ptr %o1
      %o2 = getelementptr i32, ptr %o, i32 2
      store i32 %r1, ptr %o2
      ret void
    })")
                    .compile();
  std::vector<uint32_t> in(64), out(96);
  for (unsigned i = 0; i < 64; ++i)
    in[i] = 1000 + i;
  Launch options;
  options.blockX = 32;
  ASSERT_EQ(launch(*module, "load", options, nullptr, in.data(), out.data()),
            "");
  for (unsigned lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(out[lane * 3], 1000 + lane);
    EXPECT_EQ(out[lane * 3 + 1], 1000 + lane);
    EXPECT_EQ(out[lane * 3 + 2], 1032 + lane);
  }
}
