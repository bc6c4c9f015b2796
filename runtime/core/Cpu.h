//===- Cpu.h - What this machine offers -------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_CPU_H
#define QCC_RUNTIME_CORE_CPU_H

#include <cstddef>
#include <cstdint>

namespace qcc::rt {

/// QCC_CPU_* bits of instructions that the CPU has and the kernel allows.
uint64_t cpuFeatures();

/// Writes the names of the features in `missing` as "AVX2, FMA, ...". A bit
/// this runtime does not know is written as a number.
void nameCpuFeatures(uint64_t missing, char *text, size_t bytes);

/// Asks the kernel for the AMX tile registers. False if it refuses.
bool enableAmx();

/// Physical cores that this process may run on, at least 1: hyper-threads share
/// one core's memory ports and only slow a step down.
unsigned usableCores();

} // namespace qcc::rt

#endif // QCC_RUNTIME_CORE_CPU_H
