#!/usr/bin/env python3
# gpu_test.py - Whole models by their GPU's code, with or without a GPU.
# SPDX-License-Identifier: Apache-2.0
#
#   gpu_test.py --qcc build/bin/qcc --driver FOLDER --kernels LIBRARY [unittest arguments]
#   gpu_test.py --qcc build/bin/qcc --gpu sm_90a [unittest arguments]
"""Compiles models for a CPU and a GPU and runs them from the command line. In place of
libcuda.so.1 the loader finds a driver whose kernels run in the emulator: the PTX of the
file, launched as its launch program says. Logits and tokens are those of the same file's
code for CPUs. Without --driver the models run on the machine's GPU."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SKIP = 77
try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(SKIP)

sys.dont_write_bytecode = True
TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "Inputs"))
from tiny_model import write_model  # noqa: E402

OPTIONS = argparse.Namespace()
fake = "--driver" in sys.argv
PROMPT = "It was the best of times, it was the worst of times, it was the age of w"


def distance(got, expected):
    """The largest difference, in units of the largest logit."""
    return np.abs(got - expected).max() / np.abs(expected).max()


class Gpu(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.program = self.folder / "m"

    def check_run(self, arguments, says=None, **variables):
        """With `says`, its messages, which have that in them, are asked for."""
        result = subprocess.run([*map(str, arguments), *(["-v"] if says else [])],
                                capture_output=True, text=True,
                                env={**os.environ, **variables}, timeout=600)
        self.assertRegex(result.stderr, says or "^$", arguments)
        self.assertEqual(result.returncode, 0, arguments)
        return result.stdout

    def compile(self, model, *options, gpu=None):
        self.check_run([OPTIONS.qcc, model, "--target", f"x86-64-v3,{gpu or OPTIONS.gpu}", "-o",
                        self.program, *options])

    def on_cpu(self, *arguments):
        return self.check_run([self.program, *arguments], QCC_GPU_LAYERS="0")

    def on_gpu(self, *arguments, capability="8.6", layers="99", **variables):
        if not OPTIONS.driver:
            return self.check_run([self.program, *arguments], QCC_GPU_LAYERS=layers,
                                  **variables)
        return self.check_run([self.program, *arguments], LD_LIBRARY_PATH=OPTIONS.driver,
                              FAKE_CUDA_KERNELS=OPTIONS.kernels,
                              FAKE_CUDA_CAPABILITY=capability, QCC_GPU_LAYERS=layers,
                              **variables)

    def logits(self, run, *arguments):
        run("logits", "-o", self.folder / "l.npy", *arguments)
        return np.load(self.folder / "l.npy")

    def tiny(self, **options):
        write_model(self.folder / "m.gguf", **options)
        return self.folder / "m.gguf"

    def check_logits(self, bound, *arguments, batches=("48", "1")):
        """Of the prompt in two steps, and of one token for each."""
        for batch in batches:
            given = (*arguments, "--batch", batch)
            expected = self.logits(self.on_cpu, *given)
            self.assertLess(distance(self.logits(self.on_gpu, *given), expected), bound)

    def test_exact(self):
        """Sums of exact products in another order; two pages of state."""
        self.compile(self.tiny(kind="Q4_1", embedding="Q8_0", heads=4, kv_heads=2),
                     "--activations=f32")
        self.assertIn(" on Fake GPU" if OPTIONS.driver else " on NVIDIA", self.on_gpu("bench", "-p", "8", "-n", "2", "-r", "1"))
        self.check_logits(2e-5, "-p", PROMPT)
        generate = (PROMPT, "--raw", "--greedy", "-n", "12")
        self.assertEqual(self.on_gpu(*generate), self.on_cpu(*generate))
        # The second of two layers and the output on the GPU.
        self.assertEqual(self.on_gpu(*generate, layers="1"), self.on_cpu(*generate))

    def test_long_context(self):
        """Positions that blocks share, of which the last joins what all have found."""
        self.compile(self.tiny(kind="Q8_0", heads=4, kv_heads=2, context=512),
                     "--activations=f32")
        self.assertIn("atom.global.inc", self.program.read_bytes().decode("latin-1"))
        prompt = ",".join(str(i * 37 % 256) for i in range(270))
        self.check_logits(2e-5, "--ids", prompt, batches=("97", "1"))

    def test_quantized_state(self):
        """Keys and values in 8 bits: with exact products the codes of a CPU, but for such as
        are between two; else nearer to it than the activations of a CPU let it be. Both
        keep their own part of the state where the CPU has a layer."""
        model = self.tiny(kind="Q4_1", embedding="Q8_0", heads=4, kv_heads=2, head_dim=40,
                          hidden=64, context=512)
        self.compile(model, "--activations=f32", "--kv=q8")
        self.check_logits(1e-3, "-p", PROMPT)
        prompt = ",".join(str(i * 37 % 256) for i in range(150))
        self.check_logits(1e-3, "--ids", prompt, batches=("97",))
        generate = (PROMPT, "--raw", "--greedy", "-n", "8")
        for layers in ("99", "1"):
            self.assertEqual(self.on_gpu(*generate, layers=layers), self.on_cpu(*generate))
        exact = self.logits(self.on_cpu, "-p", PROMPT)
        self.compile(model, "--kv=q8")
        rounded = distance(self.logits(self.on_cpu, "-p", PROMPT), exact)
        for batch in ("72", "1"):
            got = self.logits(self.on_gpu, "-p", PROMPT, "--batch", batch)
            self.assertLess(distance(got, exact), rounded)

    def test_tensor_cores(self):
        """Activations in f16: nearer to exact ones than the integers of a CPU are."""
        for kind, hidden in (("Q4_1", 64), ("Q5_K", 256)):
            model = self.tiny(kind=kind, embedding="Q8_0", hidden=hidden, ffn=hidden)
            self.compile(model, "--activations=f32")
            exact = self.logits(self.on_cpu, "-p", PROMPT)
            self.compile(model)
            self.assertIn("mma.sync", self.program.read_bytes().decode("latin-1"))
            got = self.logits(self.on_gpu, "-p", PROMPT)
            integers = distance(self.logits(self.on_cpu, "-p", PROMPT), exact)
            self.assertLess(distance(got, exact), min(4e-3, integers / 10))

    def test_prompts(self):
        """Attention of prompts by tensor cores, of halves of both kinds: as exact as the
        state's type lets it be."""
        model = self.tiny(kind="Q8_0", heads=4, kv_heads=2, head_dim=40, hidden=64)
        self.compile(model, "--activations=f32")
        exact = self.logits(self.on_cpu, "-p", PROMPT)
        for kv, bound in (("f16", 2e-3), ("bf16", 1e-2)):
            self.compile(model, f"--kv={kv}")
            self.assertIn("ldmatrix", self.program.read_bytes().decode("latin-1"))
            for batch in ("72", "20"):
                got = self.logits(self.on_gpu, "-p", PROMPT, "--batch", batch)
                self.assertLess(distance(got, exact), bound)

    def test_prompts_of_floats(self):
        """Products with weights in bf16, norms, gates and biases: as exact as bf16 lets
        them be, and the same bits of all rows at once and of some."""
        biases = ("attn_q", "attn_k", "attn_v")
        for options in ({}, {"architecture": "qwen2", "biases": biases, "ffn": 192}):
            self.compile(self.tiny(kind="BF16", heads=4, kv_heads=2, hidden=64, **options),
                         "--activations=f32")
            exact = self.logits(self.on_cpu, "-p", PROMPT)
            self.compile(self.folder / "m.gguf")
            self.assertIn("tile_matmul_", self.program.read_bytes().decode("latin-1"))
            got = [self.logits(self.on_gpu, "-p", PROMPT, "--batch", batch)
                   for batch in ("72", "20")]
            self.assertLess(distance(got[0], exact), 1e-2)
            self.assertTrue((got[0] == got[1]).all())

    def test_some_layers(self):
        """The first layers on the CPU, rows that are no whole number of vectors."""
        self.compile(TESTS / "architectures" / "gemma3", "--activations=f32")
        ids = ("--ids", "3,20,7,11,40,2,9,31,5", "--batch", "5")
        expected = self.logits(self.on_cpu, *ids)
        layers = json.loads(self.on_cpu("info", "--json"))["layers"]
        for count in (1, layers - 1):
            got = self.logits(lambda *a: self.on_gpu(*a, layers=str(count)), *ids)
            self.assertLess(distance(got, expected), 2e-5)
            info = json.loads(self.on_gpu("info", "--json", layers=str(count)))
            self.assertEqual(info["gpu_layers"], count)

    @unittest.skipUnless(fake, "needs two GPUs with little memory")
    def test_several_gpus(self):
        """Layers on two GPUs, the second of which has the output; then also on the CPU."""
        self.compile(self.tiny(kind="Q8_0", layers=5), "--activations=f32")

        def memory(first, second):
            return f"{first << 10},{second << 10}"

        given = memory(4096, 4096)

        def on_gpus(*arguments, layers="99"):
            return self.check_run(
                [self.program, *arguments], LD_LIBRARY_PATH=OPTIONS.driver,
                FAKE_CUDA_KERNELS=OPTIONS.kernels, FAKE_CUDA_CAPABILITY="8.6",
                FAKE_CUDA_BYTES=given, QCC_GPU_LAYERS=layers)

        # As much as leaves the fourth layer to the second.
        kilobytes = 4096
        while "(GPU 0, layers 1 to 3)" not in on_gpus("info", layers="auto"):
            kilobytes -= 16
            given = memory(kilobytes, 4 * kilobytes)
        info = json.loads(on_gpus("info", "--json"))
        self.assertEqual(info["device"], "Fake GPU (GPU 0, layers 1 to 3), "
                                         "Fake GPU (GPU 1, layers 4 to 5)")
        self.assertEqual(info["gpu_layers"], 5)
        ids = ("--ids", "3,20,7,11,40,2,9,31,5", "--batch", "5")
        expected = self.logits(self.on_cpu, *ids)
        self.assertLess(distance(self.logits(on_gpus, *ids), expected), 2e-5)
        generate = (PROMPT, "--raw", "--greedy", "-n", "6")
        self.assertEqual(on_gpus(*generate), self.on_cpu(*generate))
        # A second GPU without room for the last two: the CPU has the first.
        for second in range(kilobytes, 0, -16):
            given = memory(kilobytes, second)
            info = json.loads(on_gpus("info", "--json", layers="auto"))
            if info["gpu_layers"] < 5:
                break
        self.assertEqual(info["device"], "Fake GPU (GPU 0, layers 2 to 4), "
                                         "Fake GPU (GPU 1, layers 5 to 5)")
        got = self.logits(lambda *a: on_gpus(*a, layers="auto"), *ids)
        self.assertLess(distance(got, expected), 2e-5)

    @unittest.skipUnless(fake, "needs two kinds of GPUs")
    def test_code_for_one_kind(self):
        """PTX that only Hopper takes, and beside it some that newer GPUs take too."""
        self.compile(self.tiny(kind="Q8_0"), "--activations=f32", gpu="sm_90a")
        generate = ("ab", "--raw", "--greedy", "-n", "3")
        expected = self.on_cpu(*generate)
        for capability in ("9.0", "12.0"):
            self.assertEqual(self.on_gpu(*generate, capability=capability), expected)
        info = json.loads(self.on_gpu("info", "--json", capability="12.0"))
        self.assertEqual([image["architecture"] for image in
                          info["compilation"]["targets"][-1]["images"]], ["sm_90a", "sm_90"])

    def test_early_launches(self):
        """Kernels that begin before the one before has ended: the emulator watches what
        they touch until they have waited. The same bits as without."""
        self.compile(self.tiny(kind="Q4_1", embedding="Q8_0", heads=4, kv_heads=2,
                               context=512), gpu="sm_90")
        prompt = ",".join(str(i * 37 % 256) for i in range(150))
        given = ("--ids", prompt, "--batch")
        for batch in ("97", "1"):
            early, late = (
                self.logits(lambda *a: self.on_gpu(*a, capability="9.0",
                                                   QCC_GPU_DEPENDENT_LAUNCH=launch),
                            *given, batch)
                for launch in ("1", "0"))
            self.assertTrue((early == late).all())

    def test_several_rows(self):
        """Guesses that are checked together, in steps with a program of their own: no
        other token, and more than one of them in a step."""
        kinds = (("sm_86", "8.6"), ("sm_90", "9.0")) if fake else ((OPTIONS.gpu, None),)
        for gpu, capability in kinds:
            self.compile(self.tiny(kind="Q4_1", embedding="Q8_0", heads=4, kv_heads=2,
                                   context=256), gpu=gpu)
            self.assertIn("several_matmul_", self.program.read_bytes().decode("latin-1"))
            generate = ("abcabcabcabcabc", "--raw", "--greedy", "-n", "40")
            plain = self.on_gpu(*generate, capability=capability)
            self.assertEqual(self.on_gpu(*generate, "--lookup", "7", capability=capability,
                                         says=r"[1-9]\d* tokens drafted"), plain)

    def check_family(self, name):
        model = TESTS / "architectures" / name
        config = json.loads((model / "config.json").read_text())
        vocab = config.get("text_config", config)["vocab_size"]
        self.compile(model, "--activations=f32")
        ids = np.random.default_rng(5).integers(0, vocab, 9)
        self.check_logits(2e-5, "--ids", ",".join(map(str, ids)), batches=("5", "1"))

    def test_experts(self):
        """Of rows that chose them, of one row, and one for each head of latents."""
        self.check_family("deepseek-v3")

    def test_windows(self):
        """Also norms of heads, and norms after layers."""
        self.check_family("gemma3")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--qcc", required=True)
    parser.add_argument("--driver", help="folder of a libcuda.so.1 to run on; needs --kernels")
    parser.add_argument("--kernels", help="library that runs the kernels of that driver")
    parser.add_argument("--gpu", default="sm_86", help="target to compile for")
    _, rest = parser.parse_known_args(namespace=OPTIONS)
    unittest.main(argv=[sys.argv[0], *rest])


main()
