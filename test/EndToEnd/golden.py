#!/usr/bin/env python3
# golden.py - Compiles a real model and compares it with the golden outputs.
# SPDX-License-Identifier: Apache-2.0
"""For each prompt: the model's own tokenizer gives the golden ids; the logits of
all positions are near the golden ones; and greedy decoding gives the golden
tokens (each is the likeliest one after those before it).

A folder made by benchmarks/real-formats brings its own golden outputs, those of its
weights as the tool that wrote them dequantizes them.

Exits 77 (skipped) without the model or without numpy.

  golden.py --qcc build/bin/qcc --model NAME [--target reference] [...]
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SKIP = 77
try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(SKIP)

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
sys.path.insert(0, str(GOLDEN))
from compare import compare  # noqa: E402


class Model:
    """An executable, or a library through `qcc run`."""

    def __init__(self, command, folder, options):
        self.command, self.folder, self.options = command, folder, options

    def tokenize(self, text):
        answer = subprocess.run([*self.command, "tokenize", "--json", text], check=True,
                                capture_output=True, text=True)
        return json.loads(answer.stdout)["ids"]

    def logits(self, ids):
        path = self.folder / "logits.npy"
        subprocess.run([*self.command, "logits", "--ids", ",".join(map(str, ids)), "-o", str(path),
                        *self.options], check=True)
        return np.load(path)


def compile_model(arguments, model, folder):
    output = folder / ("model.so" if arguments.library else "model")
    command = [arguments.qcc, str(model), "-o", str(output), "--target", arguments.target]
    for option in ("activations", "kv"):
        if getattr(arguments, option):
            command.append(f"--{option}={getattr(arguments, option)}")
    subprocess.run(command, check=True)
    return [arguments.qcc, "run", str(output)] if arguments.library else [str(output)]


def check(model, golden, prompt, text, arguments, failures):
    """Prints one line; adds what is wrong to `failures`."""
    ids = [int(i) for i in golden[f"{prompt}/ids"]]
    greedy = [int(i) for i in golden[f"{prompt}/greedy"]]
    got = model.tokenize(text)[:len(ids)]  # the golden prompts were cut
    if got != ids:
        at = next((i for i, (a, b) in enumerate(zip(got, ids)) if a != b), min(len(got), len(ids)))
        failures.append(f"{prompt}: token ids differ from position {at}")
    # One evaluation for both: the prompt's logits do not see what follows it.
    logits = model.logits(ids + greedy[:-1])
    if not np.isfinite(logits).all():
        failures.append(f"{prompt}: logits are not finite")
    result = compare(golden, prompt, logits)
    wrong = int((logits[len(ids) - 1:].argmax(-1) != greedy).sum())
    print(f"{prompt:10} {result['positions']:5} positions   largest difference "
          f"{result['max_difference']:.2e}   mean KL {result['mean_kl']:.2e}   "
          f"same top token {result['top1']:.4f}   greedy {len(greedy) - wrong}/{len(greedy)}",
          flush=True)
    if arguments.exact:
        if not result["max_difference"] <= arguments.max_difference:
            failures.append(f"{prompt}: logits differ by {result['max_difference']:.2e}, more than "
                            f"{arguments.max_difference:.0e}")
        if wrong:
            failures.append(f"{prompt}: {wrong} greedy tokens differ")
    return result["kl"]


def check_lookup(command, text, failures):
    """Answers with and without guesses are the same, and some guesses are right."""
    accepted = 0
    for sampling in (["--greedy"], ["--temp", "0.4", "--seed", "1"], ["--seed", "2"]):
        arguments = [*command, "--raw", "-n", "120", *sampling, text]
        plain = subprocess.run(arguments, check=True, capture_output=True)
        lookup = subprocess.run([*arguments, "--lookup", "15", "-v"], check=True,
                                capture_output=True)
        if lookup.stdout != plain.stdout:
            failures.append(f"--lookup changes the answer with {' '.join(sampling)}")
        counts = re.search(rb"(\d+) tokens drafted, (\d+) accepted", lookup.stderr)
        accepted += int(counts[2]) if counts else 0
    print(f"lookup: {accepted} tokens accepted")
    if not accepted:
        failures.append("--lookup: no guess was right")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--qcc", required=True)
    parser.add_argument("--model", required=True, help="file name without .gguf, or a folder")
    parser.add_argument("--models", default=os.environ.get("QCC_MODELS", ""),
                        help="folder with the models (default: $QCC_MODELS)")
    parser.add_argument("--target", default="reference")
    parser.add_argument("--activations")
    parser.add_argument("--kv")
    parser.add_argument("--library", action="store_true", help="make a library, use `qcc run`")
    parser.add_argument("--prompts", default="capital,code,mixed", help="names, or 'all'")
    parser.add_argument("--batch", type=int, help="positions at a time; 1: as in generation")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--lookup", action="store_true", help="compare answers with --lookup, too")
    parser.add_argument("--exact", action="store_true",
                        help="f32 activations: bound the difference, compare greedy tokens")
    parser.add_argument("--max-difference", type=float, default=2e-3)
    parser.add_argument("--max-kl", type=float, help="bound of the mean divergence, nats")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the result, kept")
    arguments = parser.parse_args()
    if not arguments.exact and arguments.max_kl is None:
        parser.error("expected --exact or --max-kl")

    models = pathlib.Path(arguments.models)
    source, golden = models / f"{arguments.model}.gguf", GOLDEN / f"{arguments.model}.npz"
    if not source.is_file():
        source = models / arguments.model
        golden = source / "reference.npz"
    if not arguments.models or not golden.is_file():
        print(f"skipped: no {arguments.model} in '{arguments.models}'")
        sys.exit(SKIP)
    golden = np.load(golden)
    prompts = json.loads((GOLDEN / "prompts.json").read_text())
    names = list(prompts) if arguments.prompts == "all" else arguments.prompts.split(",")
    options = []
    for option in ("batch", "threads"):
        if getattr(arguments, option):
            options += [f"--{option}", str(getattr(arguments, option))]

    failures = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or pathlib.Path(temporary)
        command = compile_model(arguments, source, folder)
        model = Model(command, pathlib.Path(temporary), options)
        kl = np.concatenate([check(model, golden, name, prompts[name], arguments, failures)
                             for name in names])
        if arguments.lookup:
            check_lookup(command, prompts["code"] * 2, failures)
    print(f"all        {len(kl):5} positions   mean KL {kl.mean():.3e}   largest {kl.max():.3e}")
    if arguments.max_kl is not None and not kl.mean() <= arguments.max_kl:
        failures.append(f"mean KL {kl.mean():.3e}, more than {arguments.max_kl:.1e}")
    for failure in failures:
        print("failed:", failure)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
