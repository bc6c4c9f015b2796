#!/usr/bin/env python3
# fixture_test.py - Checkpoints that real quantization tools wrote.
# SPDX-License-Identifier: Apache-2.0
"""Compares a checkpoint with the reference beside it (reference.npz, made by the
tool that wrote it and an f32 evaluation in another implementation): each matrix
after packing, the logits of all prompts, and greedy tokens.

Exits 77 (skipped) without the fixtures (../shared/fixtures) or without numpy.

  fixture_test.py --qcc build/bin/qcc --tool build/bin/qcc-checkpoint-tool NAME
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

SKIP = 77
try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(SKIP)

FIXTURES = pathlib.Path(__file__).resolve().parents[3] / "shared" / "fixtures"
LOGITS, MATRICES = 2e-3, 1e-6


# Parts of names in GGUF files, for those in folders, in which references name them.
IN_GGUF = {"model.embed_tokens": "token_embd", "lm_head": "output", "model.layers.": "blk.",
           "self_attn.": "attn_", "mlp.": "ffn_", "_proj": "", "attn_o": "attn_output"}


class Tool:
    """qcc-checkpoint-tool, which answers request by request."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, request):
        self.process.stdin.write(f"{request}\n".encode())
        self.process.stdin.flush()
        status, _, rest = self.process.stdout.readline().decode().partition(" ")
        if status != "ok":
            raise RuntimeError(rest)
        return self.process.stdout.read(int(rest))

    def values(self, model, tensor, shape):
        return np.frombuffer(self.ask(f"{model}\t{tensor}"), np.float32).reshape(shape)


def gguf_name(module):
    for part, other in IN_GGUF.items():
        module = module.replace(part, other)
    return module + ".weight"


def halves_together(rows, heads):
    """The two halves of each head's rows, which take turns in GGUF files."""
    return rows.reshape(heads, -1, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def check_matrices(tool, model, reference, rounding, failures):
    modules = sorted({key[2:].rpartition("/")[0] for key in reference.files if key[:2] == "w/"})
    described = json.loads(tool.ask(model))
    tensors = {t["name"]: t for t in described["tensors"]}
    is_gguf = model.suffix == ".gguf"
    for module in modules:
        def of(key):
            return reference[f"w/{module}/{key}"]
        name = (gguf_name(module) if is_gguf else
                module if module in tensors else module + ".weight")
        got = tool.values(model, name, of("shape"))
        for projection, key in (("attn_q", "head_count"), ("attn_k", "head_count_kv")):
            if is_gguf and projection in name:
                got = halves_together(got, described["config"][f"llama.attention.{key}"])
        if order := tensors[name].get("order"):
            # Packed in the order of groups; the reference has the model's.
            columns = tool.values(model, order, of("shape")[1:]).astype(int)
            ordered, got = got, np.empty_like(got)
            got[:, columns] = ordered
        flat = got.ravel().astype(np.float64)
        weights = np.arange(flat.size) % 251 - 125
        scale = np.abs(flat).sum()
        for key, value in (("sum", flat.sum()), ("abssum", scale),
                           ("possum", (flat * weights).sum() / 125)):
            expected = float(of(key)) / (125 if key == "possum" else 1)
            if not abs(value - expected) <= MATRICES * scale:
                failures.append(f"{name}: {key} is {value}, expected {expected}")
        for key, part in (("first64", flat[:64]), ("last64", flat[-64:])):
            # Products of a number and a scale: the same bits, except where the
            # reference has a rounding of its own.
            values = part.astype(np.float32)
            if not np.allclose(values, of(key), rtol=rounding * 2.0 ** -24, atol=0):
                failures.append(f"{name}: {key} differs")
    print(f"{len(modules)} matrices")


def check_logits(logits, reference, failures):
    for prompt in ("p1", "p17", "p96"):
        got = logits(reference[f"{prompt}/ids"]).astype(np.float64)
        rows = np.arange(len(got))[:, None]
        top = got[rows, reference[f"{prompt}/top_ids"].astype(np.int64)]
        peak = got.max(axis=1)
        total = peak + np.log(np.exp(got - peak[:, None]).sum(axis=1))
        worst = max(np.abs(top - reference[f"{prompt}/top_logits"]).max(),
                    np.abs(total - reference[f"{prompt}/logsumexp"]).max())
        print(f"{prompt}: largest difference of logits {worst:.2e}")
        if not worst <= LOGITS:
            failures.append(f"{prompt}: logits differ by {worst}, more than {LOGITS}")

    prompt, greedy = reference["p17/ids"], reference["greedy/ids"]
    margin = reference["greedy/margin"]
    got = logits(np.concatenate([prompt, greedy]))[len(prompt) - 1:-1].argmax(axis=1)
    for i in np.flatnonzero(got != greedy):
        if margin[i] > 2 * LOGITS:
            failures.append(f"greedy token {i} is {got[i]}, expected {greedy[i]}")
    print(f"greedy tokens: {int((got == greedy).sum())} of {len(greedy)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--qcc", required=True)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--target", default="native")
    parser.add_argument("--rounding", type=float, default=0,
                        help="how far single weights may be from the reference's, in roundings "
                             "to f32: the reference may multiply in another order")
    parser.add_argument("name")
    arguments = parser.parse_args()
    model = FIXTURES / arguments.name
    if not (model / "reference.npz").exists():
        print(f"skipped: no {arguments.name} beside this checkout")
        return SKIP
    reference = np.load(model / "reference.npz")
    model = next(model.glob("*.gguf"), model)
    failures = []
    check_matrices(Tool(arguments.tool), model, reference, arguments.rounding, failures)
    with tempfile.TemporaryDirectory() as folder:
        library, array = f"{folder}/model.so", f"{folder}/logits.npy"
        subprocess.run([arguments.qcc, model, "-o", library, "--activations=f32",
                        "--target", arguments.target], check=True)

        def logits(ids):
            subprocess.run([arguments.qcc, "run", library, "logits", "-o", array,
                            "--ids", ",".join(str(int(i)) for i in ids)], check=True)
            return np.load(array)
        check_logits(logits, reference, failures)
    print("\n".join(failures) or "as the reference")
    return 1 if failures else 0


sys.exit(main())
