//===- Allocations.cpp - Counts calls of malloc ---------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The executable's malloc stands before the C library's for all libraries.
//===----------------------------------------------------------------------===//

#include "Allocations.h"

#include <atomic>
#include <cerrno>

#ifndef DEMO_SANITIZED

static std::atomic<size_t> count{0};

extern "C" {
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

void *malloc(size_t bytes) {
  ++count;
  return __libc_malloc(bytes);
}
void *calloc(size_t elements, size_t bytes) {
  ++count;
  return __libc_calloc(elements, bytes);
}
void *realloc(void *old, size_t bytes) {
  ++count;
  return __libc_realloc(old, bytes);
}
int posix_memalign(void **result, size_t alignment, size_t bytes) {
  ++count;
  *result = __libc_memalign(alignment, bytes);
  return *result ? 0 : ENOMEM;
}
}

size_t allocationCount() { return count; }

#else

size_t allocationCount() { return 0; }

#endif
