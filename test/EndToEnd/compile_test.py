#!/usr/bin/env python3
# compile_test.py - What the compiler promises, on small models made here.
# SPDX-License-Identifier: Apache-2.0
#
#   compile_test.py --qcc build/bin/qcc [unittest arguments]
import argparse
import json
import os
import pathlib
import re
import resource
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Inputs"))
from make_gguf import FILES, content  # noqa: E402
from tiny_model import write_model  # noqa: E402

QCC = None
FLAGS = pathlib.Path("/proc/cpuinfo").read_text()
TARGETS = [name for name, flag in (("x86-64-v3", "avx2"), ("x86-64-v4", "avx512_vnni"))
           if flag in FLAGS]


def qcc(*arguments, **options):
    return subprocess.run([QCC, *map(str, arguments)], capture_output=True, text=True, **options)


class TestCase(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def model(self, name="model.gguf", **options):
        return write_model(str(self.folder / name), **options)

    def compile(self, model, output, *options):
        result = qcc(model, "-o", self.folder / output, *options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return str(self.folder / output)

    def refuse(self, part, *arguments, code=1, **options):
        """The command ends with `code` and one line that holds `part`, and
        leaves no file behind."""
        before = sorted(self.folder.iterdir())
        result = qcc(*arguments, **options)
        self.assertEqual(result.returncode, code, result.stderr)
        lines = result.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, result.stderr)
        self.assertIn(part, lines[0])
        self.assertRegex(lines[0], "error: ")
        self.assertEqual(sorted(self.folder.iterdir()), before)


class Correctness(TestCase):
    """`qcc verify` compares a target with the reference, per layer and at the
    logits."""

    def verify(self, model, target, *options):
        result = qcc("verify", model, "--target", target, *options)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_every_type_on_every_target(self):
        """All types in two models (each type against the scalar meaning:
        test/unit/Codegen)."""
        mixes = [
            dict(attn_q="Q4_0", attn_k="Q4_1", attn_v="Q5_0", attn_output="Q5_1",
                 ffn_gate="Q2_K", ffn_up="Q3_K", ffn_down="Q6_K", token_embd="Q8_0"),
            dict(attn_q="Q8_0", attn_k="F16", attn_v="BF16", attn_output="F32",
                 ffn_gate="Q4_K", ffn_up="Q5_K", ffn_down="Q4_K", token_embd="Q6_K"),
        ]
        for types in mixes:
            model = self.model(hidden=256, heads=2, kv_heads=1, ffn=256, layers=1, types=types)
            for target in TARGETS:
                with self.subTest(types=types, target=target):
                    self.verify(model, target, "--activations=f32")
                    self.verify(model, target)

    def test_odd_shapes(self):
        shapes = [
            dict(hidden=96, heads=5, kv_heads=5, head_dim=24, ffn=160, vocab=301, layers=1,
                 types={"attn_output": "F16"}),
            dict(hidden=64, heads=9, kv_heads=1, head_dim=16, ffn=32, window=5, layers=1,
                 types={"attn_output": "BF16"}),
            dict(hidden=64, heads=4, kv_heads=2, head_dim=80, layers=7, architecture="gemma3",
                 head_norm=True, post_norm=True, window=4),
        ]
        for number, shape in enumerate(shapes):
            model = self.model(f"{number}.gguf", **shape)
            for target in TARGETS:
                with self.subTest(shape=shape, target=target):
                    self.verify(model, target, "--activations=f32")


class Artefact(TestCase):
    def test_same_input_same_bytes(self):
        model = self.model()
        first, second = (pathlib.Path(self.compile(model, name)).read_bytes()
                         for name in ("one", "two"))
        self.assertEqual(first, second)

    def test_code_does_not_grow_with_layers(self):
        sizes = []
        for layers in (2, 64):
            model = self.model(f"{layers}.gguf", layers=layers)
            assembly = self.folder / f"{layers}.s"
            result = qcc(model, "--emit=asm", "-o", assembly, "--target", "x86-64-v4")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            # Machine code: the text section of the object.
            obj = self.folder / f"{layers}.o"
            self.assertEqual(qcc(model, "--emit=obj", "-o", obj, "--target",
                                 "x86-64-v4").returncode, 0)
            sizes.append(text_bytes(obj.read_bytes()))
        self.assertGreater(sizes[0], 1000)
        self.assertLess(abs(sizes[1] - sizes[0]), 0.01 * sizes[0])

    def test_library_and_executable_agree(self):
        model = self.model()
        library, program = self.compile(model, "m.so"), self.compile(model, "m")
        for command, output in (([QCC, "run", library], "a.npy"), ([program], "b.npy")):
            subprocess.run([*command, "logits", "--ids", "1,2,3", "-o",
                            str(self.folder / output)], check=True)
        self.assertEqual((self.folder / "a.npy").read_bytes(),
                         (self.folder / "b.npy").read_bytes())

    def test_model_in_several_files(self):
        models = (self.model(), self.model("m-00001-of-00003.gguf", parts=3))
        for i, model in enumerate((*models, models[1].replace("-00001-", "-00003-"))):
            library = self.compile(model, f"{i}.so")
            subprocess.run([QCC, "run", library, "logits", "--ids", "1,2,3", "-o",
                            str(self.folder / f"{i}.npy")], check=True)
        whole, *split = ((self.folder / f"{i}.npy").read_bytes() for i in range(3))
        self.assertEqual(split, [whole, whole])

    def test_any_number_of_threads(self):
        program = self.compile(self.model(layers=3), "m")
        ids = ",".join(str(i * 7 % 256) for i in range(40))
        for batch in ("1", "40"):
            results = set()
            for threads in (1, 2, 3, 4, 7):
                output = self.folder / f"{batch}-{threads}.npy"
                subprocess.run([program, "logits", "--ids", ids, "--batch", batch, "--threads",
                                str(threads), "-o", str(output)], check=True)
                results.add(output.read_bytes())
            self.assertEqual(len(results), 1)

    def test_profile(self):
        program = self.compile(self.model(layers=3), "m")
        result = subprocess.run([program, "bench", "-p", "20", "-n", "4", "-r", "2", "--threads",
                                 "2", "--profile", "--json"],
                                capture_output=True, text=True, check=True)
        measured = json.loads(result.stdout)
        for part, steps in (("prefill_profile", 2), ("decode_profile", 4)):
            profile = measured[part]
            self.assertEqual(profile["steps"], steps)
            stages = profile["stages"]
            # Ticks of all threads add up to the time of the steps.
            total = sum(s["work_seconds"] + s["wait_seconds"] for s in stages)
            self.assertAlmostEqual(total, profile["seconds"], delta=profile["seconds"] * 1e-3)
            matmuls = [s for s in stages if s["macs"]]
            self.assertTrue(all(s["weight_bytes"] and s["name"].startswith("matmul ")
                                for s in matmuls))
            self.assertEqual({s["runs"] for s in matmuls}, {1, 3})
        # Each layer has the same barriers.
        self.assertGreater(measured["prefill_profile"]["barriers"], 2 * 3 * 5)
        text = subprocess.run([program, "bench", "-p", "20", "-n", "4", "-r", "1", "--profile"],
                              capture_output=True, text=True, check=True).stdout
        self.assertIn("barriers a step", text)
        self.assertIn("matmul blk.0.ffn_gate.weight, blk.0.ffn_up.weight", text)

    def test_external_weights(self):
        model = self.model()
        program = self.compile(model, "m", "--weights=external")
        self.assertTrue((self.folder / "m.qw").exists())
        result = subprocess.run([program, "logits", "--ids", "1,2", "-o",
                                 str(self.folder / "l.npy")], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        (self.folder / "m.qw").unlink()
        result = subprocess.run([program, "logits", "--ids", "1,2", "-o",
                                 str(self.folder / "x.npy")], capture_output=True, text=True)
        self.assertEqual(result.returncode, 1)
        self.assertIn("m.qw", result.stderr)

    def test_stages_can_be_printed(self):
        model = self.model()
        for stage, part in (("import", "llm.linear"), ("fused", "qz.matmul"),
                            ("layout", "offset ="), ("schedule", "unit_count"),
                            ("llvm", "define"), ("asm", "vpdpbusd")):
            result = qcc(model, f"--emit={stage}", "-o", "-", "--target", "x86-64-v4")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(part, result.stdout)


def text_bytes(data):
    """Bytes in the executable sections of an ELF object."""
    table, = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    total = 0
    for i in range(count):
        _, _, flags, _, _, length = struct.unpack_from("<IIQQQQ", data, table + i * size)
        total += length if flags & 4 else 0
    return total


class Memory(TestCase):
    def test_memory_does_not_follow_the_model(self):
        """Anonymous memory of a compilation: a model of 4 GB needs at most 64 MB
        more than one of 100 MB. The large one is a sparse file."""
        if not os.environ.get("QCC_LARGE_TESTS"):
            self.skipTest("needs 9 GB of disk: set QCC_LARGE_TESTS=1")
        peaks = []
        for layers in (4, 160):
            model = self.folder / f"{layers}.gguf"
            write_sparse(model, layers)
            peaks.append(self.peak_anonymous(model))
            print(f"{model.stat().st_size / 1e6:.0f} MB: {peaks[-1] / 1e6:.0f} MB of memory")
        self.assertLess(peaks[1], peaks[0] + 64e6)

    def peak_anonymous(self, model):
        process = subprocess.Popen([QCC, str(model), "-o", str(self.folder / "m.so")])
        peak = 0
        while process.poll() is None:
            try:
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                break
            found = re.search(r"RssAnon:\s+(\d+)", status)
            peak = max(peak, int(found.group(1)) * 1024 if found else 0)
        self.assertEqual(process.wait(), 0)
        return peak


def write_sparse(path, layers):
    """A model of about 26 MB a layer whose weights are holes in the file."""
    from make_gguf import TYPES
    small = write_model(str(path), layers=layers, hidden=32, ffn=32, heads=1, kv_heads=1)
    data = pathlib.Path(small).read_bytes()
    hidden, ffn, vocab = 2048, 5632, 288
    # Rewrite the sizes: the header keeps its length, so only numbers change.
    sizes = {"embedding_length": hidden, "feed_forward_length": ffn, "attention.key_length": 64,
             "attention.value_length": 64, "attention.head_count": 32,
             "attention.head_count_kv": 4}
    out = bytearray(data)
    for name, value in sizes.items():
        at = data.index(f"llama.{name}".encode() + struct.pack("<I", 4)) + len(name) + 6 + 4
        struct.pack_into("<I", out, at, value)
    shapes = {"token_embd": (hidden, vocab), "output_norm": (hidden,), "attn_norm": (hidden,),
              "attn_q": (hidden, hidden), "attn_k": (hidden, 256), "attn_v": (hidden, 256),
              "attn_output": (hidden, hidden), "ffn_norm": (hidden,), "ffn_gate": (hidden, ffn),
              "ffn_up": (hidden, ffn), "ffn_down": (ffn, hidden)}
    offset = 0
    end = 0
    for match in re.finditer(rb"((?:blk\.\d+\.)?([a-z_]+))\.weight", data):
        at, dims = match.end(), shapes[match.group(2).decode()]
        struct.pack_into("<I", out, at, len(dims))
        for i, dim in enumerate(dims):
            struct.pack_into("<Q", out, at + 4 + 8 * i, dim)
        kind = "Q4_0" if len(dims) == 2 else "F32"
        ident, block, size = TYPES[kind]
        struct.pack_into("<IQ", out, at + 4 + 8 * len(dims), ident, offset)
        count = dims[0] * (dims[1] if len(dims) == 2 else 1)
        offset += (count // block * size + 31) // 32 * 32
        end = at + 4 + 8 * len(dims) + 12
    start = (end + 31) // 32 * 32
    with open(path, "wb") as f:
        f.write(out[:end])
        f.truncate(start + offset)


class BadInput(TestCase):
    def test_bad_files(self):
        for name, (_, message) in FILES.items():
            if message is None:
                continue
            path = self.folder / f"{name}.gguf"
            path.write_bytes(content(name))
            with self.subTest(name):
                self.refuse(message, path, "-o", self.folder / "out")
                self.refuse(message, "inspect", path)
            path.unlink()

    def test_missing_file_and_folder(self):
        self.refuse("none.gguf", self.folder / "none.gguf", "-o", self.folder / "out")
        self.refuse(str(self.folder), self.folder, "-o", self.folder / "out")

    def test_tensors(self):
        def change(name, instead):
            return lambda n, dims, kind: instead if n == name else (dims, kind)
        cases = [
            ("tensor 'blk.1.attn_v.weight' is missing", change("blk.1.attn_v.weight", None)),
            ("tensor 'blk.0.ffn_up.weight': expected shape [256, 96], got [256, 128]",
             change("blk.0.ffn_up.weight", ([256, 128], "Q4_0"))),
            ("type F64, which is not supported yet (supported: F32",
             change("blk.0.ffn_up.weight", ([256, 96], "F64"))),
        ]
        for message, changed in cases:
            with self.subTest(message):
                model = self.model("bad.gguf", hidden=256, change=changed)
                self.refuse(message, model, "-o", self.folder / "out")

    def test_unsupported_architecture_names_the_supported(self):
        model = self.model(architecture="mamba")
        self.refuse("unsupported architecture 'mamba' (supported: llama", model, "-o",
                    self.folder / "out")

    def test_impossible_numbers(self):
        for message, shape in [
                ("head_count", dict(heads=3, kv_heads=2, head_dim=32)),
                ("rope.dimension_count", dict(head_dim=15, types={"attn_output": "F32"})),
        ]:
            with self.subTest(message):
                self.refuse(message, self.model("bad.gguf", **shape), "-o", self.folder / "out")

    def test_usage(self):
        model = self.model()
        self.refuse("x86-64-v4", model, "-o", self.folder / "out", "--target", "x86-64-v5",
                    code=2)
        self.refuse("--target", model, "-o", self.folder / "out", "--taget", "native", code=2)

    def test_unwritable_output(self):
        model = self.model()
        self.refuse("/nonexistent", model, "-o", "/nonexistent/out")

    def test_full_disk(self):
        model = self.model(hidden=256, ffn=2048, layers=4)

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        self.refuse("out", model, "-o", self.folder / "out", preexec_fn=limit)

    def test_truncated_anywhere(self):
        model = self.model(layers=1, hidden=32, ffn=32, heads=1)
        data = pathlib.Path(model).read_bytes()
        path = self.folder / "cut.gguf"
        for length in [*range(0, len(data), max(1, len(data) // 60)), len(data) - 1]:
            path.write_bytes(data[:length])
            with self.subTest(length):
                self.refuse("cut.gguf", path, "-o", self.folder / "out")


class Inspect(TestCase):
    def test_json(self):
        result = qcc("inspect", self.model(kind="Q4_K", hidden=256, ffn=256), "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        described = json.loads(result.stdout)
        self.assertEqual(described["architecture"], "llama")
        self.assertIn("blk.0.attn_q.weight", [t["name"] for t in described["tensors"]])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--qcc", required=True)
    arguments, rest = parser.parse_known_args()
    QCC = os.path.abspath(arguments.qcc)
    unittest.main(argv=[sys.argv[0], *rest])
