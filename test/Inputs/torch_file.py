# torch_file.py - Writes what torch.save writes, without torch.
# SPDX-License-Identifier: Apache-2.0
"""A zip archive of stored members around a pickle that Python's own pickler
makes: classes and functions that stand in for torch's have their names."""
import collections
import contextlib
import io
import pickle
import sys
import types
import zipfile

import numpy as np


def _modules():
    """Modules that the pickler imports to check the names."""
    functions = {}
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    storage = types.ModuleType("torch.storage")
    torch._utils, torch.storage = utils, storage

    def function(module, name):
        def called(*_):
            raise AssertionError(f"{name} is only named")
        called.__module__, called.__qualname__, called.__name__ = module.__name__, name, name
        setattr(module, name, called)
        functions[name] = called
    for name in ("_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter"):
        function(utils, name)
    for name in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte",
                 "Bool"):
        kind = type(name + "Storage", (), {"__module__": "torch"})
        setattr(torch, name + "Storage", kind)
        functions[name] = kind
    return {"torch": torch, "torch._utils": utils, "torch.storage": storage}, functions


MODULES, NAMED = _modules()
STORAGES = {"float32": "Float", "float64": "Double", "float16": "Half", "int64": "Long",
            "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool"}


@contextlib.contextmanager
def _imported():
    saved = {name: sys.modules.get(name) for name in MODULES}
    sys.modules.update(MODULES)
    try:
        yield
    finally:
        for name, module in saved.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


class Storage:
    def __init__(self, name, data):
        self.name, self.data = name, data


class View:
    """A tensor: a place in a storage. `parameter` wraps it once more."""

    def __init__(self, storage, shape, strides=None, offset=0, parameter=False):
        self.storage, self.shape, self.offset = storage, tuple(shape), offset
        self.parameter = parameter
        if strides is None:
            strides, step = [], 1
            for size in reversed(self.shape):
                strides.insert(0, step)
                step *= size
        self.strides = tuple(strides)

    def __reduce_ex__(self, protocol):
        if self.parameter:
            inner = View(self.storage, self.shape, self.strides, self.offset)
            return NAMED["_rebuild_parameter"], (inner, True, collections.OrderedDict())
        return NAMED["_rebuild_tensor_v2"], (self.storage, self.offset, self.shape, self.strides,
                                             False, collections.OrderedDict())


def view(array, **options):
    """A contiguous array, or one with `bits` and bfloat16 meant, in a storage of
    its own."""
    if hasattr(array, "bits"):
        return View(Storage("BFloat16", array.bits), array.shape, **options)
    array = np.ascontiguousarray(array)
    return View(Storage(STORAGES[array.dtype.name], array), array.shape, **options)


class StateDict(collections.OrderedDict):
    """With an attribute, as that of a module has."""

    def __reduce_ex__(self, protocol):
        metadata = collections.OrderedDict((key, {"version": 1}) for key in ("", "model"))
        return (collections.OrderedDict, (), {"_metadata": metadata}, None, iter(self.items()))


class _Pickler(pickle.Pickler):
    def __init__(self, out, protocol):
        super().__init__(out, protocol)
        self.storages = []

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        if value not in self.storages:
            self.storages.append(value)
        key = str(self.storages.index(value))
        return "storage", NAMED[value.name], key, "cpu", value.data.size


def write_torch(path, state, protocol=2, compression=zipfile.ZIP_STORED, top=None):
    """Writes any object; arrays in a dict become tensors."""
    if isinstance(state, dict):
        state = type(state)((name, value if isinstance(value, (View, dict)) or not
                             hasattr(value, "shape") else view(value))
                            for name, value in state.items())
    out = io.BytesIO()
    with _imported():
        pickler = _Pickler(out, protocol)
        pickler.dump(state)
    top = top or str(path).rpartition("/")[2].rpartition(".")[0]
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{top}/data.pkl", out.getvalue())
        archive.writestr(f"{top}/byteorder", "little")
        for key, storage in enumerate(pickler.storages):
            # Members of unknown length have Zip64 fields.
            with archive.open(f"{top}/data/{key}", "w", force_zip64=key % 2 == 1) as member:
                member.write(storage.data.tobytes())
        archive.writestr(f"{top}/version", "3\n")
