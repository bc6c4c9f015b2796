#!/usr/bin/env python3
# exl2_test.py - Folders that ExLlamaV2 writes, from tensors to logits.
# SPDX-License-Identifier: Apache-2.0
#
#   exl2_test.py --qcc build/bin/qcc --tool build/bin/qcc-checkpoint-tool
#                [unittest arguments]
"""Folders made by test/Inputs/exl2.py: each matrix, packed and unpacked again, has
the values of the format's definition bit for bit (and of format_oracle.py, where a
checkout has it beside it); logits are those of an evaluation in float64; what
contradicts itself is refused."""
import sys

SKIP = 77
try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(SKIP)

from folder_case import QuantizedTestCase, oracle, run
from exl2 import exl2

CONFIG = {"quant_method": "exl2", "version": "0.2.4", "bits": 4.0, "head_bits": 6,
          "calibration": {"rows": 100, "length": 2048, "dataset": "(default)"}}
# Two widths and group sizes; the sizes below leave part of a group.
MIXED = ((8, 32, 1), (6, 64, 1), (5, 32, 1), (4, 128, 1), (3, 64, 1), (2, 64, 0))
SIZES = dict(hidden=416, ffn=448, heads=13, kv_heads=1, vocab=100)


class Exl2(QuantizedTestCase):
    def exl2(self, plan=MIXED, head=False, named=True, quantize=None, **options):
        """`plan` may be a function of the module's name; `quantize`: more for exl2()."""
        def quantizer(random, module, weight, order):
            if module == "lm_head" and not head:
                return None
            parts = plan(module) if callable(plan) else plan
            return exl2(random, weight, order, parts, **(quantize or {}))
        return self.make(quantizer=quantizer, **{
            "config": {"quantization_config": CONFIG} if named else {}, **SIZES, **options})

    def check_values(self, model):
        decoder = oracle()
        for name, expected in model.weights.items():
            got = self.values(model.path, name, expected.shape)
            parts = {part: model.tensors.get(f"{name[:-6]}{part}") for part in
                     ("q_weight", "q_invperm", "q_scale", "q_scale_max", "q_groups")}
            if parts["q_weight"] is None:
                continue
            columns = np.argsort(parts["q_invperm"])
            ordered, got = got, np.empty_like(got)
            got[:, columns] = ordered
            np.testing.assert_array_equal(got, expected.astype(np.float32), name)
            if decoder:
                np.testing.assert_array_equal(
                    got, decoder.exl2_dequant(**parts, out=len(expected)), name)

    def test_values(self):
        for index, (options, plan) in enumerate([
                ({}, MIXED), ({}, ((4, 128, 0),)), ({}, ((4, 32, 0),)),
                ({}, ((6, 128, 1), (5, 128, 0))), ({}, ((3, 64, 1), (2, 64, 0))),
                ({}, ((3, 32, 1), (2, 16, 0))), ({}, ((2, 16, 0),)), ({}, ((4, 16, 2), (2, 16, 0))), ({}, ((6, 16, 2), (8, 16, 2), (2, 16, 0))),
                ({"quantize": {"short": True}}, ((5, 64, 2), (4, 64, 0))),
                ({"quantize": {"in_order": True, "q_perm": True}}, ((8, 128, 0),))]):
            with self.subTest(plan=plan, **options):
                self.check_values(self.exl2(plan, head=True, seed=index + 1, **options))

    def test_logits(self):
        self.check_logits(self.exl2(head=True))
        self.check_logits(self.exl2(((3, 32, 3), (2, 16, 0)), layers=1, head=True))
        self.check_logits(self.exl2(((4, 32, 0),), layers=1,
                                    quantize={"in_order": True, "bias": 0.0}))

    def test_head_of_its_own(self):
        """ExLlamaV2 writes one also where the config ties it to the embedding."""
        model = self.exl2(head=True, layers=1)
        path = model.path / "config.json"
        self.assertIn('"tie_word_embeddings": false', path.read_text())
        path.write_text(path.read_text().replace('"tie_word_embeddings": false',
                                                 '"tie_word_embeddings": true'))
        self.check_logits(model)

    def test_layers_of_other_widths(self):
        """A layer's bits are its own, and so is its code."""
        self.check_logits(self.exl2(
            lambda module: ((5, 32, 2), (4, 64, 0)) if ".0." in module
            else ((6, 128, 1), (5, 64, 0))))

    def test_without_a_config(self):
        model = self.exl2(((4, 128, 0),), named=False, layers=1)
        result = self.qcc("inspect", model.path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("safetensors, EXL2", result.stdout)
        self.check_read(model)

    def test_types_are_named(self):
        result = self.qcc("inspect", "--json", self.exl2().path)
        self.assertIn('"EXL2-8+6+5+4+3+2"', result.stdout)
        self.assertIn(".mlp.up_proj.q_scale_max", result.stdout)
        result = self.qcc("inspect", self.exl2(((4, 128, 0),), hidden=512, ffn=512, heads=4).path)
        self.assertIn("EXL2-4-g128", result.stdout)

    def test_packed_size(self):
        """At most 4 % larger than in the file, for what ExLlamaV2 writes."""
        for plan in [((4, 128, 0),), ((4, 32, 0),), ((3, 64, 1), (2, 64, 0)), ((2, 16, 0),),
                     ((4, 32, 10), (2, 32, 0)), ((8, 32, 2), (4, 32, 4), (3, 32, 0)), ((8, 128, 0),),
                     ((5, 128, 1), (4, 128, 0)), ((5, 32, 2), (4, 32, 0)),
                     ((6, 32, 1), (5, 32, 0)), ((4, 128, 2), (3, 128, 0)),
                     ((8, 32, 1), (4, 128, 0))]:
            with self.subTest(plan=plan):
                model = self.exl2(plan, hidden=1024, ffn=1024, heads=8, kv_heads=8, layers=1)
                result = self.qcc(model.path, "--emit=layout", "-o", "-")
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                packed = stored = 0
                for line in result.stdout.splitlines():
                    if line.lstrip().startswith("qz.weight @") and "_proj.weight" in line:
                        packed += int(line.split("bytes = ")[1].split()[0].strip(",}:"))
                for name, array in model.tensors.items():
                    if "_proj" in name and "invperm" not in name:
                        stored += array.nbytes
                self.assertGreater(packed, stored / 2)
                self.assertLess(packed, 1.04 * stored)

    def test_refused(self):
        name = "model.layers.0.mlp.up_proj"

        def changed(change, *parts, **options):
            model = self.exl2(**options)
            change(model.tensors)
            model.write()
            with self.subTest(parts=parts):
                self.check_refused(model.path, "model.safetensors", *parts)

        def edit(suffix, function):
            def change(tensors):
                tensors[f"{name}.{suffix}"] = function(tensors[f"{name}.{suffix}"].copy())
            return change

        def put(index, value):
            def function(array):
                array[index] = value
                return array
            return function

        for suffix in ("q_scale", "q_scale_max", "q_groups", "q_invperm"):
            changed(lambda tensors, suffix=suffix: tensors.pop(f"{name}.{suffix}"),
                    f"comes without '{name}.{suffix}'")
        quoted = [f"'{name}.{suffix}'" for suffix in ("q_weight", "q_groups", "q_invperm")]
        changed(edit("q_weight", lambda a: a.astype(np.int16)), quoted[0], "I32", "I16")
        changed(edit("q_weight", lambda a: a[:, :-8].copy()), quoted[0], "multiple of 32")
        changed(edit("q_weight", lambda a: a[:-2].copy()), quoted[1], "rows that end after 51")
        changed(edit("q_weight", lambda a: np.concatenate([a, a[:2]])), quoted[1],
                "32 k, of 416 in all, in group 6", "got 64")
        changed(edit("q_scale", lambda a: a[:-1].copy()), "q_scale'", "shape")
        changed(edit("q_scale_max", lambda a: a.astype(np.float32)), "q_scale_max'", "F16", "F32")
        changed(edit("q_groups", lambda a: a[:-1].copy()), quoted[1], "pairs of bits and rows")
        changed(edit("q_groups", put(0, 9)), quoted[1], "2 to 8 bits in group 0", "got 9")
        changed(edit("q_groups", put(0, 1)), quoted[1], "2 to 8 bits in group 0", "got 1")
        changed(edit("q_groups", put(1, 1)), quoted[1], "row 0 in group 0", "got 1")
        changed(edit("q_groups", put(3, 0)), quoted[1], "rows that end after 0", "got 0")
        changed(edit("q_groups", put(3, 7)), quoted[1], "multiple of 8 rows", "got 7")
        changed(lambda tensors: None, ".q_groups'", "pairs of groups of 16 k", "got 3 of 4 bits",
                plan=((4, 16, 3), (2, 16, 0)))
        changed(edit("q_groups", put(3, -1)), quoted[1], "group 0")
        changed(edit("q_invperm", put(0, 416)), quoted[2], "each place below 416 once", "416")
        changed(edit("q_invperm", put(0, -1)), quoted[2], "each place below 416 once", "4294967295")
        changed(edit("q_invperm", lambda a: put(0, a[1])(a)), quoted[2], "once")
        changed(edit("q_invperm", lambda a: a.reshape(2, -1)), quoted[2], "elements")
        changed(edit("q_invperm", lambda a: a.astype(np.float32)), quoted[2], "I32 or I16", "F32")
        changed(lambda tensors: tensors.update({f"{name}.bias": np.zeros(400, np.float16)}),
                quoted[0], f"as many columns as '{name}.bias'")


if __name__ == "__main__":
    run("--qcc", "--tool")
