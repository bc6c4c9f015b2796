//===- Target.cpp - Descriptions of what code is made for -----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/Common/Target.h"
#include "qcc-rt/qcc_abi.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"

#include <bit>
#include <sys/syscall.h>
#include <tuple>
#include <unistd.h>

using namespace qcc;

static constexpr uint64_t kV3 = QCC_CPU_X86_64_V3;
static constexpr uint64_t kV4 = kV3 | QCC_CPU_X86_64_V4 | QCC_CPU_AVX512_VNNI;
static constexpr uint64_t kVbmi = kV4 | QCC_CPU_AVX512_VBMI;
static constexpr uint64_t kBf16 = kVbmi | QCC_CPU_AVX512_BF16;
static constexpr uint64_t kAmx = kBf16 | QCC_CPU_AMX_INT8 | QCC_CPU_AMX_BF16;

// The order of instructions in which all accumulators of the kernels stay in
// registers. That for Ice Lake moves loads so far ahead that a third of some
// loops goes to the stack, and cores of all makers reorder by themselves.
static constexpr const char *kTuneV4 = "znver4";

// LLVM's own "znver4" or "icelake-server" would let it use instructions that
// cpu_features has no bit for (GFNI, VPOPCNTDQ, ...). So each row is the psABI
// level plus exactly what is asked for at start; the CPU's name only tunes.
// The psABI's x86-64-v4 has no VNNI; here it does, as every CPU since Ice Lake
// and Zen 4, since the kernels are built on it.
static const TargetSpec kTargets[] = {
    {TargetKind::Reference, "reference",
     "scalar f32, the definition of correct; slow", "x86-64", "", "generic", 0,
     0, 16, DotKind::Scalar},
    {TargetKind::X86, "x86-64-v3", "AVX2 (Haswell 2013, Zen 1 and later)",
     "x86-64-v3", "", "haswell", kV3, 256, 16, DotKind::Maddubs},
    {TargetKind::X86, "x86-64-v4",
     "AVX-512 with VNNI (Ice Lake, Zen 4 and later)", "x86-64-v4",
     "+avx512vnni", kTuneV4, kV4, 512, 32, DotKind::Vnni},
    {TargetKind::X86, "icelake-server",
     "AVX-512 with VNNI and VBMI (Ice Lake and later)", "x86-64-v4",
     "+avx512vnni,+avx512vbmi", kTuneV4, kVbmi, 512, 32, DotKind::Vnni},
    {TargetKind::X86, "znver4",
     "AVX-512 with VNNI, VBMI and BF16, tuned for Zen 4", "x86-64-v4",
     "+avx512vnni,+avx512vbmi,+avx512bf16", kTuneV4, kBf16, 512, 32,
     DotKind::Vnni},
    {TargetKind::X86, "sapphirerapids",
     "AVX-512 with VNNI, VBMI and BF16, and AMX (Sapphire Rapids and later)",
     "x86-64-v4", "+avx512vnni,+avx512vbmi,+avx512bf16,+amx-int8,+amx-bf16",
     "sapphirerapids", kAmx, 512, 32, DotKind::Vnni},
    // The PTX version is the lowest that the chip allows, since a driver
    // rejects newer ones.
    {TargetKind::NVPTX, "sm_80", "NVIDIA Ampere (A100)", "sm_80", "+ptx70", "",
     0, 128, 128, DotKind::Mma, 163 * 1024, 80, 11000},
    {TargetKind::NVPTX, "sm_86", "NVIDIA Ampere (RTX 30, A10, A40)", "sm_86",
     "+ptx71", "", 0, 128, 128, DotKind::Mma, 99 * 1024, 86, 11010},
    {TargetKind::NVPTX, "sm_89", "NVIDIA Ada (RTX 40, L4, L40)", "sm_89",
     "+ptx78", "", 0, 128, 128, DotKind::Mma, 99 * 1024, 89, 11080},
    {TargetKind::NVPTX, "sm_90", "NVIDIA Hopper (H100, H200)", "sm_90",
     "+ptx78", "", 0, 128, 128, DotKind::Mma, 227 * 1024, 90, 11080},
    {TargetKind::NVPTX, "sm_90a", "NVIDIA Hopper, code for no other GPU",
     "sm_90a", "+ptx80", "", 0, 128, 128, DotKind::Mma, 227 * 1024, 90, 12000},
    {TargetKind::NVPTX, "sm_100", "NVIDIA Blackwell (B200)", "sm_100", "+ptx86",
     "", 0, 128, 128, DotKind::Mma, 227 * 1024, 100, 12070},
    {TargetKind::NVPTX, "sm_100a",
     "NVIDIA Blackwell (B200), code for no other GPU", "sm_100a", "+ptx86", "",
     0, 128, 128, DotKind::Mma, 227 * 1024, 100, 12070},
    {TargetKind::NVPTX, "sm_120", "NVIDIA Blackwell (RTX 50)", "sm_120",
     "+ptx87", "", 0, 128, 128, DotKind::Mma, 99 * 1024, 120, 12080},
};

bool TargetSpec::multipliesBlocks() const {
  constexpr uint64_t all = QCC_CPU_AMX_INT8 | QCC_CPU_AMX_BF16;
  return (cpuFeatures & all) == all;
}

llvm::ArrayRef<TargetSpec> qcc::targetTable() { return kTargets; }

const TargetSpec *qcc::findTarget(llvm::StringRef name) {
  for (const TargetSpec &target : kTargets)
    if (name == target.name)
      return &target;
  return nullptr;
}

const TargetSpec *qcc::fallbackTarget(const TargetSpec &target) {
  return target.isSpecificGpu()
             ? findTarget(llvm::StringRef(target.name).drop_back())
             : nullptr;
}

/// QCC_CPU_* of this machine. LLVM's detection counts a feature only when the
/// operating system saves its registers.
static uint64_t hostFeatures() {
  llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  auto all = [&](std::initializer_list<const char *> names) {
    return llvm::all_of(names, [&](const char *name) {
      auto found = host.find(name);
      return found != host.end() && found->second;
    });
  };
  uint64_t features = 0;
  if (all({"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"}))
    features |= QCC_CPU_X86_64_V3;
  if (all({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}))
    features |= QCC_CPU_X86_64_V4;
  if (all({"avx512vnni"}))
    features |= QCC_CPU_AVX512_VNNI;
  if (all({"avx512vbmi"}))
    features |= QCC_CPU_AVX512_VBMI;
  if (all({"avx512bf16"}))
    features |= QCC_CPU_AVX512_BF16;
  if (all({"amx-tile", "amx-int8"}))
    features |= QCC_CPU_AMX_INT8;
  if (all({"amx-tile", "amx-bf16"}))
    features |= QCC_CPU_AMX_BF16;
  return features;
}

/// Of two CPUs by their names, such as znver4 and znver5.
static bool areOfOneFamily(llvm::StringRef a, llvm::StringRef b) {
  constexpr size_t letters = 5;
  return a.take_front(letters) == b.take_front(letters);
}

llvm::Expected<const TargetSpec *> qcc::detectNativeTarget() {
  uint64_t features = hostFeatures();
  llvm::StringRef cpu = llvm::sys::getHostCPUName();
  // A CPU that has no row of its own gets the row that uses most of what it
  // has, if possible one tuned for its family.
  const TargetSpec *best = nullptr;
  auto rank = [&](const TargetSpec &target) {
    return std::tuple(std::popcount(target.cpuFeatures),
                      areOfOneFamily(cpu, target.name));
  };
  for (const TargetSpec &target : kTargets) {
    if (target.kind != TargetKind::X86 || (target.cpuFeatures & ~features))
      continue;
    if (cpu == target.name)
      return &target;
    if (!best || rank(target) > rank(*best))
      best = &target;
  }
  if (!best)
    return llvm::createStringError("target 'native': this CPU (" + cpu +
                                   ") lacks AVX2, FMA, F16C or BMI2");
  return best;
}

llvm::Error qcc::allowTarget(const TargetSpec &target) {
  constexpr long requestPermission = 0x1023, tileData = 18;
  if (target.multipliesBlocks() &&
      syscall(SYS_arch_prctl, requestPermission, tileData) != 0)
    return llvm::createStringError(
        "the kernel does not allow AMX, which target '" +
        llvm::StringRef(target.name) + "' needs");
  return llvm::Error::success();
}

std::string qcc::closestWord(llvm::StringRef text,
                             llvm::ArrayRef<llvm::StringRef> words) {
  std::string best;
  unsigned limit = unsigned(text.size() / 2 + 1);
  for (llvm::StringRef word : words) {
    unsigned distance = text.edit_distance_insensitive(word, true, limit);
    if (distance < limit) {
      limit = distance;
      best = word.str();
    }
  }
  return best;
}

llvm::Expected<std::vector<const TargetSpec *>>
qcc::parseTargets(llvm::StringRef list) {
  llvm::SmallVector<llvm::StringRef> names;
  list.split(names, ',');
  std::vector<const TargetSpec *> targets;
  for (llvm::StringRef name : names) {
    name = name.trim();
    const TargetSpec *target = findTarget(name);
    if (name == "native") {
      llvm::Expected<const TargetSpec *> native = detectNativeTarget();
      if (!native)
        return native.takeError();
      target = *native;
    }
    if (!target) {
      llvm::SmallVector<llvm::StringRef> all;
      for (const TargetSpec &known : kTargets)
        all.push_back(known.name);
      all.push_back("native");
      std::string hint = closestWord(name, all);
      return llvm::createStringError(
          "unknown target '" + name + "'" +
          (hint.empty() ? "" : "; did you mean '" + hint + "'?") +
          " (targets: " + llvm::join(all, ", ") + ")");
    }
    if (!llvm::is_contained(targets, target))
      targets.push_back(target);
  }
  llvm::sort(targets); // Rows of one table: its order is the preference.
  return targets;
}
