//===- CommandLine.h - The commands of qcc ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_DRIVER_COMMANDLINE_H
#define QCC_DRIVER_COMMANDLINE_H

namespace qcc {

/// Runs the command in `argv`; prints results on standard output and one line
/// for an error on standard error. Returns the exit code: 0, 1 for an error, 2
/// for wrong usage.
int runCommandLine(int argc, char **argv);

} // namespace qcc

#endif // QCC_DRIVER_COMMANDLINE_H
