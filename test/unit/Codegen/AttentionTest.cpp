//===- AttentionTest.cpp - Rope, KV state and attention -------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// llm.rope_append and llm.attend against a reference in double precision: what
// is stored in the pages, and then attention over exactly what is stored.
//===----------------------------------------------------------------------===//

#include "AttentionCase.h"
#include "FailingCheck.h"
#include "Mutants.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace qcc;
using namespace qcc::test;

namespace {

class Attention : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (std::string why = whyNotRunnable(GetParam()); !why.empty())
      GTEST_SKIP() << why;
  }

  /// A prompt over two pages, then steps with rows of several sequences.
  void check(const Shape &shape) {
    SCOPED_TRACE("group " + std::to_string(shape.group) + " head " +
                 std::to_string(shape.headDim) + " pairs " +
                 std::to_string(shape.pairs) +
                 (shape.adjacent ? " adjacent" : "") + " window " +
                 std::to_string(shape.window) + " " + shape.kvName());
    AttentionCase c(shape, GetParam());
    std::vector<Place> places;
    for (unsigned p = 0; p < 70; ++p)
      places.push_back({1, p});
    c.check(places, true, 2);
    places.clear();
    for (unsigned p = 0; p < 5; ++p)
      places.push_back({2, p});
    places.push_back({1, 70});
    places.push_back({1, 71});
    places.push_back({0, 0});
    c.check(places, true, 3);
    c.check({{0, 1}, {1, 72}, {2, 5}, {2, 6}, {3, 0}}, false, 1);
    for (unsigned p = 73; p < 78; ++p)
      c.check({{1, p}}, false, p % 7 + 1);
  }
};

TEST_P(Attention, Groups) {
  for (size_t group : {1, 3, 4, 8, 9})
    check({.kvHeads = 2, .group = group, .headDim = 64, .pairs = 32});
}

class HalvesAttention : public Attention {};

TEST_P(HalvesAttention, Shapes) {
  for (size_t group : {1, 3, 9})
    check({.kvHeads = 2,
           .group = group,
           .headDim = 64,
           .pairs = 32,
           .halves = true});
  for (ScalarType kv : {ScalarType::F16, ScalarType::BF16})
    check({.kvHeads = 1,
           .group = 2,
           .headDim = 20,
           .pairs = 10,
           .kv = kv,
           .halves = true});
  for (size_t headDim : {20, 64, 80})
    check({.kvHeads = 2,
           .group = 3,
           .headDim = headDim,
           .pairs = 10,
           .quantized = true,
           .halves = true});
  for (size_t window : {5, 64})
    check({.kvHeads = 1,
           .group = 4,
           .headDim = 80,
           .pairs = 40,
           .window = window,
           .softcap = 5,
           .halves = true});
}

TEST_P(Attention, HeadDimensions) {
  for (size_t headDim : {16, 20, 64, 80, 128, 256})
    check({.kvHeads = 1, .group = 2, .headDim = headDim, .pairs = headDim / 2});
}

TEST_P(Attention, Rotation) {
  for (bool adjacent : {false, true})
    for (bool norms : {false, true})
      for (size_t pairs : {10, 16, 36, 40})
        check({.kvHeads = 2,
               .group = 2,
               .headDim = 80,
               .pairs = pairs,
               .adjacent = adjacent,
               .norms = norms});
}

TEST_P(Attention, WithoutRotation) {
  for (size_t pairs : {1, 40})
    check({.kvHeads = 2,
           .group = 2,
           .headDim = 80,
           .pairs = pairs,
           .still = true});
}

TEST_P(Attention, Windows) {
  for (size_t window : {1, 5, 16, 17, 64, 100})
    check({.kvHeads = 1,
           .group = 4,
           .headDim = 64,
           .pairs = 32,
           .window = window});
}

TEST_P(Attention, NormsOfRows) {
  for (size_t kvHeads : {1, 3})
    check({.kvHeads = kvHeads,
           .group = 2,
           .headDim = 20,
           .pairs = 8,
           .norms = true,
           .rowNorms = true});
}

TEST_P(Attention, CenteredNorms) {
  for (size_t headDim : {20, 64})
    check({.kvHeads = 3,
           .group = 2,
           .headDim = headDim,
           .pairs = 8,
           .norms = true,
           .centered = true});
}

TEST_P(Attention, Softcaps) {
  for (double softcap : {0.5, 2.0, 50.0})
    for (size_t window : {0, 30})
      check({.kvHeads = 2,
             .group = 2,
             .headDim = 80,
             .pairs = 40,
             .window = window,
             .softcap = softcap});
}

TEST_P(Attention, Sinks) {
  for (size_t window : {0, 30})
    check({.kvHeads = 2,
           .group = 3,
           .headDim = 20,
           .pairs = 10,
           .window = window,
           .sinks = true});
}

TEST_P(Attention, StateTypes) {
  for (ScalarType kv : {ScalarType::F16, ScalarType::BF16, ScalarType::F32})
    for (size_t window : {0, 30})
      check({.kvHeads = 2,
             .group = 3,
             .headDim = 80,
             .pairs = 40,
             .norms = true,
             .window = window,
             .kv = kv});
}

/// Groups of all sizes, and heads without a whole one; still heads bit for bit.
TEST_P(Attention, QuantizedState) {
  for (size_t headDim : {16, 20, 32, 256})
    check({.kvHeads = 2,
           .group = 2,
           .headDim = headDim,
           .pairs = 8,
           .quantized = true,
           .still = headDim != 20});
  for (size_t group : {1, 3, 9})
    check({.kvHeads = 2,
           .group = group,
           .headDim = group == 1 ? size_t(64) : size_t(80),
           .pairs = 32,
           .norms = true,
           .window = group == 3 ? size_t(30) : size_t(0),
           .quantized = true,
           .softcap = group == 3 ? 5.0 : 0.0,
           .sinks = group == 3});
}

/// Positions that generating steps cut into parts, a few and as many as there
/// can be, of two pages and of more.
TEST_P(Attention, Parts) {
  for (size_t window : {0, 200})
    for (bool sinks : {false, true}) {
      SCOPED_TRACE("window " + std::to_string(window));
      AttentionCase c({.kvHeads = 2,
                       .group = 9,
                       .headDim = 20,
                       .pairs = 10,
                       .window = window,
                       .quantized = sinks,
                       .sinks = sinks,
                       .pages = 36},
                      GetParam());
      c.fill(1, 127);
      c.check({{1, 127}}, false, 2);
      c.check({{1, 128}}, false, 3);
      c.fill(2, 2047);
      c.check({{2, 2047}}, false, 1);
      c.check({{1, 129}, {2, 2048}, {0, 0}, {2, 2049}}, false, 5);
      c.fill(3, 2299);
      c.check({{3, 2299}}, false, 4);
    }
}

/// In the emulator, which takes longer: each feature once.
class AttentionOnGpu : public Attention {};

TEST_P(AttentionOnGpu, Shapes) {
  check({.kvHeads = 2,
         .group = 3,
         .headDim = 80,
         .pairs = 40,
         .norms = true,
         .window = 30,
         .kv = ScalarType::F16});
  check({.kvHeads = 3,
         .group = 2,
         .headDim = 20,
         .pairs = 8,
         .adjacent = true,
         .norms = true,
         .rowNorms = true});
  check({.kvHeads = 2,
         .group = 2,
         .headDim = 20,
         .pairs = 6,
         .norms = true,
         .centered = true});
  check({.kvHeads = 2,
         .group = 1,
         .headDim = 64,
         .pairs = 32,
         .kv = ScalarType::BF16,
         .softcap = 2.0,
         .sinks = true});
  check({.kvHeads = 1,
         .group = 1,
         .headDim = 256,
         .pairs = 1,
         .window = 5,
         .still = true});
}

/// Groups of all sizes; still heads bit for bit, also of keys.
TEST_P(AttentionOnGpu, QuantizedState) {
  for (size_t headDim : {16, 20, 96, 256})
    check({.kvHeads = headDim == 16 ? size_t(2) : size_t(1),
           .group = 2,
           .headDim = headDim,
           .pairs = 8,
           .adjacent = headDim == 96,
           .quantized = true,
           .still = headDim != 20});
  check({.kvHeads = 2,
         .group = 3,
         .headDim = 80,
         .pairs = 32,
         .norms = true,
         .window = 30,
         .quantized = true,
         .softcap = 5.0,
         .sinks = true});
}

/// Parts that blocks share, and a step of rows with some and with one.
TEST_P(AttentionOnGpu, PartsOfQuantizedState) {
  for (size_t headDim : {64, 128}) {
    AttentionCase c({.kvHeads = 1,
                     .group = headDim == 64 ? size_t(3) : size_t(8),
                     .headDim = headDim,
                     .pairs = 32,
                     .quantized = true,
                     .pages = 19},
                    GetParam());
    c.store(1, 1200);
    c.store(2, 40);
    c.check({{1, 1200}, {2, 40}, {0, 0}}, false, 1);
  }
}

/// Lanes read of a head what others have turned.
TEST_P(AttentionOnGpu, BarriersOfQuantizedState) {
  AttentionCase c(
      {.kvHeads = 1, .group = 1, .headDim = 64, .pairs = 8, .quantized = true},
      GetParam());
  auto isCaught = [&] {
    return fails([&] {
      for (bool prompt : {false, true})
        c.check({{1, 0}, {2, 0}}, prompt, 1);
    });
  };
  ASSERT_FALSE(isCaught());
  unsigned count = 0;
  while (c.program()->mutate([&](llvm::Module &module) {
    return emulator::dropWarpBarrier(module, count);
  })) {
    EXPECT_TRUE(isCaught()) << "dropped barrier " << count;
    ++count;
  }
  EXPECT_EQ(count, 2u); // Of queries and keys.
}

INSTANTIATE_TEST_SUITE_P(Targets, AttentionOnGpu, testing::Values("sm_86"));

INSTANTIATE_TEST_SUITE_P(Targets, HalvesAttention, testing::Values("znver4"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });
INSTANTIATE_TEST_SUITE_P(Targets, Attention,
                         testing::Values("x86-64-v3", "x86-64-v4"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
