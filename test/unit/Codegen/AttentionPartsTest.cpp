//===- AttentionPartsTest.cpp - Positions shared by blocks ----------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Generating steps of a GPU, whose blocks share the positions of a row: against
// the reference in double precision, with contexts of one part, of several, and
// of parts that are not alike. Each step runs in several orders of blocks,
// which must give the same bits (AttentionCase::check).
//===----------------------------------------------------------------------===//

#include "AttentionCase.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace qcc;
using namespace qcc::test;

namespace {

/// Attention at each of some positions of one sequence, which has those before.
void check(const Shape &shape, std::vector<unsigned> positions) {
  SCOPED_TRACE("group " + std::to_string(shape.group) + " head " +
               std::to_string(shape.headDim) + " window " +
               std::to_string(shape.window) + " " + scalarName(shape.kv));
  AttentionCase c(shape, "sm_86");
  c.store(1, positions.back());
  for (unsigned position : positions) {
    SCOPED_TRACE("position " + std::to_string(position));
    c.check({{1, position}}, false, 1);
  }
  // Rows of other lengths beside it, of which one has a single part.
  c.store(2, 40);
  unsigned other = std::min(positions.front(), positions.back() - 1);
  c.check({{2, 40}, {1, positions.back()}, {0, 0}, {1, other}}, false, 1);
}

// A tile has 32 positions, and a part four tiles at least.
TEST(PartsOfAttentionOnGpu, OneAndSeveral) {
  check({.kvHeads = 2,
         .group = 3,
         .headDim = 64,
         .pairs = 32,
         .kv = ScalarType::F16,
         .pages = 5},
        {126, 127, 128, 159, 160, 255, 256, 300});
}

TEST(PartsOfAttentionOnGpu, Windows) {
  for (size_t window : {100, 160, 200})
    check({.kvHeads = 1,
           .group = 4,
           .headDim = 20,
           .pairs = 10,
           .window = window,
           .pages = 5},
          {99, 159, 200, 217, 300});
}

TEST(PartsOfAttentionOnGpu, SinksAndSoftcaps) {
  for (size_t window : {0, 200})
    check({.kvHeads = 2,
           .group = 2,
           .headDim = 80,
           .pairs = 40,
           .window = window,
           .kv = ScalarType::BF16,
           .softcap = 2.0,
           .sinks = true,
           .pages = 5},
          {127, 128, 290});
}

/// Eight heads of a block, and two blocks that share a KV head.
TEST(PartsOfAttentionOnGpu, Groups) {
  check({.kvHeads = 1, .group = 8, .headDim = 64, .pairs = 32, .pages = 4},
        {200});
  check({.kvHeads = 1,
         .group = 8,
         .headDim = 256,
         .pairs = 128,
         .kv = ScalarType::F16,
         .pages = 4},
        {200});
  check({.kvHeads = 1, .group = 11, .headDim = 20, .pairs = 10, .pages = 4},
        {200});
}

/// So many heads that parts become longer than they must be: 35 tiles by 5.
TEST(PartsOfAttentionOnGpu, LongParts) {
  check({.kvHeads = 64, .group = 1, .headDim = 4, .pairs = 2, .pages = 18},
        {1023, 1024, 1110});
}

} // namespace
