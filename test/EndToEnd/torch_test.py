#!/usr/bin/env python3
# torch_test.py - Torch files from reading to logits.
# SPDX-License-Identifier: Apache-2.0
#
#   torch_test.py --qcc build/bin/qcc [unittest arguments]
"""Small folders are written as safetensors and again as torch files
(test/Inputs/torch_file.py, by Python's zipfile and pickle), and must compile to
models with the logits of an evaluation in float64. Pickles that would run
something are refused by name, and nothing runs."""
import json
import os
import pathlib
import sys
import zipfile

SKIP = 77
try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(SKIP)

sys.dont_write_bytecode = True
from folder_case import FolderCase, run  # noqa: E402
from hf_folder import BF16  # noqa: E402
from torch_file import StateDict, Storage, View, view, write_torch  # noqa: E402


class Command:
    """Pickled as a call of os.system."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


class TestCase(FolderCase):
    def make(self, **options):
        """A folder whose safetensors are gone."""
        model = super().make(**options)
        for file in model.path.glob("*.safetensors*"):
            file.unlink()
        return model


class Reads(TestCase):
    def test_types(self):
        for dtype in (np.float32, np.float16, BF16):
            with self.subTest(dtype=dtype):
                model = self.make(dtype=dtype)
                write_torch(model.path / "pytorch_model.bin", StateDict(model.tensors))
                self.check_read(model)
                self.check_read(model, model.path / "pytorch_model.bin")

    def test_protocols(self):
        model = self.make(layers=1)
        for protocol in (2, 3, 4, 5):
            with self.subTest(protocol=protocol):
                write_torch(model.path / "pytorch_model.bin", dict(model.tensors), protocol)
                self.check_read(model)

    def test_training_checkpoint(self):
        model = self.make(layers=1)
        tensors = {name: view(array, parameter=True) for name, array in model.tensors.items()}
        write_torch(model.path / "model.pt", {"epoch": 3, "loss": 0.5, "state_dict": tensors,
                                              "names": ["a", None, True, (1, -70000, 1 << 40)]})
        self.check_read(model)

    def test_shared_storages(self):
        """The head is the embedding, and all norms lie in one storage."""
        model = self.make(tied=True)
        norms = [name for name, array in model.tensors.items() if len(array.shape) == 1]
        tensors = {name: view(array) for name, array in model.tensors.items()}
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
        whole = Storage("Float", np.concatenate([model.tensors[name] for name in norms]))
        for i, name in enumerate(norms):
            size = model.tensors[name].size
            tensors[name] = View(whole, (size,), offset=i * size)
        write_torch(model.path / "pytorch_model.bin", tensors)
        self.check_read(model)
        size = (model.path / "pytorch_model.bin").stat().st_size
        self.assertLess(size, 1.2 * sum(array.size * 4 for array in model.tensors.values()))

    def test_shards(self):
        model = self.make()
        names = list(model.tensors)
        weight_map = {}
        for i in range(3):
            file = f"pytorch_model-{i + 1:05}-of-00003.bin"
            part = names[i::3]
            write_torch(model.path / file, StateDict((n, model.tensors[n]) for n in part))
            weight_map.update({name: file for name in part})
        index = model.path / "pytorch_model.bin.index.json"
        index.write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": weight_map}))
        self.check_read(model)
        self.check_read(model, model.path / "pytorch_model-00002-of-00003.bin")
        (model.path / "pytorch_model-00003-of-00003.bin").unlink()
        self.check_refused(model.path, "pytorch_model.bin.index.json",
                           "'pytorch_model-00003-of-00003.bin' is missing")

    def test_gptq(self):
        model = self.make(quantize={})
        write_torch(model.path / "gptq_model-4bit-32g.bin", StateDict(model.tensors))
        self.check_read(model)
        facts = json.loads(self.qcc("inspect", "--json", model.path).stdout)
        self.assertEqual(facts["format"], "torch, GPTQ")


class Refuses(TestCase):
    def refuse(self, state, *parts, **options):
        model = self.make(layers=1)
        write_torch(model.path / "pytorch_model.bin", state, **options)
        self.check_refused(model.path, "pytorch_model.bin: ", *parts)

    def test_code(self):
        witness = self.folder / "witness"
        command = Command(f"touch {witness}")
        for protocol in (2, 4):
            for state in (command, {"a": command}, {"a": np.zeros(3), "b": [command]}):
                self.refuse(state, f"the pickle needs '{os.name}.system', which is not a tensor",
                            protocol=protocol)
        self.assertFalse(witness.exists())

    def test_other_objects(self):
        self.refuse({"a": pathlib.PurePosixPath("x")}, "the pickle needs 'pathlib.PurePosixPath'")
        self.refuse({"a": 5}, "tensor 'a': expected a tensor, got the integer 5")
        self.refuse([np.zeros(3).tolist()], "expected a dict of tensors, got a list")

    def test_compressed(self):
        self.refuse({"a": np.zeros(3)}, "byteorder' is compressed", compression=zipfile.ZIP_DEFLATED)

    def test_transposed(self):
        storage = Storage("Float", np.zeros(6, np.float32))
        self.refuse({"a": View(storage, (2, 3), (1, 2))},
                    "tensor 'a': a view with shape [2, 3] and strides [1, 2] is not supported")
        self.refuse({"a": View(storage, (3, 3))}, "tensor 'a': shape [3, 3] at element 0: expected "
                    "a storage that holds it, got one of 6 elements")

    def test_types(self):
        self.refuse({"a": np.zeros(3, bool)}, "tensor 'a' has dtype BOOL")

    def test_truncated(self):
        model = self.make(layers=1)
        path = model.path / "pytorch_model.bin"
        write_torch(path, StateDict(model.tensors))
        data = path.read_bytes()
        for length in (len(data) - 1, len(data) // 2, 100, 30, 4):
            path.write_bytes(data[:length])
            self.check_refused(model.path, "pytorch_model.bin: ")


if __name__ == "__main__":
    run("--qcc")
