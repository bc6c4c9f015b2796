/*===- Incomplete.c - An object that misses a function --------------------===
 * SPDX-License-Identifier: Apache-2.0
 *===----------------------------------------------------------------------===*/

#include "Fixture.h"

extern int fixture_missing_function(void);

const int fixture_model_id = 3;
int (*const fixture_use)(void) = fixture_missing_function;

__attribute__((constructor)) static void run(void) { fixture_use(); }
