//===- ArchitectureTest.cpp - A new architecture is a table row -----------===//
// SPDX-License-Identifier: Apache-2.0
//
// The model (first argument) is of an architecture that the product does not
// have. With a row for it, and nothing else, it compiles and is right.
//===----------------------------------------------------------------------===//

#include "qcc/Driver/Verify.h"

#include <gtest/gtest.h>

using namespace qcc;

static std::string model;

static VerifyOptions options() {
  VerifyOptions result;
  result.compile.input = model;
  result.compile.activations = "f32";
  auto target = detectNativeTarget();
  if (target)
    result.compile.targets = {*target};
  else
    ADD_FAILURE() << llvm::toString(target.takeError());
  return result;
}

TEST(Architecture, UnknownWithoutARow) {
  auto runs = verify(options());
  ASSERT_FALSE(bool(runs));
  EXPECT_NE(llvm::toString(runs.takeError())
                .find("unsupported architecture 'made-up' (supported: llama"),
            std::string::npos);
}

TEST(Architecture, RowIsEnough) {
  const Architecture row[] = {{.name = "made-up",
                               .headNorm = true,
                               .scaledEmbedding = true,
                               .activation = llm::Activation::GeluTanh,
                               .fullAttentionPeriod = 2}};
  VerifyOptions verification = options();
  verification.compile.extraArchitectures = row;
  auto runs = verify(verification);
  ASSERT_TRUE(bool(runs)) << llvm::toString(runs.takeError());
  ASSERT_FALSE(runs->empty());
  for (const VerifyRun &run : *runs) {
    EXPECT_LT(run.meanKL, 1e-7) << run.name;
    EXPECT_LT(run.logits.relativeRms, 1e-4) << run.name;
    EXPECT_EQ(run.top1, 1.0) << run.name;
  }
}

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 2)
    return 2;
  model = argv[1];
  return RUN_ALL_TESTS();
}
