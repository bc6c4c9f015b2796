#!/usr/bin/env python3
# check-format-names.py - Passes and code generation know no weight format.
# SPDX-License-Identifier: Apache-2.0
"""Looks for names of weight formats and of their files where only descriptions
(encodings) may be known: a new format must not need a change there."""
import re
import sys

from sources import files, report, root_argument

FOLDERS = ["dialects"] + [f"{top}/{library}" for top in ("lib", "include/qcc")
                          for library in ("Transforms", "Conversion", "Codegen")]
# Families and files of formats; the names of types come from lib/Formats.
FAMILIES = ["ggml", "gguf", "k-?quants?", "gptq", "awq", "bitsandbytes", "bnb", "nf4", "fp4",
            "mxfp[468]", "nvfp4", "exl[23]", "exllama", "hqq", "aqlm", "quip", "marlin",
            "compressed-tensors", "safetensors", "iq[1-9]\\w*", "tq[1-9]_\\d"]
# Element types are no weight formats.
ELEMENTS = {"F64", "F32", "F16", "BF16", "I8", "I16", "I32", "I64"}
TYPE_NAME = re.compile(r'"([A-Z]+\d[A-Z0-9_]*)"')


def format_names(root):
    names = set()
    for path in files(root, ".cpp", folders=("lib/Formats",)):
        names |= set(TYPE_NAME.findall(path.read_text()))
    return sorted(names - ELEMENTS)


def main():
    root = root_argument(__doc__).root
    names = format_names(root)
    if not {"Q4_0", "Q4_K"} <= set(names):
        print("check-format-names: found no names of types in lib/Formats")
        return 1
    pattern = re.compile(r"(?<![A-Za-z0-9])(" + "|".join([re.escape(n) for n in names] + FAMILIES)
                         + r")(?![A-Za-z0-9])", re.I)
    paths = files(root, ".cpp", ".h", ".td", ".inc", ".txt",
                  folders=[f for f in FOLDERS if (root / f).is_dir()])
    findings = []
    for path in paths:
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            for match in pattern.finditer(line):
                findings.append(f"{path.relative_to(root)}:{number}: names the format "
                                f"'{match.group(0)}'")
    return report("check-format-names", len(paths), findings)


sys.exit(main())
