//===- PromptMatmulTest.cpp - Weights in bf16 by tensor cores -------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Prompt steps of a GPU against products in double precision of activations
// that are rounded to bf16. Norms and residuals are tested with whole models.
//===----------------------------------------------------------------------===//

#include "FailingCheck.h"
#include "MatmulCase.h"

#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicsNVPTX.h"
#include "llvm/IR/PatternMatch.h"

#include <gtest/gtest.h>

using namespace llvm::PatternMatch;
using namespace qcc;
using namespace qcc::test;

namespace {

StepOptions onGpu() {
  StepOptions options;
  options.target = "sm_86";
  options.activations = "f32";
  options.prompt = "f16";
  return options;
}

const Encoding kBf16 = floatEncoding(ScalarType::BF16);

/// Results of all rows, and of some alone, which have the same bits.
void check(const MatmulCase &c, CompiledStep &step) {
  std::vector<float> got = step.run(firstTokens(kTokens, true));
  if (c.epilogue.starts_with("glu"))
    expectGated(c, "bf16", got);
  else if (c.epilogue.empty())
    expectProducts(c, "bf16", got);
  else
    expectActivated(c, "bf16", got);
  for (size_t count : {1, 17}) {
    std::vector<float> some = step.run(firstTokens(count, true));
    EXPECT_TRUE(std::equal(some.begin(), some.end(), got.begin()));
  }
}

void check(MatmulCase c) {
  std::mt19937 random(7);
  c.fill(random);
  auto step = c.compile(onGpu());
  check(c, *step);
  EXPECT_GT(step->program()->counters["prompt_matmul_0"].mmas, 0u);
}

/// Fewer steps than there are slots, and more; panels and blocks that are not
/// full; segments that end within a block.
TEST(PromptMatmulOnGpu, Shapes) {
  for (size_t k : {32, 96, 128, 224}) {
    SCOPED_TRACE("k " + std::to_string(k));
    check({k, {{kBf16, 5, {}}}, ""});
    check({k, {{kBf16, 64, {}}, {kBf16, 20, {}}, {kBf16, 16, {}}}, ""});
  }
}

TEST(PromptMatmulOnGpu, BiasesAndActivations) {
  check({96, {{kBf16, 40, {}, true}, {kBf16, 33, {}, true}}, ""});
  check({96, {{kBf16, 40, {}}}, "silu"});
}

TEST(PromptMatmulOnGpu, GatedUnits) {
  for (size_t rows : {16, 40})
    check({96, {{kBf16, rows, {}}, {kBf16, rows, {}}}, "glu_silu"});
}

/// Weights are copied once for all rows, and lie so that no loads of matrices
/// meet the same banks.
TEST(PromptMatmulOnGpu, AccessesAreWide) {
  MatmulCase c{128, {{kBf16, 64, {}}}, ""};
  std::mt19937 random(7);
  c.fill(random);
  auto step = c.compile(onGpu());
  step->program()->countPatterns = true;
  (void)step->run(firstTokens(kTokens, true));
  const emulator::Counters &counters =
      step->program()->counters.at("prompt_matmul_0");
  EXPECT_EQ(counters.blocks, 1u);
  EXPECT_EQ(counters.copiedBytes, 128u * 64 * 2);
  EXPECT_EQ(counters.mmas, 4u * 8 * 128 / 16);
  EXPECT_EQ(counters.matrixLoadConflicts, 0u);
}

/// The n-th call of an intrinsic in the kernel.
template <llvm::Intrinsic::ID kId>
llvm::Instruction *find(llvm::Module &module, unsigned index) {
  for (llvm::Instruction &instruction :
       llvm::instructions(*module.getFunction("prompt_matmul_0")))
    if (match(&instruction, m_Intrinsic<kId>()) && index-- == 0)
      return &instruction;
  return nullptr;
}

bool dropBarrier(llvm::Module &module, unsigned index) {
  auto *found =
      find<llvm::Intrinsic::nvvm_barrier_cta_sync_aligned_all>(module, index);
  if (found)
    found->eraseFromParent();
  return found;
}

bool dropWait(llvm::Module &module, unsigned index) {
  auto *found = find<llvm::Intrinsic::nvvm_cp_async_wait_group>(module, index);
  if (found)
    found->eraseFromParent();
  return found;
}

bool isCaught(const MatmulCase &c, CompiledStep &step) {
  return fails([&] { check(c, step); });
}

TEST(PromptMatmulOnGpu, MutantsAreCaught) {
  using Mutation = bool (*)(llvm::Module &, unsigned);
  const std::pair<const char *, Mutation> mutations[] = {
      {"dropped barrier", dropBarrier}, {"dropped wait", dropWait}};
  // All units of a block, each of which waits for the one before to be stored.
  MatmulCase c{256, {{kBf16, 64, {}}}, ""};
  std::mt19937 random(7);
  c.fill(random);
  auto step = c.compile(onGpu());
  ASSERT_FALSE(isCaught(c, *step));
  for (auto [name, mutation] : mutations) {
    unsigned count = 0;
    while (step->program()->mutate(
        [&](llvm::Module &module) { return mutation(module, count); })) {
      EXPECT_TRUE(isCaught(c, *step)) << name << ' ' << count;
      ++count;
    }
    EXPECT_GT(count, 0u) << name;
  }
}

} // namespace
