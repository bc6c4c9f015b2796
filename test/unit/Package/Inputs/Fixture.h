/*===- Fixture.h - What the packaged test programs offer ---------*- C -*-===
 * SPDX-License-Identifier: Apache-2.0
 *
 * Stands in for the runtime's interface: what a packaged file must be able to
 * do for the tests to look inside.
 *===----------------------------------------------------------------------===*/

#ifndef TEST_UNIT_PACKAGE_INPUTS_FIXTURE_H
#define TEST_UNIT_PACKAGE_INPUTS_FIXTURE_H

#include "qcc-rt/qcc_payload.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fixture_api {
  /* Identity of the object file that was packaged. */
  int (*model_id)(void);
  /* Embedded weights, or NULL. */
  const void *(*weights)(uint64_t *bytes, uint64_t *file_offset);
  const qcc_payload_note_t *(*note)(void);
  /* Uses C++ exceptions, thread-local state, libm and stdio; 1 when right. */
  int (*selftest)(double x);
} fixture_api;

/* Defined by the packaged object, used by the runtime archive. */
extern const int fixture_model_id __attribute__((visibility("hidden")));

/* The function that a library exports. */
__attribute__((visibility("default"))) const fixture_api *
qcc_model_query(uint32_t max_version);

#ifdef __cplusplus
}
#endif

#endif /* TEST_UNIT_PACKAGE_INPUTS_FIXTURE_H */
