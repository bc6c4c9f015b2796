//===- no_server.cpp - Takes the place of the server in an executable -----===//
// SPDX-License-Identifier: Apache-2.0
//
// What is left out of the link then is what the server adds.
//===----------------------------------------------------------------------===//

#include "cli/Options.h"
#include "cli/Program.h"

int qcc::cli::runServe(Program &, const Options &) { return 1; }
