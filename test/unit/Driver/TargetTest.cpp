//===- TargetTest.cpp - The table of targets ------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/Common/Target.h"
#include "qcc-rt/qcc_abi.h"

#include <gtest/gtest.h>

#include <bit>

using namespace qcc;

namespace {

std::vector<std::string> namesOf(llvm::StringRef list) {
  auto targets = parseTargets(list);
  if (!targets)
    return {"error: " + llvm::toString(targets.takeError())};
  std::vector<std::string> names;
  for (const TargetSpec *target : *targets)
    names.push_back(target->name);
  return names;
}

TEST(Target, ListIsInOrderOfPreferenceAndWithoutRepetition) {
  EXPECT_EQ(namesOf("x86-64-v4,reference, x86-64-v3,x86-64-v4"),
            (std::vector<std::string>{"reference", "x86-64-v3", "x86-64-v4"}));
}

TEST(Target, UnknownNameIsAnErrorWithSuggestionAndList) {
  std::string error = namesOf("x86-64-v3,znver3").front();
  EXPECT_NE(error.find("unknown target 'znver3'; did you mean 'znver4'?"),
            std::string::npos)
      << error;
  EXPECT_NE(error.find("sapphirerapids"), std::string::npos) << error;
  error = namesOf("").front();
  EXPECT_EQ(error.rfind("error: unknown target ''", 0), 0u) << error;
}

TEST(Target, LaterRowsNeedNoLessThanEarlierOnes) {
  // The runtime takes the last row that the machine has all features of.
  uint64_t previous = 0;
  for (const TargetSpec &target : targetTable()) {
    if (target.isGpu())
      continue;
    EXPECT_EQ(previous & ~target.cpuFeatures, 0u) << target.name;
    previous = target.cpuFeatures;
  }
}

TEST(Target, EveryFeatureGivenToTheCompilerIsAskedForAtStart) {
  struct {
    const char *text;
    uint64_t bit;
  } features[] = {{"+avx512vnni", QCC_CPU_AVX512_VNNI},
                  {"+avx512vbmi", QCC_CPU_AVX512_VBMI},
                  {"+avx512bf16", QCC_CPU_AVX512_BF16},
                  {"+amx-int8", QCC_CPU_AMX_INT8},
                  {"+amx-bf16", QCC_CPU_AMX_BF16}};
  for (const TargetSpec &target : targetTable()) {
    if (target.isGpu())
      continue;
    llvm::StringRef left = target.features;
    uint64_t bits = 0;
    for (auto [text, bit] : features)
      if (left.contains(text))
        bits |= bit;
    EXPECT_EQ(target.cpuFeatures & ~(QCC_CPU_X86_64_V3 | QCC_CPU_X86_64_V4),
              bits)
        << target.name;
    EXPECT_EQ(size_t(left.count('+')), size_t(std::popcount(bits)))
        << target.name;
    bool isV4 = llvm::StringRef(target.cpu) == "x86-64-v4";
    EXPECT_EQ((target.cpuFeatures & QCC_CPU_X86_64_V4) != 0, isV4)
        << target.name;
  }
}

TEST(Target, CodeForOneKindOfGpuHasAFallback) {
  for (const TargetSpec &target : targetTable()) {
    const TargetSpec *fallback = fallbackTarget(target);
    EXPECT_EQ(fallback != nullptr, target.isSpecificGpu()) << target.name;
    if (!fallback)
      continue;
    EXPECT_FALSE(fallback->isSpecificGpu());
    EXPECT_EQ(fallback->gpuArchitecture, target.gpuArchitecture);
    EXPECT_LE(fallback->cudaVersion, target.cudaVersion);
    // It takes kernels that were planned for the other.
    EXPECT_EQ(fallback->sharedBytes, target.sharedBytes);
    EXPECT_EQ(fallback->registers, target.registers);
  }
  EXPECT_STREQ(fallbackTarget(*findTarget("sm_90a"))->name, "sm_90");
  EXPECT_STREQ(fallbackTarget(*findTarget("sm_100a"))->name, "sm_100");
}

TEST(Target, NativeIsARowThatThisMachineRuns) {
  auto native = detectNativeTarget();
  if (!native) {
    // A machine below the baseline is told so.
    EXPECT_NE(llvm::toString(native.takeError()).find("lacks AVX2"),
              std::string::npos);
    return;
  }
  EXPECT_EQ(findTarget((*native)->name), *native);
  EXPECT_FALSE((*native)->isReference());
}

} // namespace
