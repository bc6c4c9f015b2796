#!/usr/bin/env python3
# check-docs.py - What the documentation points at exists.
# SPDX-License-Identifier: Apache-2.0
"""Checks relative links of Markdown files, and the files and folders of the
repository that they name in code quotes."""
import re
import sys

from sources import files, report, root_argument

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
# `lib/X/Y.cpp`, `test/unit/*`: a path that starts in a folder of the repository.
QUOTED = re.compile(r"`((?:lib|include|dialects|runtime|test|tools|docs|scripts|examples|benchmarks)"
                    r"/[\w./*{},-]*)`")
# Written by a build, or by the reader of a how-to.
ABSENT = re.compile(r"^lib/qcc\b|FooBar|foo-bar|\{|/X$")


def main():
    root = root_argument(__doc__).root
    paths = [p for p in files(root, ".md") if "generated" not in p.parts]
    findings = []
    for path in paths:
        name = path.relative_to(root)
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for target in LINK.findall(line):
                if "://" not in target and not (path.parent / target).exists():
                    findings.append(f"{name}:{number}: no such file: {target}")
            for target in QUOTED.findall(line):
                if not ABSENT.search(target) and not any(root.glob(target.rstrip("/"))):
                    findings.append(f"{name}:{number}: no such file: {target}")
    return report("check-docs", len(paths), findings)


sys.exit(main())
