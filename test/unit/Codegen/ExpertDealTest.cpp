//===- ExpertDealTest.cpp - Which thread does which part of which expert --===//
// SPDX-License-Identifier: Apache-2.0
//
// The work of a mixture is dealt by (expert, panel of 16 rows), each as heavy
// as the rows that chose the expert are many. Here rows choose known experts;
// who read which panel is seen at the weights' pages, and compared with a deal
// by those counts. Nobody may read those of other experts.
//===----------------------------------------------------------------------===//

#include "MixtureCase.h"
#include "WeightReads.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

using namespace qcc;
using namespace qcc::test;

namespace {

using Counts = std::vector<size_t>; ///< Rows of each expert.
/// The thread of each panel of each expert that rows chose.
using Deal = std::map<std::pair<size_t, size_t>, unsigned>;

/// Panels in the order of their experts, as many to each thread as weigh its
/// share: one belongs to the thread in whose share it begins. A panel of an
/// expert weighs its rows in tiles of `tile`.
Deal dealByCounts(const Counts &counts, size_t panels, unsigned threads,
                  size_t tile) {
  auto weight = [&](size_t count) { return (count + tile - 1) / tile; };
  size_t total = 0, at = 0;
  for (size_t count : counts)
    total += weight(count) * panels;
  Deal deal;
  for (size_t e = 0; e < counts.size(); ++e)
    for (size_t p = 0; counts[e] && p < panels; ++p, at += weight(counts[e])) {
      unsigned thread = 0;
      while ((thread + 1) * total / threads <= at)
        ++thread;
      deal[{e, p}] = thread;
    }
  return deal;
}

/// The same without the counts.
Deal dealEvenly(const Counts &counts, size_t panels, unsigned threads) {
  Counts same;
  for (size_t count : counts)
    same.push_back(count ? 1 : 0);
  return dealByCounts(same, panels, threads, 1);
}

class ExpertDeal : public testing::TestWithParam<const char *> {
protected:
  static constexpr size_t kMost = 12; ///< The tallest tile of any target.

  void SetUp() override {
    if (std::string why = whyNotRunnable(GetParam()); !why.empty())
      GTEST_SKIP() << why;
    options.target = GetParam();
    // A panel has a page of its own, wherever it begins.
    m.fill(random);
  }

  /// Row r takes experts choices[r]; as many rows as the test's batches have.
  void choose(const std::vector<std::vector<size_t>> &choices) {
    chosen = choices;
    m.route(choices);
    step = m.compile(options);
  }

  Counts countsOf(size_t rows) const {
    Counts counts(m.experts);
    for (size_t r = 0; r < rows; ++r)
      for (size_t e : chosen[r])
        ++counts[e];
    return counts;
  }

  /// Who read the panels of a weight.
  Deal seen(const WeightReads &reads, const char *weight, const Counts &counts,
            size_t rows, size_t columns) {
    const size_t bytes = 16 * columns * 4, panels = rows / 16;
    Deal deal;
    for (size_t e = 0; e < m.experts; ++e)
      for (size_t p = 0; p < panels; ++p) {
        SCOPED_TRACE(std::string(weight) + " expert " + std::to_string(e) +
                     " panel " + std::to_string(p));
        std::vector<unsigned> readers = reads.readers(
            step->offsetOf(weight) + (e * panels + p) * bytes, bytes);
        EXPECT_EQ(readers.size(), counts[e] ? 1u : 0u);
        if (!readers.empty())
          deal[{e, p}] = readers[0];
      }
    return deal;
  }

  /// Whether panels of one row, or of a tile of some height, were dealt so.
  static bool isByCounts(const Deal &deal, const Counts &counts, size_t panels,
                         unsigned threads, bool isOneRow) {
    for (size_t tile = 1; tile <= (isOneRow ? 1 : kMost); ++tile)
      if (deal == dealByCounts(counts, panels, threads, tile))
        return true;
    return false;
  }

  void expectDealt(size_t rows, bool prompt) {
    const std::vector<float> alone = step->run(firstTokens(rows, prompt));
    const Counts counts = countsOf(rows);
    for (unsigned threads : {1u, 2u, 3u, 7u}) {
      SCOPED_TRACE(std::to_string(rows) +
                   (prompt ? " rows of a prompt, " : " rows, ") +
                   std::to_string(threads) + " threads");
      std::vector<float> got;
      {
        WeightReads reads(step->bytes());
        StepRows in = firstTokens(rows, prompt, threads);
        in.turn = [&](unsigned thread) { reads.begin(thread); };
        got = step->run(in);
        const Deal gate = seen(reads, "gate", counts, m.middle, m.k),
                   up = seen(reads, "up", counts, m.middle, m.k),
                   down = seen(reads, "down", counts, m.k, m.middle);
        EXPECT_EQ(gate, up);
        EXPECT_TRUE(
            isByCounts(gate, counts, m.middle / 16, threads, rows == 1));
        EXPECT_TRUE(isByCounts(down, counts, m.k / 16, threads, rows == 1));
      }
      const std::vector<float> free =
          step->run(firstTokens(rows, prompt, threads));
      ASSERT_EQ(got.size(), alone.size());
      EXPECT_EQ(std::memcmp(got.data(), alone.data(), got.size() * 4), 0);
      EXPECT_EQ(std::memcmp(free.data(), alone.data(), got.size() * 4), 0);
    }
  }

  StepOptions options;
  std::mt19937 random{23};
  Mixture m{160, 144, 7, 2, floatEncoding(ScalarType::F32)};
  std::vector<std::vector<size_t>> chosen;
  std::unique_ptr<CompiledStep> step;
};

/// All rows take one expert, and one of three others.
TEST_P(ExpertDeal, Uneven) {
  std::vector<std::vector<size_t>> choices;
  for (size_t r = 0; r < kTokens; ++r)
    choices.push_back({5, r % 3});
  choose(choices);
  // No deal without the counts is the same.
  for (size_t tile = 1; tile <= kMost; ++tile)
    for (unsigned threads : {2u, 3u, 7u})
      for (size_t panels : {m.middle / 16, m.k / 16})
        ASSERT_NE(dealByCounts(countsOf(kTokens), panels, threads, tile),
                  dealEvenly(countsOf(kTokens), panels, threads))
            << tile << " " << threads;
  expectDealt(1, false);
  expectDealt(16, false);
  expectDealt(kTokens, true);
}

/// Each expert is chosen, and some row each.
TEST_P(ExpertDeal, All) {
  std::vector<std::vector<size_t>> choices;
  for (size_t r = 0; r < kTokens; ++r)
    choices.push_back({r * r % m.experts, (r * r + 1 + r % 5) % m.experts});
  choose(choices);
  for (size_t count : countsOf(kTokens))
    ASSERT_GT(count, 0u);
  expectDealt(4, false);
  expectDealt(kTokens, true);
}

INSTANTIATE_TEST_SUITE_P(Targets, ExpertDeal, testing::ValuesIn(kTargets),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
