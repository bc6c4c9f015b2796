# limits.py - What the machine and the model allow at most.
# SPDX-License-Identifier: Apache-2.0

import json
import os
import pathlib
import re
import shutil

from measure import Failure, run

ROOT = pathlib.Path(__file__).parent.parent


class Limits:
    """Builds and runs qcc-peak; the compiled model is the file that it reads."""

    def __init__(self, folder, compiled):
        self.program = folder / "peak"
        self.compiled = compiled
        source = ROOT / "lib" / "Support" / "Peak.cpp"
        if self.program.exists() and \
                self.program.stat().st_mtime > source.stat().st_mtime:
            return
        compiler = os.environ.get("CXX") or next(
            filter(shutil.which, ("c++", "g++", "clang++", "clang++-22")), None)
        if not compiler:
            raise Failure("no C++ compiler found; set CXX")
        run([compiler, "-std=c++20", "-O2", "-pthread", "-I", str(ROOT / "include"),
             str(source), str(ROOT / "benchmarks" / "peak_main.cpp"), "-o",
             str(self.program)])

    def measure(self, threads):
        return json.loads(run([str(self.program.absolute()), str(threads), str(self.compiled)]))


def macs_per_token(qcc, model):
    """Products of weights and activations: (for every token of a prompt, for its
    last token only). The first are those of the layers, the second those of the
    head. Attention's own products, which grow with the context, are left out."""
    tensors = json.loads(run([qcc, "inspect", "--json", model]))["tensors"]
    layers = head = embedding = 0
    for tensor in tensors:
        shape = tensor["shape"]
        if len(shape) != 2:
            continue
        count = shape[0] * shape[1]
        if re.match(r"blk\.\d+\.", tensor["name"]):
            layers += count
        elif tensor["name"] == "output.weight":
            head = count
        elif tensor["name"] == "token_embd.weight":
            embedding = count
    return layers, head or embedding
