#!/usr/bin/env python3
# gguf_reader_test.py - Compares the GGUF reader with that of the gguf package.
# SPDX-License-Identifier: Apache-2.0
#
#   gguf_reader_test.py path/to/qcc-checkpoint-tool [--mutations N] [MODEL...]
#
# 1. Every file of make_gguf.py gives what it should: its error, or the same keys,
#    tensors and bytes as gguf's reader.
# 2. Files that gguf's writer makes, with random keys and tensors, read the same.
# 3. Random damage to good files: what gguf's reader refuses, ours refuses; what
#    both accept, they read the same. Exceptions are the rules in `lenient`.
# 4. The same comparison for real models, when given.
#
# Exits 77 (skipped) without the gguf package.

import argparse
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "..", "Inputs"))
import make_gguf  # noqa: E402

try:
    import gguf
    import numpy as np
except ImportError:
    print("skipped: the gguf package is not there")
    sys.exit(77)


class Tool:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def read(self, path):
        """(description, None) or (None, error)."""
        self.process.stdin.write(path.encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline().decode(errors="replace").rstrip("\n")
        kind, _, rest = line.partition(" ")
        if kind == "ok":
            return json.loads(self.process.stdout.read(int(rest))), None
        assert kind == "error", f"the tool ended: {line!r}"
        return None, rest


def reference(path):
    """(reader, None) or (None, exception)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            reader = gguf.GGUFReader(path)
            # Its reader cuts slices at the end of the file silently.
            for tensor in reader.tensors:
                assert tensor.data.nbytes == tensor.n_bytes, "data cut off"
            return reader, None
        except Exception as e:
            return None, e


def lenient(error, data):
    """Why ours may accept what gguf's reader refuses with `error`."""
    text = f"{type(error).__name__}: {error}"
    # Its constants lack a type that ggml has.
    if "is not a valid GGMLQuantizationType" in text and "42" in text:
        return True
    # Texts inside values are ours to give on, whatever their encoding.
    if isinstance(error, UnicodeDecodeError):
        return True
    return False


def same_number(a, b):
    if isinstance(a, str):  # "nan", "inf", "-inf"
        return str(float(b)) == a
    if isinstance(a, float) or isinstance(b, float):
        return np.float32(a) == np.float32(b) or float(a) == float(b)
    return int(a) == int(b)


def same_value(ours, theirs):
    if isinstance(ours, dict):
        return len(theirs) == ours["length"]
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same_value, ours, theirs))
    if isinstance(theirs, str):
        return ours == theirs
    return same_number(ours, theirs)


def differences(ours, reader, data):
    """What differs between two readings of the same bytes."""
    keys = dict(ours["config"])
    keys.update(ours["tokenizer"])
    if ours["chat_template"] is not None:
        keys["tokenizer.chat_template"] = ours["chat_template"]
    theirs = {name: field for name, field in reader.fields.items()
              if not name.startswith("GGUF.")}
    # An empty template is shown as none.
    if set(keys) | {"tokenizer.chat_template"} != set(theirs) | {"tokenizer.chat_template"}:
        yield f"keys {sorted(set(keys) ^ set(theirs))}"
    with np.errstate(all="ignore"):
        for name in set(keys) & set(theirs):
            try:
                value = theirs[name].contents()
            except UnicodeDecodeError:
                continue
            if not same_value(keys[name], value):
                yield f"key {name}: {keys[name]!r} against {value!r}"
    if len(ours["tensors"]) != len(reader.tensors):
        yield "number of tensors"
    for mine, other in zip(ours["tensors"], reader.tensors):
        if (mine["name"], mine["type"]) != (other.name, other.tensor_type.name):
            yield f"name or type of {mine['name']}"
        if mine["shape"] != [int(d) for d in other.shape]:
            yield f"shape of {mine['name']}: {mine['shape']} against {other.shape}"
        elif data[mine["offset"]:mine["offset"] + mine["bytes"]] != other.data.tobytes():
            yield f"bytes of {mine['name']}"


class Test:
    def __init__(self, tool, folder):
        self.tool, self.path = Tool(tool), os.path.join(folder, "case.gguf")
        self.failures = self.accepted = self.refused = 0

    def fail(self, what, text):
        self.failures += 1
        print(f"FAIL {what}: {text}"[:500])

    def compare(self, what, data):
        make_gguf.write(self.path, data)
        return self.compare_file(what, self.path, data)

    def compare_file(self, what, path, data):
        ours, error = self.tool.read(path)
        if error is not None:
            self.refused += 1
            return error
        self.accepted += 1
        reader, refusal = reference(path)
        if reader is None:
            if not lenient(refusal, data):
                self.fail(what, f"accepted, but gguf says {type(refusal).__name__}: {refusal}")
            return None
        for difference in differences(ours, reader, data):
            self.fail(what, difference)
        return None


def check_made_files(test, folder):
    for name, (_, message) in make_gguf.FILES.items():
        data = make_gguf.content(name)
        path = os.path.join(folder, name + ".gguf")
        make_gguf.write(path, data)
    for name, (_, message) in make_gguf.FILES.items():
        path = os.path.join(folder, name + ".gguf")
        if message is None and not name.startswith("split-0"):
            error = test.compare_file(name, path, make_gguf.content(name))
        else:
            error = test.tool.read(path)[1]
        if message is None and error:
            test.fail(name, f"refused: {error}")
        if message is not None and (error is None or message not in error):
            test.fail(name, f"expected an error with {message!r}, got {error!r}")


def random_file(rng, path):
    """A file by gguf's own writer."""
    writer = gguf.GGUFWriter(path, rng.choice(["llama", "gemma3", "qwen2"]))
    if rng.random() < 0.3:
        writer.add_custom_alignment(rng.choice([16, 32, 64, 4096]))
    adders = [
        lambda k: writer.add_uint8(k, rng.randrange(1 << 8)),
        lambda k: writer.add_int8(k, rng.randrange(-128, 128)),
        lambda k: writer.add_uint16(k, rng.randrange(1 << 16)),
        lambda k: writer.add_int16(k, rng.randrange(-1 << 15, 1 << 15)),
        lambda k: writer.add_uint32(k, rng.randrange(1 << 32)),
        lambda k: writer.add_int32(k, rng.randrange(-1 << 31, 1 << 31)),
        lambda k: writer.add_float32(k, rng.gauss(0, 1)),
        lambda k: writer.add_float64(k, rng.gauss(0, 1)),
        lambda k: writer.add_uint64(k, rng.randrange(1 << 64)),
        lambda k: writer.add_int64(k, rng.randrange(-1 << 63, 1 << 63)),
        lambda k: writer.add_bool(k, rng.random() < 0.5),
        lambda k: writer.add_string(k, "".join(rng.choices("ab\u2581\u00e9\n\"", k=9))),
        lambda k: writer.add_array(k, [rng.randrange(1000) for _ in range(rng.randrange(1, 40))]),
        lambda k: writer.add_array(k, [rng.gauss(0, 1) for _ in range(rng.randrange(1, 400))]),
        lambda k: writer.add_array(k, [f"t{i}" * rng.randrange(3) for i in range(rng.randrange(1, 400))]),
    ]
    for i in range(rng.randrange(20)):
        rng.choice(adders)(f"key.{i}")
    kinds = [k for k in gguf.GGMLQuantizationType if k.name in make_gguf.TYPES]
    for i in range(rng.randrange(8)):
        kind = rng.choice(kinds)
        block, size = gguf.GGML_QUANT_SIZES[kind]
        rows = [rng.randrange(1, 4) for _ in range(rng.randrange(1, 4))]
        shape = rows[:-1] + [rng.randrange(1, 3) * size]
        data = np.frombuffer(rng.randbytes(int(np.prod(shape))), np.uint8).reshape(shape)
        writer.add_tensor(f"tensor.{i}", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def damaged(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        kind = rng.randrange(5)
        at = rng.randrange(min(len(data), 2000) or 1)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.randrange(256)
        elif kind == 2:
            del data[rng.randrange(len(data)):]
        elif kind == 3:
            number = rng.choice([0, 1, 2, 1 << 31, 1 << 32, 1 << 62, 1 << 63, (1 << 64) - 1, len(data)])
            data[at:at + 8] = struct.pack("<Q", number)
        else:
            del data[at:at + rng.randrange(1, 9)]
        if not data:
            break
    return bytes(data)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)

    with tempfile.TemporaryDirectory() as folder:
        test = Test(args.tool, folder)
        check_made_files(test, folder)
        good = [make_gguf.content(name) for name, (_, message) in make_gguf.FILES.items()
                if message is None and not name.startswith("split")]
        written = os.path.join(folder, "written.gguf")
        for i in range(args.files):
            random_file(rng, written)
            with open(written, "rb") as f:
                data = f.read()
            error = test.compare(f"random file {i}", data)
            if error:
                test.fail(f"random file {i}", f"refused: {error}")
            if len(data) < 20000:
                good.append(data)
        print(f"good files: {test.accepted} read the same")
        test.accepted = test.refused = 0
        for i in range(args.mutations):
            test.compare(f"mutation {i}", damaged(rng, rng.choice(good)))
        print(f"damaged files: {test.accepted} accepted, {test.refused} refused")
        for model in args.models:
            with open(model, "rb") as f:
                error = test.compare_file(model, model, memoryview(f.read()))
            print(f"{model}: {error or 'read the same'}")
            if error:
                test.fail(model, error)
        if args.mutations >= 1000 and not (test.accepted > 50 and test.refused > 50):
            test.fail("mutations", "too few of one kind to say anything")
    print(f"{test.failures} failures")
    sys.exit(1 if test.failures else 0)


main()
