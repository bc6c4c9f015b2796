#!/usr/bin/env python3
# check-symbols.py - The runtime holds no LLVM, and qcc holds it once.
# SPDX-License-Identifier: Apache-2.0
"""Looks for names of LLVM and MLIR among the symbols of the runtime's archives,
and for shared LLVM libraries among what qcc asks the loader for."""
import argparse
import re
import subprocess
import sys

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--nm", required=True)
parser.add_argument("--readelf", required=True)
parser.add_argument("--static-llvm", required=True, help="a program with LLVM inside")
parser.add_argument("archives", nargs="+")
arguments = parser.parse_args()


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


findings = []
for archive in arguments.archives:
    symbols = output(arguments.nm, "-A", archive).splitlines()
    if not symbols:
        findings.append(f"{archive}: no symbols")
    findings += [f"{archive}: {line}" for line in symbols
                 if re.search(r"\b_ZNK?(4llvm|4mlir|3lld)", line)]
needed = [line for line in output(arguments.readelf, "-d", arguments.static_llvm).splitlines()
          if "(NEEDED)" in line]
if not needed:
    findings.append(f"{arguments.static_llvm}: no dynamic section")
findings += [f"{arguments.static_llvm}: {line.strip()}" for line in needed
             if re.search(r"LLVM|MLIR|clang", line)]
print("\n".join(findings) or "no LLVM in the runtime, no shared LLVM in qcc")
sys.exit(bool(findings))
