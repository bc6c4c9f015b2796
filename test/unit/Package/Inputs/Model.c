/*===- Model.c - Stands in for a generated object -------------------------===
 * SPDX-License-Identifier: Apache-2.0
 *===----------------------------------------------------------------------===*/

#include "Fixture.h"

const int fixture_model_id = FIXTURE_MODEL_ID;

/* Must be collected: nothing refers to it. */
__attribute__((visibility("hidden"))) int fixture_unreferenced(void) {
  return FIXTURE_MODEL_ID;
}
