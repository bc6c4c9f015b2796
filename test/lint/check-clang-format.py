#!/usr/bin/env python3
# check-clang-format.py - C and C++ sources are formatted.
# SPDX-License-Identifier: Apache-2.0
"""Compares each source with what clang-format 22 makes of it (other versions
differ). --fix formats the files. Exits with 77 (skipped) without the program."""
import shutil
import subprocess
import sys

from sources import files, report, root_argument

# The contracts, whose fields and comments are set as tables.
TABLES = {"runtime/include/qcc-rt/qcc_abi.h", "runtime/include/qcc-rt/qcc_gpu.h",
          "runtime/include/qcc-rt/qcc.h"}


def main():
    arguments = root_argument(
        __doc__, ("--clang-format", {"default": "clang-format-22"}),
        ("--fix", {"action": "store_true"}))
    program = shutil.which(arguments.clang_format)
    if not program:
        print(f"skipped: no {arguments.clang_format}, which scripts/install-deps --test brings")
        return 77
    version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    if " version 22." not in version:
        print(f"expected version 22 of clang-format, found {version.strip()}")
        return 1
    paths = [p for p in files(arguments.root, ".cpp", ".h", ".c")
             if str(p.relative_to(arguments.root)) not in TABLES]
    if arguments.fix:
        subprocess.run([program, "-i", *map(str, paths)], check=True)
    # Names the first line of each place that would change.
    done = subprocess.run([program, "--dry-run", *map(str, paths)], capture_output=True, text=True)
    findings = [line.replace(f"{arguments.root}/", "") for line in done.stderr.splitlines()
                if "-Wclang-format-violations" in line]
    if findings:
        findings.append(f"to format: {sys.argv[0]} {arguments.root} --fix")
    return report("check-clang-format", len(paths), findings)


sys.exit(main())
