#!/usr/bin/env python3
# check-target-names.py - Stages 1 to 4 know no processor.
# SPDX-License-Identifier: Apache-2.0
"""Looks for names of processors, their instructions and their ways to run code
in the dialects and in everything up to the schedule, which serves every target
alike: what is special about one belongs to Codegen. The sentence of Passes.td
that states this rule is the one exception."""
import re
import sys

from sources import files, report, root_argument

FOLDERS = ["dialects"] + [f"{top}/{library}" for top in ("lib", "include/qcc")
                          for library in ("Import", "Transforms")]
NAMES = re.compile(
    r"(?<![A-Za-z0-9_])(x86(?:[-_]\w+)?|avx\w*|amx|sse\d?|vnni|vpdp\w+|zmm\d*|ymm\d*|cpus?|cpuid|intel|"
    r"amd|zen\d?|gpus?|cuda|nvidia|nvptx|nvvm|ptx|sm_\d+|warps?|simt|tensor cores?|mma|mbarrier|"
    r"shared memory)(?![A-Za-z0-9])", re.I)
RULE = "No pass names a CPU, a GPU or a weight format"


def main():
    root = root_argument(__doc__).root
    paths = files(root, ".cpp", ".h", ".td", ".inc", ".txt",
                  folders=[f for f in FOLDERS if (root / f).is_dir()])
    findings = []
    for path in paths:
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if RULE in line:
                continue
            for match in NAMES.finditer(line):
                findings.append(f"{path.relative_to(root)}:{number}: names '{match.group(0)}'")
    return report("check-target-names", len(paths), findings)


sys.exit(main())
