/*===- Cli.c - Stands in for the command-line archive ----------------------===
 * SPDX-License-Identifier: Apache-2.0
 *===----------------------------------------------------------------------===*/

#include "Fixture.h"

int fixture_cli(const fixture_api *api);
int fixture_cli(const fixture_api *api) { return api->model_id() == 0; }
