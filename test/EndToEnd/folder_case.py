# folder_case.py - What tests of Hugging Face folders share.
# SPDX-License-Identifier: Apache-2.0
"""A test case with a folder of its own, that makes models there, runs qcc and
compares logits with an evaluation in float64."""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Inputs"))
from hf_folder import Folder  # noqa: E402


NATIVE, REFERENCE = ("--target", "native"), ("--target", "reference")


def oracle():
    """format_oracle.py, where a checkout has it beside it; else None."""
    path = pathlib.Path(__file__).resolve().parents[3] / "shared" / "reference"
    if not (path / "format_oracle.py").exists():
        return None
    sys.path.insert(0, str(path))
    import format_oracle
    return format_oracle


class FolderCase(unittest.TestCase):
    programs = None  # of run()
    variants = ((),)  # Options of the compiler to compare with.

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.library = self.folder / "m.so"

    def make(self, **options):
        return Folder(self.folder / "model", **options)

    def qcc(self, *arguments):
        return subprocess.run([self.programs.qcc, *map(str, arguments)], capture_output=True,
                              text=True)

    def compile(self, model, *options):
        result = self.qcc(model, "-o", self.library, *options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def logits(self, ids):
        array = self.folder / "l.npy"
        result = self.qcc("run", self.library, "logits", "--ids", ",".join(map(str, ids)), "-o", array)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return np.load(array)

    def check_logits(self, model, path=None, options=(), variants=None):
        """`path`: what is compiled, where that is not the folder."""
        ids = np.random.default_rng(7).integers(0, model.config["vocab_size"], 40)
        expected = model.logits(ids)
        for variant in variants or self.variants:
            self.compile(path or model.path, "--activations=f32", *variant, *options)
            error = np.abs(self.logits(ids) - expected).max()
            self.assertLess(error, 2e-4 * np.abs(expected).max(), variant)

    def check_read(self, model, path=None):
        """The logits of a folder whose kernels others have, too: by the reference alone, which
        takes a quarter of the time."""
        self.check_logits(model, path, variants=(REFERENCE,))

    def check_refused(self, model, *parts):
        """One line that holds all parts."""
        result = self.qcc(model, "--emit=import", "-o", "-")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        for part in parts:
            self.assertIn(part, result.stderr)


class TestCase(FolderCase):
    variants = (NATIVE, REFERENCE)


class QuantizedTestCase(TestCase):
    def setUp(self):
        super().setUp()
        self.process = subprocess.Popen([self.programs.tool], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.stdin.close)

    def values(self, model, tensor, shape):
        self.process.stdin.write(f"{model}\t{tensor}\n".encode())
        self.process.stdin.flush()
        status, _, rest = self.process.stdout.readline().decode().partition(" ")
        self.assertEqual(status, "ok", rest)
        return np.frombuffer(self.process.stdout.read(int(rest)), np.float32).reshape(shape)

    def check_weights(self, model):
        """All of them are the model's, bit for bit; returns what they are."""
        result = {}
        facts = json.loads(self.qcc("inspect", "--json", model.path).stdout)
        orders = {t["name"]: t["order"] for t in facts["tensors"] if "order" in t}
        for name, expected in model.weights.items():
            expected = expected.astype(np.float32)
            got = self.values(model.path, name, expected.shape)
            if name in orders:
                # Packed in the order of groups.
                columns = self.values(model.path, orders[name], expected.shape[1:]).astype(int)
                ordered, got = got, np.empty_like(got)
                got[:, columns] = ordered
            self.assertTrue(np.array_equal(got, expected), name)
            result[name] = got
        return result


def run(*programs):
    """Runs the tests of the calling file, which needs these options: "--qcc"..."""
    parser = argparse.ArgumentParser(add_help=False)
    for program in programs:
        parser.add_argument(program, required=True)
    FolderCase.programs, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
