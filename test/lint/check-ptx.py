#!/usr/bin/env python3
# check-ptx.py - PTX assembles within a budget, and to the instructions it must.
# SPDX-License-Identifier: Apache-2.0
"""Assembles a PTX file for one chip with NVIDIA's ptxas, warnings being errors,
and prints a line for each kernel: registers, bytes of stack and of spills, and,
with a disassembler, how many asynchronous 128-bit copies, tensor-core products and
loads of matrices it has, and in products of generating steps how many instructions the
loops around those products have, of which none may calculate with halves. Exits with 1 when a kernel spills, uses local memory or takes
more registers than allowed, when a kernel on tensor cores ("matmul_0", "tile_matmul_0",
"several_matmul_0", "attend_prompt_0") lacks those instructions or calculates with halves,
or when there is no kernel."""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

PROPERTIES = re.compile(r"Function properties for (\S+)")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
REGISTERS = re.compile(r"Used (\d+) registers")
SECTION = re.compile(r"\.section\s+\.text\.([^,]+),")
COPY = re.compile(r"\bLDGSTS\.E(?:\.\w+)*\.128\b")
TENSOR = re.compile(r"\b(HMMA|IMMA|QMMA|HGMMA)\.")
MATRIX = re.compile(r"\bLDSM\.")
# Not those that only convert to f32, or set a register to a constant.
HALVES = re.compile(r"\b(?:HADD2|HMUL2|HFMA2)(?!\S*\.F32)\S* (?!.*-RZ, RZ)")
LABEL = re.compile(r"^\s*(\.L_\w+):")
BRANCH = re.compile(r"\bBRA\b.*`\((\.L_\w+)\)")
INSTRUCTION = re.compile(r"/\*[0-9a-f]+\*/\s+\S")
LOCAL = re.compile(r"\b(LDL|STL)\b")


def assemble(ptxas, arch, path, cubin):
    """{kernel: (registers, stack, spills)}, or the assembler's complaint."""
    run = subprocess.run(
        [ptxas, f"-arch={arch}", "-v", "-Werror", "-warn-spills", "-warn-lmem-usage",
         path, "-o", cubin], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if run.returncode:
        return None, run.stdout
    kernels, name, stack, spills = {}, None, 0, 0
    for line in run.stdout.splitlines():
        if match := PROPERTIES.search(line):
            name, stack, spills = match.group(1), 0, 0
        elif match := STACK.search(line):
            stack, spills = int(match.group(1)), int(match.group(2)) + int(match.group(3))
        elif (match := REGISTERS.search(line)) and name:
            kernels[name] = (int(match.group(1)), stack, spills)
    return kernels, run.stdout


def instructions(nvdisasm, cubin):
    """{kernel: lines of SASS}"""
    text = subprocess.run([nvdisasm, "-c", cubin], stdout=subprocess.PIPE, check=True,
                          text=True).stdout
    kernels, lines = {}, None
    for line in text.splitlines():
        if match := SECTION.search(line):
            lines = kernels.setdefault(match.group(1), [])
        elif lines is not None:
            lines.append(line)
    return kernels


def count(pattern, lines):
    return sum(1 for line in lines if pattern.search(line))


def loops(lines):
    """The instructions of the innermost loops that have tensor-core products."""
    labels, code, result = {}, [], []
    for line in lines:
        if match := LABEL.search(line):
            labels[match.group(1)] = len(code)
        elif INSTRUCTION.search(line):
            code.append(line)
            match = BRANCH.search(line)
            start = labels.get(match.group(1)) if match else None
            if start is not None and count(TENSOR, code[start:]):
                result.append((start, len(code)))
    inner = [(a, b) for a, b in result
             if not any((a, b) != (c, d) and a <= c and d <= b for c, d in result)]
    return [line for a, b in inner for line in code[a:b]]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ptxas", required=True)
    parser.add_argument("--nvdisasm", help="also look at the instructions")
    parser.add_argument("--arch", required=True, help="sm_86")
    parser.add_argument("--max-registers", type=int, required=True)
    parser.add_argument("--attention-registers", type=int, help="of kernels of attention")
    parser.add_argument("--prompt-registers", type=int, default=255,
                        help="of those of prompts' attention")
    parser.add_argument("--tile-registers", type=int, default=255,
                        help="of prompts' matmuls")
    parser.add_argument("--several-registers", type=int, default=128,
                        help="of those of steps with several rows")
    parser.add_argument("ptx")
    options = parser.parse_args()
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        cubin = str(pathlib.Path(folder) / "kernels.cubin")
        kernels, log = assemble(options.ptxas, options.arch, options.ptx, cubin)
        if not kernels:
            print(log)
            print(f"{options.arch}: " + ("no kernel" if kernels == {} else "does not assemble"))
            return 1
        sass = instructions(options.nvdisasm, cubin) if options.nvdisasm else {}
        for name, (registers, stack, spills) in sorted(kernels.items()):
            text = f"{options.arch} {name}: {registers} registers, {stack} bytes of stack, " \
                   f"{spills} of spills"
            most = options.max_registers
            is_tile = name.startswith("tile_matmul_")
            is_prompt = is_tile or name.startswith("attend_prompt_")
            if name.startswith("attend_"):
                most = options.attention_registers or most
            if is_prompt:
                most = options.tile_registers if is_tile else options.prompt_registers
            if name.startswith("several_matmul_"):
                most = options.several_registers
            if registers > most or stack or spills:
                failures.append(name)
            if options.nvdisasm:
                lines = sass.get(name, [])
                copies, products = count(COPY, lines), count(TENSOR, lines)
                matrices = count(MATRIX, lines)
                text += f", {copies} copies of 128 bits, {products} tensor products"
                if is_prompt:
                    text += f", {matrices} loads of matrices"
                if name.startswith(("matmul_", "several_matmul_")):
                    loop = loops(lines)
                    text += f", {len(loop)} instructions in loops"
                    if count(HALVES, loop):
                        failures.append(name)
                on_tensor_cores = name.startswith(("matmul_", "several_matmul_")) or is_prompt
                if (on_tensor_cores and not (copies and products)) or count(LOCAL, lines) or \
                        (is_prompt and not matrices):
                    failures.append(name)
            print(text)
    if failures:
        print("over the budget or without a needed instruction: " + ", ".join(failures))
    return 1 if failures else 0


sys.exit(main())
