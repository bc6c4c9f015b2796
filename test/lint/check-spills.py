#!/usr/bin/env python3
# check-spills.py - Vector registers that a kernel keeps on the stack.
# SPDX-License-Identifier: Apache-2.0
"""Reads assembly (`qcc --emit=asm`, AT&T syntax; several files may follow each
other) and reports the vector instructions that touch the stack inside the
innermost loops of kernels. A kernel's loop is one that multiplies: integer dot
products anywhere (kernels that are used once are inlined), fused multiply-adds
in functions named matmul.*. Prints a line for each such loop; exits with 1 when
one has more spills than allowed, or when there is no loop at all."""
import argparse
import re
import sys

LABEL = re.compile(r"^([.\w$]+):")
JUMP = re.compile(r"^\s+j\w+\s+([.\w$]+)")
FUNCTION = re.compile(r"^\s+\.type\s+([^,\s]+),\s*@function")
DOT = re.compile(r"^\s+(vpdpbusds?|vpmaddubsw|vdpbf16ps|tdpb\w+)\b")
FMA = re.compile(r"^\s+vfn?m(add|sub)\w*ps\b")
VECTOR = re.compile(r"%[txyz]mm\d+")
STACK = re.compile(r"\(%rsp\b")
# %rbp is a register like others where it does not hold the frame.
FRAME = re.compile(r"^\s+movq\s+%rsp, %rbp")
FRAME_STACK = re.compile(r"\(%r[sb]p\b")


def functions(lines):
    """(name, lines) of each function."""
    names, found, current = set(), [], None
    for line in lines:
        if match := FUNCTION.match(line):
            names.add(match.group(1).strip('"'))
            continue
        label = re.match(r'^"?([^":\s]+)"?:', line)
        if label and label.group(1) in names:
            current = []
            found.append((label.group(1), current))
        if current is not None:
            current.append(line)
    return found


def innermost_loops(body):
    """Ranges of lines that end in a jump to their own start and hold no other."""
    labels = {m.group(1): i for i, line in enumerate(body) if (m := LABEL.match(line))}
    loops = []
    for i, line in enumerate(body):
        match = JUMP.match(line)
        if match and labels.get(match.group(1), i) < i:
            loops.append((labels[match.group(1)], i))
    return [(a, b) for a, b in loops
            if not any((c, d) != (a, b) and a <= c and d <= b for c, d in loops)]


def is_kernel(name, loop):
    if any(DOT.match(line) for line in loop):
        return True
    return name.startswith("matmul.") and any(FMA.match(line) for line in loop)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("assembly", type=argparse.FileType("r"), nargs="?", default=sys.stdin)
    parser.add_argument("--show", action="store_true", help="print the instructions")
    parser.add_argument("--allow", type=float, default=0, metavar="SHARE",
                        help="spills for each multiplication that a loop may have")
    arguments = parser.parse_args()
    kernels = spills = refused = 0
    for name, body in functions(arguments.assembly.read().splitlines()):
        has_frame = any(FRAME.match(line) for line in body)
        stack = FRAME_STACK if has_frame else STACK
        for first, last in innermost_loops(body):
            loop = body[first:last + 1]
            if not is_kernel(name, loop):
                continue
            kernels += 1
            found = [line.strip() for line in loop
                     if stack.search(line) and VECTOR.search(line)]
            spills += len(found)
            products = sum(bool(DOT.match(l) or FMA.match(l)) for l in loop)
            refused += len(found) > arguments.allow * products
            print(f"{name} {body[first].rstrip(':')}: {products} multiplications, "
                  f"{len(found)} on the stack")
            if arguments.show:
                print("".join(f"    {line}\n" for line in found), end="")
    print(f"check-spills: {kernels} loops, {spills} spills, {refused} loops with too many")
    return 1 if refused or not kernels else 0


sys.exit(main())
