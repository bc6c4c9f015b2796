//===- DemoKernels.h - The demo model's kernels -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_TEST_DEMOKERNELS_H
#define QCC_RUNTIME_TEST_DEMOKERNELS_H

#include "FakeCuda.h"

/// Gives the fake driver the kernels that demo_gpu.h names.
extern "C" __attribute__((visibility("default"))) void
fake_kernels(FakeCuda *fake);

#endif // QCC_RUNTIME_TEST_DEMOKERNELS_H
