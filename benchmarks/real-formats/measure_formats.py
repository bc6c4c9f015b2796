#!/usr/bin/env python3
# measure_formats.py - One real model in each format: size, exactness, speed.
# SPDX-License-Identifier: Apache-2.0
"""Compiles the checkpoints that make.py made, with default activations and with f32,
and measures them. Results are kept in FOLDER/results.json, so that the two parts may
run at different times:

    measure_formats.py exactness --qcc build/bin/qcc --model MODEL.gguf FOLDER
    measure_formats.py speed --qcc build/bin/qcc --model MODEL.gguf FOLDER

exactness: mean KL divergence of the default from f32 activations, and the largest
difference of the latter's logits from those of transformers. speed wants a quiet
machine: each run of a format follows one of the GGUF file, and ratios are medians
over these pairs. Both print the table and, with --document, put it into a document.
"""
import argparse
import datetime
import json
import pathlib
import statistics
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Both folders have a compare.py; the one of the golden outputs is wanted.
sys.path += [str(ROOT / "test" / "golden"), str(ROOT / "benchmarks")]
from compare import compare, log_softmax  # noqa: E402
from formats import BASELINE, sources  # noqa: E402
from machine import machine  # noqa: E402
from measure import Failure, run  # noqa: E402
from table import replace_table, table  # noqa: E402

GOLDEN = ROOT / "test" / "golden"
MODEL = "SmolLM2-135M-Instruct.Q4_1"
TOP = 128


class Format:
    """A source for qcc, its options, and its place among the compiled ones."""

    def __init__(self, arguments, name, source, options):
        self.name, self.source, self.options = name, source, options
        self.qcc, self.target = arguments.qcc, arguments.target
        self.folder = arguments.folder / "compiled"

    def bytes(self):
        """Of the weights' files."""
        files = [self.source] if self.source.is_file() else self.source.glob("*.safetensors")
        return sum(path.stat().st_size for path in files)

    def compile(self, *options, suffix=""):
        self.folder.mkdir(exist_ok=True)
        result = self.folder / (self.name + suffix)
        run([self.qcc, str(self.source), "--target", self.target, *self.options, *options,
             "-o", str(result)])
        return result


def logits(executable, ids, *options):
    with tempfile.TemporaryDirectory() as folder:
        array = f"{folder}/logits.npy"
        run([str(executable.absolute()), "logits", "--ids", ",".join(map(str, ids)), "-o", array,
             *options])
        return np.load(array)


def as_golden(golden, prompt, values):
    """f32 logits in the form of the golden outputs, at the same positions."""
    ids = golden[f"{prompt}/ids"]
    result = {f"{prompt}/ids": ids}
    kept = slice(len(ids))
    if f"{prompt}/positions" in golden:
        kept = result[f"{prompt}/positions"] = golden[f"{prompt}/positions"]
    values = values[kept].astype(np.float64)
    top = np.argsort(-values, axis=-1)[:, :TOP]
    result[f"{prompt}/top_ids"] = top
    result[f"{prompt}/top_logits"] = np.take_along_axis(values, top, -1)
    result[f"{prompt}/logsumexp"] = (result[f"{prompt}/top_logits"][:, 0] -
                                     np.take_along_axis(log_softmax(values), top[:, :1], -1)[:, 0])
    return result


def exactness(form, golden, reference):
    """KL divergence of prompt and generating steps, over all golden prompts; also
    that of the f32 evaluation from the model which all formats were made of."""
    default, exact = form.compile(), form.compile("--activations=f32", suffix=".f32")
    prompt_kl, step_kl, base_kl, difference = [], [], [], None
    for prompt in sorted({key.split("/")[0] for key in golden.files}):
        ids = [int(i) for i in golden[f"{prompt}/ids"]]
        values = logits(exact, ids)
        if reference is not None:
            found = compare(reference, prompt, values)["max_difference"]
            difference = max(found, difference or 0)
        base_kl.append(compare(golden, prompt, values)["kl"])
        values = as_golden(golden, prompt, values)
        prompt_kl.append(compare(values, prompt, logits(default, ids))["kl"])
        step_kl.append(compare(values, prompt, logits(default, ids, "--batch", "1"))["kl"])
    exact.unlink()
    return {"source_bytes": form.bytes(), "artefact_bytes": default.stat().st_size,
            "prompt_kl": float(np.concatenate(prompt_kl).mean()),
            "step_kl": float(np.concatenate(step_kl).mean()),
            "base_kl": float(np.concatenate(base_kl).mean()), "difference": difference}


def measure_exactness(arguments, forms, results):
    golden = np.load(GOLDEN / f"{MODEL}.npz")
    for form in forms:
        path = form.source / "reference.npz"
        reference = golden if form.name == BASELINE else None
        if path.exists() and not form.options:
            reference = np.load(path)
        try:
            found = exactness(form, golden, reference)
        except Failure as failure:
            print(f"{form.name}: {failure}", flush=True)
            why = str(failure).partition("error: ")[2].replace(f"{arguments.folder}/", "")
            results["formats"][form.name] = {"source_bytes": form.bytes(), "refused": why}
            save(arguments, results)
            continue
        row = results["formats"].setdefault(form.name, {})
        row.pop("refused", None)
        row.update(found)
        save(arguments, results)
        print(f"{form.name}: KL {found['prompt_kl']:.6f} in prompts, {found['step_kl']:.2e} "
              f"generating; f32 differs by {found['difference']}", flush=True)


class Rates:
    """Runs of one executable."""

    def __init__(self, executable, tokens):
        self.executable, self.tokens = executable, tokens
        self.runs = []

    def run(self, threads):
        prompt, generate = self.tokens
        self.runs.append(json.loads(run([
            str(self.executable.absolute()), "bench", "-p", str(prompt), "-n", str(generate),
            "-r", "1", "--threads", str(threads), "--json"])))
        return self.runs[-1]


def measure_speed(arguments, forms, results):
    facts = machine()
    baseline = next(form for form in forms if form.name == BASELINE)
    tokens = (arguments.prompt, arguments.generate)
    first, rates = Rates(baseline.compile(), tokens), {}
    for form in forms:
        try:
            rates[form.name] = Rates(form.compile(), tokens)
        except Failure as failure:
            print(f"{form.name}: {failure}", flush=True)
    pairs = {name: {"decode": [], "prefill": []} for name in rates}
    for number in range(arguments.rounds):
        for name, other in rates.items():
            before, after = first.run(arguments.threads), other.run(arguments.threads)
            for kind, ratios in pairs[name].items():
                key = f"{kind}_tokens_per_second"
                ratios.append(after[key] / before[key])
            print(f"round {number + 1}: {name}: decode {pairs[name]['decode'][-1]:.2f}, prefill "
                  f"{pairs[name]['prefill'][-1]:.2f} of {BASELINE}", flush=True)
    for name, other in rates.items():
        speed = {"bytes_per_token": other.runs[0]["weight_bytes_per_token"]}
        for kind, ratios in pairs[name].items():
            values = [each[f"{kind}_tokens_per_second"] for each in other.runs]
            speed[kind] = {"median": statistics.median(values), "lowest": min(values),
                           "highest": max(values), "ratio": statistics.median(ratios)}
        results["formats"].setdefault(name, {}).update(speed)
    results["speed"] = {"machine": facts, "date": datetime.date.today().isoformat(),
                        "target": first.runs[0]["target"], "threads": arguments.threads,
                        "rounds": arguments.rounds, "prompt": arguments.prompt,
                        "generate": arguments.generate}
    save(arguments, results)


def save(arguments, results):
    (arguments.folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("exactness", "speed", "table"))
    parser.add_argument("folder", type=pathlib.Path, metavar="FOLDER", help="of make.py")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of formats.py; all by default")
    parser.add_argument("--qcc", default="build/bin/qcc", help="the compiler")
    parser.add_argument("--model", type=pathlib.Path, required=True, help="the GGUF file")
    parser.add_argument("--target", default="native", help="as of qcc (default native)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs (default 5)")
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prompt")
    parser.add_argument("--generate", type=int, default=128, help="tokens to generate")
    parser.add_argument("--document", type=pathlib.Path, metavar="FILE",
                        help="Markdown whose table is replaced")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    forms, absent = [], []
    for name, (source, options) in sources(arguments.model, arguments.folder).items():
        if arguments.names and name not in {*arguments.names, BASELINE}:
            continue
        (forms if source.exists() else absent).append(Format(arguments, name, source, options))
    for form in absent:
        print(f"not there: {form.name} ({form.source})", file=sys.stderr)
    path = arguments.folder / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {"formats": {}}
    if arguments.part == "exactness":
        measure_exactness(arguments, forms, results)
    elif arguments.part == "speed":
        measure_speed(arguments, forms, results)
    text = table(results)
    print("\n" + text)
    if arguments.document:
        replace_table(arguments.document, text)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"error: {failure}")
