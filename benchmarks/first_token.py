#!/usr/bin/env python3
# first_token.py - Time from the start of the process to the first token.
# SPDX-License-Identifier: Apache-2.0
"""Runs PROGRAM, a compiled model, with a short prompt and prints how long it takes
from the start of the process to the first byte of its answer, and to its end; files
are in the page cache. All times are medians of the rounds, in milliseconds.

    benchmarks/first_token.py ./model [--prompt "The capital of France is"] [-t 2]
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def start_and_wait(command):
    """Milliseconds to the first byte of output, and to the end."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        first = os.read(process.stdout.fileno(), 1)
        first_at = time.perf_counter() - start
        process.stdout.read()
    if process.returncode or not first:
        sys.exit(f"error: '{' '.join(command)}' gave no answer")
    return first_at * 1e3, (time.perf_counter() - start) * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--prompt", default="The capital of France is")
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("-r", "--rounds", type=int, default=20)
    options = parser.parse_args()
    program = os.path.abspath(options.program)
    shown = json.loads(subprocess.run([program, "tokenize", "--json", options.prompt], check=True,
                                      capture_output=True, text=True).stdout)
    command = [program, "--raw", "--greedy", "-n", "1", "-t", str(options.threads),
               options.prompt]
    start_and_wait(command)  # brings the file in
    first, end = zip(*(start_and_wait(command) for _ in range(options.rounds)))
    nothing = [start_and_wait([program, "--version"])[1] for _ in range(options.rounds)]
    print(f"{os.path.basename(program)}: {len(shown['ids'])} tokens of prompt, {options.threads} threads: "
          f"first token after {statistics.median(first):.1f} ms "
          f"({min(first):.1f} - {max(first):.1f}), end after {statistics.median(end):.1f}; "
          f"of which a process that does nothing takes {statistics.median(nothing):.1f}")


if __name__ == "__main__":
    main()
