#!/usr/bin/env python3
# python_overhead.py - What the Python package adds to a generated token.
# SPDX-License-Identifier: Apache-2.0
"""Generates the same greedy tokens by one call of qcc_generate() (with no callback)
and through the package, in turns of random order, and prints the mean difference for a
token with its standard error. With a real model each token reads Python's code and data
from memory again, as the weights have taken their place in the caches; with a tiny one it
does not.

  python_overhead.py model.so [--tokens 25] [--rounds 300]
"""
import argparse
import ctypes
import pathlib
import random
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "python"))

import qcc  # noqa: E402
from qcc import _abi  # noqa: E402


def in_c(llm, prompt, count):
    """Seconds for a token of qcc_generate(), without the prompt."""
    llm.reset()
    llm._choose_by(llm.config)
    tokens = (ctypes.c_int32 * len(prompt))(*prompt)
    request = _abi.Generate(prompt=tokens, prompt_count=len(prompt), max_tokens=count, flags=1)
    result = _abi.Generated()
    session = llm.session
    session._check(session._api.generate(session.address, ctypes.byref(request),
                                         ctypes.byref(result)))
    llm.reset()
    return result.generate_seconds / (result.tokens - 1)


def timed(tokens):
    """Seconds for a token after the first, which has the prompt before it."""
    next(tokens)
    count, start = 0, time.perf_counter()
    for _ in tokens:
        count += 1
    return (time.perf_counter() - start) / count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("--tokens", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=300)
    arguments = parser.parse_args()
    with qcc.load(arguments.library, threads=1, temperature=0.0,
                  max_new_tokens=arguments.tokens) as llm:
        prompt = [1, 2, 3]
        ways = {
            "qcc_generate()": lambda: in_c(llm, prompt, arguments.tokens),
            "generate(), ids": lambda: timed(llm._generate(prompt, llm.config, past_ends=True)),
            "stream, text": lambda: timed(pieces(llm, prompt)),
        }
        for way in ways.values():
            way()
        seconds = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name in random.sample(list(ways), len(ways)):
                seconds[name].append(ways[name]())
    base = seconds["qcc_generate()"]
    for name, values in seconds.items():
        added = [1e6 * (value - first) for value, first in zip(values, base)]
        error = statistics.pstdev(added) / len(added) ** 0.5
        print(f"{name:16} {1e6 * statistics.median(values):9.1f} us for a token   "
              f"{statistics.mean(added):+7.1f} us +- {error:.1f}")


def pieces(llm, prompt):
    """As llm(text, stream=True, stop=["\\nUser:"]) does it, but past end tokens."""
    from qcc._text import TextStream
    stream = TextStream(llm.model, ["\nUser:"])
    for token in llm._generate(prompt, llm.config, past_ends=True):
        yield stream.push(token)


if __name__ == "__main__":
    main()
