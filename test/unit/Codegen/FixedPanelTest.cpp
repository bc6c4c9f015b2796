//===- FixedPanelTest.cpp - Prompts with scales in fixed point ------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Panels of prompts are prepared and multiplied in pairs, in passes over k.
// Each result must be what the scalar meaning is, and have the same bits
// wherever threads part the panels and however many rows there are.
//===----------------------------------------------------------------------===//

#include "FixedForm.h"

#include <gtest/gtest.h>

using namespace qcc;
using namespace qcc::test;

namespace {

constexpr const char *kTarget = "znver4";

class FixedPanels : public testing::TestWithParam<NamedEncoding> {};

TEST_P(FixedPanels, PairsAndPasses) {
  if (std::string why = whyNotRunnable(kTarget); !why.empty())
    GTEST_SKIP() << why;
  const Encoding &encoding = GetParam().encoding;
  std::mt19937 random(5);
  size_t unit = columnsFor(encoding, 1);
  MatmulCase c;
  // Two passes, the second of which ends with half a block where k may.
  c.k = columnsFor(encoding, (672 + unit - 1) / unit);
  // A pair, a panel of its own, and a part of one.
  c.segments = {{encoding, 53, {}}};
  c.viaBuffer = false;
  std::string form = formInUse(c, "a8");
  if (!fixedLayout(c, kTarget, form))
    GTEST_SKIP() << "not multiplied in the fixed form";
  c.fill(random);
  StepOptions options;
  options.target = kTarget;
  options.activations = form;
  auto step = c.compile(options);
  for (size_t rows : {5, 13, 24}) {
    SCOPED_TRACE("a prompt of " + std::to_string(rows) + " rows");
    expectProducts(c, form, step->run(firstTokens(rows, true)), {}, kTarget);
  }
  expectInvariant(*step, {2, 3, 4});
}

INSTANTIATE_TEST_SUITE_P(Encodings, FixedPanels,
                         testing::ValuesIn(allEncodings()),
                         [](const auto &info) {
                           std::string name = info.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
