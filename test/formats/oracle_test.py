#!/usr/bin/env python3
# oracle_test.py - Compares block decoding with decoders that we did not write.
# SPDX-License-Identifier: Apache-2.0
#
#   oracle_test.py path/to/qcc-format-tool [--blocks N] [--seed S]
#
# Feeds random blocks of every type to qcc-format-tool and compares, bit for bit,
# with the dequantizers of the PyPI package `gguf`, and with format_oracle.py where
# a checkout has it beside it (../shared/reference). Half of the blocks have
# ordinary scales, the others are random in every byte, so that subnormal,
# infinite and NaN scales occur. For types with an Encoding the decode through
# fields and the decode after packing must give the same bits too.
#
# Any NaN equals any NaN. Exits 77 (skipped) when neither reference is there.

import argparse
import os
import subprocess
import sys

try:
    import numpy as np
except ImportError:
    print("skipped: numpy is not there")
    sys.exit(77)

HERE = os.path.dirname(os.path.abspath(__file__))
ORACLE_DIR = os.path.join(HERE, "..", "..", "..", "shared", "reference")

# Where a block's f16 scales lie, to give half of the blocks ordinary ones.
SCALES = {
    "Q2_K": (80, 82), "Q3_K": (108,), "Q6_K": (208,), "Q4_1": (0, 2),
    "Q5_1": (0, 2), "Q4_K": (0, 2), "Q5_K": (0, 2), "TQ1_0": (52,),
    "TQ2_0": (64,), "MXFP4": (), "NVFP4": (), "IQ1_M": (), "Q8_1": (0, 2),
    "Q8_K": (),
}
# Plain numbers, which numpy reads.
PLAIN = {"F32": "<f4", "F16": "<f2", "I8": "i1", "I16": "<i2", "I32": "<i4",
         "I64": "<i8", "F64": "<f8"}
# gguf counts 40 bytes, ggml and formats.md 36; the type occurs in no file.
OTHER_SIZE = ("Q8_1",)
# E2M1 has a negative zero, which ggml reads as zero and format_oracle.py keeps.
SIGNLESS_ZERO = ("MXFP4", "NVFP4")


def import_gguf():
    try:
        import gguf
        return gguf
    except ImportError:
        return None


def import_oracle():
    path = os.path.join(ORACLE_DIR, "format_oracle.py")
    if not os.path.exists(path):
        return None
    sys.path.insert(0, ORACLE_DIR)
    sys.dont_write_bytecode = True
    import format_oracle
    try:
        format_oracle.load_grids()
    except ImportError:
        pass
    return format_oracle


def random_blocks(rng, name, block_bytes, count):
    blocks = rng.integers(0, 256, (count, block_bytes), dtype=np.uint8)
    for offset in SCALES.get(name, (0,)) if block_bytes > 8 else ():
        scales = rng.normal(0, 0.1, count // 2).astype("<f2")
        blocks[:count // 2, offset:offset + 2] = scales.view(np.uint8).reshape(-1, 2)
    # Extremes of every code.
    blocks[-1, :] = 0xff
    blocks[-2, :] = 0
    return blocks


def canonical(values):
    bits = np.ascontiguousarray(values, dtype="<f4").view("<u4").reshape(-1).copy()
    bits[np.isnan(bits.view("<f4"))] = 0x7fc00000
    return bits


def differences(got, want, signless_zero=False):
    got, want = canonical(got), canonical(want)
    assert got.shape == want.shape, (got.shape, want.shape)
    differ = got != want
    if signless_zero:
        differ &= ((got | want) & 0x7fffffff) != 0
    return np.flatnonzero(differ)


class Tester:
    def __init__(self, tool):
        self.tool = tool
        self.failures = 0

    def run(self, command, data):
        result = subprocess.run([self.tool] + command, input=data.tobytes(),
                                stdout=subprocess.PIPE, check=True)
        return np.frombuffer(result.stdout, "<f4")

    def compare(self, what, got, want, signless_zero=False):
        with np.errstate(all="ignore"):
            differ = differences(got, want, signless_zero)
        if differ.size:
            i = differ[0]
            print(f"FAIL {what}: {differ.size} values differ, first {i}: "
                  f"got {np.ravel(got)[i]!r}, want {np.ravel(want)[i]!r}")
            self.failures += 1
        return not differ.size


def reference_gguf(gguf, name, blocks, elements):
    if gguf is None or name not in gguf.GGMLQuantizationType.__members__:
        return None
    try:
        with np.errstate(all="ignore"):
            return gguf.dequantize(blocks, gguf.GGMLQuantizationType[name])
    except NotImplementedError:
        return None


def reference_oracle(oracle, name, blocks, elements):
    if oracle is None or name not in oracle.GGML:
        return None
    decode = getattr(oracle, name.lower())
    try:
        with np.errstate(all="ignore"):
            return np.array([[np.float32(decode(block, i)) for i in range(elements)]
                             for block in blocks], np.float32)
    except NameError:
        return None  # a code book that only gguf has


def check_packed(tester, name, blocks, elements, block_bytes, decoded):
    """Every row length of 1 to 3 blocks, with rows that do not fill a panel."""
    for length in (1, 2, 3):
        rows = len(blocks) // length
        part = blocks[:rows * length]
        got = tester.run(["packed", name, str(length * elements)], part)
        tester.compare(f"{name} packed, k = {length * elements}, {rows} rows",
                       got, decoded[:rows * length * elements])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("--blocks", type=int, default=403)
    parser.add_argument("--oracle-blocks", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    gguf, oracle = import_gguf(), import_oracle()
    if gguf is None and oracle is None:
        print("skipped: neither the gguf package nor format_oracle.py is there")
        sys.exit(77)

    tester = Tester(args.tool)
    rng = np.random.default_rng(args.seed)
    types = subprocess.run([args.tool, "types"], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.split("\n")
    compared, alone = 0, []
    for line in filter(None, types):
        name, ident, elements, block_bytes, encoded = line.split()
        ident, elements, block_bytes = int(ident), int(elements), int(block_bytes)
        count = args.blocks if elements > 1 else args.blocks * 96
        blocks = random_blocks(rng, name, block_bytes, count)
        decoded = tester.run(["decode", name], blocks)

        if gguf and name in gguf.GGMLQuantizationType.__members__:
            kind = gguf.GGMLQuantizationType[name]
            sizes = (int(kind), *gguf.GGML_QUANT_SIZES[kind])
            if name not in OTHER_SIZE and sizes != (ident, elements, block_bytes):
                print(f"FAIL {name}: id or block size differs from gguf's")
                tester.failures += 1
        references = []
        if name in PLAIN:
            references.append("numpy")
            with np.errstate(all="ignore"):
                want = blocks.reshape(-1).view(PLAIN[name]).astype(np.float32)
            tester.compare(f"{name} against numpy", decoded, want)
        want = reference_gguf(gguf, name, blocks, elements)
        if want is not None:
            references.append("gguf")
            tester.compare(f"{name} against gguf", decoded, want)
        few = np.concatenate([blocks[:args.oracle_blocks // 2], blocks[-args.oracle_blocks // 2:]])
        want = reference_oracle(oracle, name, few, elements)
        if want is not None:
            references.append("format_oracle")
            tester.compare(f"{name} against format_oracle", tester.run(["decode", name], few),
                           want, name in SIGNLESS_ZERO)
        if encoded == "1":
            references.append("fields")
            tester.compare(f"{name} by fields", tester.run(["fields", name], blocks), decoded)
            references.append("packed")
            check_packed(tester, name, blocks, elements, block_bytes, decoded)
        if {"gguf", "format_oracle", "numpy"} & set(references):
            compared += 1
        else:
            alone.append(name)
        print(f"{name}: {count} blocks, {', '.join(references) or 'no reference'}")
    print(f"{compared} types compared, without a reference: {' '.join(alone)}; "
          f"{tester.failures} failures")
    sys.exit(1 if tester.failures else 0)


main()
