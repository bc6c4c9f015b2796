//===- Target.h - Descriptions of what code is made for ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A target is a row of data: what LLVM may use, what the runtime must find at
// start (cpu_features of qcc_abi.h covers every feature that LLVM is given),
// and the few facts that kernels are shaped by. Kernels ask for facts, never
// for names, so that a new CPU is a new row.
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_COMMON_TARGET_H
#define QCC_CODEGEN_COMMON_TARGET_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <string>
#include <vector>

namespace qcc {

/// Which backend makes code for a target.
enum class TargetKind {
  Reference, ///< Scalar f32.
  X86,
  NVPTX,
};

/// How products of weights and activations are added.
enum class DotKind {
  Scalar,  ///< One by one (reference).
  Maddubs, ///< vpmaddubsw + vpmaddwd: four bytes to 32 bits, 256 bits wide.
  Vnni,    ///< vpdpbusd: four bytes to 32 bits, 512 bits wide.
  Mma,     ///< mma.m16n8k16 of f16, added in f32.
};

struct TargetSpec {
  TargetKind kind;
  const char *name;     ///< "x86-64-v4".
  const char *summary;  ///< One line for --list-targets.
  const char *cpu;      ///< LLVM's baseline.
  const char *features; ///< Added to it: "+avx512vnni".
  const char *tune;     ///< LLVM's scheduling model.
  uint64_t cpuFeatures; ///< QCC_CPU_* that the machine must have.
  unsigned vectorBits;  ///< Width of the vectors that kernels use; 0: scalar.
  unsigned registers;   ///< Vector registers of that width; on a GPU, the most
                        ///< that a thread of a kernel may use.
  DotKind dot;
  // On a GPU:
  unsigned sharedBytes = 0;     ///< Most shared memory of a block.
  unsigned gpuArchitecture = 0; ///< 86 for sm_86.
  unsigned cudaVersion = 0;     ///< Oldest that takes the PTX: 11010 is 11.1.

  bool isReference() const { return kind == TargetKind::Reference; }
  bool isGpu() const { return kind == TargetKind::NVPTX; }
  /// Whether blocks of rows are multiplied by blocks of weights, in registers
  /// made for them.
  bool multipliesBlocks() const;
  /// Whether blocks of a launch may begin while those of the one before it
  /// still run, and wait for them where they must.
  bool startsLaunchesEarly() const { return isGpu() && gpuArchitecture >= 90; }
  /// Whether its code runs on no other kind of GPU, not even a newer one.
  bool isSpecificGpu() const {
    return isGpu() && llvm::StringRef(name).ends_with("a");
  }
};

/// Every target, in ascending order of preference, the reference first.
llvm::ArrayRef<TargetSpec> targetTable();

/// Null when there is none of that name.
const TargetSpec *findTarget(llvm::StringRef name);

/// For a target whose code runs on one kind of GPU alone (sm_90a), the one of
/// the same kind whose code newer GPUs take too (sm_90); else null. It takes
/// whatever kernels were planned for the other.
const TargetSpec *fallbackTarget(const TargetSpec &target);

/// The best target that this machine runs; an error when it lacks the baseline.
llvm::Expected<const TargetSpec *> detectNativeTarget();

/// Asks the operating system for what this process must have to run code for
/// `target`, whose instructions the machine has.
llvm::Error allowTarget(const TargetSpec &target);

/// Reads "x86-64-v3,x86-64-v4"; "native" is the machine's own. The result is in
/// ascending order of preference, as a bundle wants it. Errors name the closest
/// target and all of them.
llvm::Expected<std::vector<const TargetSpec *>>
parseTargets(llvm::StringRef list);

/// The word of `words` that `text` is a likely misspelling of; empty for none.
std::string closestWord(llvm::StringRef text,
                        llvm::ArrayRef<llvm::StringRef> words);

} // namespace qcc

#endif // QCC_CODEGEN_COMMON_TARGET_H
