#!/usr/bin/env python3
# quantize_test.py - Rounding float checkpoints to fewer bits, to logits.
# SPDX-License-Identifier: Apache-2.0
#
#   quantize_test.py --qcc build/bin/qcc --format-tool build/bin/qcc-format-tool
#                    [unittest arguments]
"""A float folder compiled with --quantize must have the logits of an evaluation
in float64 with weights that numpy and the package gguf rounded; K-quants, which
gguf cannot make, by the tool that test/formats compares with ggml."""
import json
import pathlib
import re
import subprocess
import sys

SKIP = 77
try:
    import gguf
    import numpy as np
except ImportError:
    print("skipped: no numpy or no gguf")
    sys.exit(SKIP)

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "formats"))
import k_quants  # noqa: E402
from folder_case import REFERENCE, FolderCase, run  # noqa: E402
from hf_folder import BF16, Folder  # noqa: E402

SENSITIVE = ("model.embed_tokens.weight", "lm_head.weight")


def ggml(name):
    kind = gguf.GGMLQuantizationType[name.upper()]
    return lambda w: gguf.quants.dequantize(gguf.quants.quantize(w, kind), kind)


FALLBACK = {"q2_k": "q4_0", "q3_k": "q4_0", "q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0"}


def k_quant(name):
    def rule(w):
        if w.shape[1] % k_quants.BLOCK:
            return ggml(FALLBACK[name])(w)
        tool = FolderCase.programs.format_tool
        return k_quants.values(name, k_quants.rounded(tool, name, w)).reshape(w.shape)
    return rule


def int4(w):
    padded = np.pad(w, ((0, 0), (0, -w.shape[1] % 128)))
    blocks = padded.reshape(len(w), -1, 128)
    peak = np.take_along_axis(blocks, np.abs(blocks).argmax(-1, keepdims=True), -1)
    scale = peak / np.float32(-8)
    codes = np.clip(np.floor(blocks * (1 / scale) + np.float32(8.5)), 0, 15)
    rounded = (codes - 8) * scale.astype(np.float16).astype(np.float32)
    return rounded.reshape(padded.shape)[:, :w.shape[1]]


def int8(w):
    scale = np.abs(w).max(axis=1, keepdims=True) / np.float32(127)
    x = w * (1 / scale)
    codes = np.sign(x) * np.floor(np.abs(x) + np.float32(0.5))
    return codes * scale.astype(np.float16).astype(np.float32)


class Quantize(FolderCase):
    variants = (REFERENCE,)  # kernels of these types are tested elsewhere

    def make(self, hidden=128, ffn=256, **options):
        return super().make(hidden=hidden, ffn=ffn, layers=1, **options)

    def check(self, name, rule, sensitive=ggml("q8_0"), **options):
        model = self.make(**options)
        for tensor, weight in model.weights.items():
            if weight.ndim == 2:
                rounded = sensitive if tensor in SENSITIVE else rule
                model.weights[tensor] = rounded(weight.astype(np.float32)).astype(np.float64)
        self.check_logits(model, options=("--quantize", name))

    def test_types(self):
        rules = {name: ggml(name) for name in ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0")}
        for name, rule in {**rules, "int4-g128": int4}.items():
            with self.subTest(type=name):
                self.check(name, rule)
        self.check("int8", int8, sensitive=int8)

    def test_k_quants(self):
        """In rows of 256 and of 512; those of 128 get another type."""
        for name, hidden in (*((name, 128) for name in k_quants.SIZES), ("q4_k", 256)):
            with self.subTest(type=name, hidden=hidden):
                self.check(name, k_quant(name), sensitive=k_quant("q6_k"), hidden=hidden,
                           ffn=2 * hidden)

    def test_sources(self):
        for dtype in (np.float16, BF16):
            with self.subTest(dtype=dtype):
                self.check("q4_0", ggml("q4_0"), dtype=dtype)
        self.check("q4_0", ggml("q4_0"), tied=True)

    def test_info(self):
        model = self.make()
        self.compile(model.path, "--quantize", "nf4")
        info = json.loads(self.qcc("run", self.library, "info", "--json").stdout)
        self.assertEqual(info["compilation"]["format"], "safetensors, rounded to nf4")
        types = {t["name"]: t["type"] for t in info["compilation"]["tensors"]}
        self.assertEqual(types["model.layers.0.mlp.up_proj.weight"], "nf4")
        self.assertEqual(types["lm_head.weight"], "q8_0")
        self.assertEqual(types["model.norm.weight"], "F32")
        text = self.qcc("run", self.library, "info").stdout
        self.assertIn("\ncheckpoint      safetensors, rounded to nf4\n", text)
        self.assertRegex(text, r"\n {16}nf4 +7 tensors +\d+ parameters, rounded from F32\n")
        self.assertRegex(text, r"\n {16}q8_0 +2 tensors +\d+ parameters, rounded from F32\n")
        self.assertRegex(text, r"\ntypes {11}F32 +3 tensors +\d+ parameters\n")
        self.compile(model.path, "--quantize", "int4-g128-asym")
        first = self.library.stat().st_size
        self.compile(model.path, "--quantize", "q8_0")
        self.assertLess(first, self.library.stat().st_size)

    def test_gguf(self):
        model = self.folder / "model.gguf"
        tool = pathlib.Path(__file__).resolve().parents[1] / "Inputs" / "tiny_model.py"
        subprocess.run([sys.executable, tool, "-o", model, "--type", "F16"], check=True)
        result = self.qcc("verify", model, "--quantize", "q4_0")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        result = self.qcc(model, "--quantize", "q4_0", "--emit=import", "-o", "-")
        encodings = dict(re.findall(r"^(#\w+) = (#qz.encoding.*)$", result.stdout, re.MULTILINE))
        weights = dict(re.findall(r"qz.weight @(\S+) : .*, (#\w+)>", result.stdout))
        for name, bits in (("token_embd", 8), ("blk.0.attn_q", 4), ("blk.1.ffn_down", 4)):
            self.assertIn(f"bits = {bits}, ", encodings[weights[name + ".weight"]])

    def test_groups_that_do_not_fit(self):
        """The last one is smaller; rows of 80 stay floats."""
        self.check("int4-g128", int4, hidden=96, ffn=192, heads=3, kv_heads=1)
        model = self.make(hidden=80, ffn=160, heads=5, kv_heads=1)
        result = self.qcc(model.path, "--quantize=int4-g128", "--emit=import", "-o", "-")
        self.assertIn("mlp.up_proj.weight : !qz.tensor<160x80, #f32>", result.stdout)
        self.assertIn("mlp.down_proj.weight : !qz.tensor<80x160, #q4>", result.stdout)

    def test_refused(self):
        model = self.make(quantize={})
        result = self.qcc(model.path, "--quantize", "q4_0", "-o", self.library)
        self.assertEqual(result.returncode, 1)
        self.assertIn("expected F32, F16 or BF16, to be rounded to q4_0, got GPTQ-4-g32",
                      result.stderr)
        result = self.qcc(model.path, "--quantize", "q4_k_m", "-o", self.library)
        self.assertEqual(result.returncode, 2)
        self.assertIn("q4_k_m", result.stderr)


if __name__ == "__main__":
    run("--qcc", "--format-tool")
