#!/usr/bin/env python3
# busy_core.py - Decode while another process keeps one core busy.
# SPDX-License-Identifier: Apache-2.0
"""Measures PROGRAM, a compiled model, and other builds of llama-bench: tokens a second
of one thread alone, and of as many threads as there are cores while another process
spins on one of them. Barriers that only spin lose more than that core.

    benchmarks/busy_core.py ./model [--peer NAME=PATH-OF-LLAMA-BENCH --model model.gguf]
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys

from measure import Failure, Ours, Peer


def spinning(core):
    """A process that keeps `core` busy until it is terminated."""
    code = f"import os\nos.sched_setaffinity(0, [{core}])\nwhile True: pass"
    return subprocess.Popen([sys.executable, "-c", code])


def measure(engine, model, options, cores):
    alone, beside = [], []
    for _ in range(options.rounds):
        alone.append(engine.rate(model, "decode", options.generate, 0, 1))
        other = spinning(cores - 1)
        try:
            beside.append(engine.rate(model, "decode", options.generate, 0, cores))
        finally:
            other.kill()
            other.wait()
    ratio = statistics.median(b / a for a, b in zip(alone, beside))
    print(f"{engine.name}: 1 thread {statistics.median(alone):.1f} tokens/s, {cores} threads "
          f"beside a busy process {statistics.median(beside):.1f} "
          f"({min(beside):.1f} - {max(beside):.1f}): {ratio:.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--model", help="the GGUF file, for peers")
    parser.add_argument("--generate", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    if cores < 2:
        sys.exit("error: expected at least two cores, found one")
    engines = [Ours(options.program)]
    engines += [Peer(name, path, []) for name, _, path in
                (peer.partition("=") for peer in options.peer)]
    try:
        for engine in engines:
            measure(engine, options.model, options, cores)
    except Failure as failure:
        sys.exit(f"error: {failure}")


if __name__ == "__main__":
    main()
