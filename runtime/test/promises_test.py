#!/usr/bin/env python3
# promises_test.py - What a library built from the runtime never does
# SPDX-License-Identifier: Apache-2.0
"""Looks at the archives of the core and of the device interface: no call that ends,
forks, prints to or takes signals of the host process, no variable that could
change, no constructor. Then at a library linked from the core: one exported symbol,
and nothing of the device interface, which a model for the CPU does not carry. And at
executables with the server and without: it adds 1.5 MB at most."""

import os
import subprocess
import sys
import tempfile

FORBIDDEN = {
    "abort", "exit", "_exit", "quick_exit", "atexit", "__cxa_atexit", "__assert_fail",
    "printf", "puts", "putchar", "fputs", "fprintf", "vfprintf", "fwrite", "perror",
    "stdout", "stderr", "stdin", "__printf_chk", "__fprintf_chk",
    "signal", "sigaction", "kill", "raise", "fork", "vfork", "system", "execve",
    "setlocale", "setenv", "putenv", "environ",
}


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def look_at(archive, name, expected):
    """Findings about an archive, which is known to call `expected`."""
    findings = []
    undefined = {line.split()[-1] for line in output("nm", "-u", archive).splitlines()
                 if line.strip().startswith("U ")}
    if expected not in undefined:
        findings.append("nm shows no call of %s: is this %s?" % (expected, name))
    findings += ["%s uses %s" % (name, symbol) for symbol in sorted(undefined & FORBIDDEN)]
    for line in output("readelf", "-SW", archive).splitlines():
        fields = line.replace("[", " ").replace("]", " ").split()
        if len(fields) < 6 or not fields[0].isdigit():
            continue
        section, size = fields[1], fields[5]
        base = "." + section.split(".")[1] if section.startswith(".") else section
        if base in (".init_array", ".ctors", ".fini_array"):
            findings.append("%s has a constructor: %s" % (name, section))
        # Pointers that the loader fills in are read-only afterwards; the compiler
        # makes one for the exceptions that Text.cpp catches.
        changeable = base in (".data", ".bss", ".tdata", ".tbss") and \
            not section.startswith(".data.rel.ro") and \
            not section.endswith("DW.ref.__gxx_personality_v0")
        if changeable and int(size, 16):
            findings.append("%s has a variable: %s of %d bytes" % (name, section, int(size, 16)))
    return findings


def stripped_size(program):
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(["strip", "-o", file.name, program], check=True)
        return os.path.getsize(file.name)


def main():
    core, device, library, whole, without_server = sys.argv[1:]
    findings = look_at(core, "the core", "mmap") + look_at(device, "the device interface", "dlopen")
    with open(library, "rb") as file:
        if b"libcuda" in file.read():
            findings.append("the library carries the device interface")
    exported = [line.split()[-1].split("@")[0]
                for line in output("nm", "-D", "--defined-only", library).splitlines()
                if line.split()[-2] != "A"]
    if exported != ["qcc_model_query"]:
        findings.append("the library exports " + ", ".join(exported))
    headers = output("readelf", "-lW", library)
    if "GNU_RELRO" not in headers or " RWE " in headers:
        findings.append("the library has no RELRO segment, or one to write and execute")
    if "NOW" not in output("readelf", "-dW", library):
        findings.append("the library is bound lazily")
    added = stripped_size(whole) - stripped_size(without_server)
    print("the server adds %d bytes" % added)
    if not 100000 < added <= 1500000:
        findings.append("expected the server to add up to 1500000 bytes")
    for finding in findings:
        print(finding)
    sys.exit(bool(findings))


main()
