#!/usr/bin/env python3
# check-filecheck.py - FileCheck ignores a directive without a colon; we do not.
# SPDX-License-Identifier: Apache-2.0
"""Finds comment lines that look like FileCheck directives and check nothing, and
tests with RUN lines through FileCheck that hold no directive of their prefixes."""
import re
import sys

from sources import files, report, root_argument

DEAD = re.compile(r"^\s*(?://|;|#)?\s*[A-Z][A-Z0-9_-]*?-(NEXT|SAME|NOT|DAG|LABEL|EMPTY|COUNT-\d+)\s")
BARE = re.compile(r"^\s*(?://|;|#)\s*CHECK\s")
RUN = re.compile(r"RUN:.*\bFileCheck\b([^|]*)")
PREFIXES = re.compile(r"--?check-prefix(?:es)?[= ](\S+)")


def main():
    root = root_argument(__doc__).root
    paths = files(root, ".mlir", ".test", ".ll", ".td", folders=("test",))
    findings = []
    for path in paths:
        text = path.read_text(errors="replace")
        name = path.relative_to(root)
        for number, line in enumerate(text.splitlines(), 1):
            if DEAD.match(line) or BARE.match(line):
                findings.append(f"{name}:{number}: directive without a colon: {line.strip()}")
        # RUN lines may be continued.
        for run in RUN.finditer(re.sub(r"\\\n\s*(?://|#)\s*RUN:", " ", text)):
            option = PREFIXES.search(run.group(1))
            for prefix in (option.group(1) if option else "CHECK").split(","):
                if not re.search(rf"(?<![\w-]){prefix}(-[A-Z0-9-]+)?:", text):
                    findings.append(f"{name}:1: no directive '{prefix}:' for {run.group(0).strip()}")
    return report("check-filecheck", len(paths), findings)


sys.exit(main())
