//===- Fiber.cpp - Cooperative contexts with stacks of their own ----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Fiber.h"

#include <cstdint>
#include <cstring>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define QCC_ADDRESS_SANITIZER
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define QCC_ADDRESS_SANITIZER
#endif
#ifdef QCC_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

#ifndef __x86_64__
#error "the emulator runs on x86-64, as the code that it is compared with does"
#endif

using namespace qcc::emulator;

// void qccEmulatorSwitch(void **from, void *to), System V convention. A new
// fiber begins in qccEmulatorStart, with its function in r13, argument in r12.
// It returns by a jump: the processor would predict a ret from the other
// fiber's calls, always wrongly, at ten times the cost.
asm(R"(
  .text
  .p2align 4
  .local qccEmulatorSwitch
  .type qccEmulatorSwitch, @function
qccEmulatorSwitch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmpq *%rcx
  .size qccEmulatorSwitch, .-qccEmulatorSwitch

  .p2align 4
  .local qccEmulatorStart
  .type qccEmulatorStart, @function
qccEmulatorStart:
  movq %r12, %rdi
  callq *%r13
  ud2
  .size qccEmulatorStart, .-qccEmulatorStart
)");

extern "C" void qccEmulatorSwitch(void **from, void *to);
extern "C" void qccEmulatorStart();

void qcc::emulator::switchFiber(void **from, void *to) {
  qccEmulatorSwitch(from, to);
}

static constexpr size_t kGuardBytes = 4096;
static constexpr size_t kStride = FiberStacks::kBytes + kGuardBytes;

FiberStacks::~FiberStacks() { release(); }

void FiberStacks::release() {
  if (memory)
    munmap(memory, capacity * kStride);
  memory = nullptr;
  capacity = 0;
}

bool FiberStacks::reserve(size_t count) {
  if (count <= capacity)
    return true;
  release();
  void *mapped =
      mmap(nullptr, count * kStride, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (mapped == MAP_FAILED)
    return false;
  memory = static_cast<char *>(mapped);
  capacity = count;
  for (size_t i = 0; i < count; ++i)
    if (mprotect(memory + i * kStride, kGuardBytes, PROT_NONE))
      return false;
  return true;
}

bool FiberStacks::contains(const void *address) const {
  auto offset = reinterpret_cast<uintptr_t>(address) -
                reinterpret_cast<uintptr_t>(memory);
  return offset < capacity * kStride;
}

void *FiberStacks::start(size_t index, void (*function)(void *),
                         void *argument) {
  struct Frame {
    uint64_t r15 = 0, r14 = 0, r13 = 0, r12 = 0, rbx = 0, rbp = 0, next = 0;
    uint64_t padding[2] = {}; // Aligns the stack to 16 once `next` is popped.
  } frame;
  frame.r13 = reinterpret_cast<uint64_t>(function);
  frame.r12 = reinterpret_cast<uint64_t>(argument);
  frame.next = reinterpret_cast<uint64_t>(&qccEmulatorStart);
#ifdef QCC_ADDRESS_SANITIZER
  // The marks of functions that a dropped fiber was in are still there.
  __asan_unpoison_memory_region(memory + index * kStride + kGuardBytes, kBytes);
#endif
  char *top = memory + (index + 1) * kStride - sizeof(frame);
  std::memcpy(top, &frame, sizeof(frame));
  return top;
}
