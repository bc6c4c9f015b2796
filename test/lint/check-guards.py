#!/usr/bin/env python3
# check-guards.py - A header's guard is its include path in capitals.
# SPDX-License-Identifier: Apache-2.0
"""Compares the guard of each header with the path by which it is included."""
import re
import sys

from sources import files, report, root_argument

# Folders that are on the include path, longest first.
INCLUDED_FROM = ("include", "runtime/include")
GUARD = re.compile(r"^#ifndef (\S+)\n#define (\S+)\n", re.M)


def guards_of(path):
    """The guards that a header may have: headers of one folder's own use may be
    named from the repository's root or from the library."""
    names = {str(path)}
    for folder in INCLUDED_FROM:
        if path.is_relative_to(folder):
            names = {str(path.relative_to(folder))}
    if path.is_relative_to("runtime/test") or path.parts[0] == "test":
        names.add("qcc/" + str(path))
    return {re.sub(r"[^A-Z0-9]", "_", name.upper()) for name in names} | {
        "QCC_" + re.sub(r"[^A-Z0-9]", "_", name.upper()) for name in names}


def main():
    root = root_argument(__doc__).root
    paths = [p for p in files(root, ".h", folders=("include", "lib", "dialects", "runtime",
                                                   "tools", "test", "examples"))]
    findings = []
    for path in paths:
        name = path.relative_to(root)
        match = GUARD.search(path.read_text(errors="replace"))
        expected = guards_of(name)
        if not match or match.group(1) != match.group(2):
            findings.append(f"{name}:1: no include guard, expected {min(expected)}")
        elif match.group(1) not in expected:
            findings.append(f"{name}:1: guard {match.group(1)}, expected {min(expected)}")
    return report("check-guards", len(paths), findings)


sys.exit(main())
