#!/usr/bin/env python3
# compare.py - Speed of compiled models beside llama.cpp, in one run.
# SPDX-License-Identifier: Apache-2.0
"""Measures prefill and decode of compiled models and of other engines in turn
(A B A B ...), so that both meet the same machine, and the limits of the machine
before and after each turn. Writes results.json, results.md and results.svg. With --add
the rows that results.json had stay, so that a table may be measured in short pieces.

    benchmarks/compare.py --qcc build/bin/qcc model.gguf ...

llama.cpp is built from the source distribution of the llama-cpp-python package,
once, in the cache folder. Other builds join with --peer NAME=PATH-OF-LLAMA-BENCH.
"""

import argparse
import datetime
import json
import os
import pathlib
import statistics
import sys

from llama_cpp import build_llama_bench
from limits import Limits, macs_per_token
from machine import machine
from measure import Failure, Ours, Peer, run
from report import write_markdown, write_plot


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="GGUF files")
    parser.add_argument("--qcc", default="build/bin/qcc", help="the compiler")
    parser.add_argument("--target", default="native", help="as of qcc (default native)")
    parser.add_argument("--compile-option", action="append", default=[], metavar="OPTION",
                        help="passed to qcc, e.g. --compile-option=--kv=f32")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH",
                        help="another llama-bench; replaces the one that is built")
    parser.add_argument("--with-llama-cpp", action="store_true",
                        help="build llama.cpp even though there is a --peer")
    parser.add_argument("--peer-option", action="append", default=[], metavar="OPTION",
                        help="passed to every llama-bench, e.g. --peer-option=-fa "
                             "--peer-option=1")
    parser.add_argument("--threads", default="1,2", help="thread counts (default 1,2)")
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prompt; 0: none")
    parser.add_argument("--generate", type=int, default=128, help="tokens to generate; 0: none")
    parser.add_argument("--depth", type=int, default=0,
                        help="tokens in the context before both (default 0)")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs (default 5)")
    parser.add_argument("--cache", type=pathlib.Path,
                        default=pathlib.Path.home() / ".cache" / "qcc-benchmarks",
                        help="where llama.cpp is built (default ~/.cache/qcc-benchmarks)")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("benchmark-results"),
                        help="folder of the results (default benchmark-results)")
    parser.add_argument("--add", action="store_true",
                        help="keep the rows that are there, and the models compiled for them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1,
                        help="processes that build llama.cpp")
    arguments = parser.parse_args()
    try:
        arguments.threads = [int(count) for count in arguments.threads.split(",")]
    except ValueError:
        parser.error(f"--threads: expected numbers, found '{arguments.threads}'")
    if min(arguments.threads + [arguments.rounds]) < 1:
        parser.error("thread counts and rounds must be at least 1")
    if min(arguments.prompt, arguments.generate, arguments.depth) < 0 or \
            not arguments.prompt + arguments.generate:
        parser.error("expected tokens of a prompt, or tokens to generate")
    return arguments


def compile_model(arguments, model):
    folder = arguments.output / "models"
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / pathlib.Path(model).stem
    if arguments.add and result.exists():
        return result
    run([arguments.qcc, model, "--target", arguments.target, *arguments.compile_option,
         "-o", str(result)])
    return result


def measure_model(arguments, model, peers):
    """All measurements of one model: a list of rows."""
    compiled = compile_model(arguments, model)
    limits = Limits(arguments.output, compiled)
    macs, macs_last = macs_per_token(arguments.qcc, model)
    ours = Ours(compiled)
    rows = []
    for threads in arguments.threads:
        for kind, tokens in (("prefill", arguments.prompt), ("decode", arguments.generate)):
            if not tokens:
                continue
            rates = {engine.name: [] for engine in [ours, *peers]}
            measured = [limits.measure(threads)]
            for number in range(arguments.rounds):
                for engine in [ours, *peers]:
                    rate = engine.rate(model, kind, tokens, arguments.depth, threads)
                    rates[engine.name].append(rate)
                    print(f"{pathlib.Path(model).stem} {kind} {threads} threads, round "
                          f"{number + 1}: {engine.name} {rate:.1f} tokens/s", flush=True)
                measured.append(limits.measure(threads))
            row = {"model": pathlib.Path(model).stem, "kind": kind, "tokens": tokens,
                   "depth": arguments.depth, "threads": threads, "rates": rates,
                   "measured": measured}
            if kind == "decode":
                row["bytes_per_token"] = ours.bytes_per_token
                key, each = "read_gb_per_second", ours.bytes_per_token
            else:
                row["macs_per_token"] = macs + macs_last / tokens
                key, each = "dot_gmac_per_second", row["macs_per_token"]
            values = [limit[key] * 1e9 / each for limit in measured]
            # Each round has the better of the limits before and after it.
            row["limits"] = [max(pair) for pair in zip(values, values[1:])]
            row["limit_spread"] = max(values) / min(values) - 1
            rows.append(row)
    return rows


def summarize(rows, peers):
    for row in rows:
        ours = row["rates"]["qcc"]
        row["limit"] = statistics.median(row["limits"])
        row["median"] = {name: statistics.median(values)
                         for name, values in row["rates"].items()}
        row["share"] = {name: statistics.median(rate / limit for rate, limit
                                                in zip(values, row["limits"]))
                        for name, values in row["rates"].items()}
        row["ratio"] = {
            peer.name: statistics.median(a / b for a, b in zip(ours, row["rates"][peer.name]))
            for peer in peers}


def merged(earlier, rows):
    """The rows of both, the later ones in the place of the same earlier ones."""
    def key(row):
        return tuple(row[name] for name in ("model", "kind", "tokens", "depth", "threads"))
    table = {key(row): row for row in [*earlier, *rows]}
    return list(table.values())


def main():
    arguments = parse_arguments()
    arguments.output.mkdir(parents=True, exist_ok=True)
    peers = []
    for text in arguments.peer:
        name, equals, path = text.partition("=")
        if not equals or not name or not os.access(path, os.X_OK):
            raise Failure(f"--peer: expected NAME=PATH of a llama-bench, found '{text}'")
        peers.append(Peer(name, path, arguments.peer_option))
    if not peers or arguments.with_llama_cpp:
        peers.insert(0, Peer("llama.cpp", build_llama_bench(arguments.cache, arguments.jobs),
                             arguments.peer_option))
    facts = machine()
    rows = [row for model in arguments.models for row in measure_model(arguments, model, peers)]
    summarize(rows, peers)
    names = {peer.name: peer.version(arguments.models[0]) for peer in peers}
    path = arguments.output / "results.json"
    if arguments.add and path.exists():
        earlier = json.loads(path.read_text())
        rows, names = merged(earlier["rows"], rows), {**earlier["peers"], **names}
    results = {"date": datetime.date.today().isoformat(), "machine": facts,
               "target": arguments.target, "compile_options": arguments.compile_option,
               "peer_options": arguments.peer_option, "rounds": arguments.rounds,
               "peers": names, "rows": rows}
    path.write_text(json.dumps(results, indent=1) + "\n")
    print()
    print(write_markdown(results, arguments.output / "results.md"))
    write_plot(results, arguments.output / "results.svg")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        sys.exit(1)
