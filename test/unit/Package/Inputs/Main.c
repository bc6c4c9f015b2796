/*===- Main.c - Stands in for the executable's main ------------------------===
 * SPDX-License-Identifier: Apache-2.0
 *
 * Prints what it finds, one fact a line; status 3 when the weights are missing.
 *===----------------------------------------------------------------------===*/

#include "Fixture.h"

#include <inttypes.h>
#include <stdio.h>

int fixture_cli(const fixture_api *api);

int main(void) {
  const fixture_api *api = qcc_model_query(1);
  const unsigned char *weights;
  uint64_t bytes, offset = 0, hash = UINT64_C(14695981039346656037), i;
  if (!api->selftest(0.5)) {
    fputs("the selftest failed\n", stderr);
    return 4;
  }
  printf("model %d\n", api->model_id());
  weights = (const unsigned char *)api->weights(&bytes, &offset);
  if (api->note()->flags & QCC_PAYLOAD_EXTERNAL) {
    printf("external %s\n", api->note()->file_name);
    return 0;
  }
  if (!weights) {
    fputs("weights missing (was this file stripped?)\n", stderr);
    return 3;
  }
  for (i = 0; i < bytes; ++i)
    hash = (hash ^ weights[i]) * UINT64_C(1099511628211);
  printf("weights %" PRIu64 " at %" PRIu64 " hash %016" PRIx64 "\n", bytes,
         (uint64_t)(uintptr_t)weights % QCC_PAYLOAD_ALIGNMENT, hash);
  return fixture_cli(api);
}
