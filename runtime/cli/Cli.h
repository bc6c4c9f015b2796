/*===- Cli.h - The command line of a compiled model --------------*- C -*-===
 * SPDX-License-Identifier: Apache-2.0
 *===----------------------------------------------------------------------===*/

#ifndef QCC_RUNTIME_CLI_CLI_H
#define QCC_RUNTIME_CLI_CLI_H

#include "qcc-rt/qcc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Runs the command in argv for the model behind `api`, which may be the
 * program's own or that of a loaded library; argv[0] is what messages and help
 * call the program. Returns the exit code: 0, 1 for an error, 2 for wrong
 * usage, 130 when interrupted. Uses stdin, stdout and stderr; handles SIGINT
 * and ignores SIGPIPE while it runs. One call at a time. */
int qcc_cli_main(const qcc_api_v1 *api, int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif /* QCC_RUNTIME_CLI_CLI_H */
