#!/usr/bin/env python3
# fused_test.py - Projections that a folder keeps as one weight.
# SPDX-License-Identifier: Apache-2.0
#
#   fused_test.py --qcc build/bin/qcc [unittest arguments]
"""Small folders made here get Q, K and V, and gate and up, as one weight each, as Phi-3
has them, and are compared with an evaluation in float64: plain, in formats that keep rows
in lines and in columns, rounded, and with biases."""
import sys

SKIP = 77
try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(SKIP)

sys.dont_write_bytecode = True
from folder_case import TestCase, run  # noqa: E402

FUSED = {"self_attn.qkv_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
         "mlp.gate_up_proj": ("mlp.gate_proj", "mlp.up_proj")}
# Arrays whose rows are inputs.
COLUMNS = ("qweight", "qzeros", "scales")


def joined(suffix, arrays):
    if suffix == "g_idx":
        assert all((array == arrays[0]).all() for array in arrays)
        return arrays[0]
    if suffix == "weight_shape":
        return np.array([sum(shape[0] for shape in arrays), arrays[0][1]], np.int64)
    return np.concatenate(arrays, axis=1 if suffix in COLUMNS else 0)


def fuse(model):
    model.config["model_type"] = "phi3"
    for layer in range(model.config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        for fused, parts in FUSED.items():
            first = f"{prefix}{parts[0]}."
            for suffix in [n[len(first):] for n in model.tensors if n.startswith(first)]:
                model.tensors[f"{prefix}{fused}.{suffix}"] = joined(
                    suffix, [model.tensors.pop(f"{prefix}{part}.{suffix}") for part in parts])
    model.write()
    return model


class Fused(TestCase):
    def check(self, options=(), **how):
        self.check_logits(fuse(self.make(**how)), options=options)

    def test_plain(self):
        self.check(dtype=np.float16)
        # Rows of which the panels of kernels hold parts of several.
        self.check(config={"head_dim": 10}, heads=3, kv_heads=1, ffn=72)

    def test_biases(self):
        self.check(biases=("q", "k", "v", "gate", "up"))

    def test_formats(self):
        for how in ({}, {"g_idx": "scrambled", "sym": False}, {"bits": 8, "group": 64},
                    {"method": "awq"}, {"method": "compressed-tensors", "sym": False}):
            with self.subTest(**how):
                self.check(quantize=how)

    def test_rounded(self):
        """The same values as of weights that are apart."""
        ids = list(range(40))
        logits = []
        for change in (lambda model: None, fuse):
            model = self.make(hidden=256, ffn=256)
            change(model)
            self.compile(model.path, "--activations=f32", "--quantize", "q4_k")
            logits.append(self.logits(ids))
        self.assertTrue(np.array_equal(*logits))

    def test_refused(self):
        model = fuse(self.make())
        name = "model.layers.1.mlp.gate_up_proj.weight"
        model.tensors[name] = model.tensors[name][:-1]
        model.write()
        self.check_refused(model.path, f"tensor '{name}': expected shape [256, 64], got [255, 64]")
        model = fuse(self.make())
        model.tensors["model.layers.0.self_attn.q_proj.weight"] = np.zeros((64, 64), np.float32)
        model.write()
        self.check_refused(model.path, "tensor 'model.layers.0.self_attn.k_proj.weight' is missing")


if __name__ == "__main__":
    run("--qcc")
