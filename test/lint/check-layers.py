#!/usr/bin/env python3
# check-layers.py - A library includes only libraries below it.
# SPDX-License-Identifier: Apache-2.0
"""Reads the #include lines of every library and compares them with the table
below, which is that of docs/Architecture.md. A library may always include
itself and the standard library."""
import re
import sys

from sources import files, report, root_argument

COMPILER = {"llvm", "mlir"}
# Library (longest folder first): what it may include beside itself.
ALLOWED = {
    "Support": set(),
    "Formats": set(),
    "Checkpoint": {"Support", "Formats", "nlohmann", "pcre2.h"},
    "Text": {"Support", "Checkpoint", "Runtime", "nlohmann", "utf8proc.h"},
    "Dialects": {"Formats"} | COMPILER,
    "Import": {"Support", "Formats", "Checkpoint", "Dialects"} | COMPILER,
    "Transforms": {"Formats", "Dialects"} | COMPILER,
    "Codegen/Common": {"Formats", "Dialects", "Transforms", "qcc_abi.h", "qcc_gpu.h"} | COMPILER,
    "Codegen/Reference": {"Formats", "Dialects", "Codegen/Common", "qcc_abi.h"} | COMPILER,
    "Codegen/NVPTX": {"Formats", "Dialects", "Codegen/Common", "qcc_abi.h", "qcc_gpu.h"} | COMPILER,
    "Codegen/X86": {"Formats", "Dialects", "Transforms", "Codegen/Common", "qcc_abi.h"} | COMPILER,
    "KernelBench": {"Support", "Formats", "Dialects", "Transforms", "Codegen/Common"} | COMPILER,
    "Package": {"Support", "llvm", "lld", "qcc_payload.h", "qcc_abi.h"},
    "Driver": {"Support", "Formats", "Checkpoint", "Text", "Dialects", "Import", "Transforms",
               "Codegen/Common", "Codegen/NVPTX", "Codegen/Reference", "Codegen/X86", "KernelBench",
               "Package",
               "Runtime",
               "qcc_abi.h", "qcc_payload.h", "qcc.h", "CLI"} | COMPILER,
    "Tools": {"Driver", "Transforms", "Dialects"} | COMPILER,
    "Runtime": {"qcc_abi.h", "qcc_gpu.h", "qcc_payload.h", "qcc.h", "CLI", "pcre2.h", "boost", "nlohmann"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
# Headers of the runtime are named from its folder.
RUNTIME_FOLDERS = {"text", "core", "cli", "device", "serve"}


def library_of(path):
    """The library that a file of the repository belongs to."""
    parts = path.parts
    if parts[0] == "dialects":
        return "Dialects"
    if parts[0] == "runtime":
        return None if parts[1] == "test" else "Runtime"
    if parts[0] == "tools":
        return "Tools"
    inner = parts[1:] if parts[0] == "lib" else parts[2:]
    return "/".join(inner[:2]) if inner[0] == "Codegen" else inner[0]


def target_of(include):
    """What an include line names: a library, a contract header or a package."""
    parts = include.split("/")
    if parts[0] == "qcc" and len(parts) > 2:
        return "/".join(parts[1:3]) if parts[1] == "Codegen" else parts[1]
    if parts[0] == "qcc-rt":
        return parts[-1]
    if parts[0] == "dialects":
        return "Dialects"
    if parts[0] in RUNTIME_FOLDERS:
        return "Runtime"
    if parts[0] in {"llvm", "llvm-c"}:
        return "llvm"
    if parts[0] in {"mlir", "mlir-c"}:
        return "mlir"
    if parts[0] in {"boost", "lld", "nlohmann", "CLI"} or include in {"pcre2.h", "utf8proc.h"}:
        return parts[0]
    return None


def main():
    root = root_argument(__doc__).root
    paths = files(root, ".h", ".cpp", ".c", ".inc",
                  folders=("include", "lib", "dialects", "runtime", "tools"))
    findings = []
    for path in paths:
        library = library_of(path.relative_to(root))
        if library is None:
            continue
        if library not in ALLOWED:
            findings.append(f"{path.relative_to(root)}:1: library '{library}' is not in the table")
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            match = INCLUDE.match(line)
            target = match and target_of(match.group(2))
            if target and target != library and target not in ALLOWED[library]:
                findings.append(f"{path.relative_to(root)}:{number}: {library} must not include "
                                f"{target}: {match.group(2)}")
    return report("check-layers", len(paths), findings)


sys.exit(main())
