//===- qcc.cpp - The compiler's program -----------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Driver/CommandLine.h"

#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/raw_ostream.h"
#include <csignal>
#include <unistd.h>

/// LLVM cannot report running out of memory in any other way.
static void fatal(void *, const char *reason, bool) {
  llvm::errs() << "qcc: error: " << reason << '\n';
  _exit(1);
}

int main(int argc, char **argv) {
  llvm::install_fatal_error_handler(fatal);
  // A closed pipe and a file size limit are errors of the write, not the end of
  // the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  return qcc::runCommandLine(argc, argv);
}
