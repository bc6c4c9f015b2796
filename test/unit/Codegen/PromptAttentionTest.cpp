//===- PromptAttentionTest.cpp - Attention of prompts by tensor cores -----===//
// SPDX-License-Identifier: Apache-2.0
//
// Prompt steps of a GPU whose products may be rounded, against the reference in
// double precision. Each step runs in several orders of blocks, and with some
// of its rows alone, which must give the same bits (AttentionCase::check).
//===----------------------------------------------------------------------===//

#include "AttentionCase.h"
#include "FailingCheck.h"
#include "Mutants.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicsNVPTX.h"
#include "llvm/IR/PatternMatch.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace llvm::PatternMatch;
using namespace qcc;
using namespace qcc::test;

namespace {

/// Rows [first, end) of a sequence.
void append(std::vector<Place> &places, unsigned sequence, unsigned first,
            unsigned end) {
  for (unsigned p = first; p < end; ++p)
    places.push_back({sequence, p});
}

/// A prompt of more rows than a block has, then one of several sequences: one
/// goes on within a page, one begins, rows stand alone, and one has positions
/// that do not follow each other.
void check(const Shape &shape) {
  SCOPED_TRACE("group " + std::to_string(shape.group) + " head " +
               std::to_string(shape.headDim) + " window " +
               std::to_string(shape.window) + " " + shape.kvName());
  Shape rounded = shape;
  rounded.halves = true;
  AttentionCase c(rounded, "sm_86");
  std::vector<Place> places;
  append(places, 1, 0, 75);
  c.check(places, true, 1);
  EXPECT_EQ(c.program()->counters["attend_prompt_0"].mmas > 0,
            shape.takesTensorCores());
  places.clear();
  append(places, 2, 0, 21);
  places.push_back({0, 0});
  append(places, 1, 75, 100);
  append(places, 3, 0, 3);
  places.push_back({1, 100});
  c.check(places, true, 1);
}

TEST(PromptAttentionOnGpu, Types) {
  for (ScalarType kv : {ScalarType::F16, ScalarType::BF16})
    check({.kvHeads = 2, .group = 3, .headDim = 64, .pairs = 32, .kv = kv});
}

/// Tiles of 64, 32 and 16 positions; halves of a product; pieces that are
/// exchanged and rows that are apart. The last one goes without.
TEST(PromptAttentionOnGpu, HeadDimensions) {
  for (size_t headDim : {8, 40, 80, 128, 256, 20})
    check({.kvHeads = 1,
           .group = 2,
           .headDim = headDim,
           .pairs = headDim / 2,
           .kv = ScalarType::F16});
}

/// Codes, of which threads have a piece each or several, in fours and not, and
/// the last one of a head too. The last head goes without.
TEST(PromptAttentionOnGpu, QuantizedState) {
  for (size_t headDim : {16, 64, 80, 128, 256, 40})
    check({.kvHeads = headDim == 64 ? size_t(2) : size_t(1),
           .group = 2,
           .headDim = headDim,
           .pairs = 8,
           .window = headDim == 80 ? size_t(33) : size_t(0),
           .quantized = true,
           .softcap = headDim == 80 ? 2.0 : 0.0,
           .sinks = headDim == 80});
}

TEST(PromptAttentionOnGpu, Windows) {
  for (size_t window : {1, 5, 16, 33, 64, 70})
    check({.kvHeads = 1,
           .group = 1,
           .headDim = window == 33 ? size_t(128) : size_t(16),
           .pairs = 8,
           .window = window,
           .kv = ScalarType::F16});
}

TEST(PromptAttentionOnGpu, SinksAndSoftcaps) {
  for (size_t window : {0, 30})
    check({.kvHeads = 2,
           .group = 2,
           .headDim = 32,
           .pairs = 16,
           .window = window,
           .kv = window ? ScalarType::F16 : ScalarType::BF16,
           .softcap = 2.0,
           .sinks = true});
  check({.kvHeads = 1,
         .group = 2,
         .headDim = 32,
         .pairs = 16,
         .kv = ScalarType::F16,
         .sinks = true});
}

/// A later part of a long prompt, whose rows begin within a page and whose
/// window begins in another.
TEST(PromptAttentionOnGpu, LongContext) {
  for (auto [window, quantized] :
       {std::pair(0, false), {150, false}, {150, true}}) {
    AttentionCase c({.kvHeads = 1,
                     .group = 2,
                     .headDim = 64,
                     .pairs = 32,
                     .window = size_t(window),
                     .kv = ScalarType::F16,
                     .quantized = quantized,
                     .halves = true,
                     .pages = 7},
                    "sm_86");
    c.store(1, 300);
    std::vector<Place> places;
    append(places, 1, 300, 390);
    c.check(places, true, 1);
  }
}

/// State is f32: nothing is rounded.
TEST(PromptAttentionOnGpu, ExactState) {
  check({.kvHeads = 1, .group = 2, .headDim = 32, .pairs = 16});
}

/// Keys and values are copied once for a block, whole sectors at a time, and no
/// two rows of a matrix lie in the same banks, nor pieces of one that is put
/// together of codes.
void checkAccesses(size_t headDim, bool quantized) {
  SCOPED_TRACE("head " + std::to_string(headDim));
  AttentionCase c({.kvHeads = 1,
                   .group = 1,
                   .headDim = headDim,
                   .pairs = 8,
                   .kv = ScalarType::F16,
                   .quantized = quantized,
                   .halves = true},
                  "sm_86");
  c.program()->countPatterns = true;
  std::vector<Place> places;
  append(places, 1, 0, 64);
  c.run(places, true);
  const emulator::Counters &counters =
      c.program()->counters.at("attend_prompt_0");
  EXPECT_EQ(counters.blocks, 1u);
  EXPECT_EQ(counters.copiedBytes, 2 * 64 * headDim * (quantized ? 1 : 2));
  EXPECT_EQ(counters.copies4 + counters.copies8, 0u);
  EXPECT_GT(counters.matrixLoads, 0u);
  EXPECT_EQ(counters.matrixLoadConflicts, 0u);
  // But for words of pieces of codes, which LLVM joins after the IR that runs
  // here: four of them, each from 8 of the 32 banks.
  const uint64_t words = quantized ? 2 * 64 * headDim / 512 * 4 : 0;
  EXPECT_EQ(counters.sharedConflicts, words * 3);
  // The same for pairs of queries; scales are read one by one.
  uint64_t pairs = 64 * headDim * 4, scales = quantized ? 2 * 64 * 32 : 0;
  EXPECT_LE(32 * counters.globalSectors,
            1.05 * counters.globalBytes + pairs + scales);
}

TEST(PromptAttentionOnGpu, AccessesAreWide) {
  for (size_t headDim : {64, 72, 80, 128, 256})
    checkAccesses(headDim, false);
  for (size_t headDim : {64, 128, 256})
    checkAccesses(headDim, true);
}

//===----------------------------------------------------------------------===//
// Planted faults
//===----------------------------------------------------------------------===//

constexpr const char *kKernel = "attend_prompt_0";

/// The n-th instruction of the kernel that `pattern` matches.
template <typename Pattern>
llvm::Instruction *find(llvm::Module &module, unsigned index,
                        const Pattern &pattern) {
  for (llvm::Instruction &instruction :
       llvm::instructions(*module.getFunction(kKernel)))
    if (match(&instruction, pattern) && index-- == 0)
      return &instruction;
  return nullptr;
}

bool dropBarrier(llvm::Module &module, unsigned index) {
  return emulator::dropBarrierOf(module, kKernel, index);
}

/// A position that a row does not see counts.
bool dropMask(llvm::Module &module, unsigned index) {
  auto *found = find(module, 5 * index,
                     m_Select(m_Value(), m_Value(), m_SpecificFP(-INFINITY)));
  if (found)
    found->setOperand(2, found->getOperand(1));
  return found;
}

/// What was added up before is as if the maximum had not changed.
bool dropRescale(llvm::Module &module, unsigned index) {
  auto *found = find(module, index,
                     m_Intrinsic<llvm::Intrinsic::nvvm_ex2_approx_ftz>(
                         m_FSub(m_Value(), m_Value())));
  if (found)
    found->replaceAllUsesWith(llvm::ConstantFP::get(found->getType(), 1.0));
  return found;
}

/// Transposed loads of values give those of other elements.
bool dropTransposition(llvm::Module &module, unsigned index) {
  auto *found = find(
      module, index,
      m_Intrinsic<
          llvm::Intrinsic::nvvm_ldmatrix_sync_aligned_m8n8_x4_trans_b16>());
  if (!found)
    return false;
  llvm::IRBuilder<> builder(found);
  found->replaceAllUsesWith(builder.CreateIntrinsic(
      llvm::Intrinsic::nvvm_ldmatrix_sync_aligned_m8n8_x4_b16,
      {found->getOperand(0)->getType()}, {found->getOperand(0)}));
  found->eraseFromParent();
  return true;
}

/// Another byte becomes a code.
bool swapCodes(llvm::Module &module, unsigned index) {
  auto *found = find(module, 9 * index,
                     m_Intrinsic<llvm::Intrinsic::nvvm_prmt>(
                         m_Value(), m_Value(), m_ConstantInt()));
  if (!found)
    return false;
  auto *selector = llvm::cast<llvm::ConstantInt>(found->getOperand(2));
  found->setOperand(2, llvm::ConstantInt::get(selector->getType(),
                                              selector->getZExtValue() ^ 0x10));
  return true;
}

/// Whether a step of rows that see four tiles fails.
bool isCaught(AttentionCase &c) {
  std::vector<Place> places;
  append(places, 1, 192, 209);
  return fails([&] { c.check(places, true, 1); });
}

using Mutation = bool (*)(llvm::Module &, unsigned);
using Mutations = std::vector<std::pair<const char *, Mutation>>;

void expectCaught(bool quantized, const Mutations &mutations) {
  AttentionCase c({.kvHeads = 1,
                   .group = 1,
                   .headDim = 64,
                   .pairs = 32,
                   .kv = ScalarType::F16,
                   .quantized = quantized,
                   .halves = true},
                  "sm_86");
  c.store(1, 192);
  ASSERT_FALSE(isCaught(c));
  for (auto [name, mutation] : mutations) {
    unsigned count = 0;
    while (c.program()->mutate(
        [&](llvm::Module &module) { return mutation(module, count); })) {
      EXPECT_TRUE(isCaught(c)) << name << ' ' << count;
      ++count;
    }
    EXPECT_GT(count, 0u) << name;
  }
  c.program()->restore();
  EXPECT_FALSE(isCaught(c));
}

TEST(PromptAttentionOnGpu, MutantsAreCaught) {
  expectCaught(false, {{"dropped barrier", dropBarrier},
                       {"wrong wait count", emulator::weakenWait},
                       {"a position that is not masked", dropMask},
                       {"outputs not rescaled", dropRescale},
                       {"values not transposed", dropTransposition}});
}

TEST(PromptAttentionOnGpu, MutantsOfQuantizedStateAreCaught) {
  expectCaught(true, {{"dropped barrier", dropBarrier},
                      {"wrong wait count", emulator::weakenWait},
                      {"another code", swapCodes}});
}

} // namespace
