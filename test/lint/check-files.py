#!/usr/bin/env python3
# check-files.py - Rules that hold for every file of the repository.
# SPDX-License-Identifier: Apache-2.0
"""Sources open with their name, a purpose and the licence; files are below 600
lines; lines end plainly; nothing names a path of one person's machine; nothing
is left for later; no file is large or binary except what is listed."""
import re
import sys

from sources import files, report, root_argument

SOURCES = {".cpp", ".h", ".c", ".py", ".td", ".sh"}
MOST_LINES, MOST_BYTES = 600, 500_000
# Tables, texts of others, golden outputs, and tiny models by other tools.
LONG = {"LICENSE"}
# Applications are promised that they need one header.
WHOLE = {"runtime/include/qcc-rt/qcc.h"}
GENERATED = ("docs/generated/", "lib/Formats/GGMLGrids.inc")
BINARY = (".npz", ".png", ".safetensors")
# Of which each byte counts.
EXACT = (".jinja",)
# Written so that this file does not match itself.
MACHINE = re.compile(r"(?<![\w.$}])/(?:ro" r"ot|ho" r"me|wo" r"rk|us" r"er)/\w|loca" r"lhost:|@exam" r"ple\b")
LATER = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")


def check(path, name):
    data = path.read_bytes()
    if len(data) > MOST_BYTES:
        yield f"{name}:1: {len(data)} bytes, more than {MOST_BYTES}"
    if path.suffix in BINARY:
        return
    generated = name.startswith(GENERATED)
    if b"\0" in data:
        yield f"{name}:1: a binary file"
        return
    lines = data.decode(errors="replace").split("\n")
    if path.suffix in SOURCES and len(lines) > MOST_LINES and not generated and name not in WHOLE:
        yield f"{name}:1: {len(lines)} lines, split at {MOST_LINES}"
    if path.suffix in SOURCES and not generated:
        head = "\n".join(lines[:8])
        if path.name not in head:
            yield f"{name}:1: the first lines do not give the file's name and purpose"
        if "SPDX-License-Identifier: Apache-2.0" not in head:
            yield f"{name}:1: no line 'SPDX-License-Identifier: Apache-2.0'"
    if data and not data.endswith(b"\n") and path.suffix not in EXACT:
        yield f"{name}:{len(lines)}: no newline at the end"
    for number, line in enumerate(lines, 1):
        if "\r" in line:
            yield f"{name}:{number}: a carriage return"
        if line != line.rstrip() and not generated and path.suffix not in (".md", *EXACT):
            yield f"{name}:{number}: blanks at the end of the line"
        if MACHINE.search(line):
            yield f"{name}:{number}: a path of one machine: {line.strip()}"
        if LATER.search(line) and name not in LONG:
            yield f"{name}:{number}: left for later: {line.strip()}"


def main():
    root = root_argument(__doc__).root
    paths = files(root)
    findings = [finding for path in paths
                for finding in check(path, str(path.relative_to(root)))]
    return report("check-files", len(paths), findings)


sys.exit(main())
