/*===- abi_compliance.c - The compiler's contract is C11 ---------*- C -*-===
 * SPDX-License-Identifier: Apache-2.0
 *===----------------------------------------------------------------------===*/

#include "qcc-rt/qcc_abi.h"
#include "qcc-rt/qcc_gpu.h"

uint64_t barrier_offset(void);
uint64_t barrier_offset(void) { return offsetof(qcc_step_v1, barrier); }
