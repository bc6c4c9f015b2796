/*===- Model.c - Stands in for a generated object -------------------------===
 * SPDX-License-Identifier: Apache-2.0
 *===----------------------------------------------------------------------===*/

#include "Fixture.h"

const int fixture_model_id = FIXTURE_MODEL_ID;

/* Must be collected: nothing refers to it. */
__attribute__((visibility("hidden"))) int fixture_unreferenced(void) {
  return FIXTURE_MODEL_ID;
}

#ifdef FIXTURE_GPU
/* As a bundle with code for GPUs does. */
extern const char qcc_gpu_runtime[] __attribute__((visibility("hidden")));
__attribute__((used, retain)) static const char *const fixture_gpu_runtime =
    qcc_gpu_runtime;
#endif
