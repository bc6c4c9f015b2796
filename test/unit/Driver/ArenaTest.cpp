//===- ArenaTest.cpp - Static places for buffers --------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "lib/Codegen/Reference/Arena.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

using qcc::Arena;

TEST(Arena, ReusesWhatWasReleased) {
  Arena arena;
  EXPECT_EQ(arena.allocate(100), 0u);
  EXPECT_EQ(arena.allocate(64), 128u);
  EXPECT_EQ(arena.allocate(1), 192u);
  arena.release(0, 100);
  arena.release(128, 64); // joins the range before it
  EXPECT_EQ(arena.allocate(192), 0u);
  EXPECT_EQ(arena.size(), 256u);
}

TEST(Arena, RangeAtTheEndGrows) {
  Arena arena;
  EXPECT_EQ(arena.allocate(64), 0u);
  EXPECT_EQ(arena.allocate(64), 64u);
  arena.release(64, 64);
  EXPECT_EQ(arena.allocate(128), 64u);
  EXPECT_EQ(arena.size(), 192u);
}

TEST(Arena, LiveRangesNeverOverlap) {
  std::mt19937 random(1);
  struct Range {
    uint64_t offset, bytes;
  };
  std::vector<Range> live;
  Arena arena;
  for (int round = 0; round < 20000; ++round) {
    if (live.empty() || random() % 5 < 3) {
      uint64_t bytes = 1 + random() % 1000;
      uint64_t offset = arena.allocate(bytes);
      EXPECT_EQ(offset % 64, 0u);
      EXPECT_LE(offset + bytes, arena.size());
      for (const Range &other : live)
        ASSERT_TRUE(offset + bytes <= other.offset ||
                    other.offset + other.bytes <= offset);
      live.push_back({offset, bytes});
    } else {
      size_t index = random() % live.size();
      arena.release(live[index].offset, live[index].bytes);
      live.erase(live.begin() + ptrdiff_t(index));
    }
    if (live.size() > 40)
      while (!live.empty()) {
        arena.release(live.back().offset, live.back().bytes);
        live.pop_back();
      }
  }
  while (!live.empty()) {
    arena.release(live.back().offset, live.back().bytes);
    live.pop_back();
  }
  // All is one free range again.
  EXPECT_EQ(arena.allocate(arena.size()), 0u);
}
