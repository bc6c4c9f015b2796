//===- Isolation.h - Takes things away from a test's child ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// For forked children only: none of this can be undone.
//===----------------------------------------------------------------------===//

#ifndef TEST_UNIT_PACKAGE_ISOLATION_H
#define TEST_UNIT_PACKAGE_ISOLATION_H

#include <string>

/// From here on starting a program or a process ends the caller (SIGSYS).
bool forbidPrograms();

/// From here on the system has no unnamed temporary files, as some file systems
/// do not.
bool forbidUnnamedFiles();

/// From here on the system call `number` does nothing and fails with `error`.
bool failCalls(long number, int error);

/// Gives up root's right to write where the permission bits say no.
bool dropFilePrivileges();

/// A mount name space of the caller's own. False where the system does not
/// allow it.
bool enterOwnMounts();

#endif // TEST_UNIT_PACKAGE_ISOLATION_H
