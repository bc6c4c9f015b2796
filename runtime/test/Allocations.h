//===- Allocations.h - Counts calls of malloc -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_TEST_ALLOCATIONS_H
#define QCC_RUNTIME_TEST_ALLOCATIONS_H

#include <cstddef>

/// Allocations of this process so far, by whatever library.
size_t allocationCount();

#endif // QCC_RUNTIME_TEST_ALLOCATIONS_H
