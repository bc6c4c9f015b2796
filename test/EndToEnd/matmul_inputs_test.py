#!/usr/bin/env python3
# matmul_inputs_test.py - What enters each matmul, as the reference writes it.
# SPDX-License-Identifier: Apache-2.0
#
#   matmul_inputs_test.py --qcc build/bin/qcc [unittest arguments]
"""`logits --matmul-inputs` of the reference target must have the rows that an
evaluation in float64 multiplies with each weight, for all weights, in the order
of the model even where a weight's columns are stored in another."""
import sys

SKIP = 77
try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(SKIP)

sys.dont_write_bytecode = True
from folder_case import FolderCase, run  # noqa: E402


class MatmulInputs(FolderCase):
    def write(self, ids, *options):
        """The inputs by name of the weight, and the logits."""
        folder, logits = self.folder / "inputs", self.folder / "l.npy"
        result = self.qcc("run", self.library, "logits", "--ids", ",".join(map(str, ids)), "-o",
                          logits, "--matmul-inputs", folder, *options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return {path.name.removesuffix(".npy"): np.load(path)
                for path in folder.iterdir()}, np.load(logits)

    def check(self, options=(), **model_options):
        model = self.make(**model_options)
        self.compile(model.path, "--target", "reference")
        ids = np.random.default_rng(7).integers(0, model.config["vocab_size"], 40)
        expected = {}
        expected_logits = model.logits(ids, expected)
        got, logits = self.write(ids, *options)
        self.assertEqual(sorted(got), sorted(expected))
        self.assertEqual(len(got), 7 * model.config["num_hidden_layers"] + 1)
        for name, rows in got.items():
            with self.subTest(weight=name):
                self.assertEqual((rows.dtype, rows.shape), (np.float32, expected[name].shape))
                self.assertTrue(np.allclose(rows, expected[name], rtol=1e-4, atol=1e-5))
        head = next(name for name in got if not name.startswith("model.layers"))
        product = got[head].astype(np.float64) @ model.weights[head].T
        for other in (logits, expected_logits):
            self.assertTrue(np.allclose(product, other, rtol=1e-4, atol=1e-5))

    def test_float(self):
        self.check()

    def test_steps(self):
        self.check(("--batch", "7", "--threads", "3"), layers=3, tied=True)

    def test_act_order(self):
        self.check(quantize={"g_idx": "scrambled", "group": 32})

    def test_rounded(self):
        """They are those of the model that is compiled."""
        model = self.make(layers=1)
        ids = list(range(20))
        self.compile(model.path, "--target", "reference", "--quantize", "q4_0")
        got, _ = self.write(ids)
        expected = {}
        model.logits(np.array(ids), expected)
        gate = "model.layers.0.mlp.gate_proj.weight"
        error = np.abs(got[gate] - expected[gate]).max()
        self.assertGreater(error, 1e-3)
        self.assertLess(error, 1)

    def test_refused(self):
        model = self.make(layers=1)
        self.compile(model.path, "--target", "x86-64-v3")
        result = self.qcc("run", self.library, "logits", "--ids", "1", "-o", self.folder / "l.npy",
                          "--matmul-inputs", self.folder / "inputs")
        self.assertEqual(result.returncode, 1)
        self.assertIn("target x86-64-v3 does not give inputs of matmuls; compile the model with "
                      "--target reference", result.stderr)
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["m.so", "model"])


if __name__ == "__main__":
    run("--qcc")
