#!/usr/bin/env python3
# python_overhead.py - What the Python package adds to a generated token.
# SPDX-License-Identifier: Apache-2.0
"""Generates the same greedy tokens by one call of qcc_generate() (with no callback)
and through the package, in turns, and prints the difference for a token. A tiny
model shows it best; with a real one it drowns in the model's own time.

  python_overhead.py model.so [--tokens 200] [--rounds 20]
"""
import argparse
import ctypes
import pathlib
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
    return result.generate_seconds / result.tokens


def timed(tokens):
    """Seconds for a token after the first, which has the prompt before it."""
    next(tokens)
    start = time.perf_counter()
    count = sum(1 for _ in tokens)
    return (time.perf_counter() - start) / count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    with qcc.load(arguments.library, threads=1, temperature=0.0,
                  max_new_tokens=arguments.tokens) as llm:
        prompt = [1, 2, 3]
        ways = {
            "qcc_generate()": lambda: in_c(llm, prompt, arguments.tokens),
            "generate(), ids": lambda: timed(llm._generate(prompt, llm.config, lambda t: False)),
            "stream, text": lambda: timed(pieces(llm, prompt)),
        }
        for way in ways.values():
            way()
        seconds = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, way in ways.items():
                seconds[name].append(way())
    base = statistics.median(seconds["qcc_generate()"])
    for name, values in seconds.items():
        middle = statistics.median(values)
        print(f"{name:16} {1e6 * middle:9.1f} us for a token   {1e6 * (middle - base):+7.1f} us")


def pieces(llm, prompt):
    """As llm(text, stream=True, stop=[...]) does it, but past end tokens."""
    from qcc._text import TextStream
    stream = TextStream(llm.model, ["a text that does not come"])
    for token in llm._generate(prompt, llm.config, lambda token: False):
        yield stream.push(token)


if __name__ == "__main__":
    main()
