//===- Cpu.cpp - What this machine offers ---------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Cpu.h"

#include "qcc-rt/qcc_abi.h"

#include <cpuid.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <initializer_list>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace qcc::rt {

/// The register-state components that the kernel saves (XCR0).
static uint64_t savedState() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

uint64_t cpuFeatures() {
  auto all = [](uint32_t word, uint32_t mask) { return (word & mask) == mask; };
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d))
    return 0;
  // FMA, MOVBE, OSXSAVE, AVX, F16C
  if (!all(c, 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29))
    return 0;
  uint64_t saved = savedState();
  if ((saved & 0x6) != 0x6)
    return 0;
  uint32_t a1, b1, c1, d1;
  if (!__get_cpuid(0x80000001u, &a1, &b1, &c1, &d1) || !all(c1, 1u << 5))
    return 0; // LZCNT
  uint32_t a7, b7, c7, d7;
  if (!__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7) ||
      !all(b7, 1u << 3 | 1u << 5 | 1u << 8))
    return 0; // BMI1, AVX2, BMI2
  uint64_t features = QCC_CPU_X86_64_V3;
  uint32_t a71 = 0, b71 = 0, c71 = 0, d71 = 0;
  if (a7 >= 1)
    __get_cpuid_count(7, 1, &a71, &b71, &c71, &d71);
  // F, DQ, CD, BW, VL; opmask and zmm state
  if (all(b7, 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31) &&
      (saved & 0xe6) == 0xe6) {
    features |= QCC_CPU_X86_64_V4;
    if (c7 & 1u << 11)
      features |= QCC_CPU_AVX512_VNNI;
    if (c7 & 1u << 1)
      features |= QCC_CPU_AVX512_VBMI;
    if (a71 & 1u << 5)
      features |= QCC_CPU_AVX512_BF16;
  }
  if (all(d7, 1u << 24) && (saved & 0x60000) == 0x60000) {
    if (d7 & 1u << 25)
      features |= QCC_CPU_AMX_INT8;
    if (d7 & 1u << 22)
      features |= QCC_CPU_AMX_BF16;
  }
  return features;
}

void nameCpuFeatures(uint64_t missing, char *text, size_t bytes) {
  static constexpr struct {
    uint64_t bit;
    char name[32];
  } names[] = {{QCC_CPU_X86_64_V3, "AVX2, FMA, F16C or BMI2"},
               {QCC_CPU_X86_64_V4, "AVX-512 (F, BW, CD, DQ, VL)"},
               {QCC_CPU_AVX512_VNNI, "AVX-512 VNNI"},
               {QCC_CPU_AVX512_VBMI, "AVX-512 VBMI"},
               {QCC_CPU_AVX512_BF16, "AVX-512 BF16"},
               {QCC_CPU_AMX_INT8, "AMX INT8"},
               {QCC_CPU_AMX_BF16, "AMX BF16"}};
  size_t used = 0;
  auto append = [&](const char *name) {
    for (const char *part : {used ? ", " : "", name})
      while (*part && used + 1 < bytes)
        text[used++] = *part++;
    text[used] = '\0';
  };
  text[0] = '\0';
  for (const auto &entry : names)
    if (missing & entry.bit) {
      append(entry.name);
      missing &= ~entry.bit;
    }
  if (missing) {
    char number[40];
    snprintf(number, sizeof number, "features 0x%llx",
             static_cast<unsigned long long>(missing));
    append(number);
  }
}

bool enableAmx() {
  constexpr long requestPermission = 0x1023, tileData = 18;
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}

/// The first number in a small file, or -1.
static long readNumber(const char *path) {
  char text[64];
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return -1;
  ssize_t n = read(file, text, sizeof text - 1);
  close(file);
  if (n <= 0)
    return -1;
  text[n] = '\0';
  char *end;
  long value = strtol(text, &end, 10);
  return end == text ? -1 : value;
}

unsigned usableCores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    return 1;
  // A core is counted at the first of its allowed threads: one whose siblings
  // with lower numbers are not allowed.
  unsigned cores = 0;
  long seen[CPU_SETSIZE];
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed))
      continue;
    char path[96];
    snprintf(path, sizeof path,
             "/sys/devices/system/cpu/cpu%d/topology/core_id", cpu);
    long core = readNumber(path);
    snprintf(path, sizeof path,
             "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu);
    long package = readNumber(path);
    long key = core < 0 || package < 0 ? -1 - cpu : package << 20 | core;
    bool known = false;
    for (unsigned i = 0; i < cores && !known; ++i)
      known = seen[i] == key;
    if (!known)
      seen[cores++] = key;
  }
  return cores ? cores : 1;
}

} // namespace qcc::rt
